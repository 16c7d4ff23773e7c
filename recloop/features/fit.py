"""Whether the events that came suit the family that is to learn them: asked of the newest window,
by SQL."""

from __future__ import annotations

from dataclasses import dataclass

from psycopg2.extensions import cursor as Cursor

from models.recommenders.family import Family
from recloop.config.learnable import EXAMPLES, LEARNABLE, Meaning

LEAST_FOLLOWED = 0.2
"""Of events that follow another of their session: below, there is hardly a next item to learn."""
LEAST_KNOWN = 0.05
"""Of events by users who had one before the window: below, a history says nothing of anybody."""

NEWEST = f"""
    select user_key, event_timestamp, value, item_key, {LEARNABLE}::int as chosen,
        event_timestamp - lag(event_timestamp) over (partition by user_key order by event_timestamp)
            <= make_interval(secs => %(gap)s::float8) as follows
    from behavior.event
    where window_key = (
        select max(window_key) from behavior.event where {EXAMPLES}
    ) and {EXAMPLES}
"""
MEASURE = f"""
    with newest as ({NEWEST}), starts as (select min(event_timestamp) as start from newest)
    select count(*), count(distinct user_key), count(distinct item_key), count(distinct value),
        avg(coalesce(follows, false)::int),
        avg((exists (select from behavior.event as earlier, starts
            where earlier.user_key = newest.user_key and earlier.event_timestamp < start))::int),
        avg(chosen)
    from newest
"""


MISSING = """
    select kind from unnest(%(named)s::text[]) as kind
    where not exists (select from behavior.event where event_type = kind) order by 1
"""


@dataclass(frozen=True)
class Fit:
    """What was found: whether the data suit the family, in a sentence, and what to do if they do not."""

    suits: bool
    detail: str
    remedy: str = ""


def data_fit(cursor: Cursor, family: Family, meaning: Meaning) -> Fit:
    """Ask the events of the newest window."""
    cursor.execute(MEASURE, meaning.parameters() | {"gap": meaning.session_gap})
    events, users, items, values, followed, known, chosen = cursor.fetchone() or (0,) * 7
    if not events:
        return Fit(True, f"{family.name}; no event came yet")
    said = (
        f"{family.name}: {events:,} events, {users:,} users, {items:,} items in the newest window"
    )
    named = (*meaning.learn_from, *meaning.shown)
    cursor.execute(MISSING, {"named": list(named)})
    if missing := [kind for (kind,) in cursor.fetchall()]:
        cursor.execute("select distinct event_type from behavior.event order by 1")
        told = ", ".join(kind for (kind,) in cursor.fetchall())
        remedy = f"types in the log are {told}: correct event.learn_from"
        return Fit(False, f"{said}; no event at all is of type {', '.join(missing)}", remedy)
    followed, known, chosen = (float(share or 0) for share in (followed, known, chosen))
    if family.needs("sessions"):
        said += f", {followed:.0%} follow another of their session"
        if followed < LEAST_FOLLOWED:
            remedy = "lengthen [model] session_gap, or check that event.user_id is who clicks"
            return Fit(False, said, remedy)
    if family.needs("values"):
        said += f", {values:,} different values"
        if values < 2:
            remedy = "check event.value: a rating that is always the same says nothing"
            return Fit(False, said, remedy)
    if family.needs("labels") and not meaning.labelled:
        said += ", clicks alone: negatives are drawn"
    elif family.needs("labels"):
        said += f", {chosen:.1%} of them clicked"
        if chosen in (0.0, 1.0):
            remedy = "check learn_from.types, minimum_value and shown: a click needs its opposite"
            return Fit(False, said, remedy)
    if family.needs("history"):
        said += f", {known:.0%} by users who had one before"
        if known < LEAST_KNOWN:
            remedy = 'if visitors do not come back, [model] family = "sessions" needs no history'
            return Fit(False, said, remedy)
    return Fit(True, said)

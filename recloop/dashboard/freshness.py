"""How fresh a recommender is: its champion and the newest event that it has learnt, what waits, what is
under way, and who decides next."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from psycopg2.extensions import cursor as Cursor

from recloop.config.dataset import load_dataset
from recloop.config.rules import load_update_rules
from recloop.database.connection import column, first, records
from recloop.errors import BadInput
from recloop.ledger import pins
from recloop.settings import Settings

Json = dict[str, Any]
SHOWN = 12
"""Windows that a sentence names."""

REIGNS = """
select r.version, r.began_at, r.reason, made.uri, made.update_id, made.thinned_at is not null as thinned,
    u.plan->>'decision' as decision, u.target
from ledger.reign r join ledger.release made using (version) join ledger.update u using (update_id)
order by r.reign_id desc limit 20
"""

NEWEST_LEARNT = """
select max(w.ends) from ledger.trained t join ledger.part p on p.part_key = t.window_key
join ledger.window w on w.window_key = p.window_key where t.version = %s
"""

# Of windows with events: those that the champion's lineage has not learnt. `decided`: an update was
# concluded on it, so it is learnt with the next one (see `ledger/releases.undecided`).
WAITING = """
with learnt as (
    select t.window_key from ledger.reign r join ledger.trained t using (version)
    where r.ended_at is null
), answered as (
    select update_id, target from ledger.update
    where state in ('promoted', 'rejected', 'deferred', 'skipped')
        and not (state in ('rejected', 'deferred') and plan->>'decision' = 'rebuild'
                 and plan->>'decided_by' = 'person')
)
select w.window_key, p.part_key, p.accepted,
    w.window_key in (select target from answered) or p.part_key in (
        select c.window_key from ledger.update_window c join answered using (update_id)) as decided
from ledger.part p join ledger.window w using (window_key)
where p.accepted > 0 and w.state in ('validated', 'featured')
    and p.part_key not in (select window_key from learnt)
order by w.starts, p.number
"""

LIVE = """
select update_id, target, state, holder, reason, plan->>'decision' as decision, planned_at,
    lease_until < now() as lost,
    coalesce((plan->>'approval')::boolean, false) or coalesce(gate_report->>'ask', '') <> '' as asks,
    coalesce((gate_report->>'passed')::boolean, false) as passed
from ledger.update where state in ('planned', 'training', 'evaluated')
"""


def read_freshness(cursor: Cursor, settings: Settings, now: datetime) -> Json:
    """`champion` and `previous` (version, began_at, reason …), `newest_event`, `waiting` and `pending`
    windows with their `events`, `refused` windows, the `live` update, the open `pin`, and the sentence
    `next`."""
    reigns = records(cursor, REIGNS)
    champion = reigns[0] if reigns else None
    previous = next((one for one in reigns if one["version"] != reigns[0]["version"]), None)
    parts = records(cursor, WAITING)
    waiting = [part["window_key"] for part in parts if not part["decided"]]
    live = records(cursor, LIVE)
    found: Json = {
        "champion": champion,
        "previous": previous,
        "newest_event": newest_event(cursor, champion["version"]) if champion else None,
        "learnt": _learnt(cursor, champion["version"]) if champion else 0,
        "waiting": list(dict.fromkeys(waiting)),
        "pending": [part["part_key"] for part in parts if part["decided"]],
        "events": sum(part["accepted"] for part in parts),
        "refused": column(
            cursor, "select window_key from ledger.window where state = 'refused' order by starts"
        ),
        "live": live[0] if live else None,
        "pin": pins.open_pin(cursor),
        "newest_window": first(cursor, "select max(starts) from ledger.window"),
    }
    return found | {"next": next_decision(found, settings, now)}


def newest_event(cursor: Cursor, version: int) -> datetime | None:
    """When the newest event happened that a release has learnt; asked of its last window alone."""
    ends = first(cursor, NEWEST_LEARNT, (version,))
    if ends is None:
        return None
    cursor.execute("select starts, ends from ledger.window where ends = %s", (ends,))
    starts, ends = cursor.fetchall()[0]
    newest: datetime | None = first(
        cursor,
        "select max(event_timestamp) from behavior.event "
        "where event_timestamp >= %s and event_timestamp < %s",
        (starts, ends),
    )
    return newest or ends


def _learnt(cursor: Cursor, version: int) -> int:
    return int(first(cursor, "select count(*) from ledger.trained where version = %s", (version,)))


def asked_of_a_person(found: Json) -> bool:
    """Whether the live update waits for an answer."""
    live = found["live"]
    return bool(live and live["state"] == "evaluated" and live["passed"] and live["asks"])


def next_decision(found: Json, settings: Settings, now: datetime) -> str:
    """Who decides what next, in one sentence."""
    live, pin, waiting = found["live"], found["pin"], found["waiting"]
    if asked_of_a_person(found):
        return f"A person: is the challenger of window {live['target']} to be promoted?"
    if pin:
        return f"A person: nothing is promoted until the champion is unpinned ({pin['reason']})."
    if live and not live["lost"]:
        doing = {"planned": "is planned", "training": "is being trained", "evaluated": "was judged"}
        return f"Update {live['update_id']} of window {live['target']} {doing[live['state']]}."
    if waiting:
        policy = load_update_rules(settings).policy.name
        return f"The policy {policy} on window {waiting[0]}, with the next run of an update."
    if found["refused"]:
        return f"A person on window {found['refused'][0]}, which validation refused."
    return _next_window(found["newest_window"], settings, now)


def _next_window(newest: datetime | None, settings: Settings, now: datetime) -> str:
    try:
        spec = load_dataset(settings)
    except BadInput:
        return "Nothing waits."
    if spec.period.end is not None or newest is None:
        return "Nothing waits; the next window that is ingested is decided on."
    window = spec.calendar.at(max(spec.calendar.at(newest).end, now))
    return f"Nothing waits; window {window.key} is over on {window.end:%F %H:%M} UTC."


def named(keys: list[str]) -> str:
    """The first few keys, and how many more."""
    more = len(keys) - SHOWN
    return ", ".join(keys[:SHOWN]) + (f" and {more:,} more" if more > 0 else "")

"""Parts of windows: what is learnt at once, in one training set.

A window's events are its part 0 until an update that may still conclude, a release or a silo's round
has learnt from them. What comes later is a late part with a key of its own (`2011-06-06+1`), so that
it is learnt once, and no event of the window twice (docs/adr/0009-late-parts.md). Recommenders share
parts: what one of them has learnt from is closed for all. Training sets are each one's own.

Belongs here: which part new events join, which parts are ready to be learnt from. Keep out: the states
of windows (`window_states.py`), who has learnt what (`releases.py`).
"""

from __future__ import annotations

from typing import Any

from psycopg2.extensions import cursor as Cursor

from recloop.calendar import part_key, whole
from recloop.contracts import TrainingSet, UpdatePlan
from recloop.database.connection import column, first, records
from recloop.errors import BadInput, PlanOutdated

CLOSED = """
(taught_at is not null or exists (
    select from ledger.update_window c join lineage.update u using (update_id)
    where c.window_key = part_key and u.state in ('planned', 'training', 'evaluated', 'promoted')
))
"""
"""SQL: whether the training set of `part_key` may not change any more, whoever has learnt from it."""
COMPLETE = "coalesce(made.featured = p.accepted, false)"
"""SQL: whether a part `p` left-joined with `ledger.training_set made` has one of all its events."""


def receive(cursor: Cursor, window_key: str, events: int) -> int:
    """The number of the part that so many newly accepted events of the window belong to.

    It is the newest one, or a new late part when the newest is closed. In the caller's transaction,
    which must also store the events: until it ends, no update that covers the part can begin.
    """
    cursor.execute("select from ledger.part where window_key = %s for no key update", (window_key,))
    # Only now: an update may have begun while this waited for its locks.
    cursor.execute(
        f"select number, {CLOSED} from ledger.part where window_key = %s "
        "order by number desc limit 1",
        (window_key,),
    )
    row = cursor.fetchone()
    number = 0 if row is None else int(row[0])
    if row is not None and row[1] and events:
        number += 1
    cursor.execute(
        "insert into ledger.part (part_key, window_key, number, accepted) values (%s, %s, %s, %s) "
        "on conflict (part_key) do update set accepted = part.accepted + excluded.accepted",
        (part_key(window_key, number), window_key, number, events),
    )
    return number


def close(cursor: Cursor, keys: tuple[str, ...]) -> None:
    """Close parts that no update of this ledger covers, because they are taught in a silo's round.

    Raises:
        PlanOutdated: see `hold`.
    """
    hold(cursor, keys)
    cursor.execute(
        "update ledger.part set taught_at = now() where part_key = any(%s) and taught_at is null",
        (list(keys),),
    )


def to_feature(cursor: Cursor, window_key: str) -> list[tuple[str, int, TrainingSet | None]]:
    """(key, accepted events, training set) of the window's parts, oldest first.

    The training set is None where one has to be built: of open parts, and of those with events that
    it lacks. A closed part keeps the one that it was, or is being, learnt from.
    """
    cursor.execute(
        f"select part_key, accepted, case when {COMPLETE} and {CLOSED} then training_set end "
        "from ledger.part p left join ledger.training_set made using (part_key) "
        "where window_key = %s order by number",
        (window_key,),
    )
    return [
        (key, int(accepted), TrainingSet.model_validate(kept) if kept else None)
        for key, accepted, kept in cursor.fetchall()
    ]


def note_featured(cursor: Cursor, training_set: TrainingSet, accepted: int) -> bool:
    """Record a part's training set, made when the part had `accepted` events, and settle the window.

    Returns False, and records nothing, when events were accepted meanwhile: the set lacks them, build
    it again.

    Raises:
        BadInput: there is no such part.
    """
    key = training_set.window
    known = first(cursor, "select accepted from ledger.part where part_key = %s for update", (key,))
    if known is None:
        raise BadInput(
            f"the ledger has no part {key!r} with accepted lines; "
            f"run `recloop ingest --window {whole(key)}` first."
        )
    if known != accepted:
        return False
    cursor.execute(
        "insert into lineage.training_set (part_key, featured, training_set) values (%s, %s, %s) "
        "on conflict (recommender, part_key) do update "
        "set featured = excluded.featured, training_set = excluded.training_set",
        (key, accepted, training_set.model_dump_json()),
    )
    settle(cursor, whole(key))
    return True


def settle(cursor: Cursor, window_key: str) -> None:
    """The window is `featured` if each of its parts has a training set of all its events."""
    cursor.execute(
        "update ledger.window w set state = 'featured', changed_at = now() "
        "where window_key = %s and state = 'validated' and not exists ("
        "select from ledger.part p left join ledger.training_set made using (part_key) "
        f"where p.window_key = w.window_key and not {COMPLETE})",
        (window_key,),
    )


def training_sets(cursor: Cursor, window_key: str) -> list[TrainingSet]:
    """The training sets of the window's parts, oldest first."""
    kept = column(
        cursor,
        "select training_set from ledger.training_set join ledger.part using (part_key) "
        "where window_key = %s order by number",
        (window_key,),
    )
    return [TrainingSet.model_validate(one) for one in kept]


def training_set_of(cursor: Cursor, key: str) -> TrainingSet:
    """A part's training set; a window's key is that of its part 0.

    Raises:
        BadInput: it has none.
    """
    kept = first(cursor, "select training_set from ledger.training_set where part_key = %s", (key,))
    if kept is None:
        sql = "select state from ledger.window where window_key = %s"
        state = first(cursor, sql, (whole(key),)) or "unknown"
        raise BadInput(
            f"window {key} has no training set (the window's state is {state!r}); "
            f"run `recloop ingest --window {whole(key)}` first."
        )
    return TrainingSet.model_validate(kept)


def target_sets(cursor: Cursor, plan: UpdatePlan) -> list[TrainingSet]:
    """Training sets of the parts whose newest events judge the plan, oldest first: those that the plan
    names; else those of its target window that it covers; else that window's part 0.
    """
    own = [key for key in plan.windows if whole(key) == plan.target]
    return [training_set_of(cursor, key) for key in plan.judged_on or own or [plan.target]]


def unprepared(cursor: Cursor) -> list[str]:
    """Windows whose features are written, with a part that this recommender has no training set of yet,
    because another's was made when they were: oldest first."""
    return column(
        cursor,
        "select window_key from ledger.window w where state = 'featured' and exists ("
        "select from ledger.part p left join ledger.training_set made using (part_key) "
        f"where p.window_key = w.window_key and p.accepted > 0 and not {COMPLETE}) order by starts",
    )


def ready(cursor: Cursor) -> list[str]:
    """Parts with events, all of which are in their training set; oldest window first."""
    return [row["part_key"] for row in all_parts(cursor) if row["ready"]]


def all_parts(cursor: Cursor) -> list[dict[str, Any]]:
    """Parts with events, oldest window first: `part_key`, `window_key`, `number`, `accepted`, `ready`,
    `version`: the release of the champion's lineage that learnt from it first, or None.
    """
    return records(
        cursor,
        f"""
        select p.part_key, p.window_key, p.number, p.accepted, {COMPLETE} as ready,
            (select made.version from ledger.reign r
                join ledger.trained t on t.version = r.version and t.window_key = p.part_key
                join ledger.release made on made.update_id = t.update_id
             where r.ended_at is null) as version
        from ledger.part p join ledger.window w using (window_key)
            left join ledger.training_set made using (part_key)
        where p.accepted > 0 order by w.starts, p.number
        """,
    )


def hold(cursor: Cursor, keys: tuple[str, ...]) -> None:
    """Keep these parts as they are until the transaction ends.

    Raises:
        PlanOutdated: one of them has events that its training set lacks.
    """
    held = column(
        cursor,
        "select part_key from ledger.part p join ledger.training_set made using (part_key) "
        f"where part_key = any(%s) and {COMPLETE} for share of p",
        (list(keys),),
    )
    lacking = sorted(set(keys) - set(held), key=keys.index)
    if lacking:
        raise PlanOutdated(
            f"late events came for {', '.join(lacking)} since the plan was made; plan again when "
            f"`recloop ingest --window {whole(lacking[0])}` has written their features."
        )

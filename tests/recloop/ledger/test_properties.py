"""Random lives of a ledger: whatever happens, each window is learnt at most once in the champion's
lineage, and every accepted window is either learnt or pending.
"""

from __future__ import annotations

from contextlib import suppress

from hypothesis import HealthCheck, given, settings, strategies

from recloop.database.connection import connect
from recloop.errors import LedgerConflict, ReleaseMissing
from recloop.ledger import releases, updates
from tests.recloop.ledger.builders import feature, judge, plan, promote, train

STEPS = strategies.lists(
    strategies.sampled_from(
        ["window", "gap", "promote", "rebuild", "reject", "skip", "orphan", "double", "rollback"]
    ),
    min_size=1,
    max_size=14,
)


@settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(steps=STEPS)
def test_each_window_is_learnt_once_or_pending(database_url: str, steps: list[str]) -> None:
    connection = connect(database_url)  # never committed: each example starts empty
    try:
        with connection.cursor() as cursor:
            featured: list[str] = []
            number = 0
            for step in steps:
                number = live(cursor, step, number, featured)
                check(cursor, featured)
    finally:
        connection.rollback()
        connection.close()


def live(cursor, step: str, number: int, featured: list[str]) -> int:
    """One step of a life; returns the next window's number."""
    if step in ("window", "gap"):
        number += 1 if step == "window" else 2
        feature(cursor, number)
        cursor.execute("select max(window_key) from ledger.window")
        featured.append(cursor.fetchone()[0])
        return number
    if step == "rollback":
        with suppress(ReleaseMissing):
            releases.roll_back(cursor, None, "test")
        return number
    first = releases.champion(cursor) is None
    made = plan(cursor, number, "rebuild" if step == "rebuild" or first else "increment")
    if not made.windows or made.windows[-1] != made.target:
        return number
    if step in ("promote", "rebuild"):
        promote(cursor, number, made.decision)
        return number
    lease = updates.begin_update(cursor, made, "run")
    if step == "skip":
        updates.conclude(cursor, lease, "skipped", "test")
        return number
    if step == "double":
        with suppress(LedgerConflict):
            updates.begin_update(cursor, made, "another run")
    if step == "orphan":
        orphan, lease = lease, updates.take_over(cursor, lease.update_id, "run")
        with suppress(LedgerConflict):
            train(cursor, orphan, made)
    train(cursor, lease, made)
    judge(cursor, lease, made, passed=step != "reject")
    if step != "reject":
        releases.promote(cursor, lease, f"/r/{lease.update_id}")
    return number


def check(cursor, featured: list[str]) -> None:
    champion = releases.champion(cursor)
    learnt = list(champion.windows) if champion else []
    assert len(learnt) == len(set(learnt))
    assert sorted({*learnt, *releases.pending(cursor)}) == sorted(featured)
    assert not set(learnt) & set(releases.pending(cursor))
    cursor.execute(
        "select count(*) from ledger.update where state in ('planned', 'training', 'evaluated')"
    )
    assert cursor.fetchone() == (0,)

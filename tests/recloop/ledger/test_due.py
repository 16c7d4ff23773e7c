"""What a clock may decide on: skipped windows again, refused ones not by themselves."""

from __future__ import annotations

from recloop.ledger import releases, updates
from recloop.ledger.releases import windows_due
from tests.recloop.ledger.builders import feature, judge, plan, promote, train, window


def keys(*numbers: int) -> list[str]:
    return [window(number).key for number in numbers]


def skip(cursor, target: int) -> None:
    made = plan(cursor, target).model_copy(update={"decision": "skip"})
    updates.conclude(cursor, updates.begin_update(cursor, made, "run"), "skipped", "few events")


def refuse(cursor, target: int) -> None:
    made = plan(cursor, target)
    lease = updates.begin_update(cursor, made, "run")
    train(cursor, lease, made)
    judge(cursor, lease, made, passed=False)


def test_new_and_skipped_windows_are_due(cursor) -> None:
    feature(cursor, 0)
    assert windows_due(cursor) == keys(0)
    promote(cursor, 0, "rebuild")
    assert windows_due(cursor) == []
    feature(cursor, 1)
    skip(cursor, 1)
    assert releases.undecided(cursor) == []
    assert windows_due(cursor) == keys(1)


def test_a_refused_window_waits_for_a_new_one(cursor) -> None:
    feature(cursor, 0)
    promote(cursor, 0, "rebuild")
    feature(cursor, 1)
    refuse(cursor, 1)
    assert windows_due(cursor) == []
    feature(cursor, 2)
    assert windows_due(cursor) == keys(2)
    assert releases.pending(cursor) == keys(1, 2)


def test_a_rollback_is_not_undone_by_the_clock(cursor) -> None:
    feature(cursor, 0)
    promote(cursor, 0, "rebuild")
    feature(cursor, 1)
    promote(cursor, 1)
    releases.roll_back(cursor, None, "worse")
    assert releases.pending(cursor) == keys(1)
    assert windows_due(cursor) == []


def test_late_events_are_not_due_by_themselves(cursor) -> None:
    feature(cursor, 0)
    promote(cursor, 0, "rebuild")
    feature(cursor, 0)
    assert releases.pending(cursor) == [f"{window(0).key}+1"]
    assert windows_due(cursor) == []


def test_a_persons_refused_rebuild_decides_nothing(cursor) -> None:
    feature(cursor, 0)
    promote(cursor, 0, "rebuild")
    feature(cursor, 1)
    asked = plan(cursor, 1, "rebuild").model_copy(update={"decided_by": "person"})
    lease = updates.begin_update(cursor, asked, "run")
    train(cursor, lease, asked)
    judge(cursor, lease, asked, passed=False)
    assert windows_due(cursor) == releases.undecided(cursor) == keys(1)
    by_policy = plan(cursor, 1, "rebuild").model_copy(update={"decided_by": "adaptive: gap"})
    lease = updates.begin_update(cursor, by_policy, "run")
    train(cursor, lease, by_policy)
    judge(cursor, lease, by_policy, passed=False)
    assert windows_due(cursor) == releases.undecided(cursor) == []

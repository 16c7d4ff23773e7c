"""Lineage: no window twice, nothing dropped, rollback makes windows pending again."""

from __future__ import annotations

import pytest
from psycopg2 import errors

from recloop.errors import LeaseLost, LedgerConflict, ReleaseMissing
from recloop.ledger import releases, updates
from tests.recloop.ledger.builders import feature, judge, plan, promote, train, window


def keys(*numbers: int) -> list[str]:
    return [window(number).key for number in numbers]


def test_before_the_first_release_everything_featured_is_pending(cursor) -> None:
    feature(cursor, 1, 0)
    assert releases.champion(cursor) is None
    assert releases.pending(cursor) == keys(0, 1)


def test_a_promoted_window_is_pending_no_more_and_the_lineage_adds_up(cursor) -> None:
    feature(cursor, 0, 1)
    first = promote(cursor, 1, "rebuild")
    feature(cursor, 2)
    second = promote(cursor, 2)
    assert second.parent_version == first.version
    assert list(second.windows) == keys(0, 1, 2)
    assert releases.pending(cursor) == []
    assert releases.base_of(cursor, second.version) == first


def test_a_lineage_is_listed_oldest_first_and_ends_where_it_began(cursor) -> None:
    feature(cursor, 0)
    promote(cursor, 0, "rebuild")
    feature(cursor, 1)
    second = promote(cursor, 1, "rebuild")
    feature(cursor, 2)
    third = promote(cursor, 2)
    feature(cursor, 3)
    fourth = promote(cursor, 3)

    def versions(count: int) -> list[int]:
        return [release.version for release in releases.lineage(cursor, fourth, count)]

    assert versions(0) == []
    assert versions(2) == [third.version, fourth.version]
    assert versions(9) == [second.version, third.version, fourth.version]
    assert releases.lineage(cursor, None, 3) == []


def test_a_rejected_window_is_covered_by_the_next_plan(cursor) -> None:
    feature(cursor, 0)
    promote(cursor, 0, "rebuild")
    feature(cursor, 1)
    made = plan(cursor, 1)
    lease = updates.begin_update(cursor, made, "run")
    train(cursor, lease, made)
    judge(cursor, lease, made, passed=False)
    assert releases.pending(cursor) == keys(1)
    assert releases.undecided(cursor) == []
    feature(cursor, 2)
    assert releases.undecided(cursor) == keys(2)
    assert list(plan(cursor, 2).windows) == keys(1, 2)


def test_a_challenger_that_did_not_pass_cannot_be_crowned(cursor) -> None:
    feature(cursor, 0)
    made = plan(cursor, 0, "rebuild")
    lease = updates.begin_update(cursor, made, "run")
    train(cursor, lease, made)
    with pytest.raises(LeaseLost):
        releases.promote(cursor, lease, "/r")
    assert releases.champion(cursor) is None


def test_training_a_window_twice_in_one_lineage_is_impossible(cursor) -> None:
    feature(cursor, 0, 1)
    promote(cursor, 0, "rebuild")
    made = plan(cursor, 1).model_copy(update={"windows": tuple(keys(0, 1))})
    lease = updates.begin_update(cursor, made, "run")
    train(cursor, lease, made)
    judge(cursor, lease, made, passed=True)
    with pytest.raises(LedgerConflict, match="twice"):
        releases.promote(cursor, lease, "/r")


def test_a_rebuild_begins_a_new_lineage(cursor) -> None:
    feature(cursor, 0)
    promote(cursor, 0, "rebuild")
    feature(cursor, 1)
    rebuilt = promote(cursor, 1, "rebuild")
    assert rebuilt.parent_version is None
    assert list(rebuilt.windows) == keys(0, 1)
    assert releases.previous(cursor).version == rebuilt.version - 1


def test_rolling_back_makes_the_later_windows_pending_but_not_undecided(cursor) -> None:
    feature(cursor, 0)
    first = promote(cursor, 0, "rebuild")
    for number in (1, 2):
        feature(cursor, number)
        promote(cursor, number)
    assert releases.roll_back(cursor, first.version, "bad week") == first
    assert releases.champion(cursor) == first
    assert releases.pending(cursor) == keys(1, 2)
    assert releases.undecided(cursor) == []
    feature(cursor, 3)
    assert list(plan(cursor, 3).windows) == keys(1, 2, 3)
    assert list(promote(cursor, 3).windows) == keys(0, 1, 2, 3)


def test_rolling_back_without_a_version_takes_the_one_before(cursor) -> None:
    feature(cursor, 0)
    first = promote(cursor, 0, "rebuild")
    feature(cursor, 1)
    promote(cursor, 1)
    assert releases.roll_back(cursor, None, "why not").version == first.version
    with pytest.raises(ReleaseMissing, match="first"):
        releases.roll_back(cursor, None, "again")


def test_rolling_back_to_the_champion_changes_nothing(cursor) -> None:
    feature(cursor, 0)
    first = promote(cursor, 0, "rebuild")
    releases.roll_back(cursor, first.version, "same")
    cursor.execute("select count(*) from ledger.reign")
    assert cursor.fetchone() == (1,)


def test_an_update_planned_under_another_champion_is_discarded(cursor) -> None:
    feature(cursor, 0)
    first = promote(cursor, 0, "rebuild")
    feature(cursor, 1)
    promote(cursor, 1)
    feature(cursor, 2)
    made = plan(cursor, 2)
    lease = updates.begin_update(cursor, made, "run")
    train(cursor, lease, made)
    judge(cursor, lease, made, passed=True)
    releases.roll_back(cursor, first.version, "meanwhile")
    with pytest.raises(LeaseLost, match="champion moved"):
        releases.promote(cursor, lease, "/r")


def test_a_rollback_needs_a_champion_and_a_version_that_exists(cursor) -> None:
    with pytest.raises(ReleaseMissing, match="no champion"):
        releases.roll_back(cursor, None, "x")
    feature(cursor, 0)
    promote(cursor, 0, "rebuild")
    with pytest.raises(ReleaseMissing, match="no release 99"):
        releases.roll_back(cursor, 99, "x")


def test_two_champions_at_once_are_impossible(cursor) -> None:
    feature(cursor, 0)
    first = promote(cursor, 0, "rebuild")
    with pytest.raises(errors.UniqueViolation):
        cursor.execute(
            "insert into ledger.reign (version, reason) values (%s, 'usurper')", (first.version,)
        )

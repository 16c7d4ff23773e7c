"""Leases and fencing: two triggers make one update, and an orphan commits nothing."""

from __future__ import annotations

import threading
import time

import pytest

from recloop.database.connection import transaction
from recloop.errors import LeaseLost, LedgerConflict, UpdateInProgress
from recloop.ledger import releases, updates
from recloop.stages.bookkeeping import watched
from tests.recloop.ledger.builders import feature, judge, plan, promote, train


def wait_for_the_loss(check, deadline: float) -> None:
    while time.monotonic() < deadline:
        check()
        time.sleep(0.02)


def expire(cursor) -> None:
    cursor.execute("update ledger.update set lease_until = now() - interval '1 second'")


def test_two_runs_for_one_window_make_one_update(cursor) -> None:
    feature(cursor, 0)
    updates.begin_update(cursor, plan(cursor, 0, "rebuild"), "run a")
    with pytest.raises(UpdateInProgress, match="run a"):
        updates.begin_update(cursor, plan(cursor, 0, "rebuild"), "run b")
    assert len(updates.all_updates(cursor)) == 1


def test_an_update_that_lost_its_holder_is_named_until_another_takes_its_window(cursor) -> None:
    feature(cursor, 0)
    made = plan(cursor, 0, "rebuild")
    updates.begin_update(cursor, made, "a command that is killed")
    assert updates.abandoned(cursor) == []
    expire(cursor)
    assert updates.abandoned(cursor) == [made.target] == releases.undecided(cursor)
    lease = updates.begin_update(cursor, made, "the next run")
    assert updates.abandoned(cursor) == []
    train(cursor, lease, made)
    judge(cursor, lease, made, passed=True)
    expire(cursor)
    assert updates.abandoned(cursor) == [], "a person may have to approve it"


def test_two_transactions_at_once_make_one_update(database_url) -> None:
    with transaction(database_url) as cursor:
        feature(cursor, 0)
        made = plan(cursor, 0, "rebuild")
    outcomes: list[str] = []
    barrier = threading.Barrier(4)

    def attempt(name: str) -> None:
        barrier.wait()
        try:
            with transaction(database_url) as cursor:
                updates.begin_update(cursor, made, name)
            outcomes.append("began")
        except UpdateInProgress:
            outcomes.append("refused")

    threads = [threading.Thread(target=attempt, args=(f"run {n}",)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(outcomes) == ["began", "refused", "refused", "refused"]


def test_the_same_run_asking_again_gets_its_update_with_a_new_token(cursor) -> None:
    feature(cursor, 0)
    first = updates.begin_update(cursor, plan(cursor, 0, "rebuild"), "run")
    again = updates.begin_update(cursor, plan(cursor, 0, "rebuild"), "run")
    assert again.update_id == first.update_id
    assert again.token > first.token


def test_an_orphan_can_commit_nothing_after_a_retry_took_over(cursor) -> None:
    feature(cursor, 0)
    made = plan(cursor, 0, "rebuild")
    orphan = updates.begin_update(cursor, made, "run")
    updates.note_training(cursor, orphan)
    retry = updates.take_over(cursor, orphan.update_id, "run")
    for act in (
        lambda: updates.renew(cursor, orphan),
        lambda: train(cursor, orphan, made),
        lambda: judge(cursor, orphan, made, True),
        lambda: updates.conclude(cursor, orphan, "rejected", "late"),
        lambda: releases.promote(cursor, orphan, "/orphan"),
    ):
        with pytest.raises(LeaseLost, match="discarded"):
            act()
    train(cursor, retry, made)
    judge(cursor, retry, made, passed=True)
    assert releases.promote(cursor, retry, "/retry").uri == "/retry"


def test_a_stranger_may_take_over_only_an_expired_lease(cursor) -> None:
    feature(cursor, 0)
    lease = updates.begin_update(cursor, plan(cursor, 0, "rebuild"), "run a")
    with pytest.raises(UpdateInProgress):
        updates.take_over(cursor, lease.update_id, "run b")
    expire(cursor)
    assert updates.take_over(cursor, lease.update_id, "run b").token > lease.token


def test_an_expired_update_is_abandoned_and_its_windows_stay_pending(cursor) -> None:
    feature(cursor, 0, 1)
    updates.begin_update(cursor, plan(cursor, 1, "rebuild"), "gone")
    expire(cursor)
    lease = updates.begin_update(cursor, plan(cursor, 1, "rebuild"), "next")
    states = {row["update_id"]: row["state"] for row in updates.all_updates(cursor)}
    assert states == {lease.update_id - 1: "abandoned", lease.update_id: "planned"}
    assert len(releases.pending(cursor)) == 2


def test_a_concluded_update_cannot_be_taken_over(cursor) -> None:
    feature(cursor, 0)
    release = promote(cursor, 0, "rebuild")
    with pytest.raises(LedgerConflict, match="concluded"):
        updates.take_over(cursor, release.update_id, "run")


def test_the_keeper_renews_and_notices_a_take_over(database_url) -> None:
    with transaction(database_url) as cursor:
        feature(cursor, 0)
        lease = updates.begin_update(cursor, plan(cursor, 0, "rebuild"), "run")
        expire(cursor)
    with watched(database_url, lambda cursor: updates.renew(cursor, lease), 0.05) as check:
        deadline = time.monotonic() + 10
        held = False
        while not held and time.monotonic() < deadline:
            with transaction(database_url) as cursor:
                cursor.execute("select lease_until > now() from ledger.update")
                held = cursor.fetchone()[0]
        assert held
        check()
        with transaction(database_url) as cursor:
            updates.take_over(cursor, lease.update_id, "run")
        with pytest.raises(LeaseLost):
            wait_for_the_loss(check, deadline)

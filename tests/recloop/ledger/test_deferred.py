"""Deferred updates: their windows wait, and their users judge the next challenger of the same kind."""

from __future__ import annotations

import pytest

from recloop.ledger import releases, updates
from tests.recloop.ledger.builders import (
    before,
    defer,
    feature,
    judge,
    plan,
    promote,
    train,
    window,
)


@pytest.fixture
def shop(cursor):
    """Six weeks, of which a first champion has learnt one."""
    feature(cursor, 0, 1, 2, 3, 4, 5)
    promote(cursor, 0)
    return cursor


def keys(*numbers: int) -> list[str]:
    return [window(number).key for number in numbers]


def test_a_deferred_updates_windows_wait_and_are_decided(shop) -> None:
    update_id = defer(shop, 1)
    assert updates.all_updates(shop)[-1]["state"] == "deferred"
    assert releases.pending(shop) == keys(1, 2, 3, 4, 5)
    assert releases.undecided(shop) == keys(2, 3, 4, 5)
    assert releases.windows_due(shop) == keys(2, 3, 4, 5)
    assert updates.gate_report_of(shop, update_id).answer == "deferred"


def test_evidence_is_carried_from_window_to_window(shop) -> None:
    assert before(shop, 1) == []
    defer(shop, 1)
    assert before(shop, 2) == keys(1)
    defer(shop, 2)
    assert before(shop, 3) == keys(1, 2)


def test_a_window_judges_once(shop) -> None:
    defer(shop, 1)
    defer(shop, 1)
    assert before(shop, 1) == []
    assert before(shop, 2) == keys(1)


def test_another_kind_of_challenger_is_no_evidence(shop) -> None:
    defer(shop, 1)
    assert before(shop, 2, recipe={"epochs": 9}) == []
    assert before(shop, 2, decision="rebuild") == []
    assert before(shop, 2) == keys(1)


def test_a_promotion_a_refusal_and_a_rollback_begin_anew(shop) -> None:
    defer(shop, 1)
    promote(shop, 2)
    assert before(shop, 3) == []
    defer(shop, 3)
    made = plan(shop, 4)
    lease = updates.begin_update(shop, made, "run")
    train(shop, lease, made)
    judge(shop, lease, made, passed=False)
    assert before(shop, 5) == []
    defer(shop, 4)
    assert before(shop, 5) == keys(4)
    releases.roll_back(shop, 1, "a test")
    assert before(shop, 5) == []

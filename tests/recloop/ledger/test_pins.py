"""A pinned champion stays until it is unpinned, whatever was under way."""

from __future__ import annotations

import pytest

from recloop.errors import BadInput, ChampionPinned, LedgerConflict, ReleaseMissing
from recloop.ledger import pins, releases, updates
from tests.recloop.ledger.builders import feature, judge, plan, promote, train


@pytest.fixture
def shop(cursor):
    """Three weeks, of which a first champion has learnt one."""
    feature(cursor, 0, 1, 2)
    promote(cursor, 0)
    return cursor


def test_nothing_begins_that_could_be_promoted_and_a_skip_does(shop) -> None:
    assert pins.open_pin(shop) is None
    assert pins.pin(shop, "vera", " sale week ") == 1
    known = pins.open_pin(shop)
    assert (known["version"], known["by"], known["reason"]) == (1, "vera", "sale week")
    with pytest.raises(ChampionPinned, match="pinned by vera: sale week"):
        updates.begin_update(shop, plan(shop, 1), "run")
    skipped = plan(shop, 1).model_copy(update={"decision": "skip"})
    updates.conclude(shop, updates.begin_update(shop, skipped, "run"), "skipped", "no need")
    pins.unpin(shop, "ole", "the sale is over")
    assert pins.open_pin(shop) is None
    assert promote(shop, 1).version == 2


def test_an_update_that_had_begun_is_not_promoted(shop) -> None:
    made = plan(shop, 1)
    lease = updates.begin_update(shop, made, "run")
    train(shop, lease, made)
    judge(shop, lease, made, passed=True)
    pins.pin(shop, "vera", "sale week")
    with pytest.raises(ChampionPinned):
        releases.promote(shop, lease, "/release/2")
    assert releases.champion(shop).version == 1
    pins.unpin(shop, "vera", "over")
    assert releases.promote(shop, lease, "/release/2").version == 2


def test_a_rollback_is_possible_and_what_it_puts_back_is_pinned(shop) -> None:
    promote(shop, 1)
    pins.pin(shop, "vera", "sale week")
    releases.roll_back(shop, 1, "it is worse")
    assert releases.champion(shop).version == 1
    with pytest.raises(ChampionPinned):
        promote(shop, 2)


def test_both_need_a_reason_and_something_to_be_about(shop) -> None:
    for act in (pins.pin, pins.unpin):
        with pytest.raises(BadInput, match="needs a reason"):
            act(shop, "vera", "  ")
    with pytest.raises(LedgerConflict, match="is not pinned"):
        pins.unpin(shop, "vera", "over")
    pins.pin(shop, "vera", "sale week")
    with pytest.raises(LedgerConflict, match="pinned by vera: sale week"):
        pins.pin(shop, "ole", "me too")


def test_there_is_nothing_to_pin_before_the_first_release(cursor) -> None:
    with pytest.raises(ReleaseMissing):
        pins.pin(cursor, "vera", "sale week")

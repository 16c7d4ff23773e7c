"""What a pin means to the stages: nothing is planned that could be promoted, nothing is promoted."""

from __future__ import annotations

from typing import Any

import pytest

from recloop.database.connection import transaction
from recloop.errors import ChampionPinned
from recloop.ledger import updates
from recloop.planning import planning
from recloop.settings import Settings
from recloop.stages import update_stages, upkeep_stages
from tests.recloop.ledger.builders import feature, judge, plan, promote, train, window


@pytest.fixture
def pinned(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """A champion that is pinned, and a window that waits, which the policy wants to learn."""
    with transaction(settings.database_url) as cursor:
        feature(cursor, 0, 1)
        promote(cursor, 0, "rebuild")
        made = plan(cursor, 1)
    assert update_stages.pin("vera", "sale week", settings) == 1
    monkeypatch.setattr(planning, "make_plan", lambda *_: made)
    monkeypatch.setattr(planning, "maintenance_plan", lambda *_: (made, ""))
    monkeypatch.setattr(update_stages, "catch_up", lambda *_: 0)
    return settings


def test_nothing_is_planned_and_the_window_waits(pinned: Settings) -> None:
    key = window(1).key

    def planned() -> list[dict[str, Any]]:
        return [
            update_stages.plan(None, settings=pinned),
            upkeep_stages.plan_maintenance("int8", settings=pinned),
        ]

    for answer in planned():
        assert (answer["update_id"], answer["decision"]) == (None, "none")
        assert answer["because"] == "pinned"
        assert answer["reason"].startswith("the champion has been pinned by vera: sale week.")
    assert update_stages.undecided(pinned) == [key]
    update_stages.unpin("vera", "over", pinned)
    assert update_stages.plan(None, settings=pinned)["update_id"] is not None


def test_a_challenger_that_was_judged_before_is_not_promoted(pinned: Settings) -> None:
    update_stages.unpin("vera", "for a moment", pinned)
    with transaction(pinned.database_url) as cursor:
        made = plan(cursor, 1)
        lease = updates.begin_update(cursor, made, "run")
        train(cursor, lease, made)
        judge(cursor, lease, made, passed=True)
    update_stages.pin("vera", "sale week", pinned)
    with pytest.raises(ChampionPinned, match="sale week"):
        update_stages.promote(lease.update_id, "run", pinned)

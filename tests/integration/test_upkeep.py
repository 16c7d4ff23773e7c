"""Upkeep on real data: a periodic update, a maintained champion, a shadow rebuild, thinning between."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from recloop.database.connection import transaction
from recloop.ledger import releases
from recloop.release import registry
from recloop.release.recommend import recommend
from recloop.settings import Settings
from recloop.stages import update_stages, upkeep_stages
from recloop.stages.status import read_status
from recloop.training.recommender import restore_model
from tests.conftest import LOOP_WAITING

RUN = "a test"
FIRST = "2011-01-17"


def carried_out(settings: Settings, planned: dict[str, Any]) -> dict[str, Any]:
    """train → evaluate → promote, if the gate lets it; the gate's report and the release."""
    update_id = planned["update_id"]
    assert update_id is not None, planned["reason"]
    update_stages.train(update_id, RUN, settings)
    report = update_stages.evaluate(update_id, RUN, settings)
    release = update_stages.promote(update_id, RUN, settings) if report["passed"] else None
    return {"report": report, "release": release}


@pytest.fixture
def caught_up(prepared: Settings) -> Settings:
    """Release 2 has learnt the four windows that waited, in one periodic update."""
    planned = upkeep_stages.plan_due(RUN, options={"reason": "a test"}, settings=prepared)
    assert (planned["decision"], planned["target"]) == ("increment", LOOP_WAITING)
    assert len(planned["windows"]) == 4
    assert carried_out(prepared, planned)["release"]["version"] == 2
    return prepared


def test_by_the_clock_all_that_waits_is_learnt_at_once_and_then_nothing(
    caught_up: Settings,
) -> None:
    assert read_status(caught_up)["pending"] == []
    again = upkeep_stages.plan_due(RUN, settings=caught_up)
    assert (again["update_id"], again["decision"]) == (None, "none")


def test_a_packed_champion_passes_the_gate_and_continues_the_lineage(prepared: Settings) -> None:
    with transaction(prepared.database_url) as cursor:
        before = releases.champion(cursor)
        pending = releases.pending(cursor)
    dry = upkeep_stages.plan_maintenance("int8", dry_run=True, settings=prepared)
    assert (dry["decision"], dry["update_id"], dry["windows"]) == ("maintain", None, [])
    assert dry["target"] == "2011-01-10"
    planned = upkeep_stages.plan_maintenance("int8", None, RUN, reason="disks", settings=prepared)
    assert planned["reason"] == "maintain release 1: int8 (disks)"
    done = carried_out(prepared, planned)
    served = done["report"]
    assert served["challenger_served"]["bytes"] < 0.5 * served["champion_served"]["bytes"]
    assert {gap["name"] for gap in served["differences"]} >= {"recall@20", "ndcg@20"}
    release = done["release"]
    assert (release["parent_version"], release["windows"]) == (1, list(before.windows))
    with transaction(prepared.database_url) as cursor:
        assert releases.pending(cursor) == pending
    alias = registry.client(prepared).get_model_version_by_alias(registry.MODEL, "champion")
    assert alias.source == release["uri"]
    status = read_status(prepared)
    assert [row["state"] for row in status["maintained"]] == ["promoted"]
    rows = {row["window"]: row for row in status["windows"]}
    assert rows["2011-01-10"]["decision"] == "rebuild"  # maintenance is not a decision on a window

    learnt = carried_out(prepared, update_stages.plan(FIRST, "increment", RUN, settings=prepared))
    assert learnt["release"]["parent_version"] == release["version"]
    user = restore_model(learnt["release"]["uri"])
    assert len(user.item_keys) > len(restore_model(release["uri"]).item_keys)


def test_forgetting_most_items_is_refused_by_the_gate(prepared: Settings) -> None:
    planned = upkeep_stages.plan_maintenance(None, 3, RUN, settings=prepared)
    assert planned["reason"] == "maintain release 1: expire ids unseen for 3 days"
    report = carried_out(prepared, planned)["report"]
    assert "catalogue_share" in {rule["name"] for rule in report["rules"] if not rule["passed"]}
    status = read_status(prepared)
    assert status["champion"]["version"] == 1
    assert [row["state"] for row in status["maintained"]] == ["rejected"]


def test_without_a_wish_nothing_is_maintained(prepared: Settings) -> None:
    for kind in (None, "none"):
        planned = upkeep_stages.plan_maintenance(kind, None, RUN, settings=prepared)
        assert (planned["update_id"], planned["decision"]) == (None, "none")


def test_a_shadow_rebuild_is_compared_with_what_was_recorded(caught_up: Settings) -> None:
    planned = upkeep_stages.plan_shadow(settings=caught_up)
    assert (planned["window"], planned["version"]) == (LOOP_WAITING, 1)
    with transaction(caught_up.database_url) as cursor:
        champion = releases.champion(cursor)
        cursor.execute("select plan->'signals' from ledger.update order by update_id desc limit 1")
        (signals,) = cursor.fetchone()
    report = upkeep_stages.shadow(LOOP_WAITING, caught_up)
    assert report["windows"] == len(champion.windows) - 1
    # What the policy saw then, measured apart from this.
    assert report["champion"]["ndcg@20"] == pytest.approx(signals["champion_ndcg@20"], abs=1e-6)
    assert report["champion"]["all_pairs_recall@20"] == pytest.approx(
        signals["champion_all_pairs_recall@20"], abs=1e-6
    )
    for gap in report["gaps"]:
        difference = report["retrained"][gap["name"]] - report["champion"][gap["name"]]
        assert gap["mean"] == pytest.approx(difference, abs=2e-6)
        assert gap["low"] <= gap["mean"] <= gap["high"]
    assert report["cpu_seconds"] > 0
    assert report["champion_cpu_seconds"] > 0
    assert Path(report["uri"]).is_file()
    assert read_status(caught_up)["shadows"] == [report]
    assert upkeep_stages.plan_shadow(settings=caught_up)["window"] is None
    with transaction(caught_up.database_url) as cursor:
        assert releases.champion(cursor) == champion


def test_thinning_leaves_a_live_update_what_it_needs(prepared: Settings) -> None:
    for window in (FIRST, "2011-01-24", "2011-01-31"):
        carried_out(prepared, update_stages.plan(window, "increment", RUN, settings=prepared))
    planned = update_stages.plan(LOOP_WAITING, "increment", RUN, settings=prepared)
    update_stages.train(planned["update_id"], RUN, prepared)  # a delta of release 4's checkpoint
    done = upkeep_stages.thin(2, prepared)
    assert (done["kept"], done["thinned"]) == ([1, 3, 4], [2])
    assert done["registry_versions"] == 1
    assert done["bytes"] > 100_000
    assert update_stages.evaluate(planned["update_id"], RUN, prepared)["passed"]
    release = update_stages.promote(planned["update_id"], RUN, prepared)
    assert release["version"] == 5
    with transaction(prepared.database_url) as cursor:
        cursor.execute("select user_id from behavior.account order by user_key limit 1")
        (user,) = cursor.fetchone()
    assert recommend(prepared, user, 5).release == 5
    assert np.isfinite([item.score for item in recommend(prepared, user, 5, 3).items]).all()

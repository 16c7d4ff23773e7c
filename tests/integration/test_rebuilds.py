"""Rebuilds through the real stages, on a small made-up shop with nothing pending: one that is better is
promoted, a twin is a draw, one that is worse is refused and leaves no mark on the policy.

`pytest -s` prints the comparisons.
"""

from __future__ import annotations

import re
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from recloop.cli.loop import run_update
from recloop.config.rules import load_update_rules
from recloop.contracts import Candidate, Release
from recloop.database.connection import transaction
from recloop.features.examples import read_examples
from recloop.ledger import parts, releases, updates
from recloop.settings import Settings
from recloop.stages import update_stages, upkeep_stages
from recloop.training.material import read_assignment, read_material
from tests.conftest import copy_database
from tests.integration import shop_life
from tests.recloop.behavior.shop import WEEKS, shop_week

Json = dict[str, Any]
RUN = "a test"
ONCE = {"epochs": 1, "learning_rate": 1e-6}
POOR: Json = {"recipe": ONCE, "ranker": ONCE}
"""Learns next to nothing."""
REPEATED = "all_pairs_ndcg@20"
"""What this shop's customers can be told by: they buy their favourites again, and the rest by chance."""


def judge_by(settings: Settings, margin: float) -> None:
    """What share of its opponent's quality a challenger may lose."""
    gate = settings.config / "gate.toml"
    gate.write_text(re.sub(r"^margin = \S+", f"margin = {margin}", gate.read_text(), flags=re.M))


def rebuilt(settings: Settings, options: Json | None = None) -> Json:
    done = run_update(settings, None, "rebuild", options)
    gap = compared(done)[REPEATED]
    print(
        f"\n{done['plan']['reason']}\n  {REPEATED} {gap['mean']:+.4f} [{gap['low']:+.4f}, "
        f"{gap['high']:+.4f}], {gap['users']} users: {done['outcome']}"
    )
    return done


def compared(done: Json) -> dict[str, Json]:
    return {gap["name"]: gap for gap in done["gate"]["differences"]}


def champion_of(settings: Settings) -> Release:
    with transaction(settings.database_url) as cursor:
        found = releases.champion(cursor)
    assert found is not None
    return found


def candidate_of(settings: Settings, done: Json) -> Candidate:
    with transaction(settings.database_url) as cursor:
        return updates.candidate_of(cursor, done["plan"]["update_id"])


@pytest.fixture(scope="module")
def planted(server_url: str, tmp_path_factory: pytest.TempPathFactory) -> tuple[Settings, Json]:
    """Three weeks, learnt by a champion that a poor recipe trained; then a gate that judges."""
    settings = shop_life.settings_of(
        copy_database(server_url), tmp_path_factory.mktemp("r") / "shop"
    )
    for week in WEEKS[:3]:
        shop_life.deliver(settings, week, shop_week(week))
    done = run_update(settings, None, "rebuild", POOR)
    assert done["outcome"] == "promoted", done["gate"]
    judge_by(settings, 0.05)
    return settings, done


@pytest.fixture
def shop(planted: tuple[Settings, Json], tmp_path: Path) -> tuple[Settings, Json]:
    """A copy for a test that changes it."""
    settings, done = planted
    name = settings.database_url.partition("?")[0].rsplit("/", 1)[1]
    url = copy_database(settings.database_url, name)
    return shop_life.copied(settings, tmp_path / "home", url), done


def held_out(settings: Settings, cut: datetime) -> set[tuple[int, int, datetime]]:
    """The events of the newest week from `cut` on."""
    with transaction(settings.database_url) as cursor:
        examples = read_examples([parts.training_set_of(cursor, WEEKS[2])])
    chosen = examples.since(cut)
    owners = examples.user_keys[examples.query[chosen]]
    triples = zip(owners, examples.item_keys[chosen], examples.times[chosen], strict=True)
    return {(int(u), int(i), t.item()) for u, i, t in triples}


def learnt_before_the_gate(settings: Settings, update_id: int) -> set[tuple[int, int, datetime]]:
    with transaction(settings.database_url) as cursor:
        work = read_assignment(cursor, update_id)
    seen = read_material(work, load_update_rules(settings)).seen
    owners = seen.user_keys[seen.query]
    return {
        (int(u), int(i), t.item())
        for u, i, t in zip(owners, seen.item_keys, seen.times, strict=True)
    }


def test_with_nothing_pending_the_better_one_wins_and_then_its_twin_is_a_draw(
    shop: tuple[Settings, Json],
) -> None:
    settings, poor = shop
    with transaction(settings.database_url) as cursor:
        assert releases.pending(cursor) == []

    better = rebuilt(settings)
    assert better["outcome"] == "promoted", better["gate"]
    assert compared(better)[REPEATED]["low"] > 0
    assert better["plan"]["rematch"] == poor["plan"]["update_id"]
    assert "against release 1 as it was before it learnt them" in better["plan"]["reason"]
    assert (better["release"]["windows"], better["release"]["parent_version"]) == (WEEKS[:3], None)

    # What judged is the slice that was held out of the poor one's update, and new to both.
    cut = candidate_of(settings, poor).holdout_from
    assert candidate_of(settings, better).holdout_from == cut
    judged = held_out(settings, cut)
    assert judged
    for one in (poor, better):
        assert not judged & learnt_before_the_gate(settings, one["plan"]["update_id"])

    twin = rebuilt(settings)
    assert twin["outcome"] == "promoted", twin["gate"]
    for name, gap in compared(twin).items():
        assert gap["low"] <= 0 <= gap["high"], name
        assert gap["mean"] == pytest.approx(0, abs=1e-9), name  # same events, recipe and seed
    assert twin["plan"]["rematch"] == better["plan"]["update_id"]


def test_what_a_person_asked_for_in_vain_leaves_the_policys_next_plan_as_it_was(
    shop: tuple[Settings, Json],
) -> None:
    settings, _ = shop
    assert rebuilt(settings)["outcome"] == "promoted"
    shop_life.deliver(settings, WEEKS[3], shop_week(WEEKS[3]))

    def next_plan() -> Json:
        return update_stages.plan(None, "auto", RUN, dry_run=True, settings=settings)

    before, champion = next_plan(), champion_of(settings)
    assert (before["decision"], before["target"]) == ("increment", WEEKS[3])

    worse = rebuilt(settings, POOR)
    assert worse["outcome"] == "rejected"
    assert compared(worse)[REPEATED]["high"] < 0
    assert worse["plan"]["rematch"] is None, "a week is new to both: its newest events judge"
    assert next_plan() == before

    expired = upkeep_stages.plan_maintenance(None, 1, RUN, settings=settings)
    update_stages.train(expired["update_id"], RUN, settings)
    assert not update_stages.evaluate(expired["update_id"], RUN, settings)["passed"]
    assert next_plan() == before
    assert champion_of(settings) == champion


def test_what_the_champion_was_before_is_gone_so_the_rebuild_waits(
    shop: tuple[Settings, Json],
) -> None:
    settings, poor = shop
    folder = Path(candidate_of(settings, poor).uri)
    aside = folder.rename(folder.with_name("aside"))
    try:
        done = run_update(settings, None, "rebuild")
    finally:
        aside.rename(folder)
    assert (done["outcome"], done["plan"]["because"]) == ("none", "not ready")
    assert "no longer on disk" in done["plan"]["reason"]

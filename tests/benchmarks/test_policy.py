"""Policies on made-up streams: what they do, and what `make bench-policy` says of them."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

from benchmarks import policy, policy_report, policy_run
from benchmarks.cost import Meter
from benchmarks.policy_run import Replay, Run, gains_of, in_hindsight, replay
from recloop.config.rules import PolicyRules
from recloop.planning.policy import POLICIES
from tests.benchmarks.policy_world import Change, World

RULES = PolicyRules(minimum_events=0, rebuild_after_windows=10**6)
AT = 25


class OneSecond(Meter):
    """Every update costs one CPU second: decisions must not depend on this machine's."""

    @contextmanager
    def measuring(self) -> Iterator[None]:
        yield
        self.cpu_s += 1.0


@pytest.fixture(autouse=True)
def _one_second(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(policy_run, "Meter", OneSecond)


def run(world: World, name: str = "adaptive", **rules: object) -> Run:
    changed = RULES.model_copy(update=rules)
    return replay(world, POLICIES[name], changed, world.begin(0), 0)


def kinds(found: Run) -> list[str]:
    return [decision.kind for decision in found.decisions]


def test_fixed_policies_keep_their_rhythm() -> None:
    world = World(12, drift=0.1)
    assert kinds(run(world, "every-window")) == ["increment"] * 12
    assert kinds(run(world, "every-n-windows", every=4)) == (["skip"] * 3 + ["increment"]) * 3
    assert kinds(run(world, "volume", volume=1200)) == ["skip", "increment"] * 6
    assert kinds(run(world, "never")) == ["skip"] * 12


def test_on_a_stationary_stream_the_adaptive_policy_mostly_skips() -> None:
    found = run(World(60, drift=0.0))
    assert kinds(found)[30:].count("skip") >= 20


def test_in_a_moving_world_it_updates_more_often_than_in_a_still_one() -> None:
    still, moving = (run(World(60, drift=drift)) for drift in (0.0, 0.3))
    assert moving.updates > 1.3 * still.updates


def test_in_a_moving_world_it_keeps_the_quality_of_every_window_for_fewer_updates() -> None:
    world = World(60, drift=0.03)
    every, found = run(world, "every-window"), run(world)
    assert found.mean("a", 1) >= 0.98 * every.mean("a", 1)
    assert found.updates <= 0.7 * every.updates


def catalogue_swap(n: int, world: World) -> None:
    if n == AT:
        world.offset = 1000


def doubled_season(n: int, world: World) -> None:
    if n == AT:
        world.volume *= 2
        world.liking = world.rng.gamma(0.3, size=world.liking.shape)


def frozen_batches(n: int, world: World) -> None:
    if n >= AT:
        still = world.drawn[-1]
        world.draw = lambda: still  # type: ignore[method-assign]


@pytest.mark.parametrize(
    ("change", "kind", "says"),
    [
        (catalogue_swap, {"increment", "rebuild"}, "cannot score"),
        (doubled_season, {"increment"}, "events in one window|popular moved|quality fell"),
        (frozen_batches, {"skip"}, "looks frozen"),
    ],
)
def test_a_regime_change_is_met_within_two_windows_and_the_sentence_says_why(
    change: Change, kind: set[str], says: str
) -> None:
    alarms = 0
    for seed in range(5):
        decisions = run(World(40, drift=0.05, change=change, seed=seed)).decisions
        after = decisions[AT : AT + 2]
        met = [d for d in after if d.kind in kind and re.search(says, d.reason)]
        assert met, (seed, [d.reason for d in after])
        alarms += sum(bool(re.search(says, d.reason)) for d in decisions[10:AT])
    assert alarms <= 0.15 * 5 * (AT - 10), "the world moves a little, before"


def test_the_oracle_updates_where_it_turned_out_to_be_worth_it() -> None:
    world = World(30, drift=0.15)
    every = Replay(world, POLICIES["every-window"], RULES, world.begin(0), 0)
    for index in range(len(world)):
        every.step(index)
    free, dear = (
        replay(world, in_hindsight(every, price), RULES, world.begin(0), 0) for price in (-1e9, 1e9)
    )
    assert (free.updates, dear.updates) == (30, 0)
    some = replay(world, in_hindsight(every, 0.03), RULES, world.begin(0), 0)
    gained = [max(o.gains) > 0.03 for o in every.outcomes[:-1]]  # type: ignore[type-var]
    assert kinds(some)[:-1] == ["increment" if worth else "skip" for worth in gained]
    assert 0 < some.updates < 30


def test_gains_are_relative_and_paired_by_hand() -> None:
    before = {"a": (np.arange(2), np.array([[0.0, 0.2], [0.0, 0.4]]))}
    after = {"a": (np.arange(2), np.array([[0.0, 0.3], [0.0, 0.4]]))}
    gains, noise = gains_of(before, after, ("a", "b"))
    assert gains[0] == pytest.approx(0.05 / 0.3)
    # Differences .1 and 0: standard deviation .0707, of the mean .05, relative to .3.
    assert noise[0] == pytest.approx(0.05 / 0.3)
    assert gains[1] is None


def test_the_json_and_the_page(tmp_path: Path) -> None:
    world = World(16, drift=0.1)
    start = world.begin(0)
    runs = {
        "every-window": replay(world, POLICIES["every-window"], RULES, start, 0),
        "adaptive": replay(world, POLICIES["adaptive"], RULES, start, 0),
    }
    runs["oracle"] = replay(world, POLICIES["never"], RULES, start, 0)
    content = {"streams": {"made-up": policy_report.described(world, 0.025, [runs])}}
    policies = content["streams"]["made-up"]["policies"]
    assert policies["every-window"]["updates"] == 16
    assert policies["every-window"]["cpu_s"] == 16.0
    assert policies["oracle"]["regret"] == 0.0
    assert set(policies["adaptive"]) >= {"a", "b", "updates", "cpu_s", "regret"}
    assert set(policies["adaptive"]["a"]) == {"ndcg@20", "recall@20"}
    page = policy_report.draw(content, tmp_path / "policy.html").read_text()
    assert page.count("<circle") == 6
    assert json.dumps(content)


def test_the_front_is_what_nothing_beats_in_both() -> None:
    points = {"never": (0.0, 0.1), "every": (10.0, 0.5), "poor": (10.0, 0.4), "half": (5.0, 0.45)}
    assert policy_report.front(points, list(points)) == ["never", "every", "half"]


def test_an_unknown_policy_is_refused_with_the_known_ones() -> None:
    with pytest.raises(policy.BadInput, match=r"every-2nd"):
        policy._chosen("sometimes", tuple(policy.SYSTEMS), "systems")

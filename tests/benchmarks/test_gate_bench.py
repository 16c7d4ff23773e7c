"""Challengers of `benchmarks.gate` are as bad as they are said to be, and its counts add up."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.gate import trial
from benchmarks.gate_rows import MAIN, METRICS, Lists, Rows, _planted
from benchmarks.gate_verdict import decide

CHANCE = np.random.default_rng(3)
USERS = 400


def lists(users: int = USERS) -> Lists:
    """Rankings of 20 of 60 items, of which each user wants three, often the first ones."""
    ranked = np.argsort(CHANCE.random((users, 60)), axis=1)[:, :20] + 1
    wanted = np.stack([CHANCE.choice(row[:8], 3, replace=False) for row in ranked])
    relevant = np.arange(users + 1) * 3, wanted.ravel()
    return Lists({"a": ranked, "b": ranked}, {"a": relevant, "b": relevant}, np.arange(1, 9))


def test_a_hit_moves_one_place_and_out_at_the_end() -> None:
    ranked = np.arange(1, 21)[None]
    one = Lists(
        {"a": ranked, "b": ranked},
        dict.fromkeys("ab", (np.array([0, 2]), np.array([3, 20]))),
        np.arange(1, 9),
    )
    everybody = np.ones(1, bool)
    down = one.moved(up=False, who=everybody).ranked["a"][0]
    assert down[2:4].tolist() == [4, 3]
    assert down[-1] == 0
    up = one.moved(up=True, who=everybody).ranked["a"][0]
    assert up[1:3].tolist() == [3, 2]
    assert up[-2:].tolist() == [19, 20]  # the first alone
    assert (
        one.measured()[0, METRICS.index("tail_recall@20")] == 1
    )  # of 20, which is none of the head
    assert one.moved(up=True, who=~everybody).ranked["a"].tolist() == ranked.tolist()


@pytest.mark.parametrize("share", [0.02, -0.01, -0.05, -0.3])
def test_a_planted_challenger_differs_by_as_much_as_its_name_says(share: float) -> None:
    weeks = [lists(), lists()]
    values = np.concatenate([one.measured() for one in weeks])
    level = values[:, MAIN].mean()
    planted = _planted(weeks, (1 + share) * level)
    assert planted[:, MAIN].mean() == pytest.approx((1 + share) * level, rel=0.003)
    assert values.shape == (2 * USERS, len(METRICS))


def test_every_trial_has_one_end() -> None:
    values = np.concatenate([lists().measured()])
    nobody = np.zeros(USERS, bool)
    worse = values * 0.5
    rows = Rows(
        {"champion": values, "equal": values, "half": worse}, nobody, np.zeros(USERS, np.int64)
    )
    for name, end in (("equal", "promoted"), ("half", "refused")):
        found = trial(rows, name, 100, 20)
        assert found["promoted"] + found["refused"] + found["undecided"] == pytest.approx(1)
        assert found[end] == 1
    assert decide(values, values, nobody)[0] == "promote"
    assert rows.gap("half") == pytest.approx(-0.5)

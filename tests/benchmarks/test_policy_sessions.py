"""A folder of session periods as a stream: what is learnt when, and what is asked."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks.policy import measure_stream, streams
from benchmarks.policy_sessions import SessionStream
from benchmarks.sessions_systems import joined
from models.sessions.cooccurrence import Cooccurrence


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Five periods of 42 sessions of three items; the last period has an item of its own."""
    rng = np.random.default_rng(0)
    for period in range(5):
        lines = []
        for session in range(42):
            first = int(rng.integers(0, 10)) * 3 + 1
            items = [first, first + 1, 99 if period == 4 else first + 2]
            lines += [f"{period * 100 + session + 1} {item}" for item in items]
        (tmp_path / f"period_{period}.txt").write_text("\n".join(lines) + "\n")
    return tmp_path


def test_half_of_the_periods_is_learnt_at_once_and_the_others_are_cut_in_seven(
    folder: Path,
) -> None:
    stream = SessionStream(folder, "made-up")
    assert len(stream) == 21
    assert [stream.key(n) for n in (0, 6, 7, 20)] == ["01.1", "01.7", "02.1", "03.7"]
    users, items = stream.events(0)
    assert len(users) == len(items) == 18
    assert len(np.unique(users)) == 6
    model = stream.begin(seed=0)
    assert set(stream.known(model)) == set(stream._past.item_keys)
    # Nobody is asked for the item that is new in a window: it is not known before.
    assert 99 not in stream._asked[14][1]
    assert 99 in stream._asked[15][1]


def test_what_co_occurred_is_as_old_after_one_update_of_seven_windows_as_after_seven(
    folder: Path,
) -> None:
    stream = SessionStream(folder, "made-up")
    once = stream.begin(seed=0)
    often = stream.copy(once)
    before = Cooccurrence.of(once._state.extra)
    stream.increment(once, range(7), {}, 0, True)
    for n in range(7):
        stream.increment(often, [n], {}, 0, True)
    assert before is not None
    decay = once.config.memory_decay
    added = Cooccurrence.empty().updated(
        joined([stream._windows[n] for n in range(7)]), once.config, 1.0
    )
    expected = decay * before.weights.sum() + added.weights.sum()
    merged = Cooccurrence.of(once._state.extra)
    split = Cooccurrence.of(often._state.extra)
    assert merged is not None
    assert split is not None
    assert merged.weights.sum() == pytest.approx(expected, rel=1e-4)
    # Learnt day by day, the week's own first days are a few days old at its end.
    assert merged.weights.sum() * decay < split.weights.sum() < merged.weights.sum()
    assert split.weights.sum() > expected - (1 - decay) * added.weights.sum()


def test_policies_on_it(folder: Path) -> None:
    (stream,) = streams(["sessions"], "online_retail", None, folder, folder)
    told: list[str] = []
    kept: list[dict[str, Any]] = []
    policies = ["every-window", "every-2nd", "adaptive"]
    measure_stream(stream, policies, [0], told.append, kept.append)
    (found,) = kept
    assert found["windows"] == 21
    updates = {name: entry["updates"] for name, entry in found["policies"].items()}
    assert updates["every-window"] == 21
    assert updates["every-2nd"] == 10
    assert 0 < updates["adaptive"] <= 21
    for entry in found["policies"].values():
        assert 0 < entry["a"]["ndcg@20"] <= 1
        assert entry["cpu_s"] > 0
    assert "21 of 21 windows" in told[-1]

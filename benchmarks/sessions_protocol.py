"""ADER's protocol: learn a period, be tested on the next one, and so on.

Periods 0..T of sessions. For t = 1..T a system learns period t - 1 and is tested on period t: every
item of a session but its first is to be predicted from those before it, among all items of the periods
0..t - 1. Items that aren't among these are taken out of the test sessions first, and then sessions of
fewer than two items. Recall and MRR at k are means over a period's predictions; a system's are means
over periods.

The systems of the paper split off a tenth of what they train on for early stopping; what a system does
with a period is its own affair here.

Reference: Mi, Lin and Faltings, ADER: adaptively distilled exemplar replay towards continual learning
for session-based recommendation, RecSys 2020, section 4.1, and their published code.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import numpy as np

from benchmarks.cost import Meter
from models.data.checks import Int64Array
from models.data.sessions import Sessions
from recloop.errors import BadInput

DEPTHS = (20, 10)
METRICS = tuple(f"{name}@{k}" for k in DEPTHS for name in ("recall", "mrr"))
HISTORY = 50
"""How many items back a prediction may look: ADER's."""


class System(Protocol):
    """What is tested."""

    def learn(self, period: Sessions) -> None:
        """Takes in one period more."""
        ...

    def rankings(self, history: Int64Array) -> dict[str, Int64Array]:
        """The best 20 items after each history (int64 [B, H], most recent first, 0-padded), best
        first, 0 where there are no more: int64 [B, 20], under one name or more (a part of the system
        may be asked by itself). The system's own name is "".
        """
        ...


@dataclass
class Result:
    """What a system did, by period. `measured` are the periods tested."""

    per_period: dict[str, dict[int, dict[str, float]]] = field(default_factory=dict)
    """name of the ranking -> period -> metric -> value in [0, 1]."""
    train_cpu_s: dict[int, float] = field(default_factory=dict)
    test_cpu_s: dict[int, float] = field(default_factory=dict)
    targets: dict[int, int] = field(default_factory=dict)
    """Predictions asked for in each period."""


def run(
    system: System,
    periods: Sequence[Sessions],
    cycles: Sequence[int] | None = None,
    told: Callable[[int, Result], None] | None = None,
) -> Result:
    """The protocol. A system that is tested at some cycles only is told of every period all the same.

    Args:
        system: fresh.
        periods: 0..T.
        cycles: the t at which to test; None: 1..T.
        told: called after each test.
    """
    tested = set(range(1, len(periods)) if cycles is None else cycles)
    result, seen = Result(), np.zeros(0, np.int64)
    learning = Meter()
    for cycle in range(1, max(tested) + 1):
        with learning.measuring():
            system.learn(periods[cycle - 1])
        seen = np.union1d(seen, periods[cycle - 1].item_keys)
        if cycle not in tested:
            continue
        history, targets = test_of(periods[cycle], seen).prefixes(HISTORY)
        result.train_cpu_s[cycle], learning = learning.cpu_s, Meter()
        testing = Meter()
        with testing.measuring():
            rankings = system.rankings(history)
        for name, keys in rankings.items():
            result.per_period.setdefault(name, {})[cycle] = metrics_of(keys, targets)
        result.test_cpu_s[cycle] = testing.cpu_s
        result.targets[cycle] = len(targets)
        if told is not None:
            told(cycle, result)
    return result


def test_of(period: Sessions, seen: Int64Array) -> Sessions:
    """The sessions to test on: of known items (int64, distinct), two or more."""
    return period.keep_items(np.isin(period.item_keys, seen), least=2)


def metrics_of(rankings: Int64Array, targets: Int64Array) -> dict[str, float]:
    """Recall and mean reciprocal rank at 20 and 10 of rankings (int64 [B, 20]) with one target each."""
    hits = rankings == targets[:, None]
    rank = np.where(hits.any(axis=1), hits.argmax(axis=1) + 1.0, np.inf)
    found: dict[str, float] = {}
    for k in DEPTHS:
        within = rank <= k
        found[f"recall@{k}"] = float(within.mean()) if len(rank) else float("nan")
        found[f"mrr@{k}"] = float(np.where(within, 1 / rank, 0.0).mean()) if len(rank) else np.nan
    return found


def read_periods(folder: Path) -> list[Sessions]:
    """The sessions of `period_0.txt`, `period_1.txt`, …: lines `session item`, in order of time.

    Raises:
        BadInput: there is no such folder, fewer than two periods, a gap in their numbers, or a line
            that isn't two positive integers.
    """
    if not folder.is_dir():
        raise BadInput(f"{folder} is not a folder. Pass one of period_0.txt, period_1.txt, ….")
    numbered = {
        int(match[1]): path
        for path in folder.iterdir()
        if (match := re.fullmatch(r"period_(\d+)\.txt", path.name))
    }
    if len(numbered) < 2:
        raise BadInput(
            f"{folder} has {len(numbered)} file(s) period_<n>.txt, and a test needs two: one to learn "
            "from, and the next. Add them, or pass another folder."
        )
    missing = sorted(set(range(max(numbered) + 1)) - set(numbered))
    if missing:
        raise BadInput(
            f"{folder} has no period_{missing[0]}.txt, but period_{max(numbered)}.txt. Number the "
            "periods from 0 without a gap: each is tested after the one before it."
        )
    return [_read(numbered[number]) for number in range(len(numbered))]


def _read(path: Path) -> Sessions:
    pairs = []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        parts = line.split()
        if len(parts) != 2 or not all(part.isascii() and part.isdigit() for part in parts):
            raise BadInput(
                f"{path}:{number}: a line should be `session item`, two positive integers. Received: "
                f"{line!r}. Write one event per line, in order of time."
            )
        pairs.append((int(parts[0]), int(parts[1])))
    if not pairs:
        raise BadInput(
            f"{path} is empty. Leave no period without events, or merge it with another."
        )
    events = np.array(pairs, np.int64)
    if (events[:, 1] <= 0).any():
        at = int(np.flatnonzero(events[:, 1] <= 0)[0]) + 1
        raise BadInput(f"{path}:{at}: an item should be a positive integer. Received: 0.")
    return sessions_of(events[:, 0], events[:, 1])


def sessions_of(session_keys: np.ndarray, item_keys: np.ndarray) -> Sessions:
    """Sessions from events in order of time (int64 [N] each); those of several may alternate. They
    come in the order of their first events."""
    _, first, session = np.unique(session_keys, return_index=True, return_inverse=True)
    rank = np.empty(len(first), np.int64)
    rank[np.argsort(first)] = np.arange(len(first))
    place = rank[session]
    order = np.argsort(place, kind="stable")
    offsets = np.searchsorted(place[order], np.arange(len(first) + 1)).astype(np.int64)
    return Sessions(offsets, np.asarray(item_keys, np.int64)[order])

"""A stream whose every window is judged before it is learnt: what having a gate costs or saves.

The challenger learns the first 65 % of a window's events, and all of the windows that wait; it is held
against the champion on the rest, as the product does it. Promoted, it learns the rest, too; else the
window waits for the next one.
"""

from __future__ import annotations

import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np

from benchmarks.events import Int64
from benchmarks.gate_rows import Lists, head_before
from benchmarks.gate_verdict import decide
from benchmarks.retail_ours import Learned, Ours, add_ids
from benchmarks.retail_protocol import Protocol
from benchmarks.retail_systems import Window
from models.retrieve_and_rank.retrieve_and_rank import RetrieveAndRank
from recloop.contracts import GateReport

SHARE = 0.35


class Gated(Ours):
    """Ours, with the gate between champion and challenger; `always`: it lets everything pass."""

    def __init__(self, seed: int, protocol: Protocol, always: bool) -> None:
        super().__init__(seed, "increments")
        self._protocol = protocol
        self._always = always
        self._waiting: list[Learned] = []
        self._earlier: list[GateReport] = []
        self.answers: list[tuple[str, str]] = []

    def learn(self, window: Window) -> None:
        champion = self._model
        assert champion is not None
        self._catalogue = window.catalogue
        cut = len(window.events) - max(1, round(SHARE * len(window.events)))
        seen, held = (window.events.take(part) for part in (slice(0, cut), slice(cut, None)))
        self._model = _copy(champion)
        self._fit([*self._waiting, *([self._known.examples(seen)] if cut else [])])
        passed = self._always or self._passes(champion, window.index, cut)
        if passed:
            self._fit([self._known.examples(held)])
            self._waiting, self._earlier = [], []
        else:
            self._model = champion
            self._waiting.append(self._known.examples(window.events))
        self._known.add(window.events, window.end)

    def _passes(self, champion: RetrieveAndRank, index: int, cut: int) -> bool:
        span = self._protocol.span(index)
        asked = list(self._protocol.questions(replace(span, low=span.low + cut)))
        challenger, head = self._model, head_before(self._protocol, span)
        lists = []
        for self._model in (champion, challenger):
            ranked: dict[str, Int64] = {one.purpose: self.rank(one) for one, _ in asked}
            lists.append(Lists(ranked, {one.purpose: right for one, right in asked}, head))
        theirs, ours = (one.measured() for one in lists)
        back = len(lists[0].ranked.get("a", ()))
        new = np.arange(len(ours)) >= back
        answer, report, why = decide(theirs, ours, new, tuple(self._earlier))
        self.answers.append((answer, why))
        self._earlier = [*self._earlier, report] if answer == "defer" else []
        return answer == "promote"

    def _fit(self, parts: list[Learned]) -> None:
        assert self._model is not None
        for queries, interactions in parts:
            assert self._catalogue is not None
            add_ids(self._model, queries.user_keys, self._catalogue)
            self._model.fit(queries, interactions, self._increment)


def _copy(model: RetrieveAndRank) -> RetrieveAndRank:
    with tempfile.TemporaryDirectory() as folder:
        model.save(Path(folder) / "copy")
        return type(model).restore(Path(folder) / "copy")

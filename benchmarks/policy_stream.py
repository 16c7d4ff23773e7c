"""What the policy benchmark calls a stream: windows, a model that learns them, what it is asked.

Neighbours: `policy_retail` and `policy_sessions` are streams; `policy_run` replays one under a policy.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import numpy.typing as npt

from benchmarks.events import Int64
from benchmarks.retail_systems import Request
from models.learning.recipes import Recipe

if TYPE_CHECKING:
    from models.tables.state import ModelState

Asked = Request
Scores = dict[str, tuple[Int64, npt.NDArray[np.float64]]]
"""Slice (`a`, `b`) → users int64 [U] and float64 [U, 2], their recall@20 and NDCG@20 (NaN: nothing
relevant)."""


class Stream(Protocol):
    """Windows in order; `model` is whatever `begin` returns."""

    name: str
    slices: tuple[str, ...]
    base: Recipe
    """Of an ordinary increment."""
    slow: bool
    """Whether one seed has to do."""

    def __len__(self) -> int:
        """Windows to decide upon."""
        ...

    def key(self, index: int) -> str:
        """The window's name."""
        ...

    def days(self, index: int) -> float:
        """When it starts, in days since a fixed day."""
        ...

    def length(self, index: int) -> float:
        """How many days it lasts."""
        ...

    def events(self, index: int) -> tuple[Int64, Int64]:
        """Its events' users and items: int64 [N] each."""
        ...

    def statistics(self, index: int) -> np.ndarray:
        """Features of its queries: float32 [Q, S]; S may be 0."""
        ...

    def begin(self, seed: int) -> Any:
        """A model that has learnt everything before the first window."""
        ...

    def rebuild(self, upto: int, seed: int) -> Any:
        """A model that has learnt everything up to and including a window, from nothing."""
        ...

    def increment(
        self,
        model: Any,
        windows: Sequence[int],
        recipe: dict[str, Any],
        seed: int,
        rank: bool,
    ) -> None:
        """Teaches it some windows, in place; `recipe` overrides `base`. `rank`: its ranker, too, if
        it has one."""
        ...

    def measure(self, model: Any, index: int) -> Scores:
        """Ranks for the users of a window, as known at its start."""
        ...

    def known(self, model: Any) -> Int64:
        """The items that it can score."""
        ...

    def copy(self, model: Any) -> Any:
        """An equal model that learns by itself."""
        ...

    def warmed(self, model: Any, seed: int) -> Any:
        """It, with its training graphs compiled and its weights as they were."""
        ...


@contextmanager
def unchanged(state: ModelState) -> Iterator[None]:
    """Puts weights, slots and the count of steps back afterwards; what was compiled stays."""
    weights, slots, steps = state.parameters(), state.slots(), state.steps
    try:
        yield
    finally:
        for name, values in weights.items():
            state.network.tables[name].assign(values)
        for name, values in slots.items():
            state.optimizer.slots[name].assign(values)
        state.steps = steps

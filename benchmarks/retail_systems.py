"""What the retail benchmark calls a system, and which systems there are.

Neighbours: `retail_peers`, `retail_ours` and `retail_strategies` make systems; `retail_protocol` asks
them. A system's module is imported by name and must import TensorFlow or `implicit` only in the
functions that make a system, so that listing systems costs nothing.
"""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np

from benchmarks.events import Catalogue, Events, Int64
from models.data.ragged import look_up
from recloop.errors import BadInput

GROUPS = {
    "ours": "benchmarks.retail_ours",
    "peers": "benchmarks.retail_peers",
    "strategies": "benchmarks.retail_strategies",
}
"""Modules with `SYSTEMS: dict[str, Entry]` and `DEPENDS: tuple[str, ...]` (files, as globs from the
project's root, whose change makes kept results stale)."""
Csr = tuple[Int64, Int64]
"""One list of keys per query: offsets int64 [U + 1], keys int64 [n]."""


@dataclass(frozen=True, eq=False)
class Window:
    """A window that was ranked and may now be learnt from.

    Attributes:
        index: 0 is the first window of the data.
        key: its first day, `2011-06-01`.
        start, end: datetime64[us], `[start, end)`, UTC.
        events: the window's events.
        catalogue: every item seen before `end`.
    """

    index: int
    key: str
    start: np.datetime64
    end: np.datetime64
    events: Events
    catalogue: Catalogue


@dataclass(frozen=True, eq=False)
class Request:
    """Which k items will each user choose in the window that is about to come?

    Attributes:
        purpose: the slice that the answer is measured on.
        index: of the window.
        now: datetime64[us], its start: nothing later is known.
        users: int64 [U]. `a`, `b` and `new_items` ask about the same array of returning users, so that
            a system may keep their scores; `new_users` have no events yet.
        catalogue: its items are the candidates; for `new_items` with those that come new in the
            window, which have content and no events.
        k: how many.
        exclude: per user, items not to be shown; None: nothing is excluded.
    """

    purpose: Literal["a", "b", "new_users", "new_items"]
    index: int
    now: np.datetime64
    users: Int64
    catalogue: Catalogue
    k: int
    exclude: Csr | None


class System(Protocol):
    """A recommender under test. It keeps what it needs: each event is handed to it once."""

    def warm_up(
        self,
        history: Events,
        catalogue: Catalogue,
        now: np.datetime64,
        length: np.timedelta64,
    ) -> None:
        """Learn from all events before `now`.

        Args:
            length: of the protocol's windows, whole days. The first begins on the first event's day, the
                last ends at `now`.
        """

    def rank(self, request: Request) -> Int64:
        """Item keys int64 [U, k] of the request's catalogue, best first; 0 is an empty place."""

    def learn(self, window: Window) -> None:
        """Learn from a window. All training belongs here, for this is what is timed as an update."""


@dataclass(frozen=True)
class Entry:
    """How to make a system."""

    make: Callable[[int], System]
    """From a seed. Raises `ModuleNotFoundError` if the package it measures is not installed."""
    seeded: bool
    """False: the seed changes nothing, so that one run is enough."""
    default: bool = True
    """Whether it runs when nobody says which."""


def registered() -> dict[str, tuple[str, Entry]]:
    """Name of each system → (its module, its entry), in the order of the groups."""
    found: dict[str, tuple[str, Entry]] = {}
    for module in GROUPS.values():
        if importlib.util.find_spec(module) is None:
            continue
        for name, entry in importlib.import_module(module).SYSTEMS.items():
            if name in found or "," in name or name in GROUPS:
                raise BadInput(
                    f"system {name!r} of {module} cannot be chosen by its name: it is taken, a group "
                    "or has a comma; rename it."
                )
            found[name] = (module, entry)
    return found


def chosen(names: str | None) -> list[str]:
    """The systems that a comma-separated list of names and groups means; None: the default ones.

    Raises:
        BadInput: there is no such system.
    """
    known = registered()
    if names is None:
        return [name for name, (_, entry) in known.items() if entry.default]
    result: dict[str, None] = {}
    for name in filter(None, (part.strip() for part in names.split(","))):
        members = [n for n, (module, _) in known.items() if module == GROUPS.get(name)]
        if name not in known and not members:
            raise BadInput(
                f"there is no system {name!r}; there are {', '.join(known)}, and the groups "
                f"{', '.join(GROUPS)}."
            )
        result.update(dict.fromkeys(members or [name]))
    return list(result)


def best(scores: np.ndarray, request: Request) -> Int64:
    """The k best candidates of each user by score, best first: int64 [U, k].

    Ties go to the smaller key. A score of -inf is never shown. The scores are written to.

    Args:
        scores: float [U, C] in the order of the request's catalogue.
        request: who asked.
    """
    keys = request.catalogue.item_keys
    if request.exclude is not None:
        offsets, excluded = request.exclude
        owner = np.repeat(np.arange(len(request.users)), np.diff(offsets))
        known, place = look_up(keys, excluded)
        scores[owner[known], place[known]] = -np.inf
    top = np.argsort(-scores, axis=1, kind="stable")[:, : request.k]
    values = np.take_along_axis(scores, top, axis=1)
    result = np.zeros((len(scores), request.k), np.int64)
    result[:, : top.shape[1]] = np.where(np.isneginf(values), 0, keys[top])
    return result

"""WindowLearner: what the families' recommenders do alike with windows of events."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np

from models.data.checks import Float32Array, Int64Array
from models.data.events import Events
from models.data.queries import Items, Queries
from models.ids.starts import Groups, NewIds
from models.learning import rehearsal
from models.learning.recipes import ProgressCallback, Recipe, Training, TrainingReport
from models.metrics.ranking import ndcg_at_k
from models.recommenders import export, recommender_files
from models.recommenders.export import Served
from models.recommenders.facade import KnowsIds
from models.recommenders.family import Recommender
from models.storage import checkpoint
from models.tables.backend import prepare_devices
from models.tables.packing import served_bytes, settle
from models.tables.state import ModelState

BEGINNING = datetime(1970, 1, 1, tzinfo=UTC)
WEEK = timedelta(days=7)
K = 20
LATENCY_QUERIES = 32
NETWORK = "network"
"""Name of the state of a family that has one."""
PACKING_OF = {"prune": "pruned", "float16": "float16", "int8": "int8", "float32": "float32"}


class WindowLearner(KnowsIds):
    """A mixin of a facade: room for new ids, early stopping, packing, averaging."""

    words_per_item = 0
    """How many words of an item are kept."""

    @classmethod
    def loss_change(
        cls, checkpoint: Path, at_most: int, learnt: Callable[[], Int64Array], anew: bool
    ) -> str:
        """No loss of this family depends on how many items there are."""
        del checkpoint, at_most, learnt, anew
        return ""

    def make_room(self, events: Events, ids: NewIds) -> None:
        """Rows for the users and items of these events, and none any more for those long gone.

        Of the items only those of these events: one that first shows in held-out events must stay
        unknown.
        """
        shown = np.isin(events.catalogue, events.item_keys)
        items = Items(events.catalogue[shown], events.words[shown, : self.words_per_item])
        owners = events.user_keys[events.query]
        users, user_events = np.unique(owners, return_counts=True)
        item_events = np.bincount(
            np.searchsorted(items.item_keys, events.item_keys), minlength=len(items)
        )
        days = events.times.astype("datetime64[D]").astype(np.int64)
        self.add_ids(
            users,
            items,
            ids,
            (user_events.astype(np.int64), item_events.astype(np.int64)),
            Groups(events.query.astype(np.int64), events.item_keys),
            int(days.max()),
        )
        for day in np.unique(days):
            here = days == day
            self.note_seen(np.unique(owners[here]), np.unique(events.item_keys[here]), int(day))
        if ids.expire_after_days:
            self.expire(int(days.max()) - ids.expire_after_days)

    def expected(self, events: Events) -> Float32Array:
        """Nothing: see `Recommender.expected`."""
        return np.full(len(events.item_keys), np.nan, np.float32)

    def expected_values(self, events: Events) -> Float32Array:
        """Nothing: see `Recommender.expected_values`."""
        return np.full(len(events.item_keys), np.nan, np.float32)

    def patient(self, recipe: Recipe, held_out: Events | None) -> Recipe:
        """The recipe, without early stopping where there is nothing to watch."""
        return (
            recipe
            if held_out is not None and self.can_watch(held_out)
            else replace(recipe, patience=0)
        )

    def can_watch(self, held_out: Events) -> bool:
        """Whether these events say anything of the model."""
        return len(held_out.item_keys) > 0

    def validation(self, held_out: Events | None) -> Callable[[], float] | None:
        """What early stopping watches: `held_out_score`; None where there is nothing to watch."""
        if held_out is None or not self.can_watch(held_out):
            return None
        return lambda: self.held_out_score(held_out)

    def held_out_score(self, held_out: Events) -> float:
        """Mean NDCG@20 over the held-out queries, all pairs."""
        keys, _ = self.top_k(held_out.queries(), K)  # type: ignore[attr-defined]
        order = np.argsort(held_out.query, kind="stable")
        counts = np.bincount(held_out.query, minlength=len(keys))
        offsets = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
        return float(np.nanmean(ndcg_at_k(keys, (offsets, held_out.item_keys[order]), K)))


class NetworkLearner(WindowLearner):
    """Of a facade that is one state: what it learns, its files, changes and packing.

    Attributes:
        family_name: in the header of its checkpoints.
        fit, remember: the facade's; their first argument is what `taught` makes.
    """

    fit: Callable[..., TrainingReport]
    remember: Callable[..., int]

    family_name: ClassVar[str]
    merging: ClassVar[dict[str, tuple[float, float]]] = {NETWORK: (0.0, 0.0)}

    @classmethod
    def restore(
        cls, directory: str | Path, magnitude_limit: float = checkpoint.MAGNITUDE_LIMIT
    ) -> Self:
        prepare_devices()
        recommender_files.read_header(Path(directory))
        return cls(checkpoint.restore(Path(directory) / NETWORK, magnitude_limit))  # type: ignore[call-arg]

    def taught(self, events: Events, recipe: Recipe) -> Any:
        """The events as the facade learns them."""
        raise NotImplementedError

    def learn(
        self,
        events: Events,
        training: Training,
        progress: ProgressCallback | None = None,
        held_out: Events | None = None,
    ) -> TrainingReport:
        recipe = self.patient(training.recipe, held_out)
        return self.fit(self.taught(events, recipe), recipe, progress, self.validation(held_out))

    def learn_from_nothing(
        self,
        events: Events,
        end: datetime,
        recent: timedelta,
        training: Training,
        progress: ProgressCallback | None = None,
    ) -> TrainingReport:
        """All events at once; what is recent is told otherwise, if at all."""
        del end, recent
        return self.learn(events, training, progress)

    def remember_events(self, events: Events, recipe: Recipe) -> None:
        self.remember(self.taught(events, recipe), recipe, days_of(events))

    @property
    def remembers(self) -> bool:
        return bool(rehearsal.remembered(self._state))

    @property
    def states(self) -> dict[str, ModelState]:
        return {NETWORK: self._state}

    def save(self, directory: str | Path, base: str | Path | None = None) -> str:
        shape = self._state.config.to_json()
        older = None if base is None else Path(base)
        return recommender_files.save(self.family_name, shape, self.states, Path(directory), older)

    def export(self, directory: str | Path, known: Queries | None = None) -> None:
        del known
        export.export(self._state, Path(directory), self.family_name, arrays=self.answer_arrays())

    def answer_arrays(self) -> dict[str, np.ndarray] | None:
        """What its family's `Answerer` reads of an export; None: only TensorFlow answers from it."""
        return None

    def maintained(self, kind: str, queries: Queries) -> Self:
        del queries
        settle(self._state, PACKING_OF.get(kind))
        return self

    def averaged(self, directories: Sequence[str | Path]) -> Self:
        folders = [Path(folder) / NETWORK for folder in directories]
        return type(self)(checkpoint.average([*folders, self._state]))  # type: ignore[call-arg]

    def touched(self, events: Events) -> dict[str, tuple[float, dict[str, np.ndarray]]]:
        rows = {
            "users": self._state.users.rows(events.user_keys[events.query]),
            "items": self._state.items.rows(events.item_keys),
        }
        times = {}
        for name, entity in self._state.network.keyed.items():
            times[name] = np.bincount(
                rows[entity], minlength=len(self._state.vocabulary(entity)) + 1
            )
            times[name][0] = 0
        return {NETWORK: (float(len(events.item_keys)), times)}

    @classmethod
    def served(cls, directory: str | Path) -> Served:
        return Served(directory)


@dataclass(frozen=True)
class Footprint:
    """What a model costs to serve.

    Attributes:
        bytes: of the trained tables, as served.
        milliseconds: wall time per query of a top-20 on this machine, in a batch of 32.
    """

    bytes: int
    milliseconds: float


def footprint(model: Recommender, queries: Queries) -> Footprint:
    """Size and latency, measured on the first queries (all, if there are fewer than 32)."""
    size = sum(served_bytes(state) for state in model.states.values())
    asked = queries.take(slice(0, LATENCY_QUERIES))
    if not len(asked) or not len(model.item_keys):
        return Footprint(size, 0.0)
    model.top_k(asked, K)  # traces
    began = time.perf_counter()
    model.top_k(asked, K)
    return Footprint(size, 1000 * (time.perf_counter() - began) / len(asked))


PIECES = 4
"""Into so many what is recent is cut at least, where there are as many days."""


def weeks_of(
    events: Events, end: datetime, recent: timedelta, step: timedelta = WEEK
) -> tuple[Events, list[Events]]:
    """The events before the newest ones, and the newest ones in pieces of `step`, oldest first. A query
    is in one of them, with all that was chosen then.

    Args:
        end: of the last window, aware.
        recent: how far back the newest ones go; at most half of all the time there is. Of a short
            history the pieces are shorter, down to a day: what ranks learns from one to the next.
    """
    first = datetime.fromtimestamp(events.times.min().astype("datetime64[s]").astype(int), UTC)
    start = end - min(recent, (end - first) / 2)
    step = min(step, max((end - start) / PIECES, timedelta(days=1)))
    steps = [start + n * step for n in range(-(-(end - start) // step))]
    pieces = [events.asked_between(one, min(one + step, end)) for one in steps]
    return events.asked_between(BEGINNING, start), [
        piece for piece in pieces if len(piece.item_keys)
    ]


def days_of(events: Events) -> np.ndarray:
    """float64 [N]: when each event was, in days since 1970-01-01."""
    return np.asarray((events.times - np.datetime64(0, "us")) / np.timedelta64(1, "D"))

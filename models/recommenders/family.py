"""The door: what a family of recommenders says of itself, and what a recommender can do.

`recloop` programs against `Recommender` and knows a family by its name, or by where it is declared:
`package.module:NAME` of a `Family` of one's own. No file of `recloop` names a family's class.
Imports without TensorFlow, as forms, plans and checks of dataset files need it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, Self

import numpy as np

from models.data.checks import Float32Array, Int64Array
from models.data.events import Events
from models.data.queries import Queries
from models.ids.starts import NewIds
from models.learning.recipes import ProgressCallback, Recipe, Training, TrainingReport
from models.recommenders.offered import FEATURES, PACKINGS, SCOPES_OF_NETWORKS, declared, named

if TYPE_CHECKING:
    from models.metrics.ranking import Relevant
    from models.tables.state import ModelState

INPUTS = ("history", "own_items", "statistics", "content", "sessions", "values", "labels")
"""What a family may need of each event, beside who chose what and when:

history, own_items   what the user had chosen before, in order; and item by item
statistics           of the user and of all items, at the query's day
content              words of items
sessions             queries are sessions, their events in order of time
values               a number of each event: a rating
labels               whether what was shown was chosen
"""


@dataclass(frozen=True)
class Family:
    """What a family says of itself.

    Attributes:
        name: in dataset files, checkpoints and reports.
        summary: one sentence for people who choose.
        recommender: `module:Class`, a `Recommender`.
        answers: `module:Class`, a `models.recommenders.answers.Answerer` of its exports; empty: only
            TensorFlow answers from them.
        shape: `module:Class`, the frozen dataclass of what a dataset file may set under [model.shape].
        inputs: of `INPUTS`.
        judged_by: the evaluation that judges it, by its name (`recloop.evaluation`).
        increment, rebuild: default recipes.
        ranker, ranker_rebuild: those of a second stage, or None.
        scopes: of an increment; `ranker_scopes` those of the second stage.
        idle: fields of a recipe that its training does nothing with; a plan may not ask for them.
        ids: fields of `NewIds` that mean something.
        maintenance: kinds of making it smaller, beside none.
        states: names of the networks that it is made of, the one with the ids first.
        repeats: whether what was chosen before is recommended again, unless asked otherwise.
        shards, silos: whether workers' changes can be merged; whether a model without its users is one.
    """

    name: str
    summary: str
    recommender: str
    shape: str
    inputs: tuple[str, ...]
    judged_by: str
    increment: Recipe
    rebuild: Recipe
    answers: str = ""
    ranker: Recipe | None = None
    ranker_rebuild: Recipe | None = None
    scopes: tuple[str, ...] = SCOPES_OF_NETWORKS
    ranker_scopes: tuple[str, ...] = ()
    idle: tuple[str, ...] = ()
    ids: tuple[str, ...] = tuple(field.name for field in fields(NewIds))
    maintenance: tuple[str, ...] = PACKINGS
    states: tuple[str, ...] = ("network",)
    shards: bool = True
    silos: bool = True
    repeats: bool = False

    def needs(self, name: str) -> bool:
        """Whether this is among its inputs."""
        if name not in INPUTS:
            raise ValueError(f"`name` should be one of {', '.join(INPUTS)}. Received: {name!r}.")
        return name in self.inputs

    @property
    def needs_features(self) -> bool:
        """Whether a feature store has to be asked for its examples."""
        return any(name in self.inputs for name in FEATURES)

    def load(self) -> type[Recommender]:
        """The recommender's class; TensorFlow is imported with it."""
        return named(self.recommender)  # type: ignore[no-any-return]

    def shaped(self, values: Mapping[str, Any]) -> Any:
        """The shape with these values of its fields.

        Raises:
            TypeError, ValueError: a field is unknown, or its value cannot be used.
        """
        return named(self.shape)(**values)


def family_named(name: str) -> Family:
    """The family of this name, or the one declared at `package.module:NAME`.

    Raises:
        ValueError: there is none; says what there is.
    """
    found = declared(name)
    if not isinstance(found, Family):
        raise ValueError(
            f"family {name!r} is no `Family`. Received: {type(found).__name__}; name one as "
            "`package.module:NAME`."
        )
    return found


class Recommender(Protocol):
    """A model that learns windows of events in place, and answers.

    Rows and tables are its own business; all arrays speak keys. Everything is seeded: on CPU, the same
    events and recipes give the same bits.
    """

    @classmethod
    def new(cls, shape: Any, widths: Widths, seed: int) -> Self:
        """One that knows no user and no item."""
        ...

    @classmethod
    def restore(cls, directory: str | Path, magnitude_limit: float = ...) -> Self:
        """The one saved in `directory`, optimizer's slots and all.

        Raises:
            RestoreError: what is there can't be used; says what and the remedy.
        """
        ...

    @property
    def item_keys(self) -> Int64Array:
        """int64, the items known, in row order."""
        ...

    @property
    def states(self) -> Mapping[str, ModelState]:
        """Its networks by `Family.states`: what is saved, merged, packed and averaged."""
        ...

    def make_room(self, events: Events, ids: NewIds) -> None:
        """Rows for the users and items of these events, and none any more for those long gone. Call it
        once for each event of the model's life, before it is learned."""
        ...

    def learn(
        self,
        events: Events,
        training: Training,
        progress: ProgressCallback | None = None,
        held_out: Events | None = None,
    ) -> TrainingReport:
        """An increment, in place. There is room already.

        Args:
            held_out: what early stopping looks at; None: there is none.

        Raises:
            BadTrainingData: there is nothing to learn from. Nothing was trained.
            NonFiniteWeights: the loss exploded. Throw the model away.
        """
        ...

    def learn_from_nothing(
        self,
        events: Events,
        end: datetime,
        recent: timedelta,
        training: Training,
        progress: ProgressCallback | None = None,
    ) -> TrainingReport:
        """A new model's first training. There is room already.

        Args:
            end: of the last window, aware.
            recent: how far back the newest events are learned after the rest, if the family does so.
        """
        ...

    def remember_events(self, events: Events, recipe: Recipe) -> None:
        """Offers learned events to the memory that replay rehearses; nothing happens without replay."""
        ...

    @property
    def remembers(self) -> bool:
        """Whether there are past examples to rehearse."""
        ...

    def top_k(
        self,
        queries: Queries,
        k: int,
        candidates: Int64Array | None = None,
        exclude: Relevant | None = None,
    ) -> tuple[Int64Array, Float32Array]:
        """The k best items of each query: keys int64 [B, k] and scores float32 [B, k], best first; 0
        and -inf where there are no more."""
        ...

    def expected(self, events: Events) -> Float32Array:
        """What each event's value is expected to be, from who asks and which item alone: a rating, the
        probability of a click. float32 [N]; NaN in a family that expects none."""
        ...

    def expected_values(self, events: Events) -> Float32Array:
        """What each event is expected to be worth if it is chosen, as `Events.values` counts it.
        float32 [N]; NaN in a family that expects nothing of the kind, and before any was told."""
        ...

    def expire(self, before_day: int) -> tuple[int, int]:
        """Removes ids last seen before a day (since 1970-01-01); how many users and items."""
        ...

    def maintained(self, kind: str, queries: Queries) -> Self:
        """The model made smaller (`Family.maintenance`), or kept as small as it is (`none`)."""
        ...

    def averaged(self, directories: Sequence[str | Path]) -> Self:
        """The mean of this one's weights and of those saved in these folders, oldest first."""
        ...

    def touched(self, events: Events) -> Mapping[str, tuple[float, Mapping[str, np.ndarray]]]:
        """For each state: how many examples these events are, and how many times they are about each
        row of each keyed table ([rows] by table)."""
        ...

    def save(self, directory: str | Path, base: str | Path | None = None) -> str:
        """Writes all of it, whole or not at all; with `base`, only what changed since that was saved.
        Returns "whole" or "delta"."""
        ...

    def export(self, directory: str | Path, known: Queries | None = None) -> None:
        """Writes a SavedModel that answers top-k by itself, from what is `known` of users and items."""
        ...

    def parameters(self) -> dict[str, np.ndarray]:
        """Copies of the trained tables, by name (float32)."""
        ...

    @classmethod
    def loss_change(
        cls, checkpoint: Path, at_most: int, learnt: Callable[[], Int64Array], anew: bool
    ) -> str:
        """What a person should know of an update that trains by another loss than the checkpoint did;
        empty: it does not.

        Args:
            at_most: items that the update learns, those that several windows have counted for each.
            learnt: reads which they are, ascending.
            anew: from scratch, so that the checkpoint's other items are not known any more.
        """
        ...

    @classmethod
    def served(cls, directory: str | Path) -> Answers:
        """What answers from an export."""
        ...

    merging: Mapping[str, tuple[float, float]]
    """`stretch` and `pushed` of the merge, by state; see `models.merging.merging.merge`."""


class Answers(Protocol):
    """A released SavedModel, asked in keys."""

    def top_k(
        self, queries: Queries, k: int, exclude: Int64Array
    ) -> tuple[Int64Array, Float32Array]:
        """The k best items: keys int64 [B, k'] and scores float32 [B, k'], k' = min(k, items); 0 and
        -inf where fewer are left.

        Args:
            exclude: int64 [B, E] item keys not to return, 0-padded.
        """
        ...


@dataclass(frozen=True)
class Widths:
    """How wide the feature store's answers are."""

    history: int = 0
    statistics: int = 0
    item_statistics: int = 0
    """Those that count kinds of events among them."""
    popularity_column: int = -1
    """Of the item statistics, the one that says how much an item is chosen of late; -1: none does."""
    kinds: int = 0
    """How many kinds of events are counted apart."""

"""Facade: what the recommenders of all families do alike.

Belongs here: making a model, its ids, saving it. Keep out: answers (`models.recommenders.retriever`)
and what a family learns from, which is the `fit` of its own facade.
"""

from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np

from models.data.checks import Int64Array
from models.data.queries import Items
from models.errors import IncompatibleCheckpoint
from models.ids import admission, growth
from models.ids.starts import Groups, NewIds
from models.storage import checkpoint
from models.tables.backend import prepare_devices
from models.tables.network import Config
from models.tables.state import ModelState


class KnowsIds:
    """What a facade says and does about the users and items of its state.

    Attributes:
        _state: the one with the vocabularies.
    """

    _state: ModelState

    @property
    def user_keys(self) -> Int64Array:
        """int64, the users known, in row order (row 1 first); read-only."""
        return self._state.users.keys

    @property
    def item_keys(self) -> Int64Array:
        """int64, the items known, in row order (row 1 first); read-only."""
        return self._state.items.keys

    def add_ids(
        self,
        user_keys: Int64Array,
        items: Items,
        new_ids: NewIds | None = None,
        counts: tuple[Int64Array, Int64Array] | None = None,
        cooccurrence: Groups | None = None,
        day: int = 0,
    ) -> tuple[int, int]:
        """Adds the users and items that are new; returns how many of each. See `growth.add_ids`."""
        return growth.add_ids(self._state, user_keys, items, new_ids, counts, cooccurrence, day)

    def note_seen(self, user_keys: Int64Array, item_keys: Int64Array, day: int) -> None:
        """Notes that these ids had an event on this day (since 1970-01-01)."""
        admission.note_seen(self._state, user_keys, item_keys, day)

    def expire(self, before_day: int) -> tuple[int, int]:
        """Removes ids last seen before a day; returns how many users and items. See
        `models.ids.admission`."""
        return admission.expire(self._state, before_day)


class Facade:
    """A model that learns in place. A family adds `config_class` and `fit`."""

    config_class: ClassVar[Any]

    def __init__(self, state: ModelState) -> None:
        """Wraps a state; use `create` or `restore`.

        Raises:
            IncompatibleCheckpoint: the state is of another family.
        """
        if not isinstance(state.config, self.config_class):
            raise IncompatibleCheckpoint(
                f"{type(self).__name__} answers with models of family "
                f"{self.config_class.family!r}. Received: {state.config.family!r}. "
                "Restore it with its own family's recommender."
            )
        self._state = state

    @classmethod
    def create(cls, config: Config, seed: int) -> Self:
        """A recommender that knows no user and no item."""
        prepare_devices()
        return cls(ModelState.create(config, seed))

    @classmethod
    def restore(
        cls, directory: str | Path, magnitude_limit: float = checkpoint.MAGNITUDE_LIMIT
    ) -> Self:
        """The recommender saved in `directory`, slots and all.

        Raises:
            RestoreError: what is there can't be used; the message names the array and the remedy.
        """
        prepare_devices()
        return cls(checkpoint.restore(Path(directory), magnitude_limit))

    @property
    def config(self) -> Any:
        return self._state.config

    @property
    def steps(self) -> int:
        """Optimizer steps taken in the model's life."""
        return self._state.steps

    def save(self, directory: str | Path, base: str | Path | None = None) -> str:
        """Writes all of it, slots included, to `directory` (new, or replaced as a whole); with
        `base`, what changed since that was saved. Returns "whole" or "delta": see
        `models.storage.checkpoint.save`."""
        return checkpoint.save(self._state, Path(directory), None if base is None else Path(base))

    def parameters(self) -> dict[str, np.ndarray]:
        """Copies of the trained tables, by name (float32); row i of a keyed one is key i - 1's."""
        return self._state.parameters()

"""Facade: what the recommenders of all families do alike that are one state.

Belongs here: making, saving and looking at it. Keep out: ids (`models.ids.known`), answers
(`models.retriever`), and what a family learns from, which is the `fit` of its own facade.
"""

from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np

from models.backend import prepare_devices
from models.errors import IncompatibleCheckpoint
from models.network import Config
from models.state import ModelState
from models.storage import checkpoint


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

"""ModelState: all that a model is, in one place; what is saved, grown and trained."""

from dataclasses import dataclass, field

import numpy as np

from models.config import ModelConfig
from models.optimizers import RowSparseAdagrad
from models.two_tower import TwoTower
from models.vocabulary import Vocabulary


@dataclass
class ModelState:
    """Mutable: `growth.grow` and `training.fit` change it in place.

    Attributes:
        config: fixed at creation.
        seed: of the initial weights.
        users, items: keys to rows; the tables have one row more than the vocabulary has keys.
        tower: tables and loss.
        optimizer: slots.
        steps: optimizer steps taken in the model's life. It seeds shuffling and dropout along
            with the recipe's seed, so that two increments don't repeat one order, and a restored
            model continues as if it had never stopped.
    """

    config: ModelConfig
    seed: int
    users: Vocabulary
    items: Vocabulary
    tower: TwoTower
    optimizer: RowSparseAdagrad
    steps: int = 0
    compiled: dict[str, object] = field(default_factory=dict, repr=False)

    @classmethod
    def create(cls, config: ModelConfig, seed: int) -> "ModelState":
        """A model that knows no user and no item."""
        tower = TwoTower(config, seed)
        optimizer = RowSparseAdagrad(tower.tables, config.initial_accumulator)
        return cls(config, seed, Vocabulary(), Vocabulary(), tower, optimizer)

    def parameters(self) -> dict[str, np.ndarray]:
        """Copies of the trained tables, by name (float32)."""
        return {name: table.numpy() for name, table in self.tower.tables.items()}

    def slots(self) -> dict[str, np.ndarray]:
        """Copies of the optimizer's slots, by the name of their table (float32)."""
        return {name: slot.numpy() for name, slot in self.optimizer.slots.items()}

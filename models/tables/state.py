"""ModelState: all that a network is, in one place: what is saved, extended and trained."""

from dataclasses import dataclass, field
from importlib import import_module

import numpy as np

from models.errors import IncompatibleCheckpoint
from models.tables import distribution
from models.tables.network import Config, Entity, Network, network_of
from models.tables.optimizers import RowSparseOptimizer, make_optimizer
from models.tables.rows import read
from models.tables.vocabulary import Vocabulary


@dataclass
class ModelState:
    """Mutable: `growth.add_ids` and `training.fit` change it in place.

    Attributes:
        config: fixed at creation; its class says which family this is.
        seed: of the initial weights.
        users, items: keys to rows; keyed tables have one row more than the vocabulary has keys.
        network: tables and loss.
        optimizer: slots.
        steps: optimizer steps taken in the model's life. It seeds shuffling and dropout along
            with the recipe's seed, so that two increments don't repeat one order, and a restored
            model continues as if it had never stopped.
        extra: other arrays that travel with the model (exemplars, ids that wait for admission, days
            when rows were last seen), by name; saved and restored like the tables. An array is
            replaced, never written in place.
        compiled: graphs, by what they were compiled for.
        origin: sha256 of the manifest that this state was last saved to or restored from: what a
            delta may be based on. Empty: nothing.
        extra_then: `extra` at that time.
    """

    config: Config
    seed: int
    users: Vocabulary
    items: Vocabulary
    network: Network
    optimizer: RowSparseOptimizer
    steps: int = 0
    extra: dict[str, np.ndarray] = field(default_factory=dict)
    compiled: dict[object, object] = field(default_factory=dict, repr=False)
    origin: str = ""
    extra_then: dict[str, np.ndarray] = field(default_factory=dict, repr=False)

    @classmethod
    def create(cls, config: Config, seed: int) -> "ModelState":
        """A model that knows no user and no item."""
        with distribution.current().scope():
            network = network_of(config, seed)
        optimizer = make_optimizer("adagrad", network.tables, config.initial_accumulator)
        return cls(config, seed, Vocabulary(), Vocabulary(), network, optimizer)

    def parameters(self) -> dict[str, np.ndarray]:
        """Copies of the trained tables, by name (float32)."""
        return {name: read(table) for name, table in self.network.tables.items()}

    def slots(self) -> dict[str, np.ndarray]:
        """Copies of the optimizer's slots, by `<table>/<slot>` (float32)."""
        return {name: read(slot) for name, slot in self.optimizer.slots.items()}

    def header(self) -> dict[str, object]:
        """All that isn't an array, for a manifest; JSON's types."""
        return {
            "family": self.config.family,
            "config": self.config.to_json(),
            "optimizer": self.optimizer.kind,
            "seed": self.seed,
            "steps": self.steps,
        }

    def vocabulary(self, entity: Entity) -> Vocabulary:
        """The users', or the items'."""
        return self.users if entity == "users" else self.items

    def extras_by_row(self) -> dict[str, Entity]:
        """The arrays of `extra` whose row n belongs to row n of a vocabulary: they move with it."""
        aligned: dict[str, Entity] = {"seen_day/users": "users", "seen_day/items": "items"}
        aligned |= {f"fisher/{table}": entity for table, entity in self.network.keyed.items()}
        return {name: entity for name, entity in aligned.items() if name in self.extra}

    def saved_as(self, digest: str) -> None:
        """Notes that all of it is on disk, under a manifest of this sha256."""
        self.optimizer.forget_touched(self.network.tables)
        for array in self.extra.values():
            # Which arrays have changed is told by identity: writing in place must be an error.
            array.flags.writeable = False
        self.origin, self.extra_then = digest, dict(self.extra)

    def forget_origin(self) -> None:
        """The next save is a whole one. For whoever moves rows, or writes weights past the
        optimizer, which notes what it touches."""
        self.origin, self.extra_then = "", {}


CONFIGURATIONS = {
    "two_tower": ("models.two_tower.tower_config", "ModelConfig"),
    "ranker": ("models.ranker.ranker_config", "RankerConfig"),
    "factorisation": ("models.factors.factorisation_config", "FactorisationConfig"),
    "transformer": ("models.sessions.transformer_config", "TransformerConfig"),
}
"""A network's `family` -> (module, class) of its configuration. Imported only when asked."""


def config_of(family: str, values: dict[str, object]) -> Config:
    """The configuration that `to_json` of this family gave.

    Raises:
        IncompatibleCheckpoint: there is no such family.
        TypeError, ValueError: the values aren't its own.
    """
    if family not in CONFIGURATIONS:
        raise IncompatibleCheckpoint(
            f"The model is of family {family!r}; this recloop knows {', '.join(CONFIGURATIONS)}. "
            "Restore it with the recloop that wrote it, or rebuild the model."
        )
    module, name = CONFIGURATIONS[family]
    return getattr(import_module(module), name)(**values)

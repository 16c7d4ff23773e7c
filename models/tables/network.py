"""Network: what every family of models gives the core, and the tables that it is made of.

Belongs here: the one interface that training, growing, saving and shrinking rely on. Keep out:
architectures (`models.two_tower.two_tower`, `models.factors.factorisation`,
`models.sessions.transformer`, `models.ranker.ranker`).
"""

from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from importlib import import_module
from typing import Any, Literal, Protocol

import numpy as np

from models.tables.backend import tf, tfrs

Entity = Literal["users", "items"]


class Served(Protocol):
    """Scores that an export adds to the network's."""

    def bonus(self, history_rows: tf.Tensor) -> tf.Tensor:
        """float32 [B, items + 1], of the history's rows int64 [B, H]."""


class Network(tfrs.Model):
    """Tables by name, and the loss of a batch.

    A subclass makes its variables in `__init__` with `table`, and nowhere else: what isn't in
    `tables` or `content` is neither trained nor saved.

    Attributes:
        config: the family's frozen configuration.
        tables: every trained weight by name, float32. Its first axis may grow if `keyed` has it.
        keyed: the tables whose row n belongs to row n of a vocabulary, by name; row 0 is what isn't
            known. The others are dense weights.
        embeddings: names of the tables that are looked up by id, hashed words included.
        heads: names of the tables of the task-adapter head; `scope = "head"` trains these alone.
        spreads: standard deviation of the first rows of a keyed table, by name; a table that isn't
            named starts with rows of about unit length (`models.ids.growth`).
        content: what is known of each item and not trained (int64 [items + 1, n]), by name.
        teaching: how `scores` are compared in distillation: "softmax" (one choice among the
            columns), "sigmoid" (each column a chance of its own) or "value".
    """

    config: Any
    teaching = "softmax"

    def __init__(self, name: str) -> None:
        super().__init__(name=name)
        self.tables: dict[str, tf.Variable] = {}
        self.content: dict[str, tf.Variable] = {}
        self.keyed: dict[str, Entity] = {}
        self.embeddings: tuple[str, ...] = ()
        self.heads: tuple[str, ...] = ()
        self.spreads: dict[str, float] = {}

    def table(
        self, name: str, value: np.ndarray, keyed: Entity | None = None, spread: float | None = None
    ) -> None:
        """Makes a trained table that starts as `value`; with `keyed`, it can grow in place."""
        shape = [None, *value.shape[1:]] if keyed else value.shape
        self.tables[name] = tf.Variable(
            value.astype(np.float32), shape=shape, trainable=True, name=name
        )
        if keyed:
            self.keyed[name] = keyed
            self.embeddings = (*self.embeddings, name)
        if spread is not None:
            self.spreads[name] = spread

    def know_words(self, width: int) -> None:
        """Makes the content `item_words`, int64 [items + 1, width]: growing reads it."""
        self.content["item_words"] = tf.Variable(
            np.zeros((1, width), np.int64),
            # int64: TensorFlow keeps int32 variables off the GPU.
            shape=[None, width],
            trainable=False,
            name="item_words",
        )

    def weight(self, name: str) -> tf.Tensor:
        """The table to read in a forward pass: the network's own, or the one borrowed."""
        borrowed: Mapping[str, tf.Tensor] | None = self.__dict__.get("_borrowed")
        return self.tables[name] if borrowed is None else borrowed[name]

    @contextmanager
    def borrowing(self, tables: Mapping[str, tf.Tensor]) -> Iterator[None]:
        """Within, `weight` reads these: the champion answers with the challenger's graph.

        Past Keras' `__setattr__`, which would track the tensors of a graph as parts of the model.
        """
        self.__dict__["_borrowed"] = tables
        try:
            yield
        finally:
            self.__dict__["_borrowed"] = None

    def compute_loss(self, inputs: dict[str, tf.Tensor], training: bool = False) -> tf.Tensor:
        """Sum over the batch of the weighted losses: float32 scalar."""
        raise NotImplementedError

    def settled(self, trained: Collection[str]) -> dict[str, tf.Tensor]:
        """What doesn't change while only the tables of these names are trained, computed once for
        an update; it joins each batch's inputs, and `compute_loss` may do with or without it."""
        del trained
        return {}

    def shard(
        self, inputs: dict[str, tf.Tensor], index: tf.Tensor, count: int
    ) -> dict[str, tf.Tensor]:
        """A replica's share of a batch: its examples against all of the batch's candidates.

        The losses of all shares sum to the batch's. Here by taking the weight of the others'
        examples, which is right for every network whose loss is linear in `weights`; a network
        overrides it to really cut the work.

        Args:
            inputs: the whole batch.
            index: int32 scalar, of the replica, below `count`.
        """
        here = tf.range(tf.shape(inputs["weights"])[0]) % count == index
        return {**inputs, "weights": tf.where(here, inputs["weights"], 0.0)}

    def scores(self, inputs: dict[str, tf.Tensor]) -> tf.Tensor:
        """Logits of the batch's candidates: float32 [B, C]. What distillation compares.

        Rows are the batch's examples; columns must not depend on the weights.
        """
        raise NotImplementedError(f"{self.name} has no scores to distil from or into.")

    def columns(self, inputs: dict[str, tf.Tensor]) -> "tf.Tensor | None":
        """Item rows of the columns of `scores`: int64 [C] or [B, C]; None: they aren't items."""
        del inputs
        return None

    def served_beside(self, state: Any) -> "Served | None":
        """What an export answers with beside the network, of the state's other arrays; or None."""
        del state
        return None

    def check_content(self, arrays: Mapping[str, np.ndarray]) -> str | None:
        """What is wrong with saved content, or None."""
        words = arrays.get("item_words", np.zeros(0))
        if words.size and not 0 <= words.min() <= words.max() < self.config.word_buckets:
            return (
                f"Array 'item_words' should be in [0, {self.config.word_buckets}). "
                f"Received: {words.min()} to {words.max()}."
            )
        return None


def initial(rng: np.random.Generator, *shape: int) -> np.ndarray:
    """Glorot's uniform start of a dense weight (Glorot and Bengio, AISTATS 2010)."""
    limit = np.sqrt(6.0 / (shape[0] + shape[-1]))
    return rng.uniform(-limit, limit, shape).astype(np.float32)


def names_of(network: Network, entity: Entity) -> list[str]:
    """The tables keyed by users, or by items, in order."""
    return [name for name, keyed in network.keyed.items() if keyed == entity]


Config = Any
"""A network's frozen configuration: `family` (its name), `network` (`module:class`), `to_json()`,
`initial_accumulator`."""


def network_of(config: Config, seed: int) -> Network:
    """The network that a configuration names, knowing nothing. Named, not imported, because a
    network's module imports its configuration's."""
    module, name = config.network.split(":")
    return getattr(import_module(module), name)(config, seed)  # type: ignore[no-any-return]

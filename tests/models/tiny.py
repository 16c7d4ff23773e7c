"""The smallest family that has every part: two keyed tables, a frozen-able base and a head.

prediction = sum(user * item * base) + sum(user * head)
loss       = sum(weight * (prediction - label)^2) + sum((user * negative item * base)^2) / 10
"""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from models.tables.backend import tf
from models.tables.network import Network
from models.tables.state import ModelState

USERS, ITEMS, WIDTH = 4, 5, 2


class TinyNetwork(Network):
    def __init__(self, config: "TinyConfig", seed: int) -> None:
        super().__init__(name="tiny")
        rng = np.random.default_rng(seed)
        self.table("user", rng.standard_normal((USERS + 1, WIDTH)), keyed="users")
        self.table("item", rng.standard_normal((ITEMS + 1, WIDTH)), keyed="items")
        self.table("base", np.ones(WIDTH))
        if config.head:
            self.table("head", np.zeros(WIDTH))
            self.heads = ("head",)

    def compute_loss(self, inputs: dict[str, tf.Tensor], training: bool = False) -> tf.Tensor:
        user = tf.gather(self.weight("user"), inputs["user_rows"])
        base = self.weight("base")
        positive = user * tf.gather(self.weight("item"), inputs["item_rows"]) * base
        negative = user * tf.gather(self.weight("item"), inputs["negative_rows"]) * base
        prediction = tf.reduce_sum(positive, axis=1)
        if self.heads:
            prediction += tf.reduce_sum(user * self.weight("head"), axis=1)
        error = tf.square(prediction - inputs["labels"])
        return tf.reduce_sum(inputs["weights"] * error) + tf.reduce_sum(negative**2) / 10


@dataclass(frozen=True)
class TinyConfig:
    family: ClassVar[str] = "tiny"
    network: ClassVar[str] = f"{__name__}:TinyNetwork"
    initial_accumulator: float = 0.1
    head: bool = True


class TinyBatches:
    """Rows and labels, as they are: example n is (user, item, negative, label)."""

    kind = "tiny"

    def __init__(self, examples: list[tuple[int, int, int, float]]) -> None:
        users, items, negatives, labels = zip(*examples, strict=True)
        self._arrays = {
            "user_rows": np.array(users, np.int64),
            "item_rows": np.array(items, np.int64),
            "negative_rows": np.array(negatives, np.int64),
            "labels": np.array(labels, np.float32),
        }
        self.weights = np.ones(len(examples), np.float32)
        self._arrays["weights"] = self.weights
        self.signature = {
            name: tf.TensorSpec([None], array.dtype) for name, array in self._arrays.items()
        }

    def __len__(self) -> int:
        return len(self.weights)

    def order(self, rng: np.random.Generator) -> np.ndarray:
        return rng.permutation(len(self))

    def chunk(self, examples: np.ndarray) -> dict[str, np.ndarray]:
        return {name: array[examples] for name, array in self._arrays.items()}

    def batch(self, chunk, low, high, seed):
        return {name: array[low:high] for name, array in chunk.items()}

    def touched(self) -> dict[str, np.ndarray]:
        return {
            "users": np.unique(self._arrays["user_rows"]),
            "items": np.unique(self._arrays["item_rows"]),
        }


def tiny_state(seed: int = 0, head: bool = True) -> ModelState:
    """A model whose vocabularies and tables have USERS users and ITEMS items."""
    state = ModelState.create(TinyConfig(head=head), seed)
    state.users.extend(np.arange(1, USERS + 1) * 10)
    state.items.extend(np.arange(1, ITEMS + 1) * 100)
    return state

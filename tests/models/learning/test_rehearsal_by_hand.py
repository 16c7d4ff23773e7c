"""How much the past weighs in a step, on a model of one weight."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pytest

from models.learning.recipes import Recipe
from models.learning.training import Past, fit
from models.tables.backend import tf
from models.tables.network import Network
from models.tables.state import ModelState


class Scale(Network):
    """Loss of an example: w x. Score: w x, a value."""

    teaching = "value"

    def __init__(self, config: "ScaleConfig", seed: int) -> None:
        super().__init__(name="scale")
        self.table("w", np.zeros(1))

    def compute_loss(self, inputs, training=False):
        return tf.reduce_sum(inputs["weights"] * inputs["x"] * self.weight("w"))

    def scores(self, inputs):
        return inputs["x"][:, None] * self.weight("w")


@dataclass(frozen=True)
class ScaleConfig:
    family: ClassVar[str] = "scale"
    network: ClassVar[str] = f"{__name__}:Scale"
    initial_accumulator: float = 0.1


class ScaleBatches:
    kind = "scale"

    def __init__(self, count: int, x: float, weight: float = 1.0) -> None:
        self.x = np.full(count, x, np.float32)
        self.weights = np.full(count, weight, np.float32)
        self.signature = {name: tf.TensorSpec([None], tf.float32) for name in ("x", "weights")}

    def __len__(self) -> int:
        return len(self.x)

    def order(self, rng):
        return np.arange(len(self))

    def chunk(self, examples):
        return {"x": self.x[examples], "weights": self.weights[examples]}

    def batch(self, chunk, low, high, seed):
        return {name: array[low:high] for name, array in chunk.items()}


def weight_after(past: Past, count: int = 4, **settings) -> tuple[float, int]:
    state = ModelState.create(ScaleConfig(), 0)
    recipe = Recipe(1, 0.1, 4, optimizer="sgd", replay="uniform", **settings)
    report = fit(state, ScaleBatches(count, 1.0), recipe, past=past)
    return float(state.parameters()["w"][0]), report.rehearsed


@pytest.mark.parametrize("weight", [1.0, 7.0])
def test_replay_weighs_its_share_of_the_new_examples(weight) -> None:
    """Four new examples of x = 1 and two past ones of x = 10: -0.1 * (4 + 1/2 * 4 * 10)."""
    past = Past(ScaleBatches(50, 10.0, weight))
    assert weight_after(past, replay_share=0.5) == (pytest.approx(-2.4), 2)


def test_every_step_sees_its_share_of_past_examples() -> None:
    seen = weight_after(Past(ScaleBatches(50, 0.0)), count=40, replay_share=0.75)
    assert seen == (pytest.approx(-4.0), 10 * 3)


def test_distillation_pulls_back_by_its_weight_alone() -> None:
    """Step 1 meets the champion itself: w = -0.4. In step 2 the term's gradient is 0.01 * 4 *
    (-0.4 * 10) * 10 = -1.6, whatever the number of past examples: w = -0.4 - 0.1 * (4 - 1.6).
    Of replayed ones, each step adds 3/4 * 4 * 10 to the gradient, and w = -3.4 after the first."""
    past = Past(ScaleBatches(50, 10.0), distillation=0.01)
    assert weight_after(past, count=8, distillation=0.01) == (pytest.approx(-0.64), 2 * 4)
    both = weight_after(past, count=8, distillation=0.01, replay_share=0.75)
    assert both == (pytest.approx(-3.4 - 0.1 * (34 - 0.01 * 4 * 3.4 * 10 * 10)), 2 * 3)

"""Soft targets, by hand: the loss, its gradient, and how much it weighs."""

import math

import numpy as np
import pytest

from models.learning.distillation import adaptive_weight, distillation_loss
from models.tables.backend import tf
from models.tables.network import Network


class Choice(Network):
    """B examples with the same C logits: the one table."""

    def __init__(self, logits, teaching: str = "softmax", rows=None) -> None:
        super().__init__(name="choice")
        self.table("logits", np.array([logits]))
        self.teaching = teaching
        self.rows = rows

    def scores(self, inputs):
        return tf.repeat(self.weight("logits"), tf.size(inputs["weights"]), axis=0)

    def columns(self, inputs):
        return None if self.rows is None else tf.constant(self.rows, tf.int64)


ALL = tf.ones([9], tf.bool)


def taught(
    own, champion, teaching="softmax", weights=(1.0,), known=ALL, rows=None, temperature=1.0
):
    """The loss, and its gradient by logit."""
    network = Choice(own, teaching, rows)
    tables = {"logits": tf.constant([champion], tf.float32)}
    batch = {"weights": tf.constant(weights, tf.float32)}
    with tf.GradientTape() as tape:
        tape.watch(tables["logits"])
        loss = distillation_loss(network, batch, tables, known, temperature)
    own_gradient, champions = tape.gradient(loss, [network.tables["logits"], tables["logits"]])
    assert champions is None  # the teacher is not taught
    return float(loss), own_gradient.numpy()[0]


LN3 = math.log(3.0)


def test_two_candidates_by_hand() -> None:
    """The champion says 3/4 : 1/4, the challenger 1/2 : 1/2, and the other way round."""
    loss, gradient = taught([0.0, 0.0], [LN3, 0.0])
    assert loss == pytest.approx(math.log(2))
    assert gradient == pytest.approx([1 / 2 - 3 / 4, 1 / 2 - 1 / 4])
    loss, gradient = taught([LN3, 0.0], [0.0, 0.0])
    assert loss == pytest.approx(-0.5 * math.log(3 / 4) - 0.5 * math.log(1 / 4))
    assert gradient == pytest.approx([1 / 4, -1 / 4], abs=1e-6)


def test_is_a_mean_by_weight() -> None:
    one = taught([0.0, 0.0], [LN3, 0.0])
    many = taught([0.0, 0.0], [LN3, 0.0], weights=(3.0, 1.0, 0.0))
    assert many[0] == pytest.approx(one[0])
    assert many[1] == pytest.approx(one[1])
    assert taught([0.0, 0.0], [LN3, 0.0], weights=(0.0,))[0] == 0.0


def test_a_temperature_softens_and_keeps_the_scale() -> None:
    """2^2 * ln 2; the gradient is 2 * (p - q), with q = sqrt(3) : 1."""
    loss, gradient = taught([0.0, 0.0], [LN3, 0.0], temperature=2.0)
    q = math.sqrt(3) / (1 + math.sqrt(3))
    assert loss == pytest.approx(4 * math.log(2))
    assert gradient == pytest.approx([2 * (0.5 - q), 2 * (q - 0.5)])


def test_items_that_the_champion_does_not_know_are_not_taught() -> None:
    known = tf.constant([False, True, True, False])
    for logit in (-5.0, 0.0, 50.0):
        loss, gradient = taught([0.0, logit, 0.0], [LN3, 9.0, 0.0], known=known, rows=[1, 3, 2])
        assert loss == pytest.approx(math.log(2))
        assert gradient == pytest.approx([-1 / 4, 0.0, 1 / 4])
        assert gradient[1] == 0.0


@pytest.mark.parametrize("teaching", ["softmax", "sigmoid", "value"])
def test_a_champion_who_knows_none_teaches_nothing(teaching) -> None:
    loss, gradient = taught([1.0, 2.0], [3.0, 0.0], teaching, known=~ALL, rows=[1, 2])
    assert loss == 0.0
    assert (gradient == 0.0).all()


def test_each_column_a_chance_of_its_own() -> None:
    """sigmoid(ln 3) = 3/4 against 1/2, and 1/2 against itself; the mean over two columns."""
    loss, gradient = taught([LN3, 0.0], [0.0, 0.0], "sigmoid")
    first = -0.5 * math.log(3 / 4) - 0.5 * math.log(1 / 4)
    assert loss == pytest.approx((first + math.log(2)) / 2)
    assert gradient == pytest.approx([1 / 8, 0.0], abs=1e-6)


def test_values_are_compared_by_half_the_squared_difference() -> None:
    loss, gradient = taught([5.0, 1.0], [2.0, 1.0], "value")
    assert loss == pytest.approx((9 / 2 + 0) / 2)
    assert gradient == pytest.approx([3 / 2, 0.0])


@pytest.mark.parametrize("teaching", ["softmax", "sigmoid", "value"])
def test_an_equal_challenger_has_nothing_to_learn(teaching) -> None:
    scores = np.random.default_rng(0).standard_normal(6) * 4
    _, gradient = taught(scores, scores, teaching, temperature=1.7)
    assert gradient == pytest.approx(np.zeros(6), abs=1e-6)


def test_an_unknown_way_of_teaching_is_named() -> None:
    with pytest.raises(ValueError, match=r"softmax, sigmoid or value. Received: 'rank'"):
        taught([0.0], [0.0], "rank")


def test_the_adaptive_weight_by_hand() -> None:
    assert adaptive_weight(0.8, 100, 100, 500, 500) == 0.8
    # 9 of 10 items are old, and there is one exemplar for four new examples.
    assert adaptive_weight(0.8, 90, 100, 30_000, 120_000) == pytest.approx(0.8 * 0.4743416490)
    assert adaptive_weight(1.0, 1, 4, 9, 1) == pytest.approx(1.5)
    assert adaptive_weight(1.0, 50, 100, 0, 10) == 0.0
    with pytest.raises(ValueError, match="Received: 0 and 5"):
        adaptive_weight(1.0, 0, 0, 5, 5)

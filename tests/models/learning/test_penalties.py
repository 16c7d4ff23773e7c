"""Weight decay, L2-SP, EWC and the Fisher information, by hand and by behavior."""

import dataclasses
import logging

import numpy as np
import pytest

from models.learning.penalties import consolidate, fisher, known_fisher, penalty_gradient
from models.learning.recipes import Recipe
from models.learning.training import Past, fit
from models.tables.backend import tf
from tests.models.tiny import ITEMS, USERS, WIDTH, TinyBatches, tiny_state

pytestmark = pytest.mark.slow

RECIPE = Recipe(epochs=1, learning_rate=0.1, batch_size=2, optimizer="sgd")

# Two rows that a step touches, their champion and their Fisher information.
WEIGHTS = np.array([[1.0, -2.0], [0.0, 3.0]])
CHAMPION = np.array([[1.0, -1.0], [2.0, 0.0]])
FISHER = np.array([[5.0, 2.0], [0.5, 0.0]])


def penalty_of(weights: np.ndarray, decay: float, elastic: float, ewc: float) -> float:
    """What the penalties add to a loss: the formulas of `models.learning.penalties`, in NumPy."""
    moved = np.square(weights - CHAMPION)
    terms = decay * np.square(weights) + elastic * moved + ewc * FISHER * moved
    return float(terms.sum()) / 2


def gradient_of(strengths, rows=None, anchor=CHAMPION, information=FISHER) -> np.ndarray:
    """The penalties' gradient on WEIGHTS, on top of a loss's gradient of 1."""
    return penalty_gradient(
        tf.Variable(WEIGHTS, dtype=tf.float32),
        None if rows is None else tf.constant(rows, tf.int64),
        tf.ones([2 if rows is None else len(rows), 2]),
        tf.constant(strengths, tf.float32),
        None if anchor is None else tf.constant(anchor, tf.float32),
        None if information is None else tf.constant(information, tf.float32),
    ).numpy()


def test_gradients_by_hand() -> None:
    assert gradient_of([0.5, 0, 0]).tolist() == [[1.5, 0], [1, 2.5]]
    assert gradient_of([0, 0.5, 0]).tolist() == [[1, 0.5], [0, 2.5]]
    assert gradient_of([0, 0, 3]).tolist() == [[1, -5], [-2, 1]]
    assert gradient_of([0.5, 0.5, 3], rows=[1]).tolist() == [[-3, 4]]
    assert gradient_of([0.5, 0.5, 3], anchor=None).tolist() == [[1.5, 0], [1, 2.5]]
    assert gradient_of([0, 0.5, 3], information=None).tolist() == [[1, 0.5], [0, 2.5]]


@pytest.mark.parametrize("strengths", [(0.7, 0, 0), (0, 0.7, 0), (0, 0, 0.7), (0.3, 0.2, 0.1)])
def test_gradients_are_derivatives_of_the_penalties(strengths) -> None:
    derivative = np.zeros((2, 2))
    for place in np.ndindex(2, 2):
        up, down = WEIGHTS.copy(), WEIGHTS.copy()
        up[place] += 1e-4
        down[place] -= 1e-4
        difference = penalty_of(up, *strengths) - penalty_of(down, *strengths)
        derivative[place] = difference / 2e-4
    assert gradient_of(strengths) - 1 == pytest.approx(derivative, abs=1e-5)


# (user, item, negative, label)
FEED = TinyBatches([(1, 1, 2, 3.0), (2, 1, 2, -3.0), (1, 2, 1, 1.0), (2, 2, 1, 2.0)])


def travelled(recipe: Recipe, past: Past | None = None, batches: TinyBatches = FEED) -> dict:
    """How far each weight moved, by table."""
    state = tiny_state()
    before = state.parameters()
    fit(state, batches, recipe, past=past)
    return {name: after - before[name] for name, after in state.parameters().items()}


def test_weight_decay_pulls_touched_rows_to_zero() -> None:
    """One step of SGD without any other gradient: w -= rate * decay * w, on touched rows."""
    state = tiny_state()
    state.network.tables["base"].assign([0.0, 0.0])  # prediction and both gradients are 0
    before = state.parameters()
    recipe = dataclasses.replace(RECIPE, weight_decay=0.5, batch_size=8)
    fit(state, TinyBatches([(1, 2, 3, 0.0)]), recipe)
    after = state.parameters()
    assert after["user"][1] == pytest.approx(before["user"][1] * (1 - 0.1 * 0.5))
    assert after["item"][[2, 3]] == pytest.approx(before["item"][[2, 3]] * (1 - 0.1 * 0.5))
    assert (after["user"][[0, 2, 3, 4]] == before["user"][[0, 2, 3, 4]]).all()
    assert (after["item"][[0, 1, 4, 5]] == before["item"][[0, 1, 4, 5]]).all()


def test_a_penalty_is_clipped_with_the_loss() -> None:
    """A loss without gradient: the step is all decay, of norm 0.01 once clipped."""
    state = tiny_state()
    state.network.tables["base"].assign([0.0, 0.0])
    before = state.parameters()
    recipe = dataclasses.replace(RECIPE, weight_decay=0.5, clip_norm=0.01, learning_rate=1.0)
    fit(state, TinyBatches([(1, 2, 3, 0.0)]), recipe)
    after = state.parameters()
    step = np.concatenate([(after[n] - before[n]).reshape(-1) for n in before])
    assert np.sqrt((step**2).sum()) == pytest.approx(0.01, rel=1e-3)


def test_champion_decay_keeps_weights_near_the_start() -> None:
    long = dataclasses.replace(RECIPE, epochs=200, learning_rate=0.002)
    free = travelled(long)
    held = travelled(dataclasses.replace(long, champion_decay=200.0))
    for name in ("user", "item", "base", "head"):
        assert np.abs(held[name]).max() < 0.25 * np.abs(free[name]).max(), name


def test_champion_decay_pulls_to_the_start_of_this_training() -> None:
    """w = start + a; its next step is the loss's and rate * decay * a, from the second step on."""
    one = TinyBatches([(1, 1, 2, 3.0), (1, 1, 2, 3.0)])
    first = dataclasses.replace(RECIPE, learning_rate=0.01)
    once = travelled(first, batches=one)
    assert np.abs(once["user"][1]).max() > 0
    # At the start nothing has moved: the first step is the same with and without.
    held = travelled(dataclasses.replace(first, champion_decay=9.0), batches=one)
    assert all((held[name] == once[name]).all() for name in once)
    twice = travelled(dataclasses.replace(first, epochs=2), batches=one)
    held = travelled(dataclasses.replace(first, epochs=2, champion_decay=9.0), batches=one)
    assert held["user"][1] - twice["user"][1] == pytest.approx(
        -0.01 * 9 * once["user"][1], abs=1e-6
    )


def test_ewc_holds_the_weights_that_matter() -> None:
    """Both weights of user 1 matter alike to the new examples; only the first did to the past."""
    information = {name: np.zeros_like(array) for name, array in tiny_state().parameters().items()}
    information["user"][1, 0] = 1.0
    long = dataclasses.replace(RECIPE, epochs=40, learning_rate=0.02)
    free = travelled(long)["user"][1]
    held = travelled(dataclasses.replace(long, ewc=30.0), Past(fisher=information))["user"][1]
    assert abs(held[0]) < 0.25 * abs(free[0])
    assert abs(held[1]) > 0.5 * abs(free[1])


def test_ewc_is_the_same_as_l2_sp_where_all_weights_matter_alike() -> None:
    ones = {name: np.ones_like(array) for name, array in tiny_state().parameters().items()}
    long = dataclasses.replace(RECIPE, epochs=3, learning_rate=0.02)
    elastic = travelled(dataclasses.replace(long, ewc=2.0), Past(fisher=ones))
    towards = travelled(dataclasses.replace(long, champion_decay=2.0))
    for name, array in towards.items():
        assert elastic[name] == pytest.approx(array, abs=1e-6), name


def test_ewc_without_information_says_so_and_trains(caplog) -> None:
    with caplog.at_level(logging.WARNING):
        moved = travelled(dataclasses.replace(RECIPE, ewc=2.0))
    assert "no Fisher information is known yet" in caplog.text
    free = travelled(RECIPE)
    assert all((moved[name] == free[name]).all() for name in free)


def test_rows_that_have_grown_since_are_free() -> None:
    information = {"user": np.full((2, WIDTH), 1e6, np.float32)}  # rows 0 and 1; 2 to 4 grew later
    recipe = dataclasses.replace(RECIPE, epochs=2, ewc=1.0, learning_rate=1e-7)
    moved = travelled(recipe, Past(fisher=information))["user"]
    free = travelled(dataclasses.replace(recipe, ewc=0.0))["user"]
    assert moved[1].tolist() != free[1].tolist()
    assert moved[2].tolist() == free[2].tolist()


@pytest.mark.parametrize(
    ("information", "message"),
    [
        ({"word": np.ones((1, 2))}, r"of a table 'word'; the model has user, item"),
        ({"user": np.ones((9, 2))}, r"shape, \(5, 2\), or fewer rows. Received: \(9, 2\)"),
        ({"user": np.ones((5, 3))}, r"shape, \(5, 2\), or fewer rows. Received: \(5, 3\)"),
        ({"base": np.ones(1)}, r"table 'base'.*Received: \(1,\)"),
    ],
)
def test_information_of_another_model_is_refused(information, message) -> None:
    recipe = dataclasses.replace(RECIPE, ewc=1.0)
    with pytest.raises(ValueError, match=message + r".*models.learning.penalties.fisher"):
        fit(tiny_state(), FEED, recipe, past=Past(fisher=information))


def by_hand(state, examples) -> dict[str, np.ndarray]:
    """The gradient of tiny's loss summed over examples, from its formula, in float64."""
    tables = {name: array.astype(np.float64) for name, array in state.parameters().items()}
    gradient = {name: np.zeros_like(array) for name, array in tables.items()}
    base, head = tables["base"], tables["head"]
    for u, i, n, label in examples:
        user, item, negative = tables["user"][u], tables["item"][i], tables["item"][n]
        error = 2 * ((user * item * base).sum() + (user * head).sum() - label)
        away = 2 * user * negative * base / 10
        gradient["user"][u] += error * (item * base + head) + away * negative * base
        gradient["item"][i] += error * user * base
        gradient["item"][n] += away * user * base
        gradient["base"] += error * user * item + away * user * negative
        gradient["head"] += error * user
    return gradient


EXAMPLES = [(1, 1, 2, 3.0), (2, 3, 4, -3.0), (1, 3, 1, 1.0)]


def test_fisher_of_single_examples_is_the_mean_squared_gradient() -> None:
    state = tiny_state()
    before = state.parameters()
    got = fisher(state, TinyBatches(EXAMPLES), batch_size=1)
    each = [by_hand(state, [example]) for example in EXAMPLES]
    for name, array in got.items():
        assert array.dtype == np.float32
        expected = sum(one[name] ** 2 for one in each) / 3
        assert array == pytest.approx(expected, rel=1e-4, abs=1e-6), name
        assert (state.parameters()[name] == before[name]).all()
    assert (got["user"][[0, 3, 4]] == 0).all()
    assert (got["item"][[0, 5]] == 0).all()


def test_fisher_of_batches_squares_their_sums() -> None:
    state = tiny_state()
    got = fisher(state, TinyBatches(EXAMPLES), batch_size=3)
    for name, gradient in by_hand(state, EXAMPLES).items():
        assert got[name] == pytest.approx(gradient**2 / 3, rel=1e-4, abs=1e-6), name


def test_fisher_may_look_at_some_batches_only() -> None:
    state = tiny_state()
    same = TinyBatches([(1, 1, 2, 3.0)] * 6)
    some, whole = fisher(state, same, 2, at_most=1), fisher(state, same, 2)
    for name, array in whole.items():
        assert some[name] == pytest.approx(array, rel=1e-5)


def test_information_fades_and_grows() -> None:
    state = tiny_state()
    assert known_fisher(state) == {}
    batches = TinyBatches(EXAMPLES)
    consolidate(state, batches, 1)
    once = known_fisher(state)
    assert set(state.extra) == {"fisher/user", "fisher/item", "fisher/base", "fisher/head"}
    state.extra["fisher/user"] = once["user"][:2]  # as if rows 2 to 4 had grown since
    consolidate(state, batches, 1, fading=0.5)
    twice = known_fisher(state)
    assert twice["item"] == pytest.approx(1.5 * once["item"], rel=1e-5)
    assert twice["user"][:2] == pytest.approx(1.5 * once["user"][:2], rel=1e-5)
    assert twice["user"][2:] == pytest.approx(once["user"][2:], rel=1e-5)
    assert twice["user"].shape == (USERS + 1, WIDTH)
    assert twice["item"].shape == (ITEMS + 1, WIDTH)


def test_fisher_on_the_two_tower(model, world, recipe) -> None:
    from models.two_tower.basket_batches import EventBatches

    state = model._state
    recipe = dataclasses.replace(recipe, dropout=0.0, user_dropout=0.0)
    batches = EventBatches(state, world.queries, world.interactions, recipe)
    information = fisher(state, batches, 16)
    for name, table in state.network.tables.items():
        assert information[name].shape == table.numpy().shape
        assert np.isfinite(information[name]).all()
        assert (information[name] >= 0).all()
    assert (information["user"][1:].max(axis=1) > 0).all()
    assert (information["user"][0] == 0).all()
    assert fisher(state, batches, 16)["item"].tolist() == information["item"].tolist()

import dataclasses

import numpy as np
import pytest

from models.data.queries import Items, Queries
from models.errors import BadTrainingData
from models.factors.factorisation_config import FactorisationConfig
from models.factors.rating_recommender import RatingBatches, RatingRecommender, Ratings
from models.ids.starts import NewIds
from models.learning.recipes import Recipe
from models.tables.backend import tf
from tests.models.scoring import scored

RECIPE = Recipe(epochs=1, learning_rate=0.1, batch_size=4)
PLAIN = FactorisationConfig(dimension=2, centre=3.0, l2=0.5, words_per_item=0)
TABLES = {
    "user": [[9.0, 9.0], [1.0, 2.0], [0.5, 0.0]],
    "item": [[9.0, 9.0], [1.0, 0.0], [0.0, -1.0], [2.0, 2.0]],
    "user_bias": [[9.0], [0.1], [-0.2]],
    "item_bias": [[9.0], [0.3], [0.0], [-1.0]],
    "bias": [3.0],
}
"""Users 11 and 12, items 21, 22 and 23. Row 0 is set, to show that no one reads it."""


def ratings(users, items, values, weights=None) -> Ratings:
    weights = np.ones(len(values)) if weights is None else weights
    return Ratings(
        np.array(users, np.int64),
        np.array(items, np.int64),
        np.array(values, np.float32),
        np.array(weights, np.float32),
    )


def items(keys) -> Items:
    return Items(np.array(keys, np.int64), np.zeros((len(keys), 0), np.int32))


def known(config: FactorisationConfig = PLAIN) -> RatingRecommender:
    model = RatingRecommender.create(config, seed=5)
    model.add_ids(np.array([11, 12]), items([21, 22, 23]))
    for name, values in TABLES.items():
        model._state.network.tables[name].assign(np.array(values, np.float32))
    return model


def batch(users, rated, values, weights=(1.0,), negatives=()) -> dict[str, tf.Tensor]:
    return {
        "user_rows": tf.constant(users, tf.int64),
        "item_rows": tf.constant(rated, tf.int64),
        "values": tf.constant(values, tf.float32),
        "weights": tf.constant(list(weights), tf.float32),
        "negative_rows": tf.constant(list(negatives), tf.int64),
    }


def test_predictions_by_hand() -> None:
    got = known().predict(np.array([11, 11, 12, 11]), np.array([21, 22, 23, 23]))
    # 3 + .1 + .3 + 1·1 ; 3 + .1 + 0 - 2 ; 3 - .2 - 1 + 1 ; 3 + .1 - 1 + 6
    assert got == pytest.approx([4.4, 1.1, 2.8, 8.1], rel=1e-6)
    assert got.dtype == np.float32


def test_whom_or_what_isn_t_known_has_neither_bias_nor_factors() -> None:
    got = known().predict(np.array([99, 11, 0, 99]), np.array([21, 77, 23, 77]))
    assert got == pytest.approx([3.3, 3.1, 2.0, 3.0], rel=1e-6)


def test_predictions_stay_in_the_scale_and_scores_don_t() -> None:
    model = known(dataclasses.replace(PLAIN, lowest=2.0, highest=5.0))
    assert model.predict(np.array([11, 11]), np.array([22, 23])).tolist() == [2.0, 5.0]
    query = Queries(np.array([11]), np.zeros((1, 3), np.int64), np.zeros((1, 0), np.float32))
    assert scored(model, query, np.array([22, 23]))[0] == pytest.approx([1.1, 8.1], rel=1e-6)


def test_one_item_per_user() -> None:
    with pytest.raises(ValueError, match="as long as `user_keys`"):
        known().predict(np.array([11, 12]), np.array([21]))


def test_the_loss_by_hand() -> None:
    network = known()._state.network
    # Errors: 4.4 - 5 = -.6, weight 1; 2.8 - 2 = .8, weight 2.
    inputs = batch([1, 2], [1, 3], [5.0, 2.0], [1.0, 2.0])
    error = 0.36 + 2 * 0.64
    assert float(network.compute_loss(inputs)) == pytest.approx(error, rel=1e-5)
    # |(1, 2)|² + .1² + |(1, 0)|² + .3² and |(.5, 0)|² + .2² + |(2, 2)|² + 1², whatever the weights.
    squares = (5 + 0.01 + 1 + 0.09) + (0.25 + 0.04 + 8 + 1)
    loss = float(network.compute_loss(inputs, training=True))
    assert loss == pytest.approx(error + 0.5 * squares, rel=1e-5)


def test_an_observation_without_weight_costs_nothing() -> None:
    network = known(dataclasses.replace(PLAIN, uniform_negatives=1))._state.network
    inputs = batch([1], [1], [5.0], [0.0], [2])
    assert float(network.compute_loss(inputs, training=True)) == 0.0


def test_zeros_by_hand() -> None:
    config = dataclasses.replace(PLAIN, l2=0.0, uniform_negatives=3, zero_weight=0.5)
    network = known(config)._state.network
    # Of the drawn items 22, 21, 23 the observed 21 is left out: 1.1² and 8.1², their mean halved.
    inputs = batch([1], [1], [5.0], [4.0], [2, 1, 3])
    expected = 4 * 0.36 + 0.5 * (1.21 + 65.61) / 2
    assert float(network.compute_loss(inputs)) == pytest.approx(expected, rel=1e-5)
    only_itself = batch([1], [1], [5.0], [4.0], [1, 1, 1])
    assert float(network.compute_loss(only_itself)) == pytest.approx(4 * 0.36, rel=1e-5)


def test_a_hidden_user_teaches_the_item_alone() -> None:
    recipe = dataclasses.replace(RECIPE, user_dropout=0.999999, batch_size=2)
    model = known()
    before = model.parameters()
    model.fit(ratings([11, 12], [21, 22], [1.0, 1.0]), recipe)
    after = model.parameters()
    for name in ("user", "user_bias"):
        assert (after[name] == before[name]).all()
    assert (after["item_bias"][1:3] != before["item_bias"][1:3]).all()


def test_drawn_items_are_of_the_whole_catalogue_and_never_row_0() -> None:
    model = known(dataclasses.replace(PLAIN, uniform_negatives=200))
    batches = RatingBatches(model._state, ratings([11], [21], [1.0]), RECIPE)
    chunk = {name: tf.constant(array) for name, array in batches.chunk(np.array([0])).items()}
    bounds = tf.constant(0, tf.int64), tf.constant(1, tf.int64)
    drawn = batches.batch(chunk, *bounds, tf.constant([1, 2]))["negative_rows"].numpy()
    assert set(drawn.tolist()) == {1, 2, 3}
    other = batches.batch(chunk, *bounds, tf.constant([1, 3]))["negative_rows"].numpy()
    assert (drawn != other).any()


def test_recovers_a_planted_matrix() -> None:
    rng = np.random.default_rng(0)
    factors, other = rng.normal(size=(40, 2)) * 0.7, rng.normal(size=(30, 2)) * 0.7
    truth = 3 + 0.5 * rng.normal(size=(40, 1)) + 0.5 * rng.normal(size=30) + factors @ other.T
    user, item = (part.ravel() for part in np.indices(truth.shape))
    seen = rng.random(len(user)) < 0.7
    config = FactorisationConfig(dimension=2, centre=3.0, l2=0.001, words_per_item=0)
    model = RatingRecommender.create(config, seed=1)
    model.add_ids(np.arange(1, 41), items(np.arange(1, 31)))
    model.fit(
        ratings(user[seen] + 1, item[seen] + 1, truth.ravel()[seen]),
        Recipe(epochs=60, learning_rate=0.2, batch_size=64),
    )
    error = model.predict(user[~seen] + 1, item[~seen] + 1) - truth.ravel()[~seen]
    biases_alone = 0.7 * 0.7 * np.sqrt(2)
    assert np.sqrt(np.mean(error**2)) < 0.25 * biases_alone


def test_implicit_choices_are_told_from_the_rest() -> None:
    rng = np.random.default_rng(1)
    # 40 users of two tastes choose 6 of the 10 items of their half.
    users = np.repeat(np.arange(1, 41), 6)
    chosen = np.concatenate(
        [np.sort(rng.permutation(10)[:6]) + 1 + 10 * (u % 2) for u in range(40)]
    )
    config = FactorisationConfig(
        dimension=4, uniform_negatives=16, zero_weight=2.0, words_per_item=0
    )
    model = RatingRecommender.create(config, seed=1)
    model.add_ids(np.arange(1, 41), items(np.arange(1, 21)))
    model.fit(
        ratings(users, chosen, np.ones(len(users)), np.full(len(users), 1 + np.log(2))),
        Recipe(epochs=40, learning_rate=0.1, batch_size=32),
    )
    queries = Queries(np.arange(1, 41), np.zeros((40, 1), np.int64), np.zeros((40, 0), np.float32))
    had = [chosen[users == user] for user in range(1, 41)]
    keys, _ = model.top_k(queries, 4, exclude=had)
    right = (keys > 10) == (np.arange(40)[:, None] % 2 == 1)
    assert right.mean() > 0.95


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (ratings([11], [77], [3.0]), r"1 item\(s\).*first is 77.*add_ids\(\)"),
        (ratings([], [], []), r"0 ratings.*Skip the update"),
        (ratings([11], [21], [3.0], [0.0]), "none with a positive weight"),
    ],
)
def test_what_can_t_be_learned_is_refused(values, message) -> None:
    model = known()
    before = model.parameters()
    with pytest.raises(BadTrainingData, match=message):
        model.fit(values, RECIPE)
    assert all((model.parameters()[name] == array).all() for name, array in before.items())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (([-1], [1], [1.0]), r"`user_keys` should be positive.*Received: -1 at .0,"),
        (([1], [0], [1.0]), r"`item_keys` should be positive. Received: 0"),
        (([1], [1], [np.nan]), r"`values` should be finite. Received: nan"),
        (([1], [1], [1.0], [-2.0]), r"`weights` should be finite and not negative"),
        (([1, 2], [1], [1.0]), r"`item_keys` should have one row per .* 1 rows for 2"),
    ],
)
def test_wrong_ratings_are_refused(arguments, message) -> None:
    with pytest.raises(ValueError, match=message):
        ratings(*arguments)
    with pytest.raises(ValueError, match=r"`user_keys` should be int64 .* int32"):
        Ratings(*(np.zeros(1, np.int32) for _ in range(4)))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"dimension": 0}, "`dimension` should be an integer of at least 1"),
        ({"l2": -0.1}, "`l2` should be 0 or more"),
        ({"centre": 9.0, "highest": 5.0}, "`centre` should be finite, from `lowest` to `highest`"),
        ({"centre": float("nan")}, "`centre` should be finite"),
        ({"initial_accumulator": 0.0}, "`initial_accumulator` should be positive"),
    ],
)
def test_wrong_configurations_are_refused(change, message) -> None:
    with pytest.raises(ValueError, match=message):
        dataclasses.replace(PLAIN, **change)


def test_biases_start_at_0_and_factors_small() -> None:
    model = RatingRecommender.create(FactorisationConfig(dimension=50, spread=0.1), seed=3)
    model.add_ids(np.arange(1, 101), items(np.arange(1, 201)))
    tables = model.parameters()
    assert (tables["user_bias"] == 0).all()
    assert (tables["item_bias"] == 0).all()
    for name in ("user", "item"):
        assert tables[name][1:].std() == pytest.approx(0.1, rel=0.1)
        assert (tables[name][0] == 0).all()


def test_distillation_draws_ratings_towards_the_champion_s() -> None:
    network = known()._state.network
    inputs = batch([1, 2], [1, 2], [5.0, 2.0], [1.0, 1.0], [3])
    # Columns 21, 22 and the drawn 23.
    assert network.columns(inputs).numpy().tolist() == [1, 2, 3]
    expected = [[4.4, 1.1, 8.1], [3.6, 2.8, 2.8]]
    assert network.scores(inputs).numpy() == pytest.approx(np.array(expected), rel=1e-5)
    assert network.teaching == "value"


def test_ratings_of_items_that_wait_for_admission_are_left_out() -> None:
    model = known()
    three = NewIds(minimum_events=3)
    counts = np.ones(0, np.int64), np.ones(1, np.int64)
    assert model.add_ids(np.zeros(0, np.int64), items([24]), three, counts) == (0, 0)
    one, other = known(), model
    one.fit(ratings([11], [21], [5.0]), RECIPE)
    other.fit(ratings([11, 12], [21, 24], [5.0, 1.0]), RECIPE)
    for name, table in one.parameters().items():
        assert (other.parameters()[name] == table).all(), name

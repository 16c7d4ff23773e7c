"""The basket loss and its batches, against NumPy."""

import dataclasses

import numpy as np
import pytest

from models.data.queries import Interactions, Items, Queries
from models.ids.growth import add_ids
from models.learning.recipes import Recipe
from models.tables.backend import tf
from models.tables.state import ModelState
from models.two_tower.basket_batches import BasketBatches, EventBatches, tower_batches
from models.two_tower.tower_config import ModelConfig
from models.two_tower.tower_recommender import TwoTowerRecommender

CONFIG = ModelConfig(
    dimension=3, history_length=2, statistics_width=1, word_buckets=6, words_per_item=2,
    temperature=0.5, loss="basket", uniform_negatives=2,
)  # fmt: skip
RECIPE = Recipe(epochs=1, learning_rate=0.1, batch_size=2, seed=3)
QUERIES = Queries(
    np.array([12, 99, 13]),
    np.array([[21, 24], [22, 0], [0, 0]]),
    np.array([[0.1], [0.0], [2.0]], np.float32),
)
# Query 0 chose 21 twice and 23; query 2 chose 24; query 1 chose nothing.
CHOSEN = Interactions(
    np.array([2, 0, 0, 0], np.int32),
    np.array([24, 21, 23, 21]),
    np.array([0.5, 1.0, 2.0, 1.0], np.float32),
)


def make_state(**change) -> ModelState:
    state = ModelState.create(dataclasses.replace(CONFIG, **change), seed=0)
    words = np.array([[1, 2], [2, 0], [0, 0], [3, 1]], np.int32)
    add_ids(state, np.array([11, 12, 13]), Items(np.array([21, 22, 23, 24]), words))
    rng = np.random.default_rng(5)
    for table in state.network.tables.values():
        table.assign(rng.standard_normal(table.numpy().shape).astype(np.float32))
    return state


def batch_of(state: ModelState, examples=(0, 1)) -> dict[str, tf.Tensor]:
    batches = tower_batches(state, QUERIES, CHOSEN, RECIPE)
    chunk = {name: tf.constant(array) for name, array in batches.chunk(np.array(examples)).items()}
    ends = (tf.constant(0, tf.int64), tf.constant(len(examples), tf.int64))
    return batches.batch(chunk, *ends, tf.constant([3, 7], tf.int32))


def all_logits(state: ModelState) -> np.ndarray:
    """Of items 21 to 24 for queries 0 and 2: [2, 4]."""
    network = state.network
    queries = network.query_vectors(
        tf.constant([2, 3], tf.int64),
        tf.constant([[1, 4], [0, 0]], tf.int64),
        tf.constant([[0.1], [2.0]]),
    )
    items = network.item_vectors(tf.constant([1, 2, 3, 4], tf.int64))
    return (tf.matmul(queries, items, transpose_b=True) / 0.5).numpy()


def log_softmax(logits: np.ndarray) -> np.ndarray:
    return logits - np.log(np.exp(logits).sum(axis=-1, keepdims=True))


@pytest.mark.parametrize("bias", [False, True])
def test_over_the_whole_catalogue_the_loss_is_the_multinomial_of_the_baskets(bias) -> None:
    state = make_state(item_bias=bias)
    share = log_softmax(all_logits(state))
    # Items 21 (twice, weight 1 each) and 23 (weight 2) of query 0; item 24 (0.5) of query 2.
    expected = -(2 * share[0, 0] + 2 * share[0, 2] + 0.5 * share[1, 3])
    assert float(state.network.compute_loss(batch_of(state))) == pytest.approx(expected, rel=1e-4)


def test_over_a_sample_log_q_is_subtracted() -> None:
    state = make_state(whole_catalogue=3)
    batch = batch_of(state)
    rows = batch["candidate_rows"].numpy()
    assert len(set(rows)) == len(rows)
    assert {1, 3, 4} <= set(rows.tolist())
    # 3 events on a query and a half: 4 events, 2 queries a batch, so 4 events in a batch of two.
    expected_counts = 4 * np.array([2, 0, 1, 1]) / 4 + 2 / 4
    log_q = np.log(expected_counts / expected_counts.max())[rows - 1]
    share = log_softmax(all_logits(state)[:, rows - 1] - log_q)
    at = {row: place for place, row in enumerate(rows)}
    expected = -(2 * share[0, at[1]] + 2 * share[0, at[3]] + 0.5 * share[1, at[4]])
    assert float(state.network.compute_loss(batch)) == pytest.approx(expected, rel=1e-4)


def test_content_that_is_not_trained_is_computed_once_and_changes_nothing() -> None:
    state = make_state()
    batch, network = batch_of(state), state.network
    assert network.settled(network.tables) == {}
    assert make_state(whole_catalogue=3).network.settled(()) == {}, "as large as the catalogue"
    settled = network.settled(("user", "item"))
    assert settled["content"].shape == (5, 3)
    with tf.GradientTape() as tape:
        loss = network.compute_loss(batch | settled)
    gradients = tape.gradient(loss, network.tables)
    assert gradients["word"] is None
    assert float(loss) == float(network.compute_loss(batch))
    np.testing.assert_array_equal(
        network.scores(batch | settled).numpy(), network.scores(batch).numpy()
    )


@pytest.mark.parametrize("whole", [3, 4])
def test_every_table_gets_a_row_sparse_gradient(whole) -> None:
    state = make_state(whole_catalogue=whole)
    batch = batch_of(state)
    with tf.GradientTape() as tape:
        loss = state.network.compute_loss(batch)
    for name, gradient in tape.gradient(loss, state.network.tables).items():
        sparse = isinstance(gradient, tf.IndexedSlices)
        assert sparse == (name != "statistics"), name
        assert np.abs((gradient.values if sparse else gradient).numpy()).sum() > 0, name


def test_the_gradient_is_that_of_the_written_out_loss() -> None:
    state = make_state()
    batch = batch_of(state)
    network = state.network
    with tf.GradientTape() as tape:
        loss = network.compute_loss(batch)
    got = tape.gradient(loss, network.tables["item_bias"])
    got = tf.math.unsorted_segment_sum(got.values, got.indices, 5).numpy()[1:, 0]
    chances = np.exp(log_softmax(all_logits(state)))
    counts = np.array([[2.0, 0, 2, 0], [0, 0, 0, 0.5]])
    expected = (counts.sum(axis=1, keepdims=True) * chances - counts).sum(axis=0)
    assert got == pytest.approx(expected, rel=1e-4, abs=1e-5)


def test_an_example_is_a_query_that_chose_something() -> None:
    batches = BasketBatches(make_state(), QUERIES, CHOSEN, RECIPE)
    assert len(batches) == 2
    assert batches.weights.tolist() == [4.0, 0.5]
    touched = batches.touched()
    assert touched["users"].tolist() == [2, 3]
    assert touched["items"].tolist() == [1, 3, 4]


def test_dropout_hides_users_and_history() -> None:
    state = make_state()
    recipe = dataclasses.replace(RECIPE, dropout=0.999, user_dropout=0.999)
    batches = BasketBatches(state, QUERIES, CHOSEN, recipe)
    chunk = {name: tf.constant(array) for name, array in batches.chunk(np.array([0, 1])).items()}
    ends = (tf.constant(0, tf.int64), tf.constant(2, tf.int64))
    batch = batches.batch(chunk, *ends, tf.constant([3, 7], tf.int32))
    assert not batch["user_rows"].numpy().any()
    assert not batch["keep"].numpy().any()


def test_scores_are_of_the_candidates_for_each_query() -> None:
    state = make_state()
    batch = batch_of(state)
    assert state.network.scores(batch).numpy() == pytest.approx(all_logits(state), rel=1e-4)
    assert state.network.columns(batch).numpy().tolist() == [1, 2, 3, 4]


@pytest.mark.parametrize("whole", [0, 1000])
def test_a_recommender_learns_tastes_from_baskets(world, whole) -> None:
    config = ModelConfig(
        dimension=8, history_length=5, statistics_width=2, word_buckets=32, words_per_item=3,
        loss="basket", whole_catalogue=whole, uniform_negatives=10,
    )  # fmt: skip
    model = TwoTowerRecommender.create(config, seed=7)
    model.add_ids(world.user_keys, world.items)
    recipe = Recipe(epochs=20, learning_rate=0.1, batch_size=5, dropout=0.2, seed=3)
    report = model.fit(world.queries, world.interactions, recipe)
    assert report.last_loss < 0.95 * report.first_loss
    keys, _ = model.top_k(world.queries, 5)
    own_half = (keys < 501 + 15) == (np.arange(20) % 2 == 0)[:, None]
    assert own_half.mean() > 0.9


def test_the_configuration_says_which_feed() -> None:
    assert isinstance(tower_batches(make_state(), QUERIES, CHOSEN, RECIPE), BasketBatches)
    in_batch = make_state(loss="in_batch")
    assert isinstance(tower_batches(in_batch, QUERIES, CHOSEN, RECIPE), EventBatches)
    with pytest.raises(ValueError, match="`loss` should be one of in_batch, basket"):
        dataclasses.replace(CONFIG, loss="bpr")

"""The towers and the loss against NumPy, written from the paper and not from the code."""

import dataclasses

import numpy as np
import pytest

from models.data.queries import Items
from models.ids.growth import add_ids
from models.tables.backend import tf, tfrs
from models.tables.state import ModelState
from models.two_tower.tower_config import ModelConfig
from models.two_tower.two_tower import TwoTower

CONFIG = ModelConfig(
    dimension=3, history_length=2, statistics_width=2, word_buckets=6, words_per_item=2,
    temperature=0.5,
)  # fmt: skip
WORDS = np.array([[1, 2], [2, 0], [0, 0], [3, 1]], np.int32)


def make_state(**change) -> ModelState:
    """3 users, 4 items, every table random (the start of some is zero)."""
    state = ModelState.create(dataclasses.replace(CONFIG, **change), seed=0)
    add_ids(state, np.array([11, 12, 13]), Items(np.array([21, 22, 23, 24]), WORDS))
    rng = np.random.default_rng(5)
    for table in state.network.tables.values():
        table.assign(rng.standard_normal(table.numpy().shape).astype(np.float32))
    return state


def unit(vector: np.ndarray) -> np.ndarray:
    return vector / np.sqrt((vector**2).sum() + 1e-4)


def item_oracle(tables: dict[str, np.ndarray], row: int) -> np.ndarray:
    words = [w for w in WORDS[row - 1] if w]
    mean = tables["word"][words].mean(axis=0) if words else 0.0
    return unit(tables["item"][row] + mean)


def query_oracle(tables, user: int, history: list[int], statistics: np.ndarray) -> np.ndarray:
    table = tables.get("history", tables["item"])
    seen = [row for row in history if row]
    vector = tables["user"][user] if user else np.zeros(3)
    vector = vector + (table[seen].mean(axis=0) if seen else 0.0)
    return unit(vector + 0.1 * statistics @ tables["statistics"])


USERS, HISTORY = [2, 0, 3], [[1, 4], [2, 0], [0, 0]]
STATISTICS = np.array([[0.1, 0.2], [0.0, 1.0], [2.0, 0.0]], np.float32)


@pytest.mark.parametrize("shared", [False, True])
@pytest.mark.parametrize("bias", [False, True])
def test_logits_match_numpy(shared, bias) -> None:
    state = make_state(shared_history_table=shared, item_bias=bias)
    tables = state.parameters()
    queries = state.network.query_vectors(
        tf.constant(USERS, tf.int64), tf.constant(HISTORY, tf.int64), tf.constant(STATISTICS)
    )
    items = state.network.item_vectors(tf.constant([1, 2, 3, 4], tf.int64))
    got = (tf.matmul(queries, items, transpose_b=True) / CONFIG.temperature).numpy()
    expected = [
        [
            query_oracle(tables, u, h, s) @ item_oracle(tables, row) / 0.5
            + (tables["item_bias"][row, 0] if bias else 0.0)
            for row in (1, 2, 3, 4)
        ]
        for u, h, s in zip(USERS, HISTORY, STATISTICS, strict=True)
    ]
    assert got == pytest.approx(np.array(expected), rel=1e-4, abs=1e-5)


def batch(**change):
    """Five events: two of query 0, two of query 1 (each chose item 1), one of query 2."""
    inputs = {
        "user_rows": np.array(USERS, np.int64),
        "history_rows": np.array(HISTORY, np.int64),
        "statistics": STATISTICS,
        "query": np.array([0, 0, 1, 1, 2], np.int32),
        "item_rows": np.array([1, 2, 1, 4, 3], np.int64),
        "weights": np.array([1, 2, 1, 0.5, 1], np.float32),
        "negative_rows": np.zeros(0, np.int64),
        "counted": np.array([1, 2, 4], np.int64),
        "probability": np.array([1.0, 0.5, 0.125, 0.25], np.float32),  # the last is row 3's
    }
    return {name: tf.constant(value) for name, value in {**inputs, **change}.items()}


def loss_oracle(state: ModelState, inputs) -> float:
    """- sum of w * log softmax over the candidates, logQ corrected, without accidental hits."""
    tables = state.parameters()
    given = {name: value.numpy() for name, value in inputs.items()}
    candidates = [*given["item_rows"], *given["negative_rows"]]
    total = 0.0
    for i, (query, positive) in enumerate(zip(given["query"], given["item_rows"], strict=True)):
        vector = query_oracle(
            tables, given["user_rows"][query], given["history_rows"][query],
            given["statistics"][query],
        )  # fmt: skip
        logits = []
        for j, row in enumerate(candidates):
            if j != i and row == positive:
                continue
            logit = vector @ item_oracle(tables, row) / 0.5 + tables["item_bias"][row, 0]
            place = list(given["counted"]).index(row) if row in given["counted"] else -1
            logit -= np.log(given["probability"][place])
            logits.append(logit)
            if j == i:
                own = logit
        total += given["weights"][i] * (np.log(np.exp(logits).sum()) - own)
    return total


@pytest.mark.parametrize("negatives", [[], [2, 4, 1]])
def test_loss_is_the_corrected_softmax_of_the_batch(negatives) -> None:
    state = make_state()
    inputs = batch(negative_rows=np.array(negatives, np.int64))
    got = state.network.compute_loss(inputs, training=True).numpy()
    assert got == pytest.approx(loss_oracle(state, inputs), rel=1e-4)


def test_log_q_matters_and_its_scale_does_not() -> None:
    state = make_state()
    inputs = batch()
    loss = state.network.compute_loss(inputs).numpy()
    halved = {**inputs, "probability": inputs["probability"] / 2}
    flat = {**inputs, "probability": tf.ones(4)}
    assert state.network.compute_loss(halved).numpy() == pytest.approx(loss, rel=1e-5)
    assert abs(state.network.compute_loss(flat).numpy() - loss) > 0.1


def test_it_is_a_model_of_tensorflow_recommenders() -> None:
    tower = TwoTower(CONFIG, seed=0)
    assert isinstance(tower, tfrs.Model)


def test_only_rows_of_the_batch_get_a_gradient() -> None:
    state = make_state()
    inputs = batch()
    with tf.GradientTape() as tape:
        loss = state.network.compute_loss(inputs)
    names = ["user", "item", "history", "word", "item_bias"]
    gradients = tape.gradient(loss, [state.network.tables[name] for name in names])
    # Users of the queries (0 is the unknown one), items of the events, items of the histories,
    # words of the items of the events; padding isn't looked up.
    expected = [{0, 2, 3}, {1, 2, 3, 4}, {1, 2, 4}, {1, 2, 3}, {1, 2, 3, 4}]
    for gradient, rows in zip(gradients, expected, strict=True):
        assert isinstance(gradient, tf.IndexedSlices)
        assert set(gradient.indices.numpy().tolist()) == rows


def test_the_unknown_row_gets_no_gradient_and_no_say() -> None:
    state = make_state()
    with tf.GradientTape() as tape:
        loss = state.network.compute_loss(batch())
    gradient = tape.gradient(loss, state.network.tables["user"])
    values = gradient.values.numpy()[gradient.indices.numpy() == 0]
    assert len(values) == 1
    assert (values == 0).all()
    user = state.network.tables["user"]
    user.assign(tf.concat([tf.fill([1, 3], 99.0), user[1:]], axis=0))
    assert state.network.compute_loss(batch()).numpy() == loss.numpy()


def test_statistics_start_as_a_no_op_and_are_learned() -> None:
    state = ModelState.create(CONFIG, seed=0)
    add_ids(state, np.array([11, 12, 13]), Items(np.array([21, 22, 23, 24]), WORDS))
    silent = batch(statistics=np.zeros((3, 2), np.float32))
    inputs = batch()
    with tf.GradientTape() as tape:
        loss = state.network.compute_loss(inputs)
    assert loss.numpy() == state.network.compute_loss(silent).numpy()
    assert np.abs(tape.gradient(loss, state.network.tables["statistics"]).numpy()).max() > 0


def test_nothing_known_of_the_query_gives_a_finite_gradient() -> None:
    state = make_state()
    inputs = batch(
        user_rows=np.zeros(3, np.int64),
        history_rows=np.zeros((3, 2), np.int64),
        statistics=np.full((3, 2), 0, np.float32),
    )
    with tf.GradientTape() as tape:
        loss = state.network.compute_loss(inputs)
    gradient = tape.gradient(loss, state.network.tables["statistics"]).numpy()
    assert np.isfinite(loss.numpy())
    assert np.abs(gradient).max() < 1e4


def test_what_dropout_hides_is_as_if_it_were_not_there() -> None:
    state = make_state()
    keep = np.array([[False, True], [True, True], [True, True]])
    hidden = state.network.compute_loss({**batch(), "keep": tf.constant(keep)}).numpy()
    history = np.array(HISTORY, np.int64) * keep
    assert hidden == state.network.compute_loss(batch(history_rows=history)).numpy()

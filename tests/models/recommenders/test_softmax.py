"""The sampled softmax, held against tensorflow-recommenders' task and a value worked by hand."""

import numpy as np
import pytest

from models.recommenders.softmax import log_probability, sampled_softmax
from models.tables.backend import tf, tfrs


def test_worked_by_hand() -> None:
    # One query, items a (drawn twice) and b; the positive is a. Logits 1 and 0: the other copy of a
    # is an accidental hit, so -log(e / (e + 1)), times the weight 2.
    loss = sampled_softmax(
        tf.constant([[1.0]]),
        tf.constant([[1.0], [0.0]]),
        tf.constant([0.0, 0.0]),
        tf.constant([2.0, 1.0]),
        tf.constant([0]),
        tf.constant([0]),
        tf.constant([2.0]),
    )
    assert float(loss) == pytest.approx(2 * np.log1p(np.exp(-1)), rel=1e-6)
    # The positive is b: a counts twice, -log(1 / (2e + 1)).
    loss = sampled_softmax(
        tf.constant([[1.0]]),
        tf.constant([[1.0], [0.0]]),
        tf.constant([0.0, 0.0]),
        tf.constant([2.0, 1.0]),
        tf.constant([0]),
        tf.constant([1]),
        tf.constant([1.0]),
    )
    assert float(loss) == pytest.approx(np.log1p(2 * np.e), rel=1e-6)


@pytest.mark.parametrize("repeats", [1, 4], ids=["events", "baskets"])
def test_equals_the_task_of_tensorflow_recommenders(repeats: int) -> None:
    rng = np.random.default_rng(repeats)
    events, users, items, d = 24, 24 // repeats, 15, 6
    query = np.repeat(np.arange(users), repeats).astype(np.int32)
    ids = rng.integers(0, items, events)  # so some are drawn several times
    negatives = rng.integers(0, items, 7)
    weights = rng.random(events).astype(np.float32)
    probability = rng.random(items).astype(np.float32)
    probability[ids[0]] = 0.0  # as unlikely as the least
    user_table = tf.Variable(rng.standard_normal((users, d)).astype(np.float32))
    item_table = tf.Variable(rng.standard_normal((items, d)).astype(np.float32))
    candidates = np.concatenate([ids, negatives])
    task = tfrs.tasks.Retrieval(temperature=0.5, remove_accidental_hits=True)
    with tf.GradientTape() as tape:
        expected = task(
            tf.gather(user_table, query),
            tf.gather(item_table, candidates),
            sample_weight=tf.constant(weights),
            candidate_sampling_probability=tf.gather(probability, candidates),
            candidate_ids=tf.constant(candidates),
            compute_metrics=False,
            compute_batch_metrics=False,
        )
    wanted = [tf.convert_to_tensor(g) for g in tape.gradient(expected, [user_table, item_table])]
    distinct, place, copies = tf.unique_with_counts(candidates)
    with tf.GradientTape() as tape:
        loss = sampled_softmax(
            user_table / 0.5,
            tf.gather(item_table, distinct),
            -log_probability(distinct, np.arange(items), np.append(probability, np.float32(1.0))),
            tf.cast(copies, tf.float32),
            tf.constant(query),
            place[:events],
            tf.constant(weights),
        )
    found = [tf.convert_to_tensor(g) for g in tape.gradient(loss, [user_table, item_table])]
    assert float(loss) == pytest.approx(float(expected), rel=1e-5)
    for ours, theirs in zip(found, wanted, strict=True):
        np.testing.assert_allclose(ours, theirs, atol=2e-5)


def test_the_gradient_of_the_offset_is_that_of_the_loss() -> None:
    rng = np.random.default_rng(3)
    queries = tf.constant(rng.standard_normal((3, 2)), tf.float32)
    items = tf.constant(rng.standard_normal((4, 2)), tf.float32)
    offset = rng.standard_normal(4)

    def loss(offset: np.ndarray) -> tf.Tensor:
        return sampled_softmax(
            queries,
            items,
            tf.constant(offset, tf.float32),
            tf.constant([1.0, 3.0, 1.0, 2.0]),
            tf.constant([0, 0, 1, 2, 2]),
            tf.constant([1, 2, 3, 0, 1]),
            tf.constant([1.0, 2.0, 0.5, 0.0, 1.0]),
        )

    variable = tf.constant(offset, tf.float32)
    with tf.GradientTape() as tape:
        tape.watch(variable)
        value = 3.0 * sampled_softmax(
            queries,
            items,
            variable,
            tf.constant([1.0, 3.0, 1.0, 2.0]),
            tf.constant([0, 0, 1, 2, 2]),
            tf.constant([1, 2, 3, 0, 1]),
            tf.constant([1.0, 2.0, 0.5, 0.0, 1.0]),
        )
    gradient = tape.gradient(value, variable).numpy()
    for j in range(4):
        step = np.eye(4)[j] * 1e-2
        slope = 3.0 * float(loss(offset + step) - loss(offset - step)) / 2e-2
        assert gradient[j] == pytest.approx(slope, abs=2e-3)


def test_large_logits_stay_finite() -> None:
    loss = sampled_softmax(
        tf.constant([[100.0]]),
        tf.constant([[1.0], [-1.0]]),
        tf.zeros([2]),
        tf.constant([50.0, 1.0]),
        tf.constant([0, 0]),
        tf.constant([0, 1]),
        tf.ones([2]),
    )
    # The first is certain; the second has 50 copies of a candidate 200 above it.
    assert float(loss) == pytest.approx(200 + np.log(50), rel=1e-5)

"""The sequential Transformer: what it may see, and its losses."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from models.sessions.session_recommender import SessionRecommender
from models.sessions.transformer import contrastive_loss
from models.tables.backend import tf
from tests.models.tiny_sessions import (
    CONFIG,
    RECIPE,
    WORLD,
    batch_of,
    grown,
    network_of,
    trained,
    vectors,
)

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def model() -> SessionRecommender:
    return trained()


def test_a_later_item_never_changes_an_earlier_output(model: SessionRecommender) -> None:
    first, second = vectors(model, [1, 2, 3, 4], [1, 2, 3, 9])
    np.testing.assert_array_equal(first[:3], second[:3])
    assert np.abs(first[3] - second[3]).max() > 1e-3


def test_an_earlier_item_does_change_a_later_output(model: SessionRecommender) -> None:
    first, second = vectors(model, [1, 2, 3], [5, 2, 3])
    assert np.abs(first[2] - second[2]).max() > 1e-3


def test_padding_on_either_side_changes_nothing(model: SessionRecommender) -> None:
    plain = vectors(model, [1, 2])[0]
    np.testing.assert_allclose(vectors(model, [1, 2, 0, 0])[0, :2], plain, atol=1e-6)
    np.testing.assert_allclose(vectors(model, [0, 0, 1, 2])[0, 2:], plain, atol=1e-6)


def test_queries_are_most_recent_first_and_may_be_padded(model: SessionRecommender) -> None:
    network = network_of(model)
    asked = tf.constant([[2, 1, 0, 0, 0], [0, 0, 0, 0, 0], [2, 0, 0, 0, 0]], tf.int64)
    answers = network.query_vectors(asked, asked, asked).numpy()
    np.testing.assert_allclose(answers[0], vectors(model, [1, 2])[0, 1], atol=1e-6)
    np.testing.assert_allclose(answers[2], vectors(model, [2])[0, 0], atol=1e-6)
    assert (answers[1] == 0).all()
    assert answers.shape == (3, 8)


def test_outputs_and_items_have_length_1(model: SessionRecommender) -> None:
    lengths = np.linalg.norm(vectors(model, [1, 2, 3])[0], axis=1)
    np.testing.assert_allclose(lengths, 1.0, atol=1e-4)
    items = network_of(model).item_vectors(tf.constant([0, 1], tf.int64)).numpy()
    np.testing.assert_allclose(np.linalg.norm(items, axis=1), [0, 1], atol=1e-4)


def test_one_item_alone_is_its_own_mean() -> None:
    """Without the blocks' own say, a session of one item points to that item."""
    made = grown()
    network = network_of(made)
    network.tables["read_own"].assign(np.zeros((8, 8)))
    item = network.item_vectors(tf.constant([4], tf.int64)).numpy()[0]
    np.testing.assert_allclose(vectors(made, [4])[0, 0], item, atol=1e-5)


def test_the_loss_is_the_softmax_over_the_candidates() -> None:
    made = grown()
    network = network_of(made)
    _, batch = batch_of(made)
    session = network.session_vectors(batch["sequence"]).numpy().reshape(-1, 8)
    items = network.item_vectors(batch["candidate_rows"]).numpy()
    logits = session[batch["place"].numpy()].astype(np.float64) @ items.T.astype(np.float64) / 0.1
    own = logits[np.arange(len(logits)), batch["position"].numpy()]
    expected = (np.log(np.exp(logits).sum(axis=1)) - own).sum()
    assert float(network.compute_loss(batch)) == pytest.approx(expected, rel=1e-4)


def test_every_table_gets_a_gradient_and_items_a_sparse_one() -> None:
    made = grown(replace(CONFIG, contrastive=0.1))
    network = network_of(made)
    _, batch = batch_of(made)
    with tf.GradientTape() as tape:
        loss = network.compute_loss(batch, training=True)
    gradients = tape.gradient(loss, network.tables)
    assert isinstance(gradients["item"], tf.IndexedSlices)
    for name, gradient in gradients.items():
        assert np.abs(tf.convert_to_tensor(gradient).numpy()).max() > 0, name


def test_training_brings_the_loss_down() -> None:
    config = replace(CONFIG, spectral_start=False, memory_weight=0.0)
    report = grown(config).fit(WORLD, replace(RECIPE, epochs=15))
    assert report.last_loss < 0.7 * report.first_loss


def test_the_same_seed_gives_the_same_bits_and_another_does_not(model) -> None:  # type: ignore[no-untyped-def]
    first, second = model.parameters(), trained().parameters()
    other = trained(recipe=replace(RECIPE, seed=4)).parameters()
    for name, table in first.items():
        np.testing.assert_array_equal(table, second[name])
    assert (first["item"] != other["item"]).any()


def test_row_0_never_moves(model: SessionRecommender) -> None:
    assert (model.parameters()["item"][0] == 0).all()


def test_the_contrastive_loss_by_hand() -> None:
    """Two sessions, t = 1. Views (1, 0), (0, 1); and (1, 0), (1, 0).
    First view of session 1: similar 1 to its own, 0 and 1 to the others.
    First view of 2: 0 to its own, 0 and 0. Second of 1: 1 to its own, 0 and 1. Second of 2: 0 to
    its own, 1 and 1."""
    first = tf.constant([[1.0, 0.0], [0.0, 1.0]])
    second = tf.constant([[1.0, 0.0], [1.0, 0.0]])
    e = np.e
    losses = [np.log(e + 1 + e) - 1, np.log(3.0), np.log(e + 1 + e) - 1, np.log(1 + e + e)]
    assert float(contrastive_loss(first, second, 1.0)) == pytest.approx(sum(losses) / 2, rel=1e-5)


def test_the_contrastive_loss_is_added_by_its_weight() -> None:
    made = grown(replace(CONFIG, contrastive=0.5, coordinate_dropout=0.0, layer_dropout=0.0))
    network = network_of(made)
    _, batch = batch_of(made)
    plain, added = (float(network.compute_loss(batch, training=on)) for on in (False, True))
    ends = []
    for view in tf.unstack(batch["views"]):
        last = np.maximum((view.numpy() > 0).cumsum(axis=1).argmax(axis=1), 0)
        ends.append(network.session_vectors(view).numpy()[np.arange(len(last)), last])
    apart = float(contrastive_loss(tf.constant(ends[0]), tf.constant(ends[1]), 0.1))
    each = float(tf.reduce_sum(batch["weights"])) / len(ends[0])
    assert added == pytest.approx(plain + 0.5 * each * apart, rel=1e-4)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"heads": 3}, "multiple of `heads`"),
        ({"blocks": 0}, "`blocks`"),
        ({"mask": 1.0}, "`mask`"),
        ({"crop": 0.0}, "`crop`"),
        ({"temperature": 0.0}, "`temperature`"),
        ({"contrastive": -1.0}, "`contrastive`"),
    ],
)
def test_a_configuration_that_makes_no_sense_is_refused(changes, words) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(ValueError, match=words):
        replace(CONFIG, **changes)

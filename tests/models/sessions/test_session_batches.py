"""Sessions as training takes them: targets, augmented views, and past examples."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from models.errors import BadTrainingData
from models.sessions.session_batches import (
    batches_of,
    batches_of_sessions,
    crop,
    examples_of,
    mask,
    vectors_of,
)
from models.tables.backend import tf
from tests.models.tiny_sessions import RECIPE, SEED, batch_of, grown, sessions, vectors

ROWS = tf.constant([[1, 2, 3, 4, 5, 0], [6, 7, 0, 0, 0, 0], [8, 0, 0, 0, 0, 0]], tf.int64)


def test_every_item_but_the_first_is_a_target_once() -> None:
    made = grown()
    data = sessions([101, 102, 103], [104, 105], [106])
    batches, batch = batch_of(made, data)
    assert (len(batches), batches.targets) == (2, 3)
    rows = made._state.items.rows
    targets = tf.gather(batch["candidate_rows"], batch["position"]).numpy()
    assert targets.tolist() == rows(np.array([102, 103, 105])).tolist()
    assert len(set(batch["candidate_rows"].numpy())) == len(batch["candidate_rows"])
    looked_at = tf.gather(tf.reshape(batch["sequence"], [-1]), batch["place"]).numpy()
    assert looked_at.tolist() == rows(np.array([101, 102, 104])).tolist()


def test_a_long_session_is_cut_and_each_target_kept_once() -> None:
    made = grown()
    long = sessions([101 + n for n in range(14)])
    batches, batch = batch_of(made, long)
    targets = tf.gather(batch["candidate_rows"], batch["position"]).numpy()
    assert sorted(targets) == sorted(made._state.items.rows(np.arange(102, 115)))
    # H = 5: pieces of up to 6 items, of which 3 are looked back on.
    assert [int(weight) for weight in batches.weights] == [5, 3, 3, 2]


def test_unknown_items_are_passed_over() -> None:
    made = grown()
    batches, _ = batch_of(made, sessions([101, 999, 102], [999, 101]))
    assert (len(batches), batches.targets) == (1, 1)
    with pytest.raises(BadTrainingData, match="nothing to learn from"):
        batches_of_sessions(made._state, sessions([999, 998]), RECIPE)


def test_a_crop_is_one_piece_of_the_session_moved_to_the_front() -> None:
    seen = set()
    for number in range(40):
        cropped = crop(ROWS, 0.6, tf.constant([number, 0])).numpy()
        piece = cropped[0][cropped[0] > 0]
        assert len(piece) == 3  # 60 % of 5
        assert (np.diff(piece) == 1).all()
        assert (cropped[0, 3:] == 0).all()
        seen.add(int(piece[0]))
        assert np.count_nonzero(cropped[1]) == 2  # 60 % of 2, rounded up
        assert cropped[2].tolist() == [8, 0, 0, 0, 0, 0]
    assert seen == {1, 2, 3}


def test_a_mask_hides_its_share_and_moves_nothing() -> None:
    many = tf.tile(ROWS[:1, :5], [4000, 1])
    masked = mask(many, 0.3, SEED).numpy()
    assert ((masked == 0) | (masked == many.numpy())).all()
    assert (masked == 0).mean() == pytest.approx(0.3, abs=0.02)
    np.testing.assert_array_equal(mask(ROWS, 0.0, SEED).numpy(), ROWS.numpy())
    np.testing.assert_array_equal(masked, mask(many, 0.3, SEED).numpy())


def test_a_recipes_dropout_hides_items_that_are_looked_at_but_no_target() -> None:
    made = grown()
    _, plain = batch_of(made)
    _, hidden = batch_of(made, recipe=replace(RECIPE, dropout=0.5))
    shown = (hidden["sequence"] > 0).numpy().sum() / (plain["sequence"] > 0).numpy().sum()
    assert shown == pytest.approx(0.5, abs=0.15)
    np.testing.assert_array_equal(hidden["place"].numpy(), plain["place"].numpy())


def test_past_examples_have_one_target_and_the_prefix_before_it() -> None:
    made = grown()
    examples = examples_of(made._state, sessions([101, 102, 103]))
    assert examples["prefix"].tolist() == [[101, 0, 0, 0, 0], [102, 101, 0, 0, 0]]
    assert examples["item_keys"].tolist() == [102, 103]
    batches = batches_of(made._state, examples, RECIPE)
    chunk = batches.chunk(np.array([1]))
    rows = made._state.items.rows(np.array([101, 102, 103]))
    assert chunk["rows"][0].tolist() == [*rows, 0, 0, 0]
    assert chunk["target_weights"][0].tolist() == [0, 1, 0, 0, 0]
    expected = vectors(made, rows[:2].tolist())[0, 1]
    np.testing.assert_allclose(vectors_of(made._state, examples)[1], expected, atol=1e-6)

"""The sequential Transformer's facade: meeting new items, answers, and what is saved."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from models.data.sessions import queries_of
from models.recommenders.export import Served
from models.sessions.served_cooccurrence import ServedCooccurrence
from models.sessions.session_recommender import SessionRecommender
from models.tables.backend import tf
from tests.models.scoring import scored
from tests.models.tiny_sessions import CONFIG, RECIPE, WORLD, grown, sessions, trained

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def model() -> SessionRecommender:
    return trained()


def test_meeting_new_items_leaves_the_weights_alone_and_rows_follow() -> None:
    made = grown()
    made._state.steps = 1  # as if it had been trained
    before = made.parameters()
    assert made.meet(sessions([101, 501, 502])) == 2
    after = made.parameters()
    for name in set(before) - {"item"}:
        np.testing.assert_array_equal(before[name], after[name])
    assert len(after["item"]) == len(before["item"]) + 2
    rows = made._state.items.rows(np.array([501, 101]))
    unit = after["item"] / np.maximum(np.linalg.norm(after["item"], axis=1, keepdims=True), 1e-9)
    near, all_items = unit[rows[0]] @ unit[rows[1]], unit[rows[0]] @ unit[1:31].T
    assert near > np.quantile(all_items, 0.9)


def test_items_without_news_stay_bit_identical() -> None:
    made = grown()
    made._state.steps = 1
    before = made.parameters()["item"]
    made.meet(sessions([101, 102]))
    after = made.parameters()["item"]
    seen = made._state.items.rows(np.array([101, 102]))
    others = np.setdiff1d(np.arange(len(before)), seen)
    np.testing.assert_array_equal(before[others], after[others])
    assert (before[seen] != after[seen]).any(axis=1).all()


def test_without_following_known_rows_stay_as_they_are() -> None:
    made = grown(replace(CONFIG, follow_steps=0))
    made._state.steps = 1
    before = made.parameters()["item"]
    made.meet(sessions([101, 501]))
    np.testing.assert_array_equal(before, made.parameters()["item"][: len(before)])


def test_saved_and_restored_it_answers_and_learns_the_same(tmp_path, model) -> None:  # type: ignore[no-untyped-def]
    model.save(tmp_path / "model")
    restored = SessionRecommender.restore(tmp_path / "model")
    asked = queries_of(np.array([[101, 102, 0], [115, 0, 0], [999, 0, 0]]))
    np.testing.assert_array_equal(
        scored(model, asked, model.item_keys), scored(restored, asked, model.item_keys)
    )
    assert restored.config == model.config
    other = trained()
    for one in (restored, other):
        one.meet(sessions([103, 601, 104], [104, 103]))
        one.fit(sessions([103, 601, 104], [104, 103]), RECIPE)
    for name, table in other.parameters().items():
        np.testing.assert_array_equal(table, restored.parameters()[name])


def test_top_k_is_the_best_of_all_scores(model: SessionRecommender) -> None:
    asked = queries_of(np.array([[101, 102, 0], [115, 0, 0]]))
    scores = scored(model, asked, model.item_keys)
    order = np.argsort(-scores, axis=1, kind="stable")[:, :7]
    keys, best = model.top_k(asked, 7)
    np.testing.assert_array_equal(keys, model.item_keys[order])
    np.testing.assert_allclose(best, np.take_along_axis(scores, order, 1), rtol=1e-6)
    some = model.item_keys[::3]
    np.testing.assert_allclose(scored(model, asked, some), scores[:, ::3], atol=1e-5)


def test_what_was_seen_counts_in_the_score_by_the_logarithm_of_its_share() -> None:
    """Items 101 and 102 alone: at a repeat of 1, each is clicked once, w = 1 / sqrt(2) everywhere,
    so both have a share of one half after either."""
    config = replace(CONFIG, memory_repeat=1.0, memory_weight=2.0, memory_floor=0.25)
    made = SessionRecommender.create(config, 1)
    made.meet(sessions([101, 102]))
    asked, keys = queries_of(np.array([[101]])), np.array([101, 102])
    both = scored(made, asked, keys)
    made.uses_memory = False
    np.testing.assert_allclose(
        both - scored(made, asked, keys), 2 * np.log1p(0.5 / 0.25), rtol=1e-5
    )


def test_what_is_exported_answers_with_what_co_occurs(tmp_path, model) -> None:  # type: ignore[no-untyped-def]
    model.export(tmp_path / "served")
    asked = queries_of(np.array([[101, 102, 0, 0, 0], [115, 0, 0, 0, 0], [999, 0, 0, 0, 0]]))
    keys, scores = Served(tmp_path / "served").top_k(asked, 5, np.array([[103], [0], [0]]))
    expected, best = model.top_k(asked, 5, exclude=[np.array([103]), *[np.array([], np.int64)] * 2])
    np.testing.assert_allclose(scores, best, atol=1e-3)
    np.testing.assert_array_equal(keys[:2], expected[:2])
    model.uses_memory = False
    alone = model.top_k(asked, 5)[1]
    model.uses_memory = True
    assert np.abs(alone[:2] - best[:2]).max() > 0.1


def test_an_item_that_has_expired_asks_nothing_as_in_what_is_served() -> None:
    """900 co-occurs as well, and was never admitted."""
    made = grown()
    made.count(sessions([900, 105]))
    made.note_seen(np.array([], np.int64), np.array([103]), day=1)
    assert made.expire(2) == (0, 1)
    asked = queries_of(np.array([[103, 101, 0], [101, 103, 900], [103, 900, 0]]))
    scores = scored(made, asked, made.item_keys)
    made.uses_memory = False
    bonus = scores - scored(made, asked, made.item_keys)
    served = ServedCooccurrence(made._state, made._cooccurrence())
    rows = made._state.items.rows(asked.latest(CONFIG.history_length))
    expected = served.bonus(tf.constant(rows, tf.int64)).numpy()[:, 1:]
    np.testing.assert_allclose(bonus, expected, atol=1e-5)
    assert expected.any(axis=1).tolist() == [True, True, False]


def test_herding_and_distillation_rehearse_what_was_learned() -> None:
    made = grown()
    recipe = replace(RECIPE, replay="herding", distillation=0.8, memory_size=20)
    made.fit(WORLD, recipe)
    assert made.remember(WORLD, recipe, day=1.0) == 20
    made.meet(sessions([101, 701], [701, 102]))
    assert made.fit(sessions([101, 701], [701, 102]), recipe).rehearsed > 0

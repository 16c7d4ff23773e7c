"""Impressions with labels: what is learned of clicks and of their worth, and by which weights; the
export (`models.click_through.click_serving`)."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from models.click_through.click_config import FAMILY, ClickShape
from models.click_through.click_learner import ClickLearner
from models.data.events import Events
from models.ids.starts import NewIds
from models.learning.recipes import Training
from models.metrics.classification import auc
from models.ranker.list_batches import _scaled_values, fix_value_scale
from models.ranker.ranker_config import LARGEST, VALUE_SCALE
from models.tables.backend import tf
from tests.models.shop_weeks import WIDTHS, week

pytestmark = pytest.mark.slow


def shown(number: int) -> Events:
    """A week in which every third item is clicked; odd users pay 10 for it, others 12."""
    events = week(number)
    labels = (events.item_keys % 3 == 0).astype(np.float32)
    values = np.where(events.user_keys[events.query] % 2 == 1, 10.0, 12.0)
    return replace(events, labels=labels, values=values.astype(np.float32))


def free(number: int) -> Events:
    """The same, and nobody says what a click was worth."""
    return replace(shown(number), values=None)


def trained(epochs: int = 20) -> ClickLearner:
    model = ClickLearner.new(ClickShape(hidden=(8,)), WIDTHS, 3)
    model.make_room(shown(1), NewIds())
    model.learn(shown(1), Training(replace(FAMILY.increment, epochs=epochs, learning_rate=0.01)))
    return model


def test_what_is_clicked_is_likelier_and_its_worth_is_expected() -> None:
    model, asked = trained(), shown(2)
    assert asked.labels is not None
    chances = model.expected(asked)
    assert ((chances > 0) & (chances < 1)).all()
    assert auc(asked.labels, chances) > 0.9
    assert asked.values is not None
    clicked = asked.labels == 1
    worth = model.expected_values(asked)[clicked]
    assert np.abs(worth - asked.values[clicked]).mean() < 0.5


def test_scope_head_trains_the_two_heads_alone() -> None:
    model = trained(1)
    before = model.parameters()
    recipe = replace(FAMILY.increment, scope="head", epochs=1)
    model.learn(shown(1), Training(recipe))
    changed = {n for n, table in model.parameters().items() if (table != before[n]).any()}
    assert changed == {"choice_kernel", "choice_bias", "value_kernel", "value_bias"}


def test_an_export_says_what_a_click_is_worth(tmp_path: Path) -> None:
    model, asked = trained(), shown(2)
    model.export(tmp_path / "served", asked.queries())
    scores = tf.saved_model.load(str(tmp_path / "served")).signatures["scores"]
    users, items = np.searchsorted(model.user_keys, [1, 2]) + 1, np.array([[1, 2, 0], [3, 1, 0]])
    found = scores(
        user_row=tf.constant(users, tf.int64),
        history_rows=tf.zeros([2, 0], tf.int64),
        statistics=tf.zeros([2, WIDTHS.statistics]),
        candidate_rows=tf.constant(items, tf.int64),
    )
    assert np.isneginf(found["scores"].numpy()[:, 2]).all()
    values = found["values"].numpy()
    assert values.shape == (2, 3)
    assert np.isfinite(values).all()
    assert len(np.unique(values[:, :2])) == 4


def test_without_values_none_is_expected() -> None:
    for shape, told in ((ClickShape(value_head=False), shown(1)), (ClickShape(), free(1))):
        model = ClickLearner.new(shape, WIDTHS, 3)
        model.make_room(told, NewIds())
        assert np.isnan(model.expected_values(told)).all()
        assert len(model.expected_values(told)) == len(told.item_keys)


def test_a_shape_that_makes_no_sense_is_refused() -> None:
    assert ClickShape(hidden=[16]).hidden == (16,)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="`hidden` should be positive widths"):
        ClickShape(hidden=(0,))


@pytest.mark.parametrize("first", [[10.0] * 9, [9.99] * 8 + [10.0]])
def test_worths_that_hardly_vary_are_no_measure_of_those_to_come(first: list[float]) -> None:
    model = ClickLearner.new(ClickShape(), WIDTHS, 3)
    fix_value_scale(model._state, np.array(first, np.float32))
    assert model._state.extra[VALUE_SCALE][1] == pytest.approx(1.0, abs=0.01)
    learnt = _scaled_values(model._state, np.array([10.0, 1e6, np.nan], np.float32))
    assert np.abs(learnt[:2]).max() == LARGEST
    assert np.isnan(learnt[2])


def test_shards_learn_worth_on_the_scale_of_all_events() -> None:
    """A champion that was told no worth yet, and a window that tells it."""
    model = trained(1)
    del model._state.extra[VALUE_SCALE]
    model.make_room(shown(2), NewIds())
    told = shown(2).values[shown(2).labels == 1]
    np.testing.assert_allclose(
        model._state.extra[VALUE_SCALE], [told.mean(), told.mean() / 10], 1e-5
    )


def test_negatives_count_as_touched() -> None:
    model, clicks = trained(1), replace(week(2), labels=None, values=None)
    count, times = model.touched(clicks)["network"]
    assert count > 4 * len(clicks.item_keys)
    assert times["item"].sum() == count


def test_drawn_negatives_are_of_the_kind_of_their_click() -> None:
    from models.click_through.negatives import labelled

    some = week(0)
    kinds = (np.arange(len(some.item_keys)) % 2).astype(np.int32)
    told = replace(some, kinds=kinds, kind_names=("cart", "view"))
    drawn = labelled(told, np.unique(some.item_keys), 0)
    assert drawn.kinds is not None
    assert len(drawn.kinds) == len(drawn.item_keys) > len(kinds)
    assert drawn.kinds[drawn.labels == 1].tolist() == kinds.tolist()
    assert drawn.where(drawn.labels == 0).of_kinds(("view",)).any()

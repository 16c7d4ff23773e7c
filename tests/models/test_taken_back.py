"""Every family learns weeks in which some of the choices were taken back: they weigh nothing."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

import numpy as np
import pytest

from models.data.events import Events
from models.ids.starts import NewIds
from models.learning.recipes import Recipe, Training
from models.recommenders.offered import FAMILIES, declared
from tests.models.shop_weeks import WIDTHS, end_of, week

pytestmark = pytest.mark.slow
REPLAY = {"epochs": 1, "replay": "uniform", "replay_share": 0.2, "memory_size": 50}
TAKEN: dict[str, Callable[[Events], np.ndarray]] = {
    "some choices": lambda events: np.arange(len(events.item_keys)) % 7 == 0,
    "an item": lambda events: events.item_keys == events.item_keys[0],
    "a query": lambda events: events.query == 0,
}


@pytest.mark.parametrize("taken", TAKEN)
@pytest.mark.parametrize("name", FAMILIES)
def test_what_was_taken_back_is_not_learnt_and_the_rest_is(name: str, taken: str) -> None:
    family = declared(name)
    scale = {"lowest": 1.0, "highest": 5.0, "centre": 3.0} if family.needs("values") else {}
    model = family.load().new(family.shaped(scale), WIDTHS, 3)

    def given(number: int) -> Events:
        events = week(number)
        weights = np.where(TAKEN[taken](events), 0, events.weights).astype(np.float32)
        labels = (events.item_keys % 3 == 0).astype(np.float32)
        return replace(events, weights=weights, labels=labels if family.needs("labels") else None)

    def recipe(of: Recipe) -> Recipe:
        return replace(of, **REPLAY)

    ranker = family.ranker and replace(family.ranker, epochs=1)
    rebuilt = Training(recipe(family.rebuild), ranker, recipe(family.increment))
    model.make_room(given(0), NewIds())
    model.learn_from_nothing(given(0), end_of(0), timedelta(days=3), rebuilt)
    model.remember_events(given(0), recipe(family.increment))
    model.make_room(given(1), NewIds())
    report = model.learn(given(1), Training(recipe(family.increment), ranker))
    model.remember_events(given(1), recipe(family.increment))
    assert np.isfinite(report.last_loss)
    assert model.remembers

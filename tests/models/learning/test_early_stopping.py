"""The best epoch on the held-out score is kept, weights and slots."""

import dataclasses

import numpy as np
import pytest

from models.errors import NonFiniteWeights
from models.learning.recipes import Recipe
from models.learning.training import fit
from tests.models.tiny import TinyBatches, tiny_state

FEED = TinyBatches([(1, 2, 1, 1.0), (3, 5, 4, 0.0), (1, 5, 1, 0.5), (3, 2, 4, 1.0)])
RECIPE = Recipe(epochs=6, learning_rate=0.05, batch_size=2, optimizer="adam")


def trained(scores: list[float], patience: int, epochs: int = 6):
    """A model trained under a held-out score that says these values, its report, and the arrays
    that it had after each epoch."""
    state, seen = tiny_state(), []

    def validate() -> float:
        seen.append({**state.parameters(), **state.slots()})
        return scores[len(seen) - 1]

    recipe = dataclasses.replace(RECIPE, patience=patience, epochs=epochs)
    return state, fit(state, FEED, recipe, validate=validate), seen


def same(state, arrays: dict[str, np.ndarray]) -> bool:
    now = {**state.parameters(), **state.slots()}
    return now.keys() == arrays.keys() and all((now[n] == arrays[n]).all() for n in now)


def test_stops_after_patience_epochs_and_keeps_the_best() -> None:
    state, report, seen = trained([0.1, 0.3, 0.2, 0.25, 0.9, 0.9], patience=2)
    assert report.validation == (0.1, 0.3, 0.2, 0.25)
    assert report.steps == 4 * 2
    assert report.examples == 4 * 4
    assert same(state, seen[1])
    assert not same(state, seen[3])


def test_a_worse_last_epoch_is_thrown_away() -> None:
    state, report, seen = trained([0.1, 0.2, 0.15], patience=3, epochs=3)
    assert report.validation == (0.1, 0.2, 0.15)
    assert same(state, seen[1])


def test_a_better_last_epoch_is_kept() -> None:
    state, report, seen = trained([0.1, 0.05, 0.2], patience=2, epochs=3)
    assert len(report.validation) == 3
    assert same(state, seen[2])


def test_a_new_best_gives_patience_anew() -> None:
    _, report, _ = trained([0.1, 0.05, 0.2, 0.15, 0.1, 0.9], patience=2)
    assert report.validation == (0.1, 0.05, 0.2, 0.15, 0.1)


def test_a_tie_is_no_progress() -> None:
    state, report, seen = trained([0.3, 0.3, 0.3, 0.9, 0.9, 0.9], patience=2)
    assert report.validation == (0.3, 0.3, 0.3)
    assert same(state, seen[0])


def test_scores_may_be_negative() -> None:
    state, _, seen = trained([-3.0, -2.0, -4.0], patience=1, epochs=3)
    assert same(state, seen[1])


def test_without_patience_all_epochs_are_trained() -> None:
    _, report, seen = trained([0.3, 0.2], patience=0)
    assert report.steps == 6 * 2
    assert report.validation == ()
    assert seen == []


def test_the_next_update_goes_on_from_the_best_epoch() -> None:
    """As if training had ended there: the same weights and slots, but for the steps counted."""
    stopped, _, _ = trained([0.5, 0.1, 0.1], patience=2, epochs=3)
    ended = tiny_state()
    fit(ended, FEED, dataclasses.replace(RECIPE, epochs=1))
    assert same(ended, {**stopped.parameters(), **stopped.slots()})
    assert (stopped.steps, ended.steps) == (6, 2)
    ended.steps = 6
    for state in (stopped, ended):
        fit(state, FEED, dataclasses.replace(RECIPE, epochs=1))
    assert same(ended, {**stopped.parameters(), **stopped.slots()})


def test_patience_without_a_score_is_refused() -> None:
    state = tiny_state()
    before = state.parameters()
    with pytest.raises(ValueError, match=r"`patience` = 2 needs a held-out score.*`validate`"):
        fit(state, FEED, dataclasses.replace(RECIPE, patience=2))
    assert all((array == before[name]).all() for name, array in state.parameters().items())


@pytest.mark.parametrize("score", [float("nan"), float("inf")])
def test_a_score_that_is_not_finite_is_named(score) -> None:
    with pytest.raises(NonFiniteWeights, match=r"held-out score became (nan|inf) after epoch 2"):
        trained([0.5, score], patience=2)

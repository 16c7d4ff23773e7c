"""The ranker by NumPy is the ranker by TensorFlow: every form of it, trained or not."""

import numpy as np
import pytest

from models.ranker.ranker_answers import BLOCK_PAIRS, RankerAnswers, arrays_of
from models.ranker.ranker_config import RankerConfig
from models.ranker.ranking_recommender import pair_logits
from tests.models.ranker.test_ranker import make_state

FORMS = [
    {},
    {"hidden": ()},
    {"cross_layers": 0, "hidden": (4,)},
    {"second_head": "none"},
    {"second_head": "value", "loss": "pointwise"},
    {"dimension": 2, "second_head": "none", "loss": "pointwise"},
]


@pytest.mark.parametrize("form", FORMS)
def test_its_scores_are_those_of_the_network(form: dict[str, object]) -> None:
    state = make_state(**form)
    rng = np.random.default_rng(1)
    features = rng.normal(size=(BLOCK_PAIRS + 7, 3)).astype(np.float32)
    rows = np.zeros((2, len(features)), np.int64)
    if state.config.dimension:
        rows = rng.integers(0, 1 + min(len(state.users), len(state.items)), rows.shape)
    expected, _ = pair_logits(state, features, *rows)
    answers = RankerAnswers(state.config, arrays_of(state))
    found = answers.score(features, *rows)
    assert found.dtype == np.float32
    assert found == pytest.approx(expected, rel=1e-5, abs=1e-5)
    # The same bits for a pair, whoever stands beside it.
    assert np.array_equal(answers.score(features[5:9], *rows[:, 5:9]), found[5:9])


def test_one_that_has_learned_nothing_says_so() -> None:
    assert not RankerAnswers(RankerConfig(feature_width=3), arrays_of(make_state())).ranks

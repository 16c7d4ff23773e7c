"""The towers by NumPy are the towers by TensorFlow: with and without history, statistics and bias."""

import numpy as np
import pytest

from models.data.queries import Items, Queries
from models.recommenders.export import exported_vectors
from models.recommenders.retriever import translate
from models.tables.backend import tf
from models.two_tower.tower_answers import TowerAnswers, arrays_of
from models.two_tower.tower_config import ModelConfig
from models.two_tower.tower_recommender import TwoTowerRecommender

FORMS = [
    {},
    {"history_length": 0},
    {"statistics_width": 0},
    {"item_bias": False},
    {"shared_history_table": True},
]


@pytest.mark.parametrize("form", FORMS)
def test_their_logits_are_those_of_the_network(form: dict[str, object]) -> None:
    shape = {"dimension": 5, "history_length": 3, "statistics_width": 2, "words_per_item": 0}
    config = ModelConfig(**{**shape, **form})
    model = TwoTowerRecommender.create(config, 4)
    items = Items(np.arange(11, 61), np.zeros((50, 0), np.int32))
    model.add_ids(np.arange(1, 9), items)
    state, rng = model._state, np.random.default_rng(2)
    for table in state.network.tables.values():
        table.assign(rng.normal(size=table.numpy().shape).astype(np.float32))
    queries = Queries(
        np.array([3, 0, 99, 8]),
        rng.integers(9, 61, (4, 3)),  # 9 and 10 are unknown
        rng.normal(size=(4, config.statistics_width)).astype(np.float32),
    )
    answers = TowerAnswers(config, arrays_of(state, exported_vectors(state)))
    vectors = answers.query_vectors(queries, state.users, state.items)
    asked = (tf.constant(array) for array in translate(state, queries))
    assert vectors == pytest.approx(state.network.query_vectors(*asked).numpy(), abs=1e-5)
    expected = vectors @ exported_vectors(state)[1:].T / config.temperature
    found = answers.logits(vectors)
    assert found == pytest.approx(expected, rel=1e-4, abs=1e-4)

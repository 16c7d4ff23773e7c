import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.data.queries import Interactions, Items
from models.errors import BadTrainingData
from models.ids.admission import admit, admitted, forget, trainable, waiting
from models.ids.starts import NewIds
from models.tables.state import ModelState
from models.two_tower.tower_recommender import TwoTowerRecommender
from tests.models.tiny import tiny_state

TWICE = NewIds(minimum_events=2)
WINDOWS = st.lists(st.lists(st.tuples(st.integers(1, 9), st.integers(0, 3))), max_size=4)


def array(values) -> np.ndarray:
    return np.array(values, np.int64)


def items(*keys: int) -> Items:
    return Items(array(keys), np.ones((len(keys), 1), np.int32))


@pytest.fixture
def state() -> ModelState:
    """Knows users 10, 20, 30, 40 and items 100, 200, 300, 400, 500."""
    return tiny_state()


def test_counts_over_windows_by_hand(state) -> None:
    def come(keys, counts, day):
        return admit(state, "items", array(keys), array(counts), 3, day).tolist()

    assert come([100, 7, 8, 7], [1, 1, 2, 1], day=50) == [True, False, False, False]
    assert [a.tolist() for a in waiting(state, "items")] == [[7, 8], [2, 2], [50, 50]]
    assert come([9, 8], [5, 0], day=51) == [True, False]
    assert come([7], [1], day=52) == [True]
    assert [a.tolist() for a in waiting(state, "items")] == [[8], [2], [51]]
    assert [len(a) for a in waiting(state, "users")] == [0, 0, 0]


def test_everyone_is_admitted_at_once_by_default(state) -> None:
    assert admit(state, "users", array([7, 10]), array([0, 1]), 1).all()
    assert state.extra == {}


def test_who_waited_is_admitted_when_it_comes_under_an_easier_rule(state) -> None:
    admit(state, "users", array([7, 8]), array([1, 1]), 5)
    assert admit(state, "users", array([8]), array([1]), 1).tolist() == [True]
    assert waiting(state, "users")[0].tolist() == [7]


@settings(max_examples=40)
@given(windows=WINDOWS, least=st.integers(1, 5))
def test_behaves_like_a_dict_of_counts(windows, least) -> None:
    state = tiny_state()
    oracle: dict[int, int] = {}
    known: set[int] = set()
    for window in windows:
        keys = [key for key, _ in window]
        for key, count in window:
            oracle[key] = oracle.get(key, 0) + count
        known |= {key for key in keys if least == 1 or oracle[key] >= least}
        got = admit(state, "items", array(keys), array([n for _, n in window]), least)
        assert got.tolist() == [key in known for key in keys]
        state.items.extend(array(keys)[got])
        left, counts, _ = waiting(state, "items")
        assert dict(zip(left.tolist(), counts.tolist(), strict=True)) == {
            key: count for key, count in oracle.items() if key not in known
        }


def test_ids_that_wait_too_long_are_forgotten(state) -> None:
    for day, key in ((0, 6), (50, 7), (51, 8)):
        admit(state, "items", array([key]), array([1]), 3, day)
    assert forget(state, "items", before_day=51) == 1
    assert waiting(state, "items")[0].tolist() == [6, 8]


def test_an_id_gets_its_row_with_its_second_event(model: TwoTowerRecommender) -> None:
    new_users = array([2001, 2002, 2002])
    assert model.add_ids(new_users, items(901, 902), TWICE, (array([1] * 3), array([1, 2]))) == (
        1,
        1,
    )
    assert model.user_keys[20:].tolist() == [2002]
    assert model.item_keys[30:].tolist() == [902]
    assert {len(model.parameters()[n]) for n in ("item", "history", "item_bias")} == {32}
    assert model.add_ids(array([2001]), items(901, 903), TWICE) == (1, 1)
    assert model.item_keys[30:].tolist() == [902, 901]
    assert waiting(model._state, "items")[0].tolist() == [903]


def test_events_of_waiting_items_are_left_out(
    model: TwoTowerRecommender, world, recipe, tmp_path
) -> None:
    model.add_ids(array([]), items(901), TWICE)
    interactions = Interactions(
        np.array([0, 1, 0], np.int32), array([501, 901, 502]), np.array([1, 2, 3], np.float32)
    )
    assert trainable(model._state, array([501, 901, 902])).tolist() == [True, False, True]
    kept = admitted(model._state, interactions)
    assert (kept.query.tolist(), kept.item_keys.tolist()) == ([0, 0], [501, 502])
    assert kept.weights.tolist() == [1, 3]
    report = model.fit(world.queries, interactions, recipe)
    assert report.examples == 3 * 2
    # An item that no one announced is still a mistake.
    unknown = Interactions(np.zeros(1, np.int32), array([950]), np.ones(1, np.float32))
    with pytest.raises(BadTrainingData, match="950"):
        model.fit(world.queries, unknown, recipe)


def test_counts_are_saved_with_the_model(model: TwoTowerRecommender, tmp_path) -> None:
    model.add_ids(array([2001]), items(901), TWICE, day=20_000)
    model.save(tmp_path / "model")
    again = TwoTowerRecommender.restore(tmp_path / "model")
    assert again.add_ids(array([2001]), items(901), TWICE) == (1, 1)
    assert [len(a) for a in waiting(again._state, "items")] == [0, 0, 0]


@pytest.mark.parametrize(
    "counts", [([1, 1], [1]), ([1], [1, 1]), ([-1], [1]), ([1], [-1])], ids=str
)
def test_counts_that_do_not_fit_are_refused(model: TwoTowerRecommender, counts) -> None:
    with pytest.raises(BadTrainingData, match="one number, 0 or more"):
        model.add_ids(array([2001]), items(901), TWICE, (array(counts[0]), array(counts[1])))
    assert waiting(model._state, "items")[0].tolist() == []

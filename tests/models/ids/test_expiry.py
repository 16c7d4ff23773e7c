import dataclasses

import numpy as np
import pytest

from models.data.queries import Items
from models.ids.admission import expire, note_seen, seen_days, waiting
from models.ids.starts import NewIds
from models.tables.state import ModelState
from models.two_tower.tower_recommender import TwoTowerRecommender

NO_KEYS = np.zeros(0, np.int64)


def array(values) -> np.ndarray:
    return np.array(values, np.int64)


def by_key(state: ModelState) -> dict[tuple[str, int], bytes]:
    """Every row of every keyed array, by its key; row 0 has key 0."""
    network = state.network
    arrays = {name: (network.keyed[name], array) for name, array in state.parameters().items()
              if name in network.keyed}  # fmt: skip
    for name, slot in state.slots().items():
        if name.rsplit("/", 1)[0] in network.keyed:
            arrays[f"slot {name}"] = network.keyed[name.rsplit("/", 1)[0]], slot
    arrays["words"] = "items", network.content["item_words"].numpy()
    for entity in ("users", "items"):
        arrays[f"seen {entity}"] = entity, seen_days(state, entity)
    keys = {entity: [0, *state.vocabulary(entity).keys.tolist()] for entity in ("users", "items")}
    return {
        (name, key): row.tobytes()
        for name, (entity, rows) in arrays.items()
        for key, row in zip(keys[entity], rows, strict=True)
    }


@pytest.fixture
def state(model: TwoTowerRecommender) -> ModelState:
    """The small shop: users 1001… and items 501…, of which the first five were seen on days 10 to
    14, and the others on day 20."""
    model.note_seen(model.user_keys, model.item_keys, day=20)
    state = model._state
    for entity in ("users", "items"):
        days = state.extra[f"seen_day/{entity}"].copy()
        days[1:6] = 10 + np.arange(5)
        state.extra[f"seen_day/{entity}"] = days
    return state


def test_what_stays_is_bit_identical_under_its_key(state) -> None:
    before = by_key(state)
    assert expire(state, before_day=13) == (3, 3)
    gone = {*range(1001, 1004), *range(501, 504)}
    assert by_key(state) == {at: row for at, row in before.items() if at[1] not in gone}
    assert state.users.keys.tolist() == list(range(1004, 1021))
    assert state.items.rows(array([503, 504])).tolist() == [0, 1]


def test_an_id_seen_on_the_day_itself_stays(state) -> None:
    assert expire(state, before_day=10) == (0, 0)
    assert expire(state, before_day=11) == (1, 1)


def test_nothing_to_remove_changes_nothing(state) -> None:
    before, origin = by_key(state), state.origin
    assert expire(state, before_day=5) == (0, 0)
    assert by_key(state) == before
    assert state.origin == origin != ""


def test_dense_tables_are_left_alone(state) -> None:
    before = state.parameters()
    expire(state, before_day=13)
    for name in ("word", "statistics"):
        assert (state.parameters()[name] == before[name]).all()


def test_an_id_of_which_no_day_is_known_stays(state) -> None:
    TwoTowerRecommender(state).add_ids(
        array([2001]), Items(array([901]), np.ones((1, 1), np.int32))
    )
    assert seen_days(state, "users")[-1] == 0
    assert expire(state, before_day=21) == (20, 30)
    assert state.users.keys.tolist() == [2001]
    assert state.items.keys.tolist() == [901]


def test_an_expired_id_that_comes_back_is_new(state) -> None:
    model = TwoTowerRecommender(state)
    before = model.parameters()["user"][1]
    expire(state, before_day=13)
    assert model.add_ids(array([1001]), Items(NO_KEYS, np.zeros((0, 1), np.int32))) == (1, 0)
    assert model.user_keys[-1] == 1001
    after = model.parameters()["user"]
    assert after[-1] == pytest.approx(after[1:-1].mean(axis=0), abs=1e-6)
    assert (after[-1] != before).any()
    assert (state.slots()["user/accumulator"][-1] == np.float32(0.1)).all()
    assert seen_days(state, "users")[-1] == 0


def test_the_latest_day_counts(model: TwoTowerRecommender) -> None:
    state = model._state
    note_seen(state, array([1002, 1002, 0, 99]), array([501]), 30)
    note_seen(state, array([1002, 1003]), NO_KEYS, 29)
    assert seen_days(state, "users").tolist()[:5] == [0, 0, 30, 29, 0]
    assert seen_days(state, "items").tolist()[:3] == [0, 30, 0]


def test_a_day_is_positive(model: TwoTowerRecommender) -> None:
    with pytest.raises(ValueError, match=r"since 1970-01-01. Received: 0"):
        model.note_seen(NO_KEYS, NO_KEYS, day=0)


def test_what_waits_for_admission_expires_too(state) -> None:
    three = NewIds(minimum_events=3)
    model = TwoTowerRecommender(state)
    for key, day in ((901, 12), (902, 13)):
        model.add_ids(array([key]), Items(array([key]), np.ones((1, 1), np.int32)), three, day=day)
    model.expire(before_day=13)
    assert waiting(state, "users")[0].tolist() == [902]
    assert waiting(state, "items")[0].tolist() == [902]


def test_fisher_information_moves_with_its_rows(state) -> None:
    information = np.arange(31 * 8, dtype=np.float32).reshape(31, 8)
    state.extra |= {"fisher/item": information, "fisher/word": np.ones((32, 8), np.float32)}
    TwoTowerRecommender(state).add_ids(NO_KEYS, Items(array([901]), np.ones((1, 1), np.int32)))
    expire(state, before_day=13)
    expected = np.concatenate([information[:1], information[4:], np.zeros((1, 8), np.float32)])
    assert (state.extra["fisher/item"] == expected).all()
    assert state.extra["fisher/word"].shape == (32, 8)


def test_training_goes_on_after_an_expiry(state, world, recipe, tmp_path) -> None:
    """The compiled loop and a restored model alike; events of expired ids have to be grown."""
    model = TwoTowerRecommender(state)
    few = dataclasses.replace(recipe, epochs=1)
    model.fit(world.queries, world.interactions, few)
    model.expire(before_day=13)
    model.add_ids(world.user_keys, world.items)
    model.save(tmp_path / "model")
    again = TwoTowerRecommender.restore(tmp_path / "model")
    for each in (model, again):
        each.fit(world.queries, world.interactions, few)
    assert by_key(again._state) == by_key(state)
    assert len(model.item_keys) == 30

"""The default recommender: both stages together, on a small made-up shop."""

import dataclasses
import json

import numpy as np
import pytest

from models.data.queries import Interactions, Items, Queries
from models.ids.starts import NewIds
from models.retrieve_and_rank.retrieve_and_rank import RetrieveAndRank
from models.retrieve_and_rank.two_stage_config import RetrieveAndRankConfig
from models.two_tower.tower_recommender import TwoTowerRecommender
from tests.models.conftest import World
from tests.models.scoring import scored
from tests.models.tiny_two_stage import (
    CONFIG,
    RANKER,
    TOWERS,
    loyal,
    new_model,
    queries_of,
    trained,
)


@pytest.fixture
def queries(world: World) -> Queries:
    return queries_of(world)


def test_the_same_data_give_the_same_weights(cascade, world) -> None:
    other = trained(world)
    for name, table in other.parameters().items():
        assert (table == cascade.parameters()[name]).all(), name
    assert any(name.startswith("ranker/") for name in other.parameters())


def test_top_k_is_the_best_of_the_scores_when_all_items_are_candidates(cascade, queries) -> None:
    everything = RetrieveAndRank(
        dataclasses.replace(cascade.config, retrieved=30), cascade.towers, cascade.ranker_state
    )
    keys, scores = everything.top_k(queries, 5)
    every = scored(cascade, queries, cascade.item_keys)
    order = np.argsort(-every, axis=1, kind="stable")[:, :5]
    assert (keys == cascade.item_keys[order]).all()
    assert scores == pytest.approx(np.take_along_axis(every, order, axis=1), rel=1e-5)


def test_top_k_shows_only_candidates_found_by_a_stage(cascade, queries) -> None:
    keys, scores = cascade.top_k(queries, 30)
    # 30 asked for: retrieval finds as many as are asked for, so that all are shown.
    assert (np.sort(keys, axis=1) == cascade.item_keys).all()
    assert np.isfinite(scores).all()
    few, _ = cascade.top_k(queries, 8)
    assert all(len(set(row)) == 8 for row in few.tolist())


def test_excluded_pairs_and_other_candidates_are_never_shown(cascade, queries) -> None:
    own = queries.own
    pool = np.array([501, 502, 503, 516, 517, 99_999])
    keys, scores = cascade.top_k(queries, 6, pool, (own.offsets, own.item_keys))
    for row, score, low, high in zip(keys, scores, own.offsets, own.offsets[1:], strict=False):
        left = np.setdiff1d([501, 502, 503, 516, 517], own.item_keys[low:high])
        assert sorted(row[row > 0].tolist()) == left.tolist()
        assert np.isneginf(score[len(left) :]).all()
        assert np.isfinite(score[: len(left)]).all()
    nothing, _ = cascade.top_k(queries, 3, np.array([99_999]))
    assert not nothing.any()


def test_it_learns_who_buys_again(cascade, world, queries) -> None:
    fresh = RetrieveAndRank(cascade.config, cascade.towers, cascade.ranker_state)
    keys, _ = fresh.top_k(queries, 3)
    owned = [
        np.isin(row, queries.own.item_keys[low:high]).mean()
        for row, low, high in zip(keys, queries.own.offsets, queries.own.offsets[1:], strict=False)
    ]
    # Half of the users choose what they own, a seventh of their taste's items.
    assert np.mean(owned) > 0.4


def test_until_the_ranker_has_learned_the_order_is_that_of_retrieval(world, queries) -> None:
    model = new_model(world)
    model.fit(queries, world.interactions, TOWERS)
    assert not model.ranks
    # The towers had learned nothing: what they said of the window was no retrieval.
    towers = TwoTowerRecommender(model.towers)
    assert (model.top_k(queries, 6)[0] == towers.top_k(queries, 6)[0]).all()
    model.fit(queries, loyal(world), TOWERS, ranker=RANKER)
    assert model.ranks


def test_the_ranker_sees_towers_that_have_not_learned_from_the_window(
    world, queries, monkeypatch
) -> None:
    """Test, then train: what the ranker learns from does not depend on the towers' recipe."""
    seen = []
    from models.retrieve_and_rank import retrieve_and_rank as module

    class Spy(module.ListBatches):
        def __init__(self, state, lists, labels, recipe) -> None:
            seen.append((lists.features.copy(), labels.copy()))
            super().__init__(state, lists, labels, recipe)

    monkeypatch.setattr(module, "ListBatches", Spy)
    for epochs in (1, 30):
        model = new_model(world)
        model.fit(queries, world.interactions, TOWERS)
        model.fit(queries, loyal(world), dataclasses.replace(TOWERS, epochs=epochs))
    (first, labels), (second, again) = seen
    assert (first == second).all()
    assert (labels == again).all()


def test_without_own_items_the_ranker_stays_as_it_is(cascade, world) -> None:
    before = cascade.parameters()
    cascade.fit(world.queries, loyal(world), TOWERS)
    for name, table in cascade.parameters().items():
        if name.startswith("ranker/"):
            assert (table == before[name]).all(), name
    assert not (cascade.parameters()["item"] == before["item"]).all()


def test_its_head_can_be_trained_alone(cascade, world, queries) -> None:
    before = cascade.parameters()
    cascade.fit(queries, loyal(world), TOWERS, ranker=dataclasses.replace(RANKER, scope="head"))
    moved = {
        name for name, table in cascade.parameters().items()
        if name.startswith("ranker/") and not (table == before[name]).all()
    }  # fmt: skip
    assert moved == {f"ranker/{head}" for head in cascade.ranker_state.network.heads}


def test_unknown_users_and_new_items_are_served(cascade, world) -> None:
    stranger = Queries(np.array([77_777]), np.zeros((1, 5), np.int64), np.zeros((1, 2), np.float32))
    keys, scores = cascade.top_k(stranger, 5)
    assert (keys > 0).all()
    assert np.isfinite(scores).all()
    words = world.items.words[:1]
    assert cascade.add_ids(np.array([77_777]), Items(np.array([900]), words)) == (1, 1)
    keys, _ = cascade.top_k(stranger, 31)
    assert 900 in keys
    assert np.isfinite(scored(cascade, stranger, np.array([900]))).all()


def test_growing_changes_no_score_of_what_was_known(cascade, queries) -> None:
    known = cascade.item_keys
    before = cascade.parameters()
    cascade.add_ids(np.array([5000]), Items(np.array([900]), np.zeros((1, 3), np.int32)))
    for name, table in before.items():
        assert (cascade.parameters()[name][: len(table)] == table).all(), name
    assert scored(cascade, queries, known).shape == (20, 30)


def test_arguments_that_make_no_sense_are_refused(cascade, queries) -> None:
    with pytest.raises(ValueError, match="`k` should be a positive integer"):
        cascade.top_k(queries, 0)
    with pytest.raises(ValueError, match="`candidates` should be unique"):
        cascade.top_k(queries, 1, np.array([501, 501]))
    for change in ({"retrieved": 0}, {"popular": -1}, {"hidden": (0,)}):
        with pytest.raises(ValueError, match="should be"):
            dataclasses.replace(CONFIG, **change)
    assert RetrieveAndRankConfig.of(json.loads(json.dumps(CONFIG.to_json()))) == CONFIG


def test_ids_that_wait_are_not_learned_and_old_ones_expire(cascade, world, queries) -> None:
    new = Items(np.array([900]), np.zeros((1, 3), np.int32))
    waiting = NewIds(minimum_events=3)
    assert cascade.add_ids(np.zeros(0, np.int64), new, waiting, day=20_000) == (0, 0)
    chosen = Interactions(np.array([0, 0], np.int32), np.array([900, 501]), np.ones(2, np.float32))
    report = cascade.fit(queries, chosen, TOWERS)
    assert report.examples == TOWERS.epochs  # one basket, of one item
    cascade.note_seen(world.user_keys, world.items.item_keys[:20], 20_000)
    cascade.note_seen(world.user_keys[:0], world.items.item_keys[20:], 19_000)
    assert cascade.expire(20_000) == (0, 10)
    assert cascade.top_k(queries, 30)[0].max() <= 520


def test_repeats_weigh_less_for_the_towers_and_as_much_for_the_ranker(
    world, queries, monkeypatch
) -> None:
    from models.retrieve_and_rank import retrieve_and_rank as module

    towers, ranker = [], []
    plain, lists = module.tower_batches, module.ListBatches

    def tower_spy(state, queries, interactions, recipe):
        towers.append(interactions.weights)
        return plain(state, queries, interactions, recipe)

    def ranker_spy(state, lists_given, labels, recipe):
        ranker.append(labels)
        return lists(state, lists_given, labels, recipe)

    monkeypatch.setattr(module, "tower_batches", tower_spy)
    monkeypatch.setattr(module, "ListBatches", ranker_spy)
    model = new_model(world, dataclasses.replace(CONFIG, repeat_weight=0.25))
    model.fit(queries, world.interactions, TOWERS)
    model.fit(queries, loyal(world), TOWERS, ranker=RANKER)
    # Users 0 to 9 chose what they own, the others what they don't.
    repeated = loyal(world).query < 10
    assert (towers[1] == np.where(repeated, 0.25, 1.0)).all()
    assert set(ranker[0]) == {0.0, 1.0}

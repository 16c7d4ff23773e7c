"""Votes, candidates and features, worked by hand; and the same in a graph."""

from __future__ import annotations

import numpy as np
import pytest

from models.cooccurrence import pair_scores
from models.cooccurrence.pair_config import PAIR_MEMORY_FEATURES
from models.cooccurrence.pair_memory import AGAIN, CHOSEN, OWNED, PairMemory
from models.cooccurrence.pair_scores import (
    LEAST_VOTES,
    Together,
    gaps,
    least_votes,
    log_rebuy,
)
from models.cooccurrence.served_pairs import ServedPairs
from models.cooccurrence.window_pairs import learnt
from models.data.queries import OwnItems
from models.tables.backend import tf
from models.tables.vocabulary import Vocabulary
from tests.models.cooccurrence.test_window_pairs import HALF_AGE, ITEMS, chose, owned, queries


@pytest.fixture
def memory() -> PairMemory:
    """10 is followed by 20 twice and by 30 once; 20 by 30 once."""
    asked = queries([{10: 0.0}, {10: 0.0}, {20: 0.0}])
    return learnt(PairMemory.empty(4), ITEMS, asked, chose((0, 20), (1, 20), (1, 30), (2, 30)))


def found_of(memory: PairMemory, own: OwnItems, count: int = 1) -> Together:
    return Together.of(memory, own, ITEMS.rows(own.item_keys), count)


def test_votes_are_shares_by_age_and_lifted_ones_are_over_popularity(memory: PairMemory) -> None:
    found = found_of(memory, owned([{}, {10: 0.0, 20: HALF_AGE, 99: 0.0}]))
    by_item = {int(i): n for n, i in enumerate(found.item)}
    assert found.row.tolist() == [1, 1]
    # Baskets of two add .25: n of 10 is 2, of 20 it is 1 + .25, of 30 it is .25.
    of_20, of_30 = 2 / (2 + 5), 1 / (2 + 5) + 0.5 * (1 + 0.25) / (1.25 + 5)
    assert found.votes[by_item[2]] == pytest.approx(of_20)
    assert found.votes[by_item[3]] == pytest.approx(of_30)
    assert found.lifted[by_item[2]] == pytest.approx(of_20 / np.sqrt(3))
    assert found.lifted[by_item[3]] == pytest.approx(of_30 / np.sqrt(3))


def test_candidates_are_the_best_of_those_allowed(memory: PairMemory) -> None:
    found = found_of(memory, owned([{10: 0.0}, {20: 0.0}]))
    best = found.best(np.ones(len(found.row), bool))
    assert list(zip(found.row[best], found.item[best], strict=True)) == [(0, 2), (1, 3)]
    left = found.best(found.item != 2)
    assert list(zip(found.row[left], found.item[left], strict=True)) == [(0, 3), (1, 3)]
    assert not found_of(memory, owned([{10: 0.0}]), 0).best(np.ones(2, bool)).any()


def test_a_gap_is_told_by_intervals_and_weighed_by_how_many_there_are() -> None:
    values = np.array(
        # purchases, days, first age, last age, decayed
        [[3, 3, 30, 10, 1, 1], [5, 1, 9, 9, 1, 1]], np.float32,
    )  # fmt: skip
    own = OwnItems(np.array([0, 2]), np.array([10, 20]), values, np.ones((1, 2), np.float32))
    # Two intervals of 10 days, 10 days ago; and one day, which has no interval.
    assert gaps(own).tolist() == [0.0, 0.0]
    values[0, 2:4] = 40, 20
    expected = 2 / (2 + 2) * (np.log(21) - np.log(11))
    assert gaps(own) == pytest.approx(np.array([expected, 0.0]))


def test_rebuying_is_pulled_to_the_mean() -> None:
    asked = queries([{10: 0.0, 20: 0.0}, {10: 0.0}])
    memory = learnt(PairMemory.empty(4), ITEMS, asked, chose((0, 10), (1, 10)))
    mean = 2 / 3
    expected = np.log([(2 + 20 * mean) / 22, 20 * mean / 21, mean, mean])
    assert log_rebuy(memory, np.array([1, 2, 3, 77])) == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize(("novelty", "known"), [(0.0, 1.0), (0.25, 0.75), (1.0, 0.0)])
def test_where_hardly_a_pair_came_again_gaps_and_rebuying_say_little(
    novelty: float, known: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(PairMemory, "usual_novelty", novelty)
    asked = queries([{10: 0.0, 20: 0.0}, {10: 0.0}])
    memory = learnt(PairMemory.empty(4), ITEMS, asked, chose((0, 10), (1, 10), (1, 30)))
    values = np.array([[3, 3, 40, 20, 1, 1]], np.float32)
    own = OwnItems(np.array([0, 1]), np.array([10]), values, np.ones((1, 2), np.float32))
    place = np.zeros(1, np.int64)
    features = found_of(memory, own).features(own, place, np.array([1]), place)
    gap = known * 2 / (2 + 2) * (np.log(21) - np.log(11))
    assert features[0, 2] == pytest.approx(gap, abs=1e-6)
    pulled = 20 / max(known, 1e-3)
    mean, owners, again = memory.usual_rebuy, memory.counts[1, OWNED], memory.counts[1, AGAIN]
    expected = np.log((again + pulled * mean) / (owners + pulled))
    assert features[0, 3] == pytest.approx(expected, rel=1e-5)
    served = ServedPairs(memory, 5, 1)
    given = tf.constant(own.owners(), tf.int32), tf.constant(np.array([1])), values, own.totals
    position = np.full((1, 5), -1, np.int32)
    position[0, 1] = 0
    told = served.features(
        served.found(given), tf.constant([[0, 1]]), tf.constant(position), values
    )
    np.testing.assert_allclose(told.numpy(), features, rtol=1e-5, atol=1e-6)


def test_features_of_pairs_that_nothing_is_known_of(memory: PairMemory) -> None:
    own = owned([{10: 5.0}])
    found = found_of(memory, own)
    row, item = np.zeros(3, np.int64), np.array([2, 4, 3])
    features = found.features(own, row, item, np.array([-1, -1, -1]))
    assert features[0, 0] == pytest.approx(np.log(np.exp(-5 / 60) * 2 / 7))
    assert features.shape == (3, len(PAIR_MEMORY_FEATURES))
    unseen = np.log(memory.usual_share)
    assert features[1, :2] == pytest.approx(np.array([unseen, unseen]))  # chosen by nobody yet
    assert not features[:, 2].any()


def test_a_memory_that_is_kept_open_says_the_same(memory: PairMemory) -> None:
    own = owned([{10: 5.0, 20: 1.0}, {}, {20: 3.0, 99: 0.0, 10: 0.0}])
    row, item = np.repeat(np.arange(3), 4), np.tile([1, 2, 3, len(memory) + 7], 3)
    position = np.full(12, -1)
    before = found_of(memory, own, 2)
    said = before.features(own, row, item, position)
    after = found_of(memory.opened(), own, 2)
    assert memory.kept_open
    for name in ("row", "item", "votes", "lifted"):
        one, other = getattr(before, name), getattr(after, name)
        order = np.lexsort((before.item, before.row)), np.lexsort((after.item, after.row))
        assert one[order[0]].tolist() == other[order[1]].tolist()
    assert after.features(own, row, item, position).tolist() == said.tolist()


@pytest.mark.parametrize("count", [0, 3, 50])
def test_the_graph_says_the_same(count: int) -> None:
    rng = np.random.default_rng(5)
    items, users = Vocabulary(np.arange(1, 41)), 12
    memory = PairMemory.empty(6)
    for week in range(4):
        lists = []
        for _ in range(users):
            keys, ages = rng.choice(36, 9, False) + 1, rng.integers(0, 50, 9)
            lists.append(dict(zip(keys.tolist(), ages.tolist(), strict=True)))
        pairs = zip(np.repeat(np.arange(users), 5), rng.integers(1, 37, 60), strict=True)
        asked = queries(lists, [700.0 + 7 * week] * users)
        memory = learnt(memory, items, asked, chose(*((int(q), int(k)) for q, k in pairs)))
    own = owned([*lists[:5], {}, *lists[5:]])
    rows = np.where(np.arange(len(own.item_keys)) % 7 == 3, 0, items.rows(own.item_keys))
    ours = Together.of(memory, own, rows, count)
    allowed = rng.random((users + 1, 41)) < 0.7
    allowed[:, 0] = False
    served = ServedPairs(memory, 41, count)
    given = (tf.constant(own.owners(), tf.int32), tf.constant(rows), own.values, own.totals)
    entries, votes, lifted = served.found(given)
    order = np.lexsort((entries[:, 1], entries[:, 0]))
    mine = np.lexsort((ours.item, ours.row))
    assert entries.numpy()[order].tolist() == np.stack([ours.row, ours.item], 1)[mine].tolist()
    np.testing.assert_array_equal(votes.numpy()[order], ours.votes[mine])
    np.testing.assert_array_equal(lifted.numpy()[order], ours.lifted[mine])
    wanted = np.zeros((users + 1, 41), bool)
    best = ours.best(allowed[ours.row, ours.item])
    wanted[ours.row[best], ours.item[best]] = True
    chosen = served.candidates((entries, votes, lifted), tf.constant(allowed)).numpy()
    assert (chosen == wanted).all()
    assert wanted.any() == bool(count)
    position = np.full((users + 1, 41), -1, np.int32)
    position[own.owners()[rows > 0], rows[rows > 0]] = np.flatnonzero(rows > 0)
    pairs = np.argwhere(np.ones_like(allowed))
    features = served.features(
        (entries, votes, lifted), tf.constant(pairs, tf.int32), tf.constant(position), own.values
    )
    expected = ours.features(own, pairs[:, 0], pairs[:, 1], position[pairs[:, 0], pairs[:, 1]])
    np.testing.assert_allclose(features.numpy(), expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("dense", [0, 10**6])
def test_one_alone_is_told_the_same_bits_as_among_others(
    dense: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both ways of summing one query's votes, against a sparse product of all."""
    monkeypatch.setattr(pair_scores, "DENSE", dense)
    rng = np.random.default_rng(3)
    items, memory = Vocabulary(np.arange(1, 41)), PairMemory.empty(6)
    lists = []
    for _ in range(30):
        keys, ages = rng.choice(38, 12, False) + 1, rng.integers(0, 90, 12)
        lists.append(dict(zip(keys.tolist(), ages.tolist(), strict=True)))
    pairs = zip(np.repeat(np.arange(30), 5), rng.integers(1, 37, 150), strict=True)
    asked = queries(lists, [700.0] * 30)
    memory = learnt(memory, items, asked, chose(*((int(q), int(k)) for q, k in pairs)))
    own = owned([*lists, {}])
    all_at_once = Together.of(memory, own, items.rows(own.item_keys), 5)
    assert len(all_at_once.item) > 100
    for query in range(len(own)):
        one = own.take(slice(query, query + 1))
        alone = Together.of(memory, one, items.rows(one.item_keys), 5)
        mine = np.flatnonzero(all_at_once.row == query)
        mine = mine[np.argsort(all_at_once.item[mine])]
        assert alone.row.tolist() == [0] * len(mine)
        assert alone.item.tolist() == all_at_once.item[mine].tolist()
        np.testing.assert_array_equal(alone.votes, all_at_once.votes[mine])
        np.testing.assert_array_equal(alone.lifted, all_at_once.lifted[mine])


def test_an_item_that_nobody_has_chosen_yet_is_an_item_like_any_other(memory: PairMemory) -> None:
    """Not one that goes with nothing."""
    some = memory.shares(np.arange(len(memory)))[memory.weights > 0]
    assert memory.usual_share == pytest.approx(float(some.mean()))
    least = least_votes(memory, np.arange(len(memory) + 2))
    chosen = memory.counts[:, CHOSEN] > 0
    assert (least[:-2][chosen] == np.float32(LEAST_VOTES)).all()
    assert least[-2:] == pytest.approx(memory.usual_share)
    assert least_votes(PairMemory.empty(4), np.arange(3)) == pytest.approx(LEAST_VOTES)

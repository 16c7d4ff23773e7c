"""Candidates and their features, worked by hand."""

import numpy as np
import pytest

from models.data.queries import Interactions, ItemStatistics, OwnItems, Queries
from models.ranker.pair_features import statistics_of_pool
from models.ranker.ranker_config import PAIR_FEATURES, USER_FEATURES, CandidateLists, feature_width
from models.retrieve_and_rank.candidates import Pool, candidate_lists, most_popular
from models.retrieve_and_rank.retrieval_scores import Hidden, ScoreTable
from models.tables.vocabulary import Vocabulary

POOL = np.array([40, 10, 30, 20])
LN = np.log


def own_items() -> OwnItems:
    """User 0 chose items 10 and 99 (which is no longer in the pool); user 1 nothing."""
    values = [
        # purchases, days, first age, last age, decayed 28 and 112 days
        [3, 2, 30, 5, 1.5, 2.5],
        [1, 1, 4, 4, 0.5, 0.9],
    ]
    return OwnItems(
        np.array([0, 2, 2]),
        np.array([10, 99]),
        np.array(values, np.float32),
        np.array([[4, 3], [0, 0]], np.float32),
    )


def two_queries(**change) -> Queries:
    statistics = np.array([[7.0], [8.0]], np.float32)
    arrays = {
        "user_keys": np.array([1, 2]),
        "history": np.zeros((2, 3), np.int64),
        "statistics": statistics,
        "own": own_items(),
        "items": ItemStatistics(
            np.array([10, 20, 40]),
            np.array([[[1, 5], [2, 6], [3, 0]], [[9, 0], [9, 0], [0, 4]]], np.float32),
        ),
        "moments": np.array([0, 1], np.int32),
    }
    return Queries(**{**arrays, **change})


def lists_of(queries: Queries, scores, shown=None, retrieved=1, popular=0) -> CandidateLists:
    scores = np.array(scores, np.float32)
    shown = np.ones(scores.shape, bool) if shown is None else shown
    statistics, moments = statistics_of_pool(queries, POOL, 2)
    pool = Pool.of(Vocabulary(POOL), statistics, popular, 1)
    return candidate_lists(
        queries, pool, moments, ScoreTable(scores), Hidden(*np.nonzero(~shown)), retrieved
    )


def keys_of(lists: CandidateLists) -> list[list[int]]:
    return [part.tolist() for part in np.split(lists.item_keys, lists.offsets[1:-1])]


def test_candidates_are_own_retrieved_and_popular_items_in_the_order_of_the_pool() -> None:
    scores = [[0, 0, 5, 0], [0, 0, 0, 5]]
    lists = lists_of(two_queries(), scores, popular=1)
    # User 0: own 10, retrieved 30, most popular at moment 0 is 20 (6). User 1, at moment 1: 40 (4).
    assert keys_of(lists) == [[10, 30, 20], [40, 20]]
    assert lists.offsets.tolist() == [0, 3, 5]
    assert lists.owners().tolist() == [0, 0, 0, 1, 1]


def test_an_item_without_a_single_event_is_not_popular() -> None:
    popularity = np.array([[0.0, 3.0, 0.0, 1.0]], np.float32)
    assert most_popular(popularity, 3).tolist() == [[False, True, False, True]]


def test_what_is_not_shown_is_no_candidate_and_leaves_its_place_to_the_next_best() -> None:
    shown = np.array([[True, False, False, True], [True, True, True, True]])
    lists = lists_of(two_queries(), [[1, 2, 5, 0], [0, 0, 0, 5]], shown)
    assert keys_of(lists) == [[40], [20]]


def test_features_of_a_known_pair() -> None:
    lists = lists_of(two_queries(), [[0, 0, 0, 0], [0, 0, 0, 0]], retrieved=4)
    row = lists.features[1]  # user 0, item 10
    assert lists.item_keys[1] == 10
    pair = [
        LN(1 / 4),  # a softmax over four equal logits
        1.0,
        LN(4),  # 3 purchases
        LN(3),  # on 2 days
        LN(31),  # the first 30 days ago
        LN(6),  # the last 5 days ago
        LN(2.5),
        LN(3.5),
        2 / 3,  # on 2 of the user's 3 days
        0.0,  # item 99 was chosen later, 4 days ago
    ]
    user = [LN(5), LN(4), LN(5)]  # 4 purchases, 3 days, the latest 4 days ago
    assert row == pytest.approx(np.array([*pair, *user, 7.0, 1.0, 5.0]), rel=1e-5)
    assert lists.features.shape[1] == feature_width(1, 2)


def test_features_of_a_pair_that_is_not_known() -> None:
    lists = lists_of(two_queries(), [[0, 0, 0, 0], [0, 0, 0, 0]], retrieved=4)
    row = lists.features[2]  # user 0, item 30, of which there are no statistics
    pair = [LN(1 / 4)] + [0.0] * (len(PAIR_FEATURES) - 1)
    assert row == pytest.approx(np.array([*pair, LN(5), LN(4), LN(5), 7.0, 0.0, 0.0]), rel=1e-5)


def test_the_latest_item_is_marked() -> None:
    own = own_items()
    own = OwnItems(own.offsets, np.array([10, 20]), own.values, own.totals)
    lists = lists_of(two_queries(own=own), np.zeros((2, 4)), retrieved=4)
    latest = PAIR_FEATURES.index("own_latest")
    by_key = dict(zip(lists.item_keys[:4].tolist(), lists.features[:4, latest], strict=True))
    assert by_key == {40: 0.0, 10: 0.0, 30: 0.0, 20: 1.0}


def test_a_user_of_whom_nothing_is_known_has_zeros() -> None:
    queries = two_queries(own=None, items=None, moments=None)
    lists = lists_of(queries, np.zeros((2, 4)), retrieved=4)
    assert (lists.features[:, 1 : len(PAIR_FEATURES) + len(USER_FEATURES)] == 0).all()
    assert (lists.features[:, -2:] == 0).all()


def test_a_query_sees_the_statistics_of_its_own_moment_only() -> None:
    first = lists_of(two_queries(), np.zeros((2, 4)), retrieved=4)
    values = two_queries().items.values.copy()
    values[1] = 77.0  # what is known at the second moment, of which query 0 must see nothing
    changed = two_queries(items=ItemStatistics(np.array([10, 20, 40]), values))
    second = lists_of(changed, np.zeros((2, 4)), retrieved=4)
    assert (first.features[:4] == second.features[:4]).all()
    assert not (first.features[4:] == second.features[4:]).all()


def test_the_retrieval_score_is_a_log_probability_and_not_below_its_floor() -> None:
    lists = lists_of(two_queries(), [[0, LN(3), -90, 0], [0, 0, 0, 0]], retrieved=4)
    assert lists.features[:4, 0] == pytest.approx(
        np.array([LN(0.2), LN(0.6), -20.0, LN(0.2)]), rel=1e-5
    )


def test_a_ranker_may_take_no_statistics_of_items() -> None:
    queries = two_queries(items=None, moments=None)
    statistics, moments = statistics_of_pool(queries, POOL, 0)
    pool = Pool.of(Vocabulary(POOL), statistics, 1, -1)
    nowhere = Hidden(np.zeros(0, np.int64), np.zeros(0, np.int64))
    scores = ScoreTable(np.zeros((2, 4), np.float32))
    lists = candidate_lists(queries, pool, moments, scores, nowhere, 4)
    assert lists.features.shape == (8, feature_width(1, 0))


def test_statistics_of_another_width_are_refused() -> None:
    items = ItemStatistics(np.array([10]), np.zeros((1, 1, 3), np.float32))
    with pytest.raises(ValueError, match=r"takes 2 statistics of items\. Received: 3"):
        lists_of(two_queries(items=items, moments=None), np.zeros((2, 4)))


def test_taking_queries_takes_their_own_items_and_moments() -> None:
    taken = two_queries().take(np.array([1, 0, 0]))
    assert taken.own is not None
    assert taken.moments is not None
    assert taken.own.offsets.tolist() == [0, 0, 2, 4]
    assert taken.own.item_keys.tolist() == [10, 99, 10, 99]
    assert taken.own.totals[:, 0].tolist() == [0, 4, 4]
    assert taken.moments.tolist() == [1, 0, 0]
    assert len(two_queries().take(slice(1, 2)).own or ()) == 1


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"offsets": np.array([0, 1, 1])}, "rise from 0 to 2"),
        ({"offsets": np.array([0, 3, 2])}, "rise from 0 to 2"),
        ({"item_keys": np.array([10, 0])}, "`item_keys` should be positive"),
        ({"values": np.full((2, 6), -1, np.float32)}, "`values` should be finite and not neg"),
        ({"values": np.zeros((2, 5), np.float32)}, "should have the columns purchases, days"),
        ({"totals": np.zeros((1, 2), np.float32)}, "`totals` should have one row per row"),
    ],
)
def test_own_items_that_do_not_fit_are_refused(change, message) -> None:
    own = own_items()
    arrays = {name: getattr(own, name) for name in ("offsets", "item_keys", "values", "totals")}
    with pytest.raises(ValueError, match=message):
        OwnItems(**{**arrays, **change})


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"own": OwnItems.none(3)}, "`own` should have one row per row"),
        ({"moments": np.array([0, 2], np.int32)}, r"`moments` should be in \[0, 2\)"),
        ({"items": None}, r"`moments` should be in \[0, 0\)"),
    ],
)
def test_queries_that_do_not_fit_are_refused(change, message) -> None:
    with pytest.raises(ValueError, match=message):
        two_queries(**change)


def test_item_statistics_must_be_sorted() -> None:
    with pytest.raises(ValueError, match="ascending and unique"):
        ItemStatistics(np.array([2, 1]), np.zeros((1, 2, 1), np.float32))


def test_labels_sum_the_weights_of_what_was_chosen_and_was_a_candidate() -> None:
    from models.ranker.list_batches import labels_of

    lists = CandidateLists(
        np.array([0, 2, 3]), np.array([10, 30, 10]), np.zeros((3, 1), np.float32)
    )
    chosen = Interactions(
        np.array([0, 0, 1, 1, 0], np.int32),
        np.array([30, 30, 10, 30, 99]),
        np.array([1.0, 0.5, 2.0, 9.0, 9.0], np.float32),
    )
    assert labels_of(lists, chosen).tolist() == [0.0, 1.5, 2.0]


def test_it_says_which_pairs_are_known() -> None:
    own = own_items()
    query, keys = np.array([0, 0, 1, 0], np.int32), np.array([10, 20, 10, 99])
    assert own.holds(query, keys).tolist() == [True, False, False, True]
    assert not OwnItems.none(2).holds(query, keys).any()
    # Keys so large that a pair's code would overflow.
    large = OwnItems(own.offsets, np.array([2**62, 99]), own.values, own.totals)
    assert large.holds(query, np.array([2**62, 20, 2**62, 99])).tolist() == [
        True, False, False, True,
    ]  # fmt: skip


@pytest.mark.parametrize("large", [0, 2**61])
def test_known_pairs_are_those_that_are_there(large: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("models.data.queries.AT_ONCE", 7)
    chance = np.random.default_rng(large % 97)
    lists = [chance.choice(30, chance.integers(0, 12), replace=False) + 1 for _ in range(40)]
    keys = np.concatenate(lists).astype(np.int64) + large
    own = OwnItems(
        np.cumsum([0, *map(len, lists)]),
        keys,
        np.ones((len(keys), 6), np.float32),
        np.ones((40, 2), np.float32),
    )
    query, asked = chance.integers(0, 40, 500).astype(np.int32), chance.integers(1, 35, 500) + large
    wanted = [key - large in lists[one] for one, key in zip(query, asked, strict=True)]
    assert own.holds(query, asked).tolist() == wanted


def test_joined_lists_follow_one_another_and_leave_no_part_behind() -> None:
    from models.retrieve_and_rank.two_stages import joined

    def lists(offsets: list[int], keys: list[int]) -> CandidateLists:
        features = np.array(keys, np.float32)[:, None] / 10
        return CandidateLists(np.array(offsets), np.array(keys), features)

    parts = [lists([0, 2, 3], [40, 10, 30]), lists([0], []), lists([0, 0, 1], [20])]
    whole = joined(parts)
    assert keys_of(whole) == [[40, 10], [30], [], [20]]
    assert whole.features[:, 0].tolist() == pytest.approx([4, 1, 3, 2])
    assert parts == []
    alone = lists([0, 1], [10])
    assert joined([alone]) is alone

"""Scores and the cut, on cases worked by hand."""

from __future__ import annotations

from datetime import UTC, datetime, time

import numpy as np
import pytest

from models.data.queries import OWN_COLUMNS, OwnItems, Queries
from recloop.calendar import WindowCalendar
from recloop.evaluation.ranking_judge import by_own_counts, by_popularity, score_ranking
from recloop.features.heldout import HeldOut, cut_holdout


def csr(*rows: list[int]):
    sizes = np.array([0, *map(len, rows)])
    return np.cumsum(sizes), np.array([key for row in rows for key in row], np.int64)


def held(relevant, known, popular, new_items=(), own=None, events=None) -> HeldOut:
    users = len(relevant[0]) - 1
    return HeldOut(
        queries=Queries(
            np.arange(1, users + 1),
            np.zeros((users, 1), np.int64),
            np.zeros((users, 1), np.float32),
            own,
        ),
        relevant=relevant,
        known=known,
        catalogue=np.sort(np.array(popular, np.int64)),
        new_users=np.zeros(users, bool),
        new_items=np.array(new_items, np.int64),
        popular=np.array(popular, np.int64),
        popular_events=np.array(events or range(len(popular), 0, -1), np.int64),
    )


def test_popularity_by_hand() -> None:
    # User 1 knew item 7; of its three relevant items, 7 is no new pair. User 2 buys what nobody has.
    heldout = held(csr([7, 8, 9], [99]), csr([7], []), popular=[7, 8, 5], new_items=[8])
    found = score_ranking(by_popularity, heldout)
    assert found.values["all_pairs_recall@20"] == pytest.approx([2 / 3, 0.0])
    assert found.values["recall@20"] == pytest.approx([1 / 2, 0.0])
    # All pairs: hits at places 1 and 2 of an ideal of three.
    gains = 1 / np.log2([2, 3, 4])
    assert found.values["all_pairs_ndcg@20"][0] == pytest.approx(gains[:2].sum() / gains.sum())
    # New pairs: 7 is masked, so 8 is first; ideal of two.
    assert found.values["ndcg@20"][0] == pytest.approx(gains[0] / gains[:2].sum())
    assert found.values["new_items_recall@20"][0] == 1.0
    assert np.isnan(found.values["new_items_recall@20"][1])
    assert found.shown == 3


def test_own_counts_by_hand() -> None:
    # User 1 bought 5 and 6 (decayed 1.5 and .1); of recent events, 7 has 10, 8 has 9 and 6 has 1.
    values = np.zeros((2, 6), np.float32)
    values[:, OWN_COLUMNS.index("decayed_112d")] = [1.5, 0.1]
    own = OwnItems(
        np.array([0, 2, 2]), np.array([5, 6]), values, np.array([[2, 2], [0, 0]], np.float32)
    )
    heldout = held(csr([5], [8]), csr([5, 6], []), [7, 8, 6, 5], own=own, events=[10, 9, 1, 0])
    # 5: 1.5; 7: .2; 8: .2 * 9 / 10 = .18; 6: .1 + .2 / 10 = .12.
    assert by_own_counts(heldout, 3, None).tolist() == [[5, 7, 8], [7, 8, 6]]
    assert by_own_counts(heldout, 4, None)[0].tolist() == [5, 7, 8, 6]
    assert by_own_counts(heldout, 3, heldout.known).tolist() == [[7, 8, 0], [7, 8, 6]]


def test_metrics_are_means_over_users_with_something_relevant() -> None:
    heldout = held(csr([7], [7]), csr([7], []), popular=[7])
    found = score_ranking(by_popularity, heldout)
    assert found.metrics(("recall@20",)).users == 1  # the first user has no new pair
    assert found.metrics(("all_pairs_recall@20",)).users == 2


def days(*counts: int):
    start = np.datetime64("2011-06-06T09:00", "us")
    return np.concatenate(
        [
            start + np.timedelta64(d, "D") + np.arange(n) * np.timedelta64(1, "m")
            for d, n in enumerate(counts)
        ]
    )


def test_the_cut_is_the_latest_day_that_leaves_enough_after_it() -> None:
    # 10 events a day for 5 days: the last day alone holds a fifth.
    assert cut_holdout(days(10, 10, 10, 10, 10), 0.2) == datetime(2011, 6, 10, tzinfo=UTC)
    # A last day of 5 of 45 holds too few: the day before joins it.
    assert cut_holdout(days(10, 10, 10, 10, 5), 0.2) == datetime(2011, 6, 9, tzinfo=UTC)


def test_a_slice_begins_with_a_day_of_the_shop() -> None:
    """Midnight in Tokyo is three in the afternoon, UTC."""
    tokyo = WindowCalendar("week", zone="Asia/Tokyo")
    cut = cut_holdout(days(10, 10, 10, 10, 10), 0.3, tokyo)
    assert cut.astimezone(tokyo.zone).time() == time(0)
    assert cut <= datetime(2011, 6, 10, tzinfo=UTC)


def test_a_single_day_is_cut_within() -> None:
    times = days(10)
    cut = cut_holdout(times, 0.2)
    after = (times >= np.datetime64(cut.replace(tzinfo=None))).sum()
    assert 2 <= after <= 3

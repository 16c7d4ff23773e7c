"""What a release is asked with: users as of now, sessions, and both together."""

from __future__ import annotations

import numpy as np
import pytest

from models.data.queries import OWN_COLUMNS, OwnItems, Queries
from models.recommenders.family import family_named
from recloop.config.learnable import Meaning
from recloop.errors import ReleaseMissing
from recloop.features.current_queries import with_session
from recloop.release.answering import after_session, already_chosen, champion_or, queries_for
from recloop.settings import Settings

MEANING = Meaning(("click",))


def user() -> Queries:
    """One who chose item 7 twice, last today, and item 8 three days ago."""
    values = np.array([[2, 1, 0, 0, 2, 2], [1, 1, 3, 3, 0.9, 0.97]], np.float32)
    own = OwnItems(np.array([0, 2]), np.array([7, 8]), values, np.array([[3, 2]], np.float32))
    return Queries(np.array([5]), np.array([[7, 8, 0]]), np.ones((1, 2), np.float32), own)


def test_a_session_stands_at_the_head_of_the_history_and_among_the_own_items() -> None:
    after = with_session(user(), [9, 8, 9])
    assert after.history.tolist() == [[9, 8, 7]]
    assert after.own is not None
    values = dict(zip(after.own.item_keys.tolist(), after.own.values.tolist(), strict=True))
    assert OWN_COLUMNS == (
        "purchases", "days", "first_age", "last_age", "decayed_28d", "decayed_112d",
    )  # fmt: skip
    assert values[9] == [2, 1, 0, 0, 2, 2]
    assert values[8] == pytest.approx([2, 2, 3, 0, 1.9, 1.97])
    assert values[7] == [2, 1, 0, 0, 2, 2]
    assert after.own.totals.tolist() == [[6, 2]]  # it was a day of hers already
    assert with_session(user(), []) is not None


def test_a_stranger_with_a_session_has_just_that() -> None:
    nobody = Queries(np.array([0]), np.zeros((1, 3), np.int64), np.zeros((1, 2), np.float32))
    after = with_session(nobody, [4])
    assert after.history.tolist() == [[4, 0, 0]]
    assert after.own is not None
    assert after.own.totals.tolist() == [[1, 1]]


def test_a_session_is_of_the_kind_that_counts_least() -> None:
    """Of the kinds cart, click, purchase, of which the user put item 7 into the cart once and bought it
    once, and clicked item 8."""
    one = user()
    assert one.own is not None
    values = np.append(one.own.values, np.array([[1, 0, 1], [0, 1, 0]], np.float32), axis=1)
    totals = np.array([[3, 2, 1, 1, 1]], np.float32)
    own = OwnItems(one.own.offsets, one.own.item_keys, values, totals)
    weights = {"cart": 0.3, "click": 0.1, "purchase": 1.0}
    shop = Meaning(tuple(weights), weights=weights)
    asked = Queries(one.user_keys, one.history, one.statistics, own)
    after = after_session(family_named("retrieve_and_rank"), asked, [9, 8, 9], shop)
    assert after.own is not None
    kinds = dict(zip(after.own.item_keys.tolist(), after.own.values[:, 6:].tolist(), strict=True))
    assert kinds == {7: [1, 0, 1], 8: [0, 2, 0], 9: [0, 2, 0]}
    assert after.own.totals.tolist() == [[6, 2, 1, 4, 1]]


def test_each_family_is_asked_with_what_it_needs(settings: Settings, cursor) -> None:
    shops, sessions = family_named("retrieve_and_rank"), family_named("sessions")
    asked = queries_for(cursor, shops, [1, 2], MEANING)  # nothing was computed yet
    assert len(asked) == 2
    assert not asked.history.any()
    assert asked.own is not None
    one = asked.take(slice(0, 1))
    assert after_session(sessions, one, [3, 4], Meaning()).history.tolist() == [[4, 3]]
    assert after_session(shops, one, [3, 4], Meaning()).history[0, :2].tolist() == [4, 3]
    assert after_session(shops, one, [], Meaning()) is one
    ratings = family_named("ratings")  # it looks at users alone
    assert after_session(ratings, one, [3], Meaning()) is one
    assert already_chosen(cursor, shops, 0, MEANING).tolist() == []
    assert already_chosen(cursor, sessions, 1, MEANING).tolist() == []


def test_without_a_champion_one_is_told(settings: Settings, cursor) -> None:
    with pytest.raises(ReleaseMissing, match="no champion yet"):
        champion_or(cursor, None)
    with pytest.raises(ReleaseMissing):
        champion_or(cursor, 7)

"""The weekly prequential protocol: windows, slices, masks, means; expected values worked by hand."""

from __future__ import annotations

from math import log2

import numpy as np
import pytest

from benchmarks.events import Catalogue, EventLog, Events, in_order
from benchmarks.retail_protocol import Protocol, check_ranking, run
from benchmarks.retail_systems import Request, Window, best
from recloop.errors import BadInput

SECOND = 1 / log2(3)
"""Gain of the second place; of the third 1 / log2(4) = .5."""


def log_of(*lines: tuple[str, int, int]) -> EventLog:
    """(day of January 2020 and hour, user, item), in any order; item i has the text `item i`."""
    count = len(lines)
    items = np.array([line[2] for line in lines], np.int64)
    texts = ["", *(f"item {n}" for n in range(1, 10))]
    words = np.zeros((10, 2), np.int32)
    words[1:, 0] = np.arange(1, 10)
    events = Events(
        np.array([line[1] for line in lines], np.int64),
        items,
        np.array([f"2020-01-{line[0]}" for line in lines], "datetime64[us]"),
        np.ones(count, np.float32),
        np.arange(count, dtype=np.float32),
    )
    return in_order(EventLog(events, items.astype(np.int32), texts, words))


THREE_DAYS = (
    ("01T08", 1, 1), ("01T09", 1, 2), ("01T10", 2, 1),
    # Window 1: user 1 buys what they had and an item that comes new; 2 an item new to them; 3 is new.
    ("02T08", 1, 1), ("02T08", 1, 3), ("02T09", 2, 2), ("02T10", 3, 1), ("02T11", 3, 3),
    # Window 2: user 1 buys twice what they had; 3 an item new to them; 2 what they had.
    ("03T08", 1, 2), ("03T08", 1, 3), ("03T08", 1, 3), ("03T09", 3, 2), ("03T10", 2, 1),
)  # fmt: skip


class Ascending:
    """Ranks candidates by key, and writes down what it is told."""

    def __init__(self) -> None:
        self.requests: list[Request] = []
        self.told: list[tuple[str, int]] = []

    def warm_up(self, history, catalogue, now, length) -> None:  # type: ignore[no-untyped-def]
        assert (history.times < now).all()
        assert length == np.timedelta64(1, "D")
        self.told.append(("warm_up", len(history)))
        self.known = len(catalogue)

    def rank(self, request: Request) -> np.ndarray:
        self.requests.append(request)
        self.told.append((request.purpose, request.index))
        scores = np.tile(-request.catalogue.item_keys.astype(float), (len(request.users), 1))
        return best(scores, request)

    def learn(self, window: Window) -> None:
        assert ((window.events.times >= window.start) & (window.events.times < window.end)).all()
        self.told.append(("learn", len(window.events)))


def days(**settings: object) -> Protocol:
    return Protocol(log_of(*THREE_DAYS), "day", **{"warm_up": 1, **settings})  # type: ignore[arg-type]


def test_metrics_of_each_slice_are_means_over_users_then_windows() -> None:
    rows = run(Ascending(), days()).rows
    # (a), window 1: user 1 finds item 1 first; user 2 finds item 2 second. Item 3 is no candidate.
    first = np.array([[1, 1, 1], [1, SECOND, 1]])
    # (a), window 2: user 1 has items 2 and 3 at places 2 and 3; user 2 item 1; user 3 item 2.
    both = (SECOND + 0.5) / (1 + SECOND)
    second = np.array([[1, both, 1], [1, 1, 1], [1, SECOND, 1]])
    np.testing.assert_allclose(rows["a"].values, np.concatenate([first, second]))
    assert rows["a"].windows.tolist() == [1, 1, 2, 2, 2]
    assert rows["a"].users.tolist() == [1, 2, 1, 2, 3]
    expected = ((1 + SECOND) / 2 + (both + 1 + SECOND) / 3) / 2
    np.testing.assert_allclose(rows["a"].means(), [1, expected, 1])


def test_pairs_known_before_are_masked_and_not_relevant() -> None:
    system = Ascending()
    rows = run(system, days()).rows["b"]
    # Users 1 and 2 (window 2) have nothing new: they are left out, not counted as 0.
    assert list(zip(rows.windows.tolist(), rows.users.tolist(), strict=True)) == [(1, 2), (2, 3)]
    # With the known ones masked, the only other item stands first.
    np.testing.assert_allclose(rows.values, np.ones((2, 3)))
    masked = [r.exclude for r in system.requests if r.purpose == "b"]
    assert masked[0] is not None
    assert masked[1] is not None
    assert [part.tolist() for part in masked[0]] == [[0, 2, 3], [1, 2, 1]]
    assert [part.tolist() for part in masked[1]] == [[0, 3, 5, 7], [1, 2, 3, 1, 2, 1, 3]]


def test_new_users_and_new_items_are_slices_of_their_own() -> None:
    system = Ascending()
    rows = run(system, days()).rows
    # User 3 is new in window 1 and buys items 1 (known: first) and 3 (not a candidate).
    assert rows["new_users"].users.tolist() == [3]
    np.testing.assert_allclose(rows["new_users"].values, [[1, 1, 1]])
    # Item 3 is new in window 1: a candidate with its text, masked are items 1 and 2 of user 1.
    assert rows["new_items"].users.tolist() == [1]
    np.testing.assert_allclose(rows["new_items"].values, [[1, 1, 1]])
    request = next(r for r in system.requests if r.purpose == "new_items")
    assert request.catalogue.item_keys.tolist() == [1, 2, 3]
    assert request.catalogue.texts == ["item 1", "item 2", "item 3"]
    assert request.users.tolist() == [1, 2]


def test_each_window_is_ranked_before_it_is_learnt() -> None:
    system = Ascending()
    run(system, days())
    assert system.told == [
        ("warm_up", 3),
        ("a", 1), ("b", 1), ("new_users", 1), ("new_items", 1), ("learn", 5),
        ("a", 2), ("b", 2), ("learn", 5),
    ]  # fmt: skip


def test_what_is_asked_does_not_depend_on_what_comes_later() -> None:
    now, later = Ascending(), Ascending()
    run(now, days(windows=1))
    changed = [*THREE_DAYS[:8], ("03T08", 9, 9), ("03T09", 1, 8)]
    run(later, Protocol(log_of(*changed), "day", 1, 1))
    for mine, other in zip(now.requests, later.requests, strict=True):
        assert mine.users.tolist() == other.users.tolist()
        assert mine.catalogue.item_keys.tolist() == other.catalogue.item_keys.tolist()
        assert mine.catalogue.prices.tolist() == other.catalogue.prices.tolist()


def test_windows_begin_at_the_midnight_before_the_first_event() -> None:
    # The first of January 2020 is a Wednesday; the last event is on Thursday, January 16.
    log = log_of(
        ("01T23", 1, 1), ("07T23", 1, 1), ("08T00", 1, 2), ("14T23", 2, 1), ("16T01", 1, 1)
    )
    spans = Protocol(log, "week", 1).tested()
    # One week is warm-up, one is tested, and the third has two days of data only.
    assert [(str(s.start)[:10], str(s.end)[:10], s.low, s.high) for s in spans] == [
        ("2020-01-08", "2020-01-15", 2, 4)
    ]


def test_silent_windows_are_passed_over_and_the_number_can_be_limited() -> None:
    log = log_of(("01T01", 1, 1), ("03T01", 1, 1), ("04T01", 1, 1), ("05T01", 1, 1))
    assert [span.index for span in Protocol(log, "day", 1).tested()] == [2, 3, 4]
    assert [span.index for span in Protocol(log, "day", 1, 2).tested()] == [2, 3]


def test_a_warm_up_longer_than_the_data_is_refused() -> None:
    with pytest.raises(BadInput, match=r"fills 3 windows .* warm-up takes 3"):
        days(warm_up=3).tested()


def test_users_and_items_are_numbered_by_first_appearance() -> None:
    log = log_of(("02T01", 7, 5), ("01T01", 9, 5), ("03T01", 7, 4))
    assert log.events.user_keys.tolist() == [1, 2, 2]
    assert log.events.item_keys.tolist() == [1, 1, 2]
    assert log.events.prices.tolist() == [1, 0, 2]


def test_a_catalogue_shows_the_latest_text_and_price() -> None:
    log = log_of(("01T01", 1, 1), ("02T01", 1, 1), ("03T01", 1, 2))
    log.text_ids[1] = 5
    log.events.prices[1] = np.nan
    shown = log.catalogue(2)
    assert shown.texts == ["item 5"]
    assert shown.words.tolist() == [[5, 0]]
    assert shown.prices.tolist() == [0], "a price that is missing leaves the last one"
    assert log.catalogue_before(1, 3).texts == ["item 1", "item 2"]


@pytest.mark.parametrize(
    ("ranked", "problem"),
    [
        ([[1, 2], [2, 2]], "1 repeated"),
        ([[1, 9], [1, 0]], "1 that are no candidates"),
        ([[1, 2], [1, 0]], "returned excluded items"),
        ([[1], [2]], r"shape \(2, 2\)"),
    ],
)
def test_an_answer_that_is_no_ranking_is_refused(ranked: list[list[int]], problem: str) -> None:
    catalogue = Catalogue(
        np.array([1, 2]), np.zeros((2, 1), np.int32), np.ones(2, np.float32), ["", ""]
    )
    exclude = (np.array([0, 0, 1]), np.array([1]))
    request = Request("b", 1, np.datetime64(0, "us"), np.array([1, 2]), catalogue, 2, exclude)
    with pytest.raises(ValueError, match=problem):
        check_ranking(np.array(ranked, np.int64), request)


def test_best_ranks_by_score_masks_and_leaves_places_empty() -> None:
    catalogue = Catalogue(
        np.array([2, 5, 7]), np.zeros((3, 1), np.int32), np.ones(3, np.float32), [""] * 3
    )
    exclude = (np.array([0, 2, 3]), np.array([5, 6, 7]))  # 6 is no candidate: nothing to mask
    request = Request("b", 1, np.datetime64(0, "us"), np.array([1, 2]), catalogue, 3, exclude)
    ranked = best(np.array([[1.0, 9.0, 1.0], [0.0, 2.0, 8.0]]), request)
    assert ranked.tolist() == [[2, 7, 0], [5, 2, 0]]

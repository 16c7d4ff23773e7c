"""Which old answers go, which stay, and what a kill between two batches leaves."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from recloop.ledger import forgetting, releases, window_states
from tests.recloop.ledger.builders import accept, feature, promote, window

END = datetime(2011, 8, 1, tzinfo=UTC)
"""A month after the last window: by then all that is written here is old."""


def week(number: float) -> datetime:
    """A moment by weeks after 2011-05-30: 2.5 lies in the middle of window 2."""
    return datetime(2011, 5, 30, tzinfo=UTC) + timedelta(days=7 * number)


class Shown:
    """Writes what servers showed, and forgets it."""

    def __init__(self, cursor: Any) -> None:
        self.cursor = cursor

    def show(self, at: float, moment: float | None = None, user: str = "u", by: str = "") -> str:
        """An answer in week `at` of a user known up to week `moment`; returns its id."""
        request = str(uuid.uuid4())
        self.cursor.execute(
            "insert into lineage.impression "
            "(request_id, recommender, version, at, user_id, items, moment, features) "
            "values (%s, coalesce(%s, ledger.recommender()), 1, %s, %s, '{1}', %s, '{}')",
            (request, by or None, week(at), user, None if moment is None else week(moment)),
        )
        return request

    def tell(self, request: str, at: float, to: str = "") -> None:
        self.cursor.execute(
            "insert into lineage.feedback (request_id, recommender, item_id, kind, at) "
            "values (%s, coalesce(%s, ledger.recommender()), 'a', 'click', %s)",
            (request, to or None, week(at)),
        )

    def forget(self, before: float | None = None, **options: Any) -> forgetting.Batch:
        """One batch; all that was shown is old, unless `before` says a week."""
        old = END if before is None else week(before)
        told = {"late_days": 0, "data_end": None, **options}
        return forgetting.forget(self.cursor, old, **told)

    def left(self, table: str = "impression") -> set[str]:
        self.cursor.execute(f"select request_id::text from lineage.{table}")
        return {row[0] for row in self.cursor.fetchall()}


@pytest.fixture
def shown(cursor) -> Shown:
    """Weeks 0 to 3 are featured and learnt by release 1, week 4 waits to be learnt, 5 and the newest, 6,
    are not judged yet."""
    feature(cursor, 0, 1, 2, 3)
    promote(cursor, 3, "rebuild")
    feature(cursor, 4)
    window_states.note_landed(cursor, [window(5), window(6)])
    return Shown(cursor)


def test_what_is_old_and_closed_goes_with_its_feedback(shown: Shown) -> None:
    request = shown.show(2.5, 2)
    shown.tell(request, 3.5)
    done = shown.forget()
    assert (done.looked, done.impressions, done.feedback, done.place) == (1, 1, 1, None)
    assert not shown.left()
    assert not shown.left("feedback")


@pytest.mark.parametrize(
    ("at", "moment"),
    [
        (4.5, 3),  # may be read with week 4, which is not learnt
        (3.5, 4),  # is compared with week 4's training set
        (5.5, 3), (3.5, 5),  # of a week that is not judged yet
        (7.5, 3), (3.5, 7),  # of one that is still to come
    ],
)  # fmt: skip
def test_what_a_window_still_needs_stays_however_old(
    shown: Shown, at: float, moment: float
) -> None:
    request = shown.show(at, moment)
    done = shown.forget()
    assert (done.looked, done.impressions) == (1, 0)
    assert shown.left() == {request}


def test_what_is_young_stays_and_so_does_what_was_told_on_lately(shown: Shown) -> None:
    young, old, told = shown.show(2.5, 2), shown.show(0.5, 0), shown.show(0.5, 0)
    shown.tell(old, 1.5)
    shown.tell(told, 2.5)
    shown.forget(before=2)
    assert shown.left() == {young, told}
    assert shown.left("feedback") == {told}


def test_feedback_in_an_open_window_keeps_its_answer(shown: Shown) -> None:
    told = shown.show(2.5, 2)
    shown.tell(told, 4.5)
    assert shown.forget().impressions == 0


def test_late_lines_open_a_window_again(shown: Shown) -> None:
    """Those that wait, then those that make a part which nobody has learnt."""
    request = shown.show(1.5, 1)
    shown.cursor.execute(
        "insert into behavior.landing "
        "(file_id, line_no, window_key, event_id, content_hash, event_timestamp) "
        "values (1, 1, %s, gen_random_uuid(), gen_random_uuid(), %s)",
        (window(1).key, week(1.2)),
    )
    assert shown.forget().impressions == 0
    shown.cursor.execute("delete from behavior.landing")
    accept(shown.cursor, 1)
    assert shown.forget().impressions == 0
    feature(shown.cursor, 1)
    assert shown.forget().impressions == 0
    assert shown.left() == {request}


def test_so_long_as_late_lines_are_looked_for_a_window_is_open(shown: Shown) -> None:
    request = shown.show(3.5, 3), shown.show(1.5, 1)
    assert shown.forget(late_days=21).impressions == 1  # from week 3 on
    assert shown.left() == {request[0]}


def test_what_a_release_that_reigned_lately_has_not_learnt_stays(shown: Shown) -> None:
    """After a rollback to it, week 4 is compared again."""
    request = shown.show(4.5, 4)
    now = promote(shown.cursor, 4)
    assert now.parent_version is not None

    def its_reign_ended(at: float) -> None:
        shown.cursor.execute(
            "update ledger.reign set ended_at = %s where version = %s",
            (week(at), now.parent_version),
        )

    its_reign_ended(5.5)
    assert shown.forget(before=5).impressions == 0
    releases.roll_back(shown.cursor, now.parent_version, "worse")
    assert shown.forget(before=7).impressions == 0
    releases.roll_back(shown.cursor, now.version, "better")
    its_reign_ended(6)
    assert shown.left() == {request}
    assert shown.forget(before=7).impressions == 1


def test_after_the_end_of_the_data_no_window_comes(shown: Shown) -> None:
    """History is served years later: no such answer is ever read, and none compared."""
    shown.show(8, 7)
    assert shown.forget(data_end=week(7.5)).impressions == 0
    assert shown.forget(data_end=week(7)).impressions == 1


def test_a_strangers_answer_is_needed_by_nothing(shown: Shown) -> None:
    shown.show(5.5, 5, user="")
    assert shown.forget().impressions == 1


def test_an_answer_of_another_recommender_is_not_touched(shown: Shown) -> None:
    other = shown.show(1.5, 1, by="shelf")
    assert shown.forget().looked == 0
    assert shown.left() == {other}


def test_batches_go_on_where_the_last_one_ended_and_repeat_after_a_kill(shown: Shown) -> None:
    """Of ten answers of one moment and ten of another, one of each is needed."""
    needed = {shown.show(1.5, 4), shown.show(2.5, 4)}
    for at in (1.5, 2.5):
        for _ in range(9):
            shown.show(at, 1)
    done = shown.forget(batch=7)
    shown.cursor.execute("savepoint killed")
    shown.forget(batch=7, after=done.place)
    shown.cursor.execute("rollback to savepoint killed")
    gone, place, looked = done.impressions, forgetting.BEGINNING, 0
    while place is not None:
        done = shown.forget(batch=7, after=place)
        gone, looked, place = gone + done.impressions, looked + done.looked, done.place
        assert done.looked <= 7
    assert (gone, shown.left()) == (18, needed)
    assert looked < 20  # what the first batch deleted is not looked at again
    assert shown.forget().impressions == 0


def test_feedback_on_nothing_that_is_kept_goes_when_it_is_old(shown: Shown) -> None:
    kept = shown.show(3.5, 4)
    shown.tell(kept, 3.5)
    for _ in range(3):
        shown.tell(str(uuid.uuid4()), 1.5)
    young, others = str(uuid.uuid4()), str(uuid.uuid4())
    shown.tell(young, 4.5)
    shown.tell(others, 1.5, to="shelf")
    gone = [forgetting.forget_lone_feedback(shown.cursor, week(4), batch=2) for _ in range(3)]
    assert gone == [2, 1, 0]
    assert shown.left("feedback") == {kept, young, others}

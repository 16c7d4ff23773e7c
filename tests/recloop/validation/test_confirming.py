"""When windows that were refused confirm each other."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from psycopg2.extensions import cursor as Cursor

from recloop.calendar import WindowCalendar
from recloop.config.dataset import load_dataset
from recloop.config.limits import FixedLimits, LearntLimits, Limits, load_limits
from recloop.settings import Settings
from recloop.validation.confirming import RECLOOP, _confirmed, word_for

DAY = WindowCalendar("day")
FIRST = datetime(2024, 5, 6, tzinfo=UTC)
Judged = Callable[..., str]


@pytest.fixture
def limits() -> Limits:
    settings = Settings()
    return load_limits(settings, load_dataset(settings))


@pytest.fixture
def judged(cursor: Cursor) -> Judged:
    """Adds the next day's window, as it was judged."""

    def add(state: str, x: float, broken: tuple[str, ...] = ("lines_per_day",), **more: Any) -> str:
        cursor.execute("select count(*) from ledger.window")
        window = DAY.at(FIRST + timedelta(days=cursor.fetchone()[0]))
        rules = [
            {"name": name, "value": more.get("value", 1.0), "limit": "", "passed": False}
            for name in broken
        ]
        report = {
            "window": window.key, "passed": state != "refused", "lines": 9, "accepted": 0,
            "duplicates": 0, "quarantined": {}, "data_hash": "", "rules": rules, "data_docs": "",
        }  # fmt: skip
        cursor.execute(
            "insert into ledger.window (window_key, starts, ends, state, validation) "
            "values (%s, %s, %s, %s, %s)",
            (window.key, window.start, window.end, state, json.dumps(report)),
        )
        measures = {name: [x, 10, 1.0] for name in ("lines_per_day", "rows of missing_user")}
        cursor.execute(
            "insert into behavior.window_statistics values (%s, %s)",
            (window.key, json.dumps({"measures": measures})),
        )
        return window.key

    return add


def asked(cursor: Cursor, limits: Limits, key: str) -> list[str]:
    return _confirmed(cursor, DAY.parse(key), limits)


def test_three_alike_in_a_row_confirm_each_other(cursor, judged: Judged, limits: Limits) -> None:
    judged("validated", 5.0, ())
    keys = [judged("refused", 1.0), judged("refused", 1.9), judged("refused", 1.5)]
    assert asked(cursor, limits, keys[1]) == []
    assert asked(cursor, limits, keys[2]) == keys
    word = word_for(keys)
    assert (word.by, word.reason) == (
        RECLOOP, f"3 windows in a row, {keys[0]} to {keys[2]}, are alike: the new level",
    )  # fmt: skip


def test_one_that_was_accepted_between_them_breaks_the_row(
    cursor, judged: Judged, limits: Limits
) -> None:
    judged("refused", 1.0)
    judged("refused", 1.0)
    judged("validated", 5.0, ())
    assert asked(cursor, limits, judged("refused", 1.0)) == []


def test_those_that_differ_by_more_than_windows_usually_do_are_not_alike(
    cursor, judged: Judged, limits: Limits
) -> None:
    judged("refused", 1.0)
    judged("refused", 2.2)
    assert asked(cursor, limits, judged("refused", 1.5)) == []


@pytest.mark.parametrize("rule", ["missing_days", "closed_day_lines"])
def test_what_the_configuration_forbids_is_never_confirmed(
    cursor, judged: Judged, limits: Limits, rule: str
) -> None:
    for _ in range(2):
        judged("refused", 1.0, ("lines_per_day", rule))
    assert asked(cursor, limits, judged("refused", 1.0)) == []


def test_nor_is_what_a_person_fixed(cursor, judged: Judged, limits: Limits) -> None:
    fixed = limits.model_copy(update={"fixed": FixedLimits(lines_per_day=(10.0, 20.0))})
    keys = [judged("refused", 1.0) for _ in range(3)]
    assert asked(cursor, fixed, keys[-1]) == []


@pytest.mark.parametrize(("share", "many"), [(0.3, 3), (0.9, 0)])
def test_a_row_rule_is_confirmed_up_to_the_share_that_is_never_usual(
    cursor, judged: Judged, limits: Limits, share: float, many: int
) -> None:
    keys = [judged("refused", 1.0, ("missing_user",), value=share) for _ in range(3)]
    assert len(asked(cursor, limits, keys[-1])) == many


def test_a_person_may_want_to_see_each(cursor, judged: Judged, limits: Limits) -> None:
    never = limits.model_copy(update={"learnt": LearntLimits(confirm_after=0)})
    keys = [judged("refused", 1.0) for _ in range(4)]
    assert asked(cursor, never, keys[-1]) == []
    twice = limits.model_copy(update={"learnt": LearntLimits(confirm_after=2)})
    assert asked(cursor, twice, keys[-1]) == keys[-2:]

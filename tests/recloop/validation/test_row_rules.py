"""What is told of the quarantine: per rule how many lines, the first of them, and the remedy."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from recloop.config.dataset import DatasetSpec, load_dataset
from recloop.config.limits import Limits, load_limits
from recloop.settings import Settings
from recloop.validation.row_rules import Quarantined, quarantined_since, undated_near

NOON = datetime(2024, 5, 6, 12, tzinfo=UTC)
Add = Callable[..., None]


@pytest.fixture
def add(cursor) -> Add:
    """Puts a line into the quarantine."""

    def put(file: int, line: int, rule: str, at: datetime = NOON, **more: Any) -> None:
        values = {"content": {"n": "1"}, "near": None, "window": None} | more
        cursor.execute(
            "insert into behavior.quarantine (file_id, line_no, rule, rules, line, quarantined_at, "
            "near_window, window_key) values (%s, %s, %s, array[%s], %s, %s, %s, %s)",
            (file, line, rule, rule, json.dumps(values["content"]), at, values["near"],
             values["window"]),
        )  # fmt: skip

    return put


@pytest.fixture
def files(cursor) -> list[int]:
    """Ids of a file that counts, and of a version that a newer one replaced."""
    found = []
    for path, state in (("b.csv", "landed"), ("a.csv", "superseded")):
        cursor.execute(
            "insert into behavior.source_file (dataset, path, sha256, lines, state) "
            "values ('d', %s, 'x', 9, %s) returning file_id",
            (path, state),
        )
        found.append(cursor.fetchone()[0])
    return found


@pytest.fixture
def told(cursor) -> Callable[..., list[Quarantined]]:
    """What the shipped shop is told since a moment."""
    settings = Settings()
    spec: DatasetSpec = load_dataset(settings)
    limits: Limits = load_limits(settings, spec)
    return lambda moment=None: quarantined_since(cursor, moment, spec, limits)


def test_the_most_lines_come_first_and_the_first_line_of_the_first_file_is_shown(
    add: Add, files: list[int], told: Callable[..., list[Quarantined]]
) -> None:
    first, second = files
    for file, line in ((second, 1), (first, 12), (first, 3), (second, 2)):
        add(file, line, "missing_user", content={"n": f"{file == first} {line}"})
    add(second, 9, "malformed_line")
    add(777, 5, "unheard_of")
    found = told()
    assert [(one.rule, one.lines) for one in found] == [
        ("missing_user", 4), ("malformed_line", 1), ("unheard_of", 1),
    ]  # fmt: skip
    assert found[0].example == 'line 3 of b.csv: {"n": "True 3"}'
    assert found[0].remedy.startswith("Check column 'CustomerID' of the source")
    assert found[1].remedy.startswith("Give each line as many fields")
    assert str(found[2]) == (
        'unheard_of: 1 lines, for example line 5: {"n": "1"}. See the line in behavior.quarantine.'
    )


def test_what_was_put_aside_before_the_moment_is_not_told(
    add: Add, told: Callable[..., list[Quarantined]]
) -> None:
    assert told() == []
    for line, seconds in enumerate((-1, 0, 1)):
        add(1, line, "missing_item", NOON + timedelta(seconds=seconds))
    assert [one.lines for one in told(NOON)] == [2]
    assert [one.lines for one in told(NOON + timedelta(seconds=2))] == []
    (everything,) = told(None)
    assert (everything.lines, everything.example[:7]) == (3, "line 0:")


def test_a_long_value_is_cut_and_a_long_line_too(
    add: Add, told: Callable[..., list[Quarantined]]
) -> None:
    add(1, 1, "a", content={"user": "1" * 309, "item": "é" * 60})
    add(1, 2, "b", content={str(n): "some words of a text" for n in range(100)})
    cut, wide = told()
    assert cut.example == 'line 1: {"item": "' + "é" * 60 + '", "user": "' + "1" * 60 + '…"}'
    shown = wide.example.removeprefix("line 2: ")
    assert (len(shown), shown[-1]) == (700, "…")


def test_a_line_without_a_time_is_lost_to_the_window_beside_it_while_its_file_counts(
    cursor, add: Add, files: list[int]
) -> None:
    landed, replaced = files
    add(landed, 1, "unparseable_timestamp", near="2024-05-06")
    add(landed, 2, "unparseable_timestamp", near="2024-05-06")
    add(landed, 3, "future_timestamp", near="2024-05-06")
    add(landed, 4, "future_timestamp", near="2024-05-13")
    add(landed, 5, "missing_user", near="2024-05-06", window="2024-05-06")
    add(replaced, 6, "unparseable_timestamp", near="2024-05-06")
    assert undated_near(cursor, "2024-05-06") == {
        "future_timestamp": 1,
        "unparseable_timestamp": 2,
    }
    assert undated_near(cursor, "2024-05-20") == {}

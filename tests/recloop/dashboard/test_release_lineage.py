"""Releases, and how one came to be."""

from __future__ import annotations

import pytest

from recloop.dashboard.release_lineage import of_run, read_lineage, read_releases
from recloop.errors import ReleaseMissing
from recloop.ledger import releases
from tests.recloop.dashboard.lives import RUN, key, live


def test_releases_newest_first_a_page_at_a_time(cursor) -> None:
    live(cursor)
    found = read_releases(cursor)
    assert [(row["version"], row["parent"], row["windows"], row["reigns"]) for row in found] == [
        (2, 1, 2, True),
        (1, None, 1, False),
    ]
    assert [row["version"] for row in read_releases(cursor, before=2)] == [1]
    assert [row["version"] for row in read_releases(cursor, limit=1)] == [2]


def test_a_lineage_goes_back_to_the_training_from_scratch(cursor) -> None:
    live(cursor)
    found = read_lineage(cursor, 2)
    assert [(row["version"], row["windows"]) for row in found["line"]] == [
        (2, [key(1), key(2)]),
        (1, [key(0)]),
    ]
    assert found["whole"]
    assert read_lineage(cursor, 1)["children"] == [2]
    with pytest.raises(ReleaseMissing, match="no release 7"):
        read_lineage(cursor, 7)


def test_each_reign_is_told_with_its_reason(cursor) -> None:
    live(cursor)
    releases.roll_back(cursor, 1, "it is worse")
    reigns = read_lineage(cursor, 1)["reigns"]
    assert [row["reason"] for row in reigns] == ["test", "rolled back from 2: it is worse"]
    assert [row["ended_at"] is None for row in reigns] == [False, True]


def test_the_updates_of_a_run(cursor) -> None:
    live(cursor)
    assert [(row["target"], row["state"], row["version"]) for row in of_run(cursor, RUN)] == [
        (key(2), "promoted", 2),
        (key(1), "skipped", None),
    ]
    assert of_run(cursor, "incremental_update other") == []

"""Serving against training through the whole loop: equal for every user, and refused where it is not."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from fastapi.testclient import TestClient

from recloop.cli.loop import run_update
from recloop.database.connection import column, first, transaction
from recloop.ledger import parts
from recloop.server.api import create_app
from recloop.server.serve_file import Serve
from recloop.settings import Settings
from recloop.stages.ingest_stages import ingest_windows
from recloop.stages.status import read_status
from tests.conftest import LOOP_NEXT

MONDAY = datetime(2011, 2, 14, tzinfo=UTC)


def serve_all(settings: Settings) -> int:
    """Every user that the shop knows is answered once over HTTP, before `LOOP_NEXT` comes in."""
    with transaction(settings.database_url) as cursor:
        names = column(cursor, "select user_id from behavior.account")
    with TestClient(create_app(settings, Serve())) as client:
        for name in names:
            answer = client.post("/v1/recommend", json={"user": name, "count": 5})
            assert answer.status_code == 200, answer.text
    with transaction(settings.database_url) as cursor:
        assert first(cursor, "select count(*) from ledger.impression") == len(names)
    return len(names)


def known_who_came_on_monday(settings: Settings) -> int:
    """Users who had been served, and have a query on the window's first day: counted from the file."""
    with transaction(settings.database_url) as cursor:
        made = parts.training_set_of(cursor, LOOP_NEXT)
        known = set(
            column(cursor, "select user_key from behavior.account where first_seen < %s", (MONDAY,))
        )
    queries = pq.read_table(Path(made.uri) / "queries.parquet").to_pylist()
    came = {row["user_key"] for row in queries if row["event_timestamp"].date() == MONDAY.date()}
    return len(came & known)


def test_every_user_is_served_what_the_next_training_set_has(prepared: Settings) -> None:
    assert serve_all(prepared) > 700
    ingest_windows(prepared, LOOP_NEXT)
    done = run_update(prepared, LOOP_NEXT, "increment", {"epochs": 1})
    signals = done["plan"]["signals"]
    there = known_who_came_on_monday(prepared)
    assert there > 20
    assert (signals["serving_compared"], signals["serving_users"]) == (there, there)
    assert (signals["serving_skew"], signals["serving_late"]) == (0, 0)
    assert done["outcome"] == "promoted"
    (row,) = [row for row in read_status(prepared)["windows"] if row["window"] == LOOP_NEXT]
    assert row["prequential"]["serving_skew"] == 0
    (rule,) = [rule for rule in row["gate"]["rules"] if rule["name"] == "serving_skew"]
    assert (rule["passed"], rule["limit"]) == (True, "<= 0.01")


@pytest.mark.parametrize("stale", ["user_items", "user_statistics"])
def test_a_stale_table_is_caught_and_the_gate_refuses(prepared: Settings, stale: str) -> None:
    """A table lacked the last day's rows while it was read, and has them when the set is made."""
    last = "2011-02-14 00:00Z"  # what was known after Sunday the 13th
    with transaction(prepared.database_url) as cursor:
        cursor.execute(
            f"create table public.lacking as select * from features.{stale} "
            f"where event_timestamp = '{last}'"
        )
        cursor.execute(f"delete from features.{stale} where event_timestamp = '{last}'")
    serve_all(prepared)
    with transaction(prepared.database_url) as cursor:
        cursor.execute(f"insert into features.{stale} select * from public.lacking")
        cursor.execute("drop table public.lacking")
    ingest_windows(prepared, LOOP_NEXT)
    done = run_update(prepared, LOOP_NEXT, "increment", {"epochs": 1})
    signals = done["plan"]["signals"]
    assert signals["serving_skew"] > 0.01
    assert done["outcome"] == "rejected"
    (row,) = [row for row in read_status(prepared)["windows"] if row["window"] == LOOP_NEXT]
    assert "serving_skew is" in row["reason"]
    assert "was answered with" in row["reason"]
    assert row["pending"], "the window waits: what was served was wrong, not what happened"

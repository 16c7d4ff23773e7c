"""Windows of an hour, in the shop's zone, through a real scheduler in the night in which the clock
repeats an hour: each is one run, one partition and one window, and a first champion comes of them."""

from __future__ import annotations

import csv
import random
from collections.abc import Iterator
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from recloop.config.rules import read_schedule
from recloop.database import embedded
from recloop.database.connection import transaction
from recloop.database.embedded import database_of
from recloop.ledger import releases
from recloop.runtime import airflow_process
from recloop.settings import Settings
from recloop.stages.status import read_status
from tests.asked_airflow import AskedAirflow

pytestmark = pytest.mark.airflow
BERLIN = ZoneInfo("Europe/Berlin")
HOURS = [
    "2011-10-29T2200Z", "2011-10-29T2300Z", "2011-10-30T0000Z", "2011-10-30T0100Z", "2011-10-30T0200Z",
]  # fmt: skip
"""Midnight, one, two, two again, three."""
DATASET = """
name = "night"
[source]
kind = "file"
[window]
length = "hour"
[period]
start = 2011-10-29T22:00:00Z
end = 2011-10-30T03:00:00Z
[columns]
user = "text"
item = "text"
at = "time"
[event]
user_id = "user"
item_id = "item"
timestamp = "at"
timezone = "Europe/Berlin"
"""


@pytest.fixture
def night(tmp_path: Path) -> Iterator[Settings]:
    chance, path = random.Random(5), tmp_path / "lines.csv"
    begin = datetime(2011, 10, 30, tzinfo=BERLIN).timestamp()
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["user", "item", "at"])
        for hour in range(len(HOURS)):
            for second in sorted(chance.uniform(0, 3600) for _ in range(150)):
                moment = datetime.fromtimestamp(begin + 3600 * hour + second, BERLIN)
                who, what = chance.randrange(40), chance.randrange(30)
                writer.writerow([f"u{who}", f"i{(who + what // 6) % 30}", moment.isoformat()])
    dataset = tmp_path / "dataset.toml"
    dataset.write_text(DATASET)
    settings = Settings(home=tmp_path / "home", dataset=str(dataset), data=path)
    try:
        yield settings.model_copy(update={"database_url": database_of(settings)})
    finally:
        embedded.stop(settings.home)


def test_each_hour_of_the_night_is_one_window(night: Settings) -> None:
    client = AskedAirflow.start(night)
    try:
        for dag_id in ("ingest_behavior", "incremental_update"):
            client.wait_until(partial(client.unpaused, dag_id), 300, f"the DAG {dag_id}", every=1.0)
        between = read_schedule(night).partitions(HOURS[0], HOURS[-1])
        assert between == (HOURS[0], HOURS[-1])
        client.backfill("ingest_behavior", *between)
        client.wait_until(lambda: _champion(night), 300, "a first champion", every=1.0)
        client.wait_until_idle(["ingest_behavior", "incremental_update"], 300, calm=4.0)
        runs = client.runs("ingest_behavior")
    finally:
        airflow_process.stop(night)
    assert sorted(run["partition_key"] for run in runs) == HOURS
    assert {run["state"] for run in runs} == {"success"}
    rows = {row["window"]: row for row in read_status(night)["windows"]}
    assert sorted(rows) == HOURS
    assert {row["events"] for row in rows.values()} == {150}
    with transaction(night.database_url) as cursor:
        cursor.execute("select ends - starts from ledger.window")
        assert {length for (length,) in cursor.fetchall()} == {timedelta(hours=1)}
        cursor.execute(
            "select count(*) from behavior.event e join ledger.window w using (window_key) "
            "where e.event_timestamp < w.starts or e.event_timestamp >= w.ends"
        )
        assert cursor.fetchall() == [(0,)]


def _champion(settings: Settings) -> bool:
    with transaction(settings.database_url) as cursor:
        return releases.champion(cursor) is not None

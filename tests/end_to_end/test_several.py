"""Three recommenders in one Airflow: two on one dataset, the third on another. Files arrive for both, a
training is killed, then the scheduler; every ledger holds, and no recommender has touched another's."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from recloop.config.dag_ids import expected
from recloop.config.recommenders import settings_of
from recloop.database import embedded
from recloop.database.connection import transaction
from recloop.ledger import releases
from recloop.release.recommend import recommend
from recloop.runtime import airflow_process
from recloop.runtime.airflow_client import DIRECT
from recloop.settings import Settings
from recloop.stages.fleet_status import read_fleet
from recloop.stages.status import read_status
from tests.asked_airflow import AskedAirflow
from tests.chaos.invariants import broken, lost
from tests.end_to_end.conftest import kill
from tests.integration.family_shop import DATASET, MODELS, key, lines
from tests.recloop.behavior.datasets import as_toml, customised

pytestmark = pytest.mark.airflow
OWN: dict[str, dict[str, Any]] = {
    "home_page": {"dataset": "films", "update": {"policy": {"name": "every-window"}}},
    "product_page": {
        "dataset": "films",
        "model": MODELS["sessions"],
        "update": {"policy": {"name": "volume", "volume": 9}},
    },
    "reading": {"dataset": "books", "update": {"policy": {"name": "every-n-windows", "every": 1}}},
}
KNOWN, LAST = 1, 2
"""Weeks that a backfill ingests; and one more, whose files arrive while all runs by itself."""


@pytest.fixture
def shops(tmp_path: Path) -> Iterator[Settings]:
    home = tmp_path / "home"
    settings = customised(Settings(home=home), "online_retail", tmp_path)
    config = settings.config
    gate = config / "gate.toml"  # so few visitors say little
    text = re.sub(r"^(\w*margin) = \S+", r"\1 = 100.0", gate.read_text(), flags=re.M)
    gate.write_text(text.replace("coverage_ratio = 0.5 ", "coverage_ratio = 0.1 "))
    for name in ("films", "books"):
        (tmp_path / name).mkdir()
        source = {"kind": "folder", "path": str(tmp_path / name)}
        path = config / "datasets" / f"{name}.toml"
        path.write_text(as_toml(DATASET | {"name": name, "source": source}))
    (config / "recommenders").mkdir()
    for name, own in OWN.items():
        (config / "recommenders" / f"{name}.toml").write_text(as_toml(own))
    try:
        yield embedded.resolve(settings.model_copy(update={"dataset": "films"}))
    finally:
        airflow_process.stop(settings)
        embedded.stop(settings.home)


def deliver(settings: Settings, *weeks: int) -> None:
    for week in weeks:
        for name in ("films", "books"):
            path = settings.config.parent / name / f"week_{week:02}.csv"
            with path.open("w", newline="") as file:
                writer = csv.writer(file)
                writer.writerow(["visitor", "film", "rating", "at"])
                said = lines(week if name == "films" else week + 30)
                writer.writerows(
                    [who, what, how, when] for who, what, how, when in _moved(said, week)
                )


def _moved(said: list[list[object]], week: int) -> Iterator[list[object]]:
    """Books are read in the same weeks, by what other weeks' visitors took."""
    own = [line[3] for line in lines(week)]
    yield from ([*line[:3], when] for line, when in zip(said, own, strict=True))


def test_each_learns_its_own_windows_and_nobody_elses(shops: Settings) -> None:
    client = AskedAirflow.start(shops)
    dags = sorted(expected(shops))
    assert dags == sorted(client.dag_ids())
    for dag_id in dags:
        client.wait_until(partial(client.unpaused, dag_id), 300, f"the DAG {dag_id}", every=1.0)
    client.read_again(
        "films.behavior_arrival"
    )  # both are in one file: triggers come when it is parsed
    each = {name: settings_of(shops, name) for name in OWN}
    flow = [one for one in dags if re.search(r"ingest_behavior|incremental_update", one)]

    deliver(shops, *range(LAST))
    for dataset in ("films", "books"):
        client.backfill(f"{dataset}.ingest_behavior", key(0), key(KNOWN))
    victim = client.wait_until(
        partial(_training, client, each["home_page"]), 300, "a training", 0.2
    )
    kill(victim)
    client.wait_until(partial(_champions, each), 300, "three champions")
    kill(airflow_process.process_ids(shops)["scheduler"])
    deliver(shops, LAST)  # nobody is told: the triggers look
    client.wait_until(partial(_all_learnt, each), 400, "all weeks to be learnt", every=1.0)
    client.wait_until_idle(flow, 300, calm=4.0)

    delivered = sum(len(lines(week)) for week in range(LAST + 1))
    versions: dict[str, set[int]] = {}
    for name, settings in each.items():
        with transaction(settings.database_url) as cursor:
            assert broken(cursor, delivered) == [], name
            assert lost(cursor, delivered) == 0, name
            versions[name] = {row["version"] for row in releases.all_releases(cursor)}
            cursor.execute("select holder from ledger.update")
            assert {holder.partition(".")[0] for (holder,) in cursor.fetchall()} == {name}
            cursor.execute("select count(*) from ledger.training_set")
            assert cursor.fetchall() == [(LAST + 1,)]
        assert not list((shops.home / "artifacts").glob("releases/*")), (
            "each has a folder of its own"
        )
        assert {path.parent.parent for path in _folders(settings)} == {settings.artifacts}
        assert (shops.serving / name).is_dir()
        answer = recommend(settings, "v00", 5)
        assert len(answer.items) == 5
        assert answer.release in versions[name]
    assert not versions["home_page"] & versions["product_page"]
    rows = {row["recommender"]: row for row in read_fleet(shops)}
    assert {name: row["family"] for name, row in rows.items()} == {
        "home_page": "retrieve_and_rank", "product_page": "sessions", "reading": "retrieve_and_rank",
    }  # fmt: skip
    assert {row["learnt"] for row in rows.values()} == {LAST + 1}
    with transaction(each["home_page"].database_url) as cursor:
        cursor.execute("select count(*) from features.built_window")
        assert cursor.fetchall() == [(LAST + 1,)]

    pages = partial(_page, client)
    assert all(f'href="{name}/"' in pages("/recloop/") for name in OWN)
    run = client.runs("home_page.incremental_update")[0]["dag_run_id"]
    address = str(client.links("home_page.incremental_update", run, "evaluate")["Gate report"])
    assert address.startswith("/recloop/home_page/gate/")
    assert "challenger" in pages(address)
    docs = client.runs("films.ingest_behavior")[0]
    link = client.links("films.ingest_behavior", docs["dag_run_id"], "validate")["Data Docs"]
    assert key(0) in pages(str(link))

    run_id = client.trigger("product_page.rollback_release", {"reason": "a walk back"})
    assert client.wait_for_run("product_page.rollback_release", run_id, 120) == "success"
    assert read_status(each["product_page"])["rollbacks"]
    assert not read_status(each["home_page"])["rollbacks"]


def _page(client: AskedAirflow, path: str) -> str:
    with DIRECT.open(client.url + path, timeout=30) as answer:
        return str(answer.read().decode())


def _training(client: AskedAirflow, settings: Settings) -> int | bool:
    """The process that trains for a recommender, once it is at it."""
    with transaction(settings.database_url) as cursor:
        cursor.execute("select count(*) from ledger.update where state = 'training'")
        if cursor.fetchall() == [(0,)]:
            return False
    dag_id = f"{settings.recommender}.incremental_update"
    for run in client.runs(dag_id, ("running",)):
        for task in client.tasks(dag_id, run["dag_run_id"]):
            if task["task_id"] == "train" and task["state"] == "running" and task["pid"]:
                return int(task["pid"])
    return False


def _champions(each: dict[str, Settings]) -> bool:
    found = []
    for settings in each.values():
        with transaction(settings.database_url) as cursor:
            found.append(releases.champion(cursor) is not None)
    return all(found)


def _all_learnt(each: dict[str, Settings]) -> bool:
    due = [key(week) for week in range(LAST + 1)]
    for settings in each.values():
        with transaction(settings.database_url) as cursor:
            champion = releases.champion(cursor)
        if champion is None or sorted(champion.windows) != due:
            return False
    return True


def _folders(settings: Settings) -> list[Path]:
    with transaction(settings.database_url) as cursor:
        return [
            Path(releases.release_of(cursor, row["version"]).uri)
            for row in releases.all_releases(cursor)
        ]

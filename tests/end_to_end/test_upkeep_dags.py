"""Each DAG by the clock and from its form, through a real scheduler.

A sixth field of a cron line is seconds, so that a test need not wait for the next minute. The forms are
filled in a browser; what `RECLOOP_USERS` is for is in `test_browser.py`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from recloop.settings import Settings
from recloop.stages import ingest_stages, update_stages
from tests.conftest import LOOP_LAST
from tests.end_to_end.conftest import Loop
from tests.end_to_end.person import PERSON, submit

pytestmark = pytest.mark.airflow
OFTEN = "* * * * * */10"
CLOCKED = ("full_rebuild", "maintain_models", "periodic_update", "shadow_rebuild")


@pytest.fixture
def another_week(loop: Loop) -> Iterator[str]:
    """A window that waits, the last of those that do, and nobody who takes it but who is told to."""
    loop.client.wait_until_idle(["incremental_update"], 300)
    if not update_stages.undecided(loop.settings):
        ingest_stages.validate(LOOP_LAST, loop.settings)  # the file ends with it: nobody else would
        ingest_stages.featurize(LOOP_LAST, loop.settings)
    loop.client.pause("incremental_update")
    try:
        yield update_stages.undecided(loop.settings)[-1]
    finally:
        loop.client.pause("incremental_update", paused=False)


@contextmanager
def every_few_seconds(settings: Settings, dag_ids: Sequence[str]) -> Iterator[None]:
    """The settings' files while the block runs: these DAGs often, and data without an end."""
    files = (settings.config / "update.toml", settings.config / "datasets" / "online_retail.toml")
    kept = {path: path.read_text() for path in files}
    line = re.compile(rf'^({"|".join(dag_ids)}) = ".*?"', re.MULTILINE)
    _swap(files[0], line.sub(rf'\1 = "{OFTEN}"', kept[files[0]]))
    _swap(files[1], re.sub(r"^end = .*$", "", kept[files[1]], flags=re.MULTILINE))
    try:
        yield
    finally:
        for path, text in kept.items():
            _swap(path, text)


def _swap(path: Path, text: str) -> None:
    """Writes the file whole: tasks read it at any moment."""
    whole = path.with_suffix(".new")
    whole.write_text(text)
    whole.replace(path)


def by_the_clock(loop: Loop, *dag_ids: str) -> list[tuple[str, dict[str, str]]]:
    """Have the clock start each of these once, and wait; the runs' ids and task states."""
    client = loop.client
    before = {run["dag_run_id"] for dag_id in dag_ids for run in client.runs(dag_id)}
    client.pause("ingest_behavior")

    def read_again(often: bool) -> None:
        for dag_id in dag_ids:
            client.read_again(dag_id)
            client.wait_until(
                lambda name=dag_id: (client.dag(name)["timetable_summary"] == OFTEN) is often,
                90,
                f"{dag_id} to be read again",
            )

    def started(dag_id: str) -> str | bool:
        new = [run for run in client.runs(dag_id) if run["dag_run_id"] not in before]
        scheduled = [str(run["dag_run_id"]) for run in new if run["run_type"] == "scheduled"]
        return bool(scheduled) and scheduled[0]

    with every_few_seconds(loop.settings, dag_ids):
        read_again(often=True)
        for dag_id in dag_ids:
            client.pause(dag_id, paused=False)
        runs = {}
        for dag_id in dag_ids:
            run = client.wait_until(lambda name=dag_id: started(name), 90, f"run of {dag_id}")
            runs[dag_id] = str(run)
            client.pause(dag_id)  # once is enough
    read_again(often=False)
    for dag_id in dag_ids:
        client.pause(dag_id, paused=False)
    found = [(run_id, finished(loop, dag_id, run_id)) for dag_id, run_id in runs.items()]
    client.wait_until_idle(dag_ids, 300)
    for dag_id in dag_ids:
        client.pause(dag_id)
    client.read_again("ingest_behavior")
    client.pause("ingest_behavior", paused=False)
    return found


def finished(loop: Loop, dag_id: str, run_id: str) -> dict[str, str]:
    """Wait until the run has succeeded; returns its task states."""
    state = loop.client.wait_for_run(dag_id, run_id, 300)
    states = loop.client.task_states(dag_id, run_id)
    assert state == "success", states
    return states


def assert_files_agree_with_the_ledger(loop: Loop) -> None:
    for version, uri, thinned in loop.rows(
        "select version, uri, thinned_at is not null from ledger.release"
    ):
        assert Path(uri).exists() is not thinned, f"release {version}, thinned: {thinned}"


def test_the_clock_starts_what_learns_measures_tidies_and_rebuilds(
    loop: Loop, another_week: str
) -> None:
    before = loop.champion()
    [(_, states)] = by_the_clock(loop, "periodic_update")
    assert (states["plan"], states["promote"]) == ("success", "success")
    assert loop.champion() > before
    (plan, state), *_ = loop.rows(
        "select plan, state from ledger.update order by update_id desc limit 1"
    )
    assert (plan["target"], state) == (another_week, "promoted")
    assert "periodic update" in plan["reason"]
    assert update_stages.undecided(loop.settings) == []

    reigning = loop.champion()
    (compared, _), (tidied, tidying), (_, rebuilding) = by_the_clock(
        loop, "shadow_rebuild", "maintain_models", "full_rebuild"
    )
    report = loop.client.xcom("shadow_rebuild", compared, "retrain")
    assert report["window"] == another_week
    assert loop.one("select count(*) from ledger.shadow") == 1
    links = loop.client.links("shadow_rebuild", compared, "retrain")
    assert links == {"Shadow report": f"/recloop/shadow/{another_week}"}
    assert (tidying["train"], tidying["thin"], tidying["refresh_docs"]) == (
        *("skipped", "success", "success"),
    )
    assert rebuilding["promote"] == "success"
    assert loop.one(
        "select parent_version is null from ledger.release r join ledger.reign using (version) "
        "where ended_at is null"
    )
    assert reigning in loop.client.xcom("maintain_models", tidied, "thin")["kept"]
    assert_files_agree_with_the_ledger(loop)


def test_of_history_only_what_tidies_and_wakes_is_due(loop: Loop) -> None:
    def due() -> set[str]:
        shown = {dag_id: loop.client.dag(dag_id) for dag_id in ("behavior_arrival", *CLOCKED)}
        return {dag_id for dag_id, dag in shown.items() if dag["next_dagrun_run_after"]}

    expected = {"behavior_arrival", "maintain_models"}
    loop.client.wait_until(lambda: due() == expected, 90, f"only {expected} to be due")
    assert loop.client.dag("maintain_models")["timetable_summary"] == "30 5 1 * *"


@pytest.mark.browser
def test_every_form_starts_its_dag(loop: Loop, page: Any) -> None:
    for dag_id in CLOCKED:
        loop.client.pause(dag_id, paused=False)
    try:
        before = loop.champion()
        known = loop.one("select max(window_key) from ledger.window where state = 'featured'")
        # Started one after another, and waited for together: none changes what another reads.
        forms: dict[str, dict[str, str | bool]] = {
            "maintain_models": {"keep_releases": "3", "reason": "a browser test"},
            "periodic_update": {"dry_run": True},
            "full_rebuild": {"dry_run": True},
            "ingest_behavior": {"window": known},
        }
        runs = {
            dag_id: submit(loop.client, page, dag_id, fields) for dag_id, fields in forms.items()
        }
        states = {dag_id: finished(loop, dag_id, run_id) for dag_id, run_id in runs.items()}
        assert states["maintain_models"]["thin"] == "success"
        thinned = loop.client.xcom("maintain_models", runs["maintain_models"], "thin")
        assert len(thinned["kept"]) <= 6
        assert_files_agree_with_the_ledger(loop)
        for dag_id in ("periodic_update", "full_rebuild"):
            assert states[dag_id]["plan"] == "success", dag_id
            assert states[dag_id]["train"] == "skipped", dag_id
        assert set(states["ingest_behavior"].values()) == {"success"}, states["ingest_behavior"]
        ingested = loop.client.xcom("ingest_behavior", runs["ingest_behavior"], "featurize")
        assert ingested["window"] == known
        assert loop.champion() == before

        compared = submit(loop.client, page, "shadow_rebuild")
        run_id = submit(loop.client, page, "rollback_release", {"reason": "a browser test"})
        finished(loop, "rollback_release", run_id)
        assert loop.champion() != before
        run = next(r for r in loop.client.runs("rollback_release") if r["dag_run_id"] == run_id)
        assert run["triggering_user_name"] == PERSON
        assert finished(loop, "shadow_rebuild", compared)["choose"] == "success"

        loop.client.pause("behavior_arrival", paused=False)  # earlier, its trigger starts an update
        run_id = submit(loop.client, page, "behavior_arrival")
        finished(loop, "behavior_arrival", run_id)
        loop.client.pause("behavior_arrival")  # what it found at the source goes its way
        loop.client.wait_until_idle(["ingest_behavior", "incremental_update"], 600, calm=5)
    finally:
        for dag_id in ("behavior_arrival", *CLOCKED):
            loop.client.pause(dag_id)


def test_a_maintained_champion_reigns_after_the_gate(loop: Loop) -> None:
    """By float16, which no gate can tell from float32; what int8 costs is in `tests/challenge`."""
    loop.client.wait_until_idle(["ingest_behavior", "incremental_update"], 600, calm=5)
    before = loop.champion()
    loop.client.pause("maintain_models", paused=False)
    run_id = loop.client.trigger("maintain_models", {"maintain": "float16", "reason": "disks"})
    states = finished(loop, "maintain_models", run_id)
    loop.client.pause("maintain_models")
    assert (states["promote"], states["thin"]) == ("success", "success")
    assert loop.champion() > before
    parent, reason = loop.rows(
        "select r.parent_version, g.reason from ledger.release r join ledger.reign g using (version) "
        "where ended_at is null"
    )[0]
    assert (parent, reason) == (before, f"maintain release {before}: float16 (disks)")
    assert_files_agree_with_the_ledger(loop)

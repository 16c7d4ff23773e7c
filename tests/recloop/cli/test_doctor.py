"""What the doctor finds: what is mis-set, what is not there yet, and what no check may hide."""

from __future__ import annotations

from collections import namedtuple
from pathlib import Path

import pytest

from recloop.addresses import with_database
from recloop.cli import doctor
from recloop.cli.doctor import Finding, examine
from recloop.database.connection import transaction
from recloop.features.daily import build_features
from recloop.features.online import materialize
from recloop.settings import Settings
from tests.recloop.features.oracle import WEEKS, Event, at, store_events
from tests.recloop.ledger.builders import feature, promote

GIB = 1024**3
Usage = namedtuple("Usage", "total used free")


def findings(monkeypatch: pytest.MonkeyPatch, settings: Settings) -> dict[str, Finding]:
    for variable, value in settings.environment().items():
        monkeypatch.setenv(variable, value)
    return {finding.name: finding for finding in examine()}


def test_a_fresh_home_on_a_migrated_database_only_lacks_a_champion(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = findings(monkeypatch, settings)
    wrong = {name for name, finding in found.items() if finding.state == "failed"}
    assert wrong <= {"packages"}, "the machine of a test may have others than those pinned"
    assert found["champion"].detail == "none yet"
    assert found["dataset"].detail == "online_retail, one window each week, UTC"
    assert found["airflow"].state == "ok"
    assert found["database"].detail.startswith("PostgreSQL ")


def test_a_release_whose_files_are_gone_is_told_with_its_number_and_place(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with transaction(settings.database_url) as cursor:
        feature(cursor, 0)
        made = promote(cursor, 0, "rebuild")
        cursor.execute("update ledger.release set uri = %s", (str(tmp_path / "files"),))
    champion = findings(monkeypatch, settings)["champion"]
    assert champion.state == "failed"
    assert f"release {made.version}'s files are not at {tmp_path / 'files'}" in champion.detail
    (tmp_path / "files").mkdir()
    champion = findings(monkeypatch, settings)["champion"]
    assert (champion.state, champion.detail) == ("ok", f"release {made.version}, 1 window learnt")


def test_a_database_without_tables_and_data_that_is_not_there_are_found(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    empty = with_database(settings.database_url, "postgres")
    changed = settings.model_copy(update={"database_url": empty, "data": tmp_path / "no.csv"})
    found = findings(monkeypatch, changed)
    assert (found["database"].state, found["champion"].state) == ("warning", "warning")
    assert "has no tables yet" in found["database"].detail
    assert found["dataset"].state == "failed"
    assert f"RECLOOP_DATA = {tmp_path / 'no.csv'} does not exist" in found["dataset"].detail
    monkeypatch.setenv("RECLOOP_SEED", "minus one")
    (only,) = examine()
    assert (only.name, only.state) == ("settings", "failed")
    assert "RECLOOP_SEED = 'minus one'" in only.detail


@pytest.mark.parametrize(("free", "state"), [(2 * GIB, "ok"), (2 * GIB - 1, "failed")])
def test_less_than_two_gibibytes_are_too_few(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, free: int, state: str
) -> None:
    monkeypatch.setattr(doctor.shutil, "disk_usage", lambda _: Usage(9 * GIB, 0, free))
    found = doctor._disk(Settings(home=tmp_path))
    assert (found.state, found.detail) == (state, f"2.0 GiB free under {tmp_path}")


@pytest.mark.parametrize("home", ["file", "file/x", "file/x/y", "closed/x"])
def test_a_home_that_cannot_be_made_is_told_by_its_setting(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, home: str
) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "closed").mkdir()
    # Root may write everywhere, whatever a folder's mode is.
    monkeypatch.setattr(doctor.os, "access", lambda path, _: path != tmp_path / "closed")
    found = doctor._disk(Settings(home=tmp_path / home))
    assert found.state == "failed"
    assert f"RECLOOP_HOME = '{tmp_path / home}' cannot be written: {tmp_path}" in found.detail
    assert "set RECLOOP_HOME" in found.remedy


def test_a_home_that_is_not_there_yet_is_not_made(tmp_path: Path) -> None:
    found = doctor._disk(Settings(home=tmp_path / "new" / "home"))
    assert found.detail.endswith(f"GiB free under {tmp_path / 'new' / 'home'}")
    assert list(tmp_path.iterdir()) == []


def checks_are(monkeypatch: pytest.MonkeyPatch, *checks: doctor.Check) -> None:
    monkeypatch.setattr(doctor, "BEFORE", ())
    monkeypatch.setattr(doctor, "OF_RECOMMENDER", checks)
    monkeypatch.setattr(doctor, "AFTER", ())


def test_a_home_whose_path_is_too_long_for_the_embedded_database_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    checks_are(monkeypatch, doctor._database)
    (database,) = findings(monkeypatch, Settings(home=tmp_path / ("x" * 100))).values()
    assert (database.state, database.remedy) == ("failed", "see the message")
    assert "bytes too long" in database.detail


def test_a_check_that_crashes_is_a_finding_and_the_others_go_on(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    def _strange_thing(settings: Settings) -> Finding:
        raise ZeroDivisionError("of nothing")

    checks_are(monkeypatch, _strange_thing, doctor._gpu)
    crashed, gpu = findings(monkeypatch, settings).values()
    assert (crashed.name, crashed.state, crashed.remedy) == (
        "strange thing", "failed", "report this",
    )  # fmt: skip
    assert "ZeroDivisionError('of nothing')" in crashed.detail
    assert gpu.state == "ok"


def test_an_online_store_that_says_other_things_than_the_tables_is_a_warning(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert findings(monkeypatch, settings)["online store"].detail == "nothing is in it"
    store_events(settings.database_url, [Event(1, 5, at(0)), Event(2, 6, at(6))])
    build_features(settings, WEEKS[0])
    materialize(settings)
    found = findings(monkeypatch, settings)["online store"]
    assert (found.state, found.detail) == ("ok", "the latest 2 users are as in the tables")
    with transaction(settings.database_url) as cursor:
        cursor.execute("update features.user_history set history = '{7}' where user_key = 2")
    found = findings(monkeypatch, settings)["online store"]
    assert found.state == "warning"
    assert found.detail == (
        "1 of the 2 users looked at differ from the tables: "
        "history of user_key 2 is [6] online and [7] in the tables"
    )
    assert "`ingest_behavior`" in found.remedy

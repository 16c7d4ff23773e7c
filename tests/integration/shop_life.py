"""A small shop from its first week to a late delivery, through the real stages; and what it left.

Two such lives from empty must leave the same: `ledger_of` and `weights_of` are what is compared.
"""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from typing import Any

from recloop.cli.loop import run_update
from recloop.database.connection import transaction
from recloop.settings import Settings
from recloop.stages import ingest_stages, update_stages
from recloop.stages.ingest_stages import ingest_windows
from recloop.training.candidate import hash_folder
from tests.recloop.behavior.datasets import customised
from tests.recloop.behavior.shop import WEEKS, Line, shop_week, write

Json = dict[str, Any]
LATE_WEEKS = WEEKS[2:4]
LATE_EVERY = 7
"""One line in so many of these weeks comes after its week was learnt."""
JUDGES = 8
"""Users that the gate wants."""


def settings_of(url: str, home: Path) -> Settings:
    """A folder in which files arrive, and a gate that lets everything sound pass."""
    (home / "incoming").mkdir(parents=True)
    settings = customised(
        Settings(home=home, database_url=url, data=home / "incoming"),
        "online_retail",
        home,
        source={"kind": "folder", "sha256": None},
    )
    gate = settings.config / "gate.toml"
    margins = re.compile(r"^(\w*margin) = \S+", re.MULTILINE)
    text = margins.sub(r"\1 = 100.0", gate.read_text())
    text = re.sub(r"^coverage_ratio = \S+", "coverage_ratio = 0.0", text, flags=re.M)
    gate.write_text(re.sub(r"^minimum_users = \d+", f"minimum_users = {JUDGES}", text, flags=re.M))
    return settings


def on_time(week: str) -> list[Line]:
    return [line for n, line in enumerate(shop_week(week)) if not _is_late(week, n)]


def late(week: str) -> list[Line]:
    return [line for n, line in enumerate(shop_week(week)) if _is_late(week, n)]


def _is_late(week: str, number: int) -> bool:
    return week in LATE_WEEKS and number % LATE_EVERY == 0


def deliver(settings: Settings, name: str, lines: list[Line]) -> Json:
    """A file arrives and is ingested."""
    assert settings.data is not None
    write(settings.data / f"{name}.csv", lines)
    return ingest_windows(settings)


def update(settings: Settings, requested: str = "increment") -> Json:
    return run_update(settings, None, requested, {"epochs": 1})


def live(settings: Settings) -> list[Json]:
    """Three weeks and a first release; a week, learnt; late lines of two; another week, learnt."""
    for week in WEEKS[:3]:
        deliver(settings, week, on_time(week))
    answers = [update(settings, "rebuild")]
    deliver(settings, WEEKS[3], on_time(WEEKS[3]))
    answers.append(update(settings))
    deliver(settings, "late", [line for week in LATE_WEEKS for line in late(week)])
    answers.append(update(settings, "auto"))
    deliver(settings, WEEKS[4], on_time(WEEKS[4]))
    answers.append(update(settings))
    return answers


def backfill(settings: Settings) -> None:
    """What a backfill of everything does, window by window."""
    for week in WEEKS:
        ingest_stages.land(week, settings)
        ingest_stages.validate(week, settings)
        ingest_stages.featurize(week, settings)
        update_stages.plan(None, "auto", "a backfill", settings=settings)


def ledger_of(settings: Settings) -> Json:
    """All rows of the ledger and of what it says about, but wall times, paths and the cost of a run."""
    statements = {
        "windows": "select to_jsonb(w) - '{changed_at,seconds}'::text[] from ledger.window w order by 1",
        "parts": "select to_jsonb(p) from ledger.part p order by part_key",
        "updates": "select to_jsonb(u) - '{holder,token,lease_until,planned_at,concluded_at,seconds,"
        "cost_cpu_s,attempt}'::text[] from ledger.update u order by update_id",
        "trained": "select to_jsonb(t) from ledger.trained t order by version, window_key",
        "releases": "select to_jsonb(r) - '{champion_from,registry_version}'::text[] "
        "from ledger.release r order by version",
        "reigns": "select version, reason from ledger.reign order by reign_id",
        "events": "select md5(string_agg(to_jsonb(e)::text, '' order by event_id)) "
        "from behavior.event e",
    }
    found = {}
    with transaction(settings.database_url) as cursor:
        for name, statement in statements.items():
            cursor.execute(statement)
            found[name] = [_stable(list(row), settings) for row in cursor.fetchall()]
    return found


UNSTABLE = {"cpu_seconds", "milliseconds"}


def _stable(value: Any, settings: Settings) -> Any:
    if isinstance(value, dict):
        return {k: _stable(v, settings) for k, v in value.items() if k not in UNSTABLE}
    if isinstance(value, list):
        return [_stable(one, settings) for one in value]
    if isinstance(value, str):
        text = value.replace(str(settings.home), "HOME")
        return re.sub(r"/(\d+)-\d+(?=/|$)", r"/\1", text)  # update-token folders
    return value


def weights_of(settings: Settings) -> list[str]:
    """A hash of each release's checkpoint, oldest first."""
    with transaction(settings.database_url) as cursor:
        cursor.execute("select uri from ledger.release order by version")
        return [hash_folder(Path(uri) / "checkpoint") for (uri,) in cursor.fetchall()]


def copied(settings: Settings, home: Path, url: str) -> Settings:
    """The same shop on a copy of its database, with a home of its own."""
    shutil.copytree(settings.home / "incoming", home / "incoming")
    return settings.model_copy(
        update={"home": home, "database_url": url, "data": home / "incoming"}
    )


def as_text(found: Json) -> str:
    return json.dumps(found, indent=1, sort_keys=True, default=str)

"""Each family through a real Airflow scheduler: from files that arrive to an answer.

    python -m tests.scheduled                       # all families, about ten minutes
    python -m tests.scheduled --families ratings

A backfill ingests two weeks, and the events of its windows start the first champion. Two weeks are
ingested and learnt, one by its event and one from the form; one is refused by the gate. Then a
rebuild, a rollback, `recloop recommend`, and the export in a process that knows no recloop.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer

from recloop.database import embedded
from recloop.database.connection import transaction
from recloop.database.embedded import database_of
from recloop.ledger import releases
from recloop.runtime import airflow_process
from recloop.settings import PROJECT, Settings, process_environment
from recloop.stages.status import read_status
from tests.asked_airflow import AskedAirflow
from tests.integration.family_shop import LOADED, MODELS, deliver, key, refuse_all, settings_of

Json = dict[str, Any]
DAGS = ("ingest_behavior", "incremental_update", "full_rebuild", "rollback_release")


@dataclass
class Walk:
    """One family's way, and what went otherwise than it should."""

    name: str
    settings: Settings
    client: AskedAirflow
    wrong: list[str] = field(default_factory=list)
    began: float = field(default_factory=time.monotonic)

    def check(self, what: str, found: object, wanted: object) -> None:
        """Print what was found; remember it where it is not what was wanted."""
        fine = found == wanted
        if not fine:
            self.wrong.append(what)
        mark = "   " if fine else "!! "
        spent = time.monotonic() - self.began
        text = f"{found}" if fine else f"{found}, wanted {wanted}"
        print(f"{mark}{self.name:18}{spent:6.0f} s  {what}: {text}", flush=True)

    def run(self, dag_id: str, conf: Json) -> Json:
        """A run of a form, to its end, and whatever it has started; what its tasks came to."""
        run_id = self.client.trigger(dag_id, conf)
        self.client.wait_for_run(dag_id, run_id, 300)
        self.settle()
        return self.client.task_states(dag_id, run_id)

    def settle(self) -> None:
        """Wait until nothing runs, and nothing is about to."""
        self.client.wait_until_idle(DAGS, 300, calm=4.0)

    def decisions(self) -> list[str]:
        """State of each update, oldest first."""
        with transaction(self.settings.database_url) as cursor:
            cursor.execute("select state from ledger.update order by update_id")
            return [state for (state,) in cursor.fetchall()]

    def champion(self) -> Any:
        """The release that answers."""
        with transaction(self.settings.database_url) as cursor:
            return releases.champion(cursor)


def walk(one: Walk) -> None:
    """All steps, in order."""
    settings = one.settings
    deliver(settings, 0, 1)
    one.client.backfill("ingest_behavior", key(0), key(1))
    one.client.wait_until(
        lambda: one.champion() is not None and not read_status(settings)["pending"],
        300,
        "a first champion",
    )
    one.settle()
    one.check("a backfill of two weeks, a first champion", one.decisions()[0], "promoted")

    deliver(settings, 2)
    one.run("ingest_behavior", {"window": key(2)})
    one.check("an increment, started by the window's event", one.decisions()[-1], "promoted")
    one.client.pause("incremental_update")
    deliver(settings, 3)
    one.run("ingest_behavior", {"window": key(3)})
    one.client.pause("incremental_update", paused=False)
    states = one.run("incremental_update", {"plan": "increment", "window": key(3)})
    one.check("an increment, from the form", one.decisions()[-1], "promoted")
    one.check("its task `promote`", states["promote"], "success")
    learnt = sorted(one.champion().windows)
    one.check("windows learnt", learnt, [key(week) for week in range(4)])

    with refuse_all(settings):
        deliver(settings, 4)
        one.run("ingest_behavior", {"window": key(4)})
    one.check("a challenger that the gate refuses", one.decisions()[-1], "rejected")
    one.check("its window waits", read_status(settings)["pending"], [key(4)])
    before = one.champion().version
    one.run("full_rebuild", {"reason": "a walk through"})
    one.check("a rebuild", one.decisions()[-1], "promoted")
    one.run("rollback_release", {"version": before, "reason": "a walk back"})
    one.check("a rollback", one.champion().version, before)

    program = str(Path(sys.executable).with_name("recloop"))
    command = [program, "recommend", "--user", "v00", "-k", "5"]
    environment = process_environment() | settings.environment() | {"PYTHONPATH": str(PROJECT)}
    answer = subprocess.run(command, capture_output=True, text=True, env=environment)
    one.check("`recloop recommend` shows films", answer.stdout.count("film "), 5)
    print(answer.stderr[-2000:], end="", file=sys.stderr)
    export = Path(one.champion().uri) / "saved_model"
    loaded = [sys.executable, "-c", LOADED, str(export)]
    done = subprocess.run(loaded, capture_output=True, text=True, cwd=settings.home)
    one.check("the export in a clean process gives items", done.stdout.strip(), "5")


def main(
    families: Annotated[str, typer.Option(help="With commas between.")] = ",".join(MODELS),
) -> None:
    """Walk each family, print a line for each step, and fail if one was not as it should be."""
    wrong: list[str] = []
    for name in families.split(","):
        with tempfile.TemporaryDirectory() as folder:
            settings = settings_of("", Path(folder), MODELS[name])
            settings = settings.model_copy(update={"database_url": database_of(settings)})
            rules = settings.config / "update.toml"
            rules.write_text(rules.read_text().replace('"adaptive" ', '"every-window" '))
            one = Walk(name, settings, AskedAirflow.start(settings))
            try:
                for dag_id in DAGS:
                    one.client.wait_until(
                        partial(one.client.unpaused, dag_id), 300, f"the DAG {dag_id}"
                    )
                walk(one)
            finally:
                airflow_process.stop(settings)
                with suppress(ProcessLookupError):
                    embedded.stop(settings.home)
            wrong += [f"{name}: {what}" for what in one.wrong]
    print(f"{len(wrong)} steps went otherwise" if wrong else "every step went as it should")
    raise typer.Exit(int(bool(wrong)))


if __name__ == "__main__":
    typer.run(main)

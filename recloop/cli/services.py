"""Commands of the machine: up, down, doctor."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.text import Text

from recloop.cli.output import console, print_json, say
from recloop.cli.session import session
from recloop.settings import Settings


def up(
    port: Annotated[
        int | None, typer.Option(help="Port of the UI; default: 8080 or a free one.")
    ] = None,
    arrivals: Annotated[
        bool | None,
        typer.Option(help="Ingest by itself what arrives; default: if the dataset is live."),
    ] = None,
) -> None:
    """Start PostgreSQL (embedded, if you bring none) and Airflow; say where the UI is."""
    from recloop.config.dataset import load_dataset
    from recloop.runtime import airflow_process
    from recloop.runtime.environment import passwords_file

    with session(keep=True) as settings:
        say("starting Airflow …")
        client = airflow_process.start(settings, port)
        watch = load_dataset(settings).live if arrivals is None else arrivals
        for dag_id in client.dag_ids():
            client.pause(dag_id, paused=dag_id == "behavior_arrival" and not watch)
        if not watch:
            say(
                "the dataset is history: replay it by a backfill of ingest_behavior, or use --arrivals"
            )
        login = f"passwords: {passwords_file(settings)}" if settings.users else "no login"
        console.print(
            f"Airflow answers at {client.url} (this machine only, {login}). Stop: recloop down"
        )


def down() -> None:
    """Stop Airflow and the embedded PostgreSQL."""
    from recloop.runtime.airflow_process import stop_all

    stopped = stop_all(Settings.from_environment())
    console.print("stopped" if stopped else "nothing was running")


def doctor(
    json: Annotated[bool, typer.Option("--json", help="Print JSON for machines.")] = False,
) -> None:
    """What is missing or mis-set, and the remedy. Exit code 1 if anything must be mended."""
    from recloop.cli.doctor import examine

    findings = examine()
    if json:
        print_json([finding.to_json() for finding in findings])
    else:
        marks = {"ok": ("ok  ", "green"), "warning": ("warn", "yellow"), "failed": ("FAIL", "red")}
        for finding in findings:
            said = f" {finding.name}: {finding.detail}"
            console.print(Text.assemble(marks[finding.state], said))
            if finding.remedy:
                console.print(f"     → {finding.remedy}", highlight=False)
    if any(finding.state == "failed" for finding in findings):
        raise typer.Exit(1)


COMMANDS = (up, down, doctor)

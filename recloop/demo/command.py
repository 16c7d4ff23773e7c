"""`recloop demo`. Light, because every command of `recloop` imports it."""

from __future__ import annotations

from typing import Annotated

import typer

from recloop.cli.output import print_json
from recloop.cli.session import session
from recloop.settings import Settings


def demo(
    weeks: Annotated[int, typer.Option(min=1, help="Windows to run through Airflow.")] = 8,
    json: Annotated[bool, typer.Option("--json", help="Print the report for machines.")] = False,
) -> None:
    """The whole loop on real data: warm-up, then a real Airflow scheduler runs the next weeks."""
    from recloop.demo.run import run_demo
    from recloop.runtime.airflow_process import stop_all

    try:
        with session() as settings:
            report = run_demo(settings, weeks)
    finally:
        stop_all(Settings.from_environment())  # also what an earlier, killed demo left running
    if json:
        print_json(report)

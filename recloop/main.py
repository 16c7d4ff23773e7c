"""`recloop`: the command line's entry point, and the commands of the machine: up, down, doctor, demo.

Exit codes: those of `recloop/errors.py`.
"""

from __future__ import annotations

import logging
import sys
import warnings
from contextlib import suppress
from typing import Annotated, Any

import typer
from rich.text import Text

from recloop import __version__, errors
from recloop.cli import behavior, loop, newcomer, recommending, serve, silo
from recloop.cli.output import LOG_FORMAT, console, fail, guard, print_json, say
from recloop.cli.session import as_sentence, end_by_signal, session
from recloop.errors import RecloopError
from recloop.home import keep_private
from recloop.settings import Settings, choose_recommender, found_project

app = typer.Typer(
    name="recloop",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _tell_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"recloop {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    _version: Annotated[
        bool,
        typer.Option("--version", callback=_tell_version, is_eager=True, help="Say which it is."),
    ] = False,
    recommender: Annotated[
        str, typer.Option(help="Which one of config/recommenders/ the command is about.")
    ] = "",
) -> None:
    """Keeps a recommender fresh: validated windows, incremental updates, a gate, promotion."""
    if recommender:
        choose_recommender(recommender)


RUNS_ALREADY = (
    "Airflow runs already, with the port, people and settings that it was started with; to change "
    "them: recloop down, then recloop up"
)


def up(
    port: Annotated[
        int | None,
        typer.Option(min=1, max=65535, help="Port of the UI; default: 8080 or a free one."),
    ] = None,
    arrivals: Annotated[
        bool | None,
        typer.Option(help="Ingest by itself what arrives; at first: if the dataset is live."),
    ] = None,
) -> None:
    """Start PostgreSQL (embedded, if you bring none) and Airflow; say where the UI is. DAGs are unpaused
    once: what you pause stays paused."""
    from recloop.config.dag_ids import dags_of_arrival
    from recloop.runtime import airflow_process
    from recloop.runtime.environment import passwords_file

    with session(keep=True, of_all=True) as settings:
        running = airflow_process.process_ids(settings)
        say("starting Airflow …" if not running else RUNS_ALREADY)
        client = airflow_process.start(settings, port)
        live = dags_of_arrival(settings)
        history = [dag_id for dag_id in live if not live[dag_id]]
        airflow_process.wake_once(settings, client, history)
        if arrivals is not None:
            for dag_id in live:
                client.pause(dag_id, paused=not arrivals)
        elif history:
            ingest = ", ".join(
                one.replace("behavior_arrival", "ingest_behavior") for one in history
            )
            say(f"the dataset is history: replay it by a backfill of {ingest}, or use --arrivals")
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


for command in (
    *(*newcomer.COMMANDS, *behavior.COMMANDS, *loop.COMMANDS, *recommending.COMMANDS),
    *(serve.serve, up, down, doctor, demo),
):
    app.command(command.__name__.removesuffix("_").replace("_", "-"))(command)
app.add_typer(silo.app)
app.add_typer(serve.keys_app)


def exit_code(error: Exception) -> int:
    """The process's exit code for an error."""
    busy = errors.UpdateInProgress, errors.PlanOutdated, errors.LeaseLost
    kinds: dict[int, Any] = {2: errors.BadInput, 3: errors.BadData, 4: errors.ServiceAway, 6: busy}
    return next((code for code, kind in kinds.items() if isinstance(error, kind)), 1)


def main() -> None:
    """Run the command line."""
    keep_private()
    end_by_signal()
    warnings.filterwarnings("ignore")
    logging.basicConfig(level=logging.WARNING, format=LOG_FORMAT)
    guard()
    # Libraries' deprecations are not ours to tell; SQLAlchemy puts a filter of its own before ours.
    logging.captureWarnings(True)
    logging.getLogger("py.warnings").setLevel(logging.ERROR)
    try:
        with suppress(errors.BadInput):  # which the command says, if it needs a project
            sys.path.append(str(found_project()))  # a family of one's own may lie there
        app()
    except RecloopError as error:
        fail(error)
        sys.exit(exit_code(error))
    except Exception as error:
        if type(error).__module__.startswith("models."):
            fail(error)
            sys.exit(1)
        told = as_sentence(error)
        if told is None:
            raise
        fail(told)
        sys.exit(exit_code(told))


if __name__ == "__main__":
    main()

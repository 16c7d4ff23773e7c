"""`recloop`: the command line's entry point.

Exit codes: those of `recloop/errors.py`.
"""

from __future__ import annotations

import logging
import sys
import warnings
from typing import Annotated

import typer

from recloop import __version__
from recloop.cli import loop, services, silo
from recloop.cli.edge import as_sentence, end_by_signal
from recloop.cli.output import LOG_FORMAT, fail, guard
from recloop.demo.command import demo
from recloop.errors import (
    BadData,
    BadInput,
    LeaseLost,
    PlanOutdated,
    RecloopError,
    ServiceAway,
    UpdateInProgress,
)
from recloop.home import keep_private

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
    version: Annotated[
        bool,
        typer.Option("--version", callback=_tell_version, is_eager=True, help="Say which it is."),
    ] = False,
) -> None:
    """Keeps a recommender fresh: validated windows, incremental updates, a gate, promotion."""


for command in (*loop.COMMANDS, *services.COMMANDS, demo):
    app.command(command.__name__.removesuffix("_"))(command)
app.add_typer(silo.app)


def exit_code(error: Exception) -> int:
    """The process's exit code for an error."""
    if isinstance(error, BadInput):
        return 2
    if isinstance(error, BadData):
        return 3
    if isinstance(error, ServiceAway):
        return 4
    return 6 if isinstance(error, UpdateInProgress | PlanOutdated | LeaseLost) else 1


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

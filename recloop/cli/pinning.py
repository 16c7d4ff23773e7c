"""Commands that hold the champion as it is, and let it go: pin, unpin (see `ledger/pins.py`)."""

from __future__ import annotations

from typing import Annotated

import typer

from recloop.cli.behavior import person
from recloop.cli.output import console
from recloop.cli.session import session
from recloop.stages import update_stages

Why = Annotated[str, typer.Option(help="Why; kept in the ledger.")]
By = Annotated[str, typer.Option(help="Whose word it is; default: who is logged in.")]


def pin(reason: Why, by: By = "") -> None:
    """Keep the champion as it is: nothing is promoted until it is unpinned."""
    with session() as settings:
        version = update_stages.pin(by or person(), reason, settings)
    console.print(f"release {version} is pinned: nothing is promoted until `recloop unpin`")


def unpin(reason: Why, by: By = "") -> None:
    """Let challengers be promoted again; the next update learns what has waited."""
    with session() as settings:
        update_stages.unpin(by or person(), reason, settings)
    console.print("the champion is not pinned any more: `recloop update` learns what has waited")


COMMANDS = (pin, unpin)

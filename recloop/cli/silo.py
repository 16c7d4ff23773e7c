"""Commands of federated silos: offer, train, merge."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from recloop.calendar import counted
from recloop.cli.loop import Approve, AsJson, Newest, exit_code, run_update, tell
from recloop.cli.output import console, print_json, progress_bar, say
from recloop.cli.session import session
from recloop.config.recommenders import chosen
from recloop.settings import Settings

app = typer.Typer(
    name="silo",
    help="Several shops keep one model fresh, and none shows its events to another.",
    no_args_is_help=True,
)


@app.command()
def offer(
    out: Annotated[Path, typer.Option(help="Folder to write; an offer there is replaced.")],
) -> None:
    """At the coordinator: write the champion without its users, for silos to train from."""
    from recloop.silos.offer import make_offer

    with session() as settings:
        made = make_offer(settings, out)
    console.print(f"release {made.release} with {len(made.items):,} items is offered in {out}")


@app.command()
def train(
    offer: Annotated[Path, typer.Option(help="The coordinator's offer.")],
    out: Annotated[Path, typer.Option(help="Folder to write the delta to: what leaves this silo.")],
    plan: Annotated[Path | None, typer.Option(help="A plan file, for its recipes.")] = None,
    clip: Annotated[float, typer.Option(min=0, help="Largest norm of the change; 0: off.")] = 0.0,
    noise: Annotated[
        float, typer.Option(min=0, help="Standard deviation of the noise, in clips; 0: off.")
    ] = 0.0,
    json: AsJson = False,
) -> None:
    """At a silo: learn its own windows from an offer; events and users stay here."""
    from recloop.config.dataset import load_dataset
    from recloop.config.strategy import read_plan_file, strategy_of
    from recloop.silos.offer import read_offer
    from recloop.silos.silo_training import train_silo

    family = load_dataset(chosen(Settings.from_environment())).model.known_family
    strategy = strategy_of(read_plan_file(plan, family)[1], family) if plan else None
    with session() as settings, progress_bar() as bar:
        task = bar.add_task("training", total=None)
        done = train_silo(
            settings,
            read_offer(offer),
            out,
            clip,
            noise,
            strategy,
            progress=lambda state: bar.update(task, completed=state.step, total=state.steps),
        )
    if json:
        print_json(done)
        return
    console.print(
        f"delta {done['delta']}: {done['examples']:,} examples of {counted(len(done['windows']))}, "
        f"norm {done['norm']:g}, is in {out}"
    )
    if done["epsilon"] is not None:
        say(
            f"epsilon {done['epsilon']:.3g} at delta 1e-5, for this silo as a whole, over all its "
            "rounds so far; docs/adr/0008 says what that is worth"
        )
    elif noise:
        say("no epsilon: a round of this silo had no noise, or next to none")


@app.command()
def merge(
    deltas: Annotated[list[Path], typer.Argument(help="Folders that silos wrote.")],
    window: Newest = None,
    staleness: Annotated[
        int, typer.Option(min=0, max=20, help="Releases that a delta may be behind the champion.")
    ] = 0,
    approve: Approve = False,
    json: AsJson = False,
) -> None:
    """At the coordinator: an ordinary increment on its own window with the deltas merged in."""
    from recloop.silos.joining import accept

    with session() as settings:
        silos = accept(settings, deltas, staleness)
        options = {"silos": silos, "shard_staleness": staleness}
        result = run_update(settings, window, "increment", options, approve)
        tell(result, json)
    raise typer.Exit(exit_code(result))

"""`recloop recommend`: to one user, after a session, or everybody's lists as tables or files."""

from __future__ import annotations

from typing import Annotated

import typer

from recloop.cli import output
from recloop.cli.behavior import AsJson
from recloop.cli.output import console, print_json, progress_bar, say
from recloop.cli.session import session
from recloop.errors import BadInput

ONE, EVERYBODY = 10, 20
"""How many items, unless it is said."""


def recommend(
    user: Annotated[str, typer.Option(help="The user's id, as in your data.")] = "",
    session_: Annotated[
        str, typer.Option("--session", help="ITEM,ITEM: a session instead of a user, oldest first.")
    ] = "",
    all_: Annotated[
        bool, typer.Option("--all", help="Every user, as tables in the schema `published`.")
    ] = False,
    k: Annotated[
        int | None,
        typer.Option("-k", "--k", min=1, max=1000, help="How many items; default: 10, of all 20."),
    ] = None,
    release: Annotated[int | None, typer.Option(help="Another release than the champion.")] = None,
    include_known: Annotated[
        bool, typer.Option(help="Show items that the user chose before, too.")
    ] = False,
    out: Annotated[
        str,
        typer.Option(
            help="With --all: FILE.parquet, FILE.csv (also s3:// and the like), or schema.table."
        ),
    ] = "",
    filter_: Annotated[
        str,
        typer.Option("--filter", help='With --all: only such items, {"price": {"below": 10}}.'),
    ] = "",
    active_days: Annotated[
        int | None,
        typer.Option(min=1, max=1000, help="With --all: only users active in so many days."),
    ] = None,
    json: AsJson = False,
) -> None:
    """What the champion recommends to a user, after a session, or to everybody."""
    items = [item.strip() for item in session_.split(",") if item.strip()]
    only_all = {"--out": out, "--filter": filter_, "--active-days": active_days}
    if all_:
        if user.strip() or items or release is not None:
            raise BadInput(
                "`--all` is everybody, from the champion: without --user, --session, --release."
            )
        return _everybody(k or EVERYBODY, filter_, active_days, out, include_known, json)
    if given := [name for name, value in only_all.items() if value]:
        raise BadInput(f"`{given[0]}` goes with --all only.")
    if bool(user.strip()) == bool(items):
        raise BadInput(
            "`--user` should be a user's id, as in your data, or `--session` ids of items with commas "
            f"between, and not both. Received: --user {user!r} --session {session_!r}. Or --all."
        )
    from recloop.release.recommend import recommend as answer

    with session() as settings:
        result = answer(settings, user, k or ONE, release, include_known, items).to_json()
    if json:
        print_json(result)
        return
    if not result["known_user"]:
        say(f"user {user!r} was never seen; this is what fits an empty history")
    if items:
        result["title"] = f"after {', '.join(items)}, release {result['release']}"
    console.print(output.recommendations_table([result]))


def _everybody(
    k: int, filters: str, active_days: int | None, out: str, include_known: bool, json: bool
) -> None:
    from recloop.stages import outlet_stages

    with session() as settings, progress_bar() as bar:
        task = bar.add_task("users", total=None)

        def show(done: int, of: int) -> None:
            bar.update(task, completed=done, total=of)

        made = outlet_stages.publish_recommendations(
            k, filters, active_days, out, include_known, settings, show
        )
    if json:
        print_json(made)
    else:
        console.print(made["told"])


COMMANDS = (recommend,)

"""Commands of the first hour: init, new-dataset, try."""

from __future__ import annotations

from pathlib import Path
from shlex import quote
from typing import Annotated

import typer
from rich.table import Table

from recloop.calendar import counted
from recloop.cli import behavior, loop, output
from recloop.cli.output import console, say
from recloop.cli.session import session
from recloop.database.connection import asked, column
from recloop.errors import BadInput
from recloop.project.laying_out import lay_out, source_of
from recloop.project.project_file import nearest, read_settings, remember
from recloop.settings import Settings

File = Annotated[
    Path,
    typer.Argument(
        help="CSV, JSON lines or an array of objects (also packed by gzip or zstd), Parquet."
    ),
]
Folder = Annotated[Path, typer.Argument(help="A new or empty folder, or a project of before.")]
MANY = 3
"""Users to whom `try` shows recommendations."""


def init(folder: Folder = Path()) -> None:
    """Lay out a project: dags, plugins, feature_repo and config, to be edited. In a project of an
    earlier version, take over what is new; files that were edited stay as they are."""
    laid = lay_out(folder)
    console.print(f"{folder.resolve()} is a recloop project: {len(laid.written)} files laid out")
    if laid.renewed:
        console.print(f"of this version now: {', '.join(laid.renewed)}")
    if laid.removed:
        console.print(f"removed by somebody, and left so: {', '.join(laid.removed)}")
    if laid.dropped:
        console.print(f"not of this version; yours to keep or remove: {', '.join(laid.dropped)}")
    for name in laid.kept:
        told = f"edited, and left so: {name}; this version's: {source_of(name)}"
        console.print(told, soft_wrap=True)
    if laid.written and not (laid.kept or laid.renewed):
        where = "" if folder.resolve() == Path.cwd() else f"cd {folder}, then "
        console.print(f"next: {where}recloop try events.csv (a file of your own)")


def new_dataset(
    file: File,
    out: Annotated[
        Path | None, typer.Option(help="Where to write it; default: ./NAME.toml.")
    ] = None,
) -> None:
    """Look at a file of behavior and write a dataset file for it: what was guessed is to be checked."""
    path = _write(file, out)
    console.print(f"written: {path}\nlook through it, then: recloop doctor, and recloop try {file}")


def try_(
    file: File,
    home: Annotated[
        Path | None,
        typer.Option(
            help="Where it all goes; default: the project, or ./NAME-recloop outside of one."
        ),
    ] = None,
    k: Annotated[int, typer.Option(min=1, help="Items to recommend.")] = 10,
) -> None:
    """From a file to a first champion and recommendations: new-dataset, ingest, update, recommend."""
    from recloop.behavior.new_dataset import named
    from recloop.release.recommend import recommend

    _there(file)
    project = project_for(file) if home is None else None
    where = home or project or Path(f"{file.name.split('.')[0]}-recloop")
    described = where / "dataset.toml"
    if project:
        described = project / "config" / "datasets" / f"{named(file)}.toml"
    if not described.exists():
        described.parent.mkdir(parents=True, exist_ok=True)
        _write(file, described)
    if project:
        settle(project, described, file)
        given = Settings.from_environment()
    else:
        given = Settings(home=where / "home", dataset=str(described.resolve()), data=file.resolve())
    with session(given=given) as settings:
        report = behavior.ingest_with_progress(settings, None, None)
        console.print(f"{report['events']:,} events; {counted(len(report['refused']))} refused")
        for problem in report["refused"]:
            told = [one for one in problem["message"].splitlines() if one.startswith("- ")]
            say("\n".join([f"window {problem['window']} is refused:", *told]))
        for message in report["sources_refused"]:
            raise BadInput(f"{message} Correct {described}, then repeat the command.")
        result = loop.run_update(settings, None)
        loop.tell(result, False)
        if result["outcome"] == "rejected":
            raise typer.Exit(loop.REFUSED)
        users = asked(settings.database_url, column, BUSIEST, (MANY,))
        answers = [recommend(settings, user, k).to_json() for user in users]
    console.print(output.recommendations_table(answers))
    if project:
        console.print("recloop status shows its windows and releases; recloop up starts Airflow")
        return
    settled = {"HOME": where / "home", "DATASET": described, "DATA": file}
    exported = [f"RECLOOP_{name}={quote(str(path.resolve()))}" for name, path in settled.items()]
    console.print(f"It all lies in {where}. To go on with it: export {' '.join(exported)}")


def project_for(file: Path) -> Path | None:
    """The project that is to keep this file's recommender: the one around the working directory, if its
    `recloop.toml` names no other dataset or file."""
    from recloop.behavior.new_dataset import named

    project = nearest(Path.cwd())
    settled = read_settings(project) if project else {}
    same = settled.get("dataset") in (None, named(file))
    if same and Path(settled.get("data", file)).resolve() == file.resolve():
        return project
    return None


def settle(project: Path, described: Path, file: Path) -> None:
    """Note a dataset and its data in the project's `recloop.toml`, unless they stand there."""
    wanted: dict[str, str | Path] = {"dataset": described.stem, "data": file.resolve()}
    settled = read_settings(project)
    missing = {name: value for name, value in wanted.items() if name not in settled}
    if missing:
        remember(project, missing)


BUSIEST = """
select user_id from behavior.account join (
    select user_key, count(*) as n from behavior.event group by user_key order by n desc limit 1000
) busy using (user_key) order by n desc, user_id limit %s
"""


def _there(file: Path) -> None:
    if not file.is_file():
        raise BadInput(f"{file} is no file; name the file of behavior to look at.")


def _write(file: Path, out: Path | None) -> Path:
    """Describe a file, say what was guessed, write the dataset file; returns where."""
    from recloop.behavior.new_dataset import describe

    _there(file)
    found = describe(file)
    path = out or Path(f"{found.name}.toml")
    if path.exists():
        raise BadInput(f"{path} is there already; give another --out, or remove it.")
    table = Table(title=f"what {file.name} seems to be", header_style="bold")
    for name in ("what", "guess", "how sure", "why"):
        table.add_column(name)
    for guess in found.guesses:
        table.add_row(*guess)
    console.print(table)
    path.write_text(found.text, encoding="utf-8")
    return path


COMMANDS = (init, new_dataset, try_)

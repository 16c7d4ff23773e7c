"""The reference: a page for each thing that the code says of itself.

`PAGES` has them all; another one (of an HTTP service, say) is another function there.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import typer

from docsite.fields import comments, meanings, of_dataclass, one_line, sections, table
from recloop import errors
from recloop.config import strategy
from recloop.config.dataset import DatasetSpec
from recloop.config.limits import Limits
from recloop.config.recommenders import OwnFile
from recloop.config.rules import GateRules, UpdateRules
from recloop.settings import PREFIX, PROJECT, VARIABLES, Settings
from recloop.validation.learnt import TABLE

MADE = "<!-- made from the code by docsite/; edits are overwritten -->\n"


def settings_page() -> str:
    """Environment variables, and the same in `recloop.toml`."""
    told = meanings(Settings)
    rows = [
        (
            f"`{PREFIX}{name}`",
            "–" if name in ("PROJECT", "DATABASE_URL") else f"`{name.lower()}`",
            one_line(said),
            told.get(name.lower(), ""),
        )
        for name, said in VARIABLES.items()
    ]
    return f"""# Settings
A setting is a variable of the environment, or a line of `[settings]` in the project's `recloop.toml`; the variable goes before the line. Relative paths in the file begin at the file. `RECLOOP_PROJECT` and `RECLOOP_DATABASE_URL` (it holds a password) are for the environment alone. An unknown variable that begins with `{PREFIX}` is an error, and the message names the known ones.

{table(("variable", "in recloop.toml", "what it is", "meaning"), rows)}
"""


def _tables(model: Any) -> str:
    parts = [f"## {_heading(name)}\n{text}" for name, text in sections(model, "")]
    return "\n\n".join(parts)


def _heading(name: str) -> str:
    return f"`{name}`" if name.startswith("[") else name.capitalize()


def dataset_page() -> str:
    """`config/datasets/*.toml`."""
    example = _file("config/datasets/online_retail.toml")
    return f"""# Dataset file
`config/datasets/NAME.toml` says where lines come from and how their columns become events. `recloop new-dataset FILE` writes one. Unknown keys are refused, with the nearest known one. `[limits]` may hold `[limits.rows]`, `[limits.window]`, `[limits.learnt]` and `[limits.fixed]`: see [validation's limits](rule_files.md#validation).

{_tables(DatasetSpec)}

## One that is shipped
{example}
"""


def recommender_page() -> str:
    """`config/recommenders/*.toml`."""
    return f"""# Recommender file
`config/recommenders/NAME.toml`: one recommender of several; see [Several recommenders](../howto/several_recommenders.md).

{_tables(OwnFile)}
"""


FIXED = {f"fixed.{rule.name}": one_line(rule.meaning) for rule in TABLE}


def rule_files_page() -> str:
    """The three files of rules, as they are shipped, and their fields."""
    parts = []
    for title, model, path in (
        ("Update", UpdateRules, "config/update.toml"),
        ("Gate", GateRules, "config/gate.toml"),
        ("Validation", Limits, "config/validation.toml"),
    ):
        said = comments(_text(path)) | FIXED
        tables = sections(model, "", said=said)
        fields = "\n\n".join(f"**`{name}`**\n\n{text}" for name, text in tables)
        parts.append(f"## {title}\n`{path}`, as it is shipped:\n\n{_file(path)}\n\n{fields}")
    return "# Rule files\n" + "\n\n".join(parts) + "\n"


def plan_page() -> str:
    """The plan file of `recloop update --plan`."""
    from models.ids.starts import NewIds
    from models.learning.recipes import OPTIMIZERS, REPLAYS, SCHEDULES, SCOPES, SHUFFLES, Recipe

    listed = {"optimizer": OPTIMIZERS, "schedule": SCHEDULES, "scope": SCOPES,
              "replay": REPLAYS, "shuffle": SHUFFLES}  # fmt: skip
    values = [(f"`{name}`", ", ".join(f"`{one}`" for one in all_)) for name, all_ in listed.items()]
    doc = inspect.getdoc(strategy) or ""
    example = doc.partition("\n\n")[2].partition("\n\nWhat the dataset")[0]
    said = comments(example) | {"silos": "what `recloop silo merge` has accepted"}
    (_, top) = next(sections(strategy.Top, "", said=said))
    return f"""# Plan file
What `recloop update --plan plan.toml` takes, and the form of `incremental_update` (*Everything else*) as JSON.

```toml title="plan.toml"
{inspect.cleandoc(example)}
```

## Above all tables
`plan`, `policy`, `reason` and `approval`, as in the example, and

{top}

## `[recipe]` and `[ranker]`
{of_dataclass(Recipe)}

{table(("key", "one of"), values)}

## `[ids]`
{of_dataclass(NewIds)}

What the dataset's family lacks (a second stage, a head, shards) is refused when it is planned.
"""


def families_page() -> str:
    """What each family learns, offers, and is judged by."""
    from models.recommenders.family import family_named
    from models.recommenders.offered import FAMILIES

    parts = ["# Families\n`[model] family` of a dataset or recommender file names one.\n"]
    for name in FAMILIES:
        family = family_named(name)
        rows = [
            ("judged by", f"`{family.judged_by}`"),
            ("inputs", ", ".join(f"`{one}`" for one in family.inputs)),
            ("scopes of an increment", ", ".join(f"`{one}`" for one in family.scopes)),
            ("maintenance", ", ".join(f"`{one}`" for one in family.maintenance)),
        ]
        parts.append(f"## `{name}`\n{family.summary}\n\n{table(('', ''), rows)}\n")
    return "\n".join(parts)


TABLES = re.compile(
    r"((?:^-- [^\n]*\n)*)^create (?:unlogged )?table if not exists ([\w.]+) \(\n(.*?)^\)[^\n]*;$",
    re.MULTILINE | re.DOTALL,
)


LATER = re.compile(r"alter table ([\w.]+)((?:\s+add column \w+ [^,;]+[,;][^\n]*)+)")
"""Columns that a table has got since."""


def tables_page() -> str:
    """Tables of the ledger, and those beside it, from `schema.sql`."""
    sql = _text("recloop/database/schema.sql")
    columns: dict[str, dict[str, tuple[str, ...]]] = {}
    said: dict[str, str] = {}
    for comment, name, body in TABLES.findall(sql):
        lines = [line for line in comment.splitlines() if "──" not in line]
        said[name] = " ".join(line.removeprefix("-- ") for line in lines)
        alike = re.findall(r"^\s*like ([\w.]+)", body, re.MULTILINE)
        columns[name] = {key: row for other in alike for key, row in columns[other].items()}
        columns[name] |= _columns(body)
    for name, added in LATER.findall(sql):
        columns[name] |= _columns(re.sub(r"add column |[,;](?= *(--|$))", "", added, flags=re.M))
    parts = [
        "# Tables\nMade and migrated by every command. `ledger.NAME` is a view of `lineage.NAME` with the rows of one recommender.\n"
    ]
    for name, rows in columns.items():
        told = table(("column", "form", "meaning"), list(rows.values()))
        parts.append(f"## `{name}`\n{said[name]}\n\n{told}\n")
    return "\n".join(parts)


def _columns(body: str) -> dict[str, tuple[str, ...]]:
    rows: dict[str, tuple[str, ...]] = {}
    for line in body.splitlines():
        code, _, comment = line.strip().partition("--")
        for one in code.split(", ") if "(" not in code else [code]:
            name, _, form = one.strip().rstrip(",").partition(" ")
            if form and re.fullmatch(r"[a-z_0-9]+", name) and not NO_COLUMNS.fullmatch(name):
                rows[name] = (f"`{name}`", one_line(form), one_line(comment))
    return rows


NO_COLUMNS = re.compile("primary|unique|check|like|foreign|references|constraint|or|and|exclude")
"""What else begins a line within a table."""


def command_line_page() -> str:
    """Every command, from the program itself."""
    from recloop.main import app

    group = typer.main.get_command(app)
    parts = [
        "# Command line\n`recloop --help` says the same. Exit codes are [below](#exit-codes).\n"
    ]
    parts += list(_commands(group, "recloop"))
    doc = inspect.getdoc(errors) or ""
    codes = doc.partition("Exit codes of the command line:")[2]
    parts.append(f"## Exit codes\n```text\n{inspect.cleandoc(codes)}\n```\n")
    return "\n".join(parts)


def _commands(group: Any, path: str) -> Iterator[str]:
    for name, command in sorted(group.commands.items()):
        full = f"{path} {name}"
        if hasattr(command, "commands"):
            yield f"## `{full}`\n{one_line(command.help or '')}\n"
            yield from _commands(command, full)
            continue
        rows = [
            (
                " ".join(f"`{one}`" for one in (*each.opts, *each.secondary_opts)),
                _default_of(each),
                one_line(getattr(each, "help", None) or ""),
            )
            for each in command.params
        ]
        said = re.sub(r"\s*\n\s*", " ", command.help or "")
        told = table(("option or argument", "default", "meaning"), rows) if rows else ""
        yield f"## `{full}`\n{said}\n\n{told}\n"


def _default_of(parameter: Any) -> str:
    value = parameter.default
    return "" if value in (None, False, "") or callable(value) else f"`{value}`"


def forms_page() -> str:
    """The forms of the DAGs, from the DAGs themselves."""
    from docsite.forms import forms

    parts = ["# DAGs and their forms\nWhat *Trigger* in Airflow's UI asks, by DAG.\n"]
    for dag in forms():
        rows = [
            (f"`{p['name']}`", p["title"], p["values"], p["default"], _linked(p["description"]))
            for p in dag["params"]
        ]
        header = ("field", "title", "values", "default", "meaning")
        told = table(header, rows) if rows else "No form."
        parts.append(f"## `{dag['id']}`\n{_lowered(dag['doc'])}\n\n{told}\n")
    return "\n".join(parts)


def http_page() -> str:
    """Routes, bodies and answers of `recloop serve`, from its OpenAPI document."""
    from recloop.server.api import create_app
    from recloop.server.serve_file import Serve

    told = create_app(Settings(), Serve()).openapi()
    parts = [
        "# HTTP\nWhat `recloop serve` answers; [how to start and ask it](../howto/http.md). The same is "
        "at `/openapi.json`, for programs.\n"
    ]
    for path, methods in told["paths"].items():
        for method, route in methods.items():
            answers = ", ".join(f"{code} {said['description']}" for code, said in _answers(route))
            said = one_line(route.get("description", ""))
            parts.append(f"## `{method.upper()} {path}`\n{said}\n\nAnswers: {answers}.\n")
    for name, body in told["components"]["schemas"].items():
        rows = [
            (f"`{field}`", _type_of(value), one_line(value.get("description", "")))
            for field, value in body.get("properties", {}).items()
        ]
        if rows:
            parts.append(f"## `{name}`\n{table(('field', 'type', 'meaning'), rows)}\n")
    return "\n".join(parts)


def _answers(route: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    return sorted(route["responses"].items())


def _type_of(value: dict[str, Any]) -> str:
    """A field's type in JSON."""
    if "$ref" in value:
        return str(value["$ref"]).rpartition("/")[2]
    if "anyOf" in value:
        return " or ".join(_type_of(one) for one in value["anyOf"])
    if value.get("type") == "array":
        return f"list of {_type_of(value['items'])}"
    return str(value.get("type", "any"))


def _linked(text: str) -> str:
    """A field's description; its link to the pages inside Airflow leads to what is said of them."""
    return one_line(text).replace("](/recloop/)", "](../howto/airflow.md)")


def _lowered(doc: str) -> str:
    """A DAG's page, its own headings one level below."""
    return re.sub(r"^### (.*)$", r"**\1**", doc.strip(), flags=re.MULTILINE)


PAGES: dict[str, Callable[[], str]] = {
    "settings": settings_page,
    "dataset_file": dataset_page,
    "recommender_file": recommender_page,
    "rule_files": rule_files_page,
    "plan_file": plan_page,
    "families": families_page,
    "dags": forms_page,
    "tables": tables_page,
    "command_line": command_line_page,
    "http": http_page,
}

MADE_FROM = {
    "recloop/settings.py": "settings.md",
    "recloop/config/dataset.py": "dataset_file.md",
    "recloop/config/recommenders.py": "recommender_file.md",
    "config/update.toml": "rule_files.md#update",
    "config/gate.toml": "rule_files.md#gate",
    "config/validation.toml": "rule_files.md#validation",
    "recloop/config/strategy.py": "plan_file.md",
    "models/recommenders/offered.py": "families.md",
    "dags": "dags.md",
    "recloop/database/schema.sql": "tables.md",
    "recloop/cli": "command_line.md",
    "recloop/server/api.py": "http.md",
}
"""What a page is made from, or begins with: the file or folder that prose links to, so that the link also
leads somewhere where nothing was built; the site has the page in its place."""


def write(folder: Path) -> None:
    """Write every page."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, page in PAGES.items():
        (folder / f"{name}.md").write_text(MADE + page(), encoding="utf-8")


def _text(name: str) -> str:
    return (PROJECT / name).read_text(encoding="utf-8")


def _file(name: str) -> str:
    return f'```toml title="{name}"\n{_text(name).strip()}\n```'

"""`recloop.toml`, by which a project is known: finding it, and the settings that it holds.

Belongs here: the file's form. Keep out: the checks of values (see `recloop/settings.py`).
"""

from __future__ import annotations

import tomllib
from collections.abc import Collection, Mapping
from pathlib import Path

from recloop.errors import BadInput

FILE = "recloop.toml"
FOLDERS = ("dags", "plugins", "feature_repo", "config")
"""What a project has beside the file."""
PATHS = ("home", "data", "config")
"""Settings that are paths; `dataset` is one where it ends in `.toml`. Relative ones begin there."""
TEXT = """\
# A recloop project. Commands that run in this folder, or below it, take its dags/, plugins/,
# feature_repo/ and config/, and write to its var/.
#
# Settings: those of the environment without RECLOOP_, in small letters (dataset, data, home, seed,
# users …). Relative paths begin here; a variable of the environment goes before the setting here.
[settings]
"""


def nearest(start: Path) -> Path | None:
    """The folder of the nearest `recloop.toml` from `start` upward."""
    return next((at for at in (start, *start.parents) if (at / FILE).is_file()), None)


def read_settings(project: Path, known: Collection[str] = ()) -> dict[str, str]:
    """`[settings]` of the project's file, as the environment would say them; nothing without a file.

    Args:
        known: the names that it may have; empty: any.

    Raises:
        BadInput: it is not TOML, has another name, or a value that is no text, number or truth.
    """
    path = project / FILE
    if not path.is_file():
        return {}
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except (OSError, ValueError) as error:
        raise BadInput(f"{path} cannot be used: {error}. Correct it.") from error
    given = content.pop("settings", {})
    if content or not isinstance(given, dict):
        strange = ", ".join(content) or "settings"
        raise BadInput(f"{path}: {strange}: the file has one table, [settings]. Correct it.")
    for name in given:
        if known and name not in known:
            raise BadInput(
                f"{path}: there is no setting {name!r}; known are {', '.join(known)}. What may hold a "
                "password (RECLOOP_DATABASE_URL) is for the environment."
            )
    return {name: _as_text(path, name, value) for name, value in given.items()}


def _as_text(path: Path, name: str, value: object) -> str:
    if isinstance(value, bool):
        return str(int(value))
    if not isinstance(value, str | int):
        raise BadInput(f"{path}: {name} = {value!r} should be a text, a number, true or false.")
    text = str(value)
    if text and (name in PATHS or (name == "dataset" and text.endswith(".toml"))):
        return str(path.parent / Path(text).expanduser())
    return text


def remember(project: Path, values: Mapping[str, str | Path]) -> None:
    """Write settings that the project's file does not have into it; its other lines stay.

    Raises:
        BadInput: the file cannot be read or written.
    """
    path = project / FILE
    text = path.read_text(encoding="utf-8-sig")
    added = "".join(
        f"{name} = {_quoted(_from_here(project, value))}\n" for name, value in values.items()
    )
    if "[settings]" not in text.splitlines():
        text = f"{text.rstrip()}\n\n[settings]\n"
    head, mark, rest = text.partition("\n[settings]\n")
    path.write_text(f"{head}{mark}{added}{rest}", encoding="utf-8")
    read_settings(project)


def _from_here(project: Path, value: str | Path) -> str:
    if isinstance(value, Path) and value.is_relative_to(project):
        return str(value.relative_to(project))
    return str(value)


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'

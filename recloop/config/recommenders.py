"""Several recommenders in one Airflow: `config/recommenders/*.toml`, one file each.

A file says which dataset the recommender learns from, and what is its own: its model and what it is
judged by, in place of what the dataset file says; its policy, schedules and gate, over
`config/update.toml` and `config/gate.toml`. Without such files there is one recommender, `default`, of
what those files say.

Belongs here: which recommenders there are, and their settings. Keep out: what the tables mean
(see `dataset.py`, `rules.py`), and what a recommender has in the ledger (see `database/schema.sql`).
"""

from __future__ import annotations

import re
from functools import cached_property
from pathlib import Path
from typing import Any

from pydantic import Field

from recloop.config.toml_file import Model, Section, laid_over, read_toml, to_model
from recloop.errors import BadInput, RecloopError
from recloop.settings import DEFAULT, TOML, Settings

NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,39}")
"""Of recommenders, and of datasets that are not the main one: they are parts of DAG ids, of names of
databases and pools, and folders."""
RESERVED = ("recommender", "recloop", "airflow")
"""Names that mean something else in the folder of what is served, or among databases."""


class OwnEvents(Section):
    goal: dict[str, Any] = Field(default_factory=dict)
    """What this recommender is judged by, as in a dataset file."""


class OwnFile(Section):
    """`config/recommenders/<name>.toml`. Its tables are checked where they are used."""

    dataset: str = Field(default="", pattern=r"^[^\s]*$")
    """Name of a file in `config/datasets/`, or a path to one; empty: that of `RECLOOP_DATASET`."""
    model: dict[str, Any] = Field(default_factory=dict)
    """In place of `[model]` of the dataset file."""
    event: OwnEvents = OwnEvents()
    """In place of `[event.goal]` of the dataset file."""
    update: dict[str, Any] = Field(default_factory=dict)
    """Over `config/update.toml`."""
    gate: dict[str, Any] = Field(default_factory=dict)
    """Over `config/gate.toml`."""

    @cached_property
    def of_dataset(self) -> dict[str, Any]:
        """Its tables of the dataset file."""
        event = {"goal": self.event.goal} if self.event.goal else {}
        return {
            **({"model": self.model} if self.model else {}),
            **({"event": event} if event else {}),
        }


def own_file(settings: Settings) -> OwnFile:
    """The recommender's own file; an empty one where it has none.

    Raises:
        BadInput: it is not TOML, or has a key that is not known.
    """
    path = settings.recommender_file
    there = path.exists() or path.is_symlink()  # a link to nothing is no recommender without wishes
    return to_model(OwnFile, read_toml(path), path) if there else OwnFile()


def checked(model: type[Model], content: dict[str, Any], path: Path, own: Any, owner: str) -> Model:
    """A shared file's content with a recommender's own tables over it, as a `model`.

    Args:
        owner: the recommender's file, and the table in it, for a message about a mistake in it.

    Raises:
        BadInput: names the file that has the mistake.
    """
    if not own:
        return to_model(model, content, path)
    to_model(model, content, path)
    return to_model(model, laid_over(own, content), owner)


def recommenders(settings: Settings) -> list[str]:
    """The names of all recommenders, sorted; files whose names cannot be one are passed over.

    Raises:
        BadInput: there are such files only.
    """
    files, misnamed = _named(settings)
    if misnamed and not files:
        raise next(iter(misnamed.values()))
    return files or [DEFAULT]


def _named(settings: Settings) -> tuple[list[str], dict[str, BadInput]]:
    """The names of the files, sorted, and what is wrong with those that cannot be a recommender's."""
    found, wrong = [], {}
    for path in sorted((settings.config / "recommenders").glob(f"*{TOML}")):
        if NAME.fullmatch(path.stem) and path.stem not in RESERVED:
            found.append(path.stem)
            continue
        wrong[path.stem] = BadInput(
            f"{path}: a recommender cannot be called {path.stem!r}. Rename the file: 1 to 40 of a-z, "
            f"0-9, _ and -, and none of {', '.join(RESERVED)}."
        )
    return found, wrong


def settings_of(settings: Settings, name: str) -> Settings:
    """The settings of a recommender: its dataset, its database, its folders.

    Raises:
        BadInput: there is no such recommender, or its file or the name of its dataset cannot be used.
    """
    base = settings.given or settings
    known, (_, misnamed) = recommenders(base), _named(base)
    if name in misnamed:
        raise misnamed[name]
    if name not in known:
        raise BadInput(
            f"there is no recommender {name!r}, but {', '.join(known)}. Each is a file in "
            f"{base.config / 'recommenders'}; without files there is one, {DEFAULT}."
        )
    own = base.model_copy(update={"recommender": name, "given": base})
    dataset = _dataset(own, own_file(own).dataset)
    other = dataset != base.dataset
    own = own.model_copy(update={"dataset": dataset, "data": None if other else base.data})
    if other and not NAME.fullmatch(own.dataset_name):
        raise BadInput(
            f"{own.recommender_file}: `dataset` = {dataset!r}: beside another dataset, its file's name "
            "is part of DAG ids and of a database's name. Rename it: 1 to 40 of a-z, 0-9, _ and -."
        )
    return own.at(base.database_url) if base.database_url else own


def _dataset(settings: Settings, named: str) -> str:
    """The dataset as `Settings.dataset` has it; a path is relative to the recommender's file."""
    if not named:
        return settings.dataset
    if not named.endswith(TOML):
        return named
    path = (settings.recommender_file.parent / Path(named).expanduser()).resolve()
    if path.parent == (settings.config / "datasets").resolve():
        return path.stem
    return str(path)


def chosen(settings: Settings) -> Settings:
    """The settings of the recommender that `RECLOOP_RECOMMENDER` names, or of the only one.

    Raises:
        BadInput: there are several, and none was named; or as `settings_of`.
    """
    if settings.given is not None:
        return settings
    known = recommenders(settings)
    if not settings.recommender and len(known) > 1:
        raise BadInput(
            f"there are several recommenders: {', '.join(known)}. Say which one this is about: "
            f"`recloop --recommender {known[0]} …`, or RECLOOP_RECOMMENDER={known[0]}."
        )
    return settings_of(settings, settings.recommender or known[0])


def usable(settings: Settings) -> tuple[list[Settings], dict[str, BadInput]]:
    """The settings of all recommenders whose files can be used, by name; and what is wrong with others.

    One file's mistake does not stop the others.
    """
    names, (_, wrong), found = recommenders(settings), _named(settings), []
    for name in names:
        try:
            own = settings_of(settings, name)
            own.dataset_file  # noqa: B018  raises where there is none
            found.append(own)
        except RecloopError as error:
            wrong[name] = BadInput(str(error))
    folders: dict[str, Path] = {}
    for one in sorted(found, key=lambda one: not one.on_main_dataset):
        folders.setdefault(one.dataset_name, one.dataset_file)
    for one in [one for one in found if folders[one.dataset_name] != one.dataset_file]:
        found.remove(one)
        wrong[one.recommender] = BadInput(
            f"{one.recommender_file}: `dataset` = {one.dataset!r}, and {folders[one.dataset_name]} is "
            "another dataset of that name. Rename one of the two files."
        )
    return found, wrong

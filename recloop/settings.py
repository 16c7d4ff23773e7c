"""The one place where the environment is read. Everything else takes a `Settings`.

Belongs here: names, defaults and checks of settings, and where the files lie that they name. Keep
out: reading dataset or rule files (see `config/dataset.py`, `config/limits.py`, `config/rules.py`)
and starting servers (see `database/embedded.py`).
"""

from __future__ import annotations

import os
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from recloop.addresses import database_name, with_database, with_setting
from recloop.errors import BadInput
from recloop.project import laying_out, project_file

PROJECT = Path(__file__).resolve().parent.parent
"""Where this code lies: of a checkout its root, which is a project itself (see `found_project`)."""
PREFIX = "RECLOOP_"
TOML = ".toml"
ROLES = ("viewer", "user", "op", "admin")
"""What people may be in Airflow."""
DEFAULT = "default"
"""The recommender where `config/recommenders/` names none."""
RECOMMENDER = "recloop.recommender"
"""The setting that tells a session of PostgreSQL whose lineage it sees (`database/schema.sql`)."""
MODEL = "recommender"
"""What that one is served and registered as."""
CLIENT_NAME = "recloop"
"""Under which recloop itself logs in, where people have to."""

VARIABLES: dict[str, str] = {
    "PROJECT": "folder that `recloop init` made; default: the nearest one upward from the working "
    "directory, or the checkout that recloop runs from",
    "HOME": "folder for everything recloop writes; default: var/ in the project",
    "DATABASE_URL": "postgresql:// URL of your server; unset: the embedded PostgreSQL",
    "DATASET": "name of a file in config/datasets/, or a path ending in .toml; default: online_retail",
    "RECOMMENDER": "name of a file in config/recommenders/, for commands about one of several",
    "DATA": "path to your own copy of the dataset's file or folder; unset: as the TOML says",
    "CONFIG": "folder of rule and dataset files; default: config/ in the project",
    "SEED": "seed of everything random; default: 7",
    "PRELOAD": "1 (default) or 0: import heavy libraries once, in the scheduler, on CPU machines",
    "USERS": "who may log in to the Airflow of `recloop up`, as name:role (viewer, user, op, admin), "
    "separated by commas; unset: nobody has to, and everybody is called Anonymous",
    "GPU_QUEUE": "Airflow queue of training tasks; default: gpu",
    "GPU_POOL": "Airflow pool of training tasks; default: gpu",
}
IN_FILE = tuple(name.lower() for name in VARIABLES if name not in ("PROJECT", "DATABASE_URL"))
"""Settings that `recloop.toml` may have: it goes into git, and a URL may hold a password."""


class Settings(BaseModel):
    """Validated settings. Paths are absolute."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    project: Path = Field(default_factory=lambda: found_project())
    """Holds `dags/`, `plugins/`, `feature_repo/` and `config/`."""
    home: Path = Field(default_factory=lambda known: laying_out.home_of(known["project"]))
    """Everything recloop writes lies under this folder."""
    database_url: str = ""
    """`postgresql+psycopg2://…` of the user's server; empty: the embedded one under `home`."""
    dataset: str = "online_retail"
    """Name of a dataset file in `config/datasets`, or a path to one, which ends in `.toml`."""
    recommender: str = ""
    """Name of a file in `config/recommenders`, or `default`; empty: none was chosen."""
    given: Settings | None = None
    """What the settings of a recommender were made from (see `config/recommenders.py`)."""
    data: Path | None = None
    """The user's own copy of the data; None: the source that the dataset file names."""
    config: Path = Field(default_factory=lambda known: known["project"] / "config")
    """Folder of `validation.toml`, `gate.toml`, `update.toml` and `datasets/`."""
    seed: int = Field(default=7, ge=0)
    """Seeds everything random."""
    preload: bool = True
    """Import heavy libraries in the scheduler, so that task processes inherit them."""
    users: str = ""
    """`vera:op,ole:viewer`: people by whose names the ledger keeps approvals; empty: no login."""
    gpu_queue: str = "gpu"
    """Workers that train listen to it (`airflow celery worker --queues`)."""
    gpu_pool: str = "gpu"
    """Its slots are the trainings at a time; of one of several recommenders, its own pool."""

    @field_validator("project", "home", "data", "config")
    @classmethod
    def _absolute_path(cls, path: Path | None) -> Path | None:
        return path and _absolute(path)

    @field_validator("dataset")
    @classmethod
    def _absolute_if_a_path(cls, dataset: str) -> str:
        # Airflow's processes read the setting again, in folders of their own.
        return str(_absolute(Path(dataset))) if dataset.endswith(TOML) else dataset

    @field_validator("database_url")
    @classmethod
    def _name_the_driver(cls, url: str) -> str:
        # SQLAlchemy 2.1 takes a bare postgresql:// for psycopg 3; every client here uses psycopg2.
        # No message quotes the URL: it may hold a password.
        if not url:
            return url
        scheme, separator, rest = url.partition("://")
        if not separator or scheme not in ("postgresql", "postgres", "postgresql+psycopg2"):
            got = f"one that begins with {scheme}://" if separator else "a text without ://"
            raise ValueError(f"should be of the form postgresql://user@host/database, got {got}")
        if rest.partition("?")[0].count("@") > 1:
            raise ValueError("has an @ in its password or user name: write that as %40")
        return f"postgresql+psycopg2://{rest}"

    @field_validator("users")
    @classmethod
    def _check_users(cls, users: str) -> str:
        for user in filter(None, users.split(",")):
            name, _, role = user.partition(":")
            if not name.strip() or role not in ROLES or name == CLIENT_NAME:
                raise ValueError(
                    f"should be of the form vera:op,ole:viewer with roles {', '.join(ROLES)} and no "
                    f"user called {CLIENT_NAME!r}, got {user!r}"
                )
        return users

    @property
    def dataset_file(self) -> Path:
        """The dataset file that `dataset` names.

        Raises:
            BadInput: there is none.
        """
        folder = self.config / "datasets"
        named = self.dataset.endswith(TOML)
        path = Path(self.dataset) if named else folder / f"{self.dataset}{TOML}"
        if path.is_file():
            return path
        known = ", ".join(sorted(file.stem for file in folder.glob(f"*{TOML}"))) or "none"
        said = "RECLOOP_DATASET" if self.on_main_dataset else f"{self.recommender_file}: dataset"
        raise BadInput(
            f"{said} = {self.dataset!r}: there is no file {path}. Give the name of a file "
            f"in {folder} ({known}) or a path to one that ends in {TOML}."
        )

    @property
    def recommender_file(self) -> Path:
        """Where the recommender's own file is, if it has one."""
        return self.config / "recommenders" / f"{self.recommender or DEFAULT}{TOML}"

    @property
    def dataset_name(self) -> str:
        """What the dataset's database, folder and DAGs are called by."""
        return Path(self.dataset).stem if self.dataset.endswith(TOML) else self.dataset

    @property
    def on_main_dataset(self) -> bool:
        """Whether the dataset is the one of `RECLOOP_DATASET`, which has the database that
        `RECLOOP_DATABASE_URL` names. Others have one beside it, and a folder of their own."""
        return self.given is None or self.given.dataset == self.dataset

    @property
    def own_folder(self) -> Path:
        """What only this recommender writes lies under it."""
        named = self.recommender not in ("", DEFAULT)
        return self.home / "recommenders" / self.recommender if named else self.home

    @property
    def artifacts(self) -> Path:
        """Training sets, candidates, gate reports: one folder per kind."""
        return self.own_folder / "artifacts"

    @property
    def cache(self) -> Path:
        """Downloads, keyed by hash."""
        return self.home / "cache"

    @property
    def model_name(self) -> str:
        """Under which the recommender is served, and registered in MLflow."""
        return MODEL if self.recommender in ("", DEFAULT) else self.recommender

    @property
    def serving(self) -> Path:
        """What TF Serving reads: `models.config`, and a folder of versions for each recommender."""
        return self.home / "serving"

    @property
    def data_docs(self) -> Path:
        """Pages of what validation found, one for each window."""
        return self._dataset_folder / "data_docs"

    @property
    def validations(self) -> Path:
        """What Great Expectations keeps of each window."""
        return self._dataset_folder / "artifacts" / "validations"

    @property
    def _dataset_folder(self) -> Path:
        return self.home if self.on_main_dataset else self.home / "datasets" / self.dataset_name

    @property
    def airflow_home(self) -> Path:
        return self.home / "airflow"

    @classmethod
    def from_environment(cls) -> Settings:
        """Read `RECLOOP_*` variables, and below them what the project's `recloop.toml` says.

        Raises:
            BadInput: a variable or setting is unknown, or its value cannot be used.
        """
        given = {k.removeprefix(PREFIX): v for k, v in os.environ.items() if k.startswith(PREFIX)}
        unknown = sorted(set(given) - set(VARIABLES))
        if unknown:
            # Without its value: a mistyped name may hold the URL of a database.
            raise BadInput(
                f"unknown environment variable {PREFIX}{unknown[0]}; "
                f"known are {', '.join(PREFIX + name for name in VARIABLES)}. Unset or rename it."
            )
        values: dict[str, object] = {k.lower(): v for k, v in given.items() if v != ""}
        written = project_file.read_settings(found_project(), IN_FILE)
        if values.get("dataset", written.get("dataset")) != written.get("dataset"):
            written.pop("data", None)  # of the file's own dataset
        try:
            return cls.model_validate(written | values)
        except ValidationError as error:
            wrong = error.errors(include_url=False, include_context=False)[0]
            key = "_".join(map(str, wrong["loc"]))
            name = f"the environment variable {PREFIX}{key.upper()}"
            if key in written and key not in values:
                name = f"{found_project() / project_file.FILE}: {key}"
            shown = "" if key == "database_url" else f" = {wrong['input']!r}"
            raise BadInput(
                f"{name}{shown} cannot be used: {wrong['msg'].removeprefix('Value error, ')}."
            ) from None

    def at(self, url: str) -> Settings:
        """The same settings on the server of a main database: of a recommender, its dataset's database
        there, with sessions that see its lineage."""
        if not self.on_main_dataset:
            url = with_database(url, f"{database_name(url)}_{self.dataset_name}")
        if self.recommender not in ("", DEFAULT):
            url = with_setting(url, RECOMMENDER, self.recommender)
        return self.model_copy(update={"database_url": url})

    def environment(self) -> dict[str, str]:
        """The variables that give a child process these same settings."""
        base = self.given or self
        values = {name: getattr(base, name.lower()) for name in VARIABLES}
        values |= {"DATA": base.data or "", "PRELOAD": int(base.preload)}
        values |= {"RECOMMENDER": self.recommender}
        return {PREFIX + name: str(value) for name, value in values.items()}


def found_project() -> Path:
    """The project: what `RECLOOP_PROJECT` names; else the nearest folder upward from the working
    directory that `recloop init` made; else the checkout, or what the wheel would lay out.

    Raises:
        BadInput: `RECLOOP_PROJECT` names a folder that is no project.
    """
    given = os.environ.get(f"{PREFIX}PROJECT")
    if not given:
        return project_file.nearest(Path.cwd()) or laying_out.shipped()
    folder = _absolute(Path(given))
    if not all((folder / name).is_dir() for name in project_file.FOLDERS):
        raise BadInput(
            f"RECLOOP_PROJECT = {given!r} is no project: it has no "
            f"{', '.join(project_file.FOLDERS)}. Lay one out: recloop init {given}"
        )
    return folder


def _absolute(path: Path) -> Path:
    try:
        return path.expanduser().resolve()
    except RuntimeError as error:
        raise ValueError("nobody has the name after ~, or links lead in a circle") from error


TELEMETRY_OFF = {"MLFLOW_DISABLE_TELEMETRY": "true", "GX_ANALYTICS_ENABLED": "false"}
"""Libraries report their use to their makers unless told not to; recloop tells them."""


def switch_telemetry_off() -> None:
    """For this process; call it before the first import of MLflow."""
    os.environ.update(TELEMETRY_OFF)


def process_environment() -> dict[str, str]:
    """A copy of this process's environment, for child processes."""
    return dict(os.environ)


def choose_recommender(name: str) -> None:
    """Let this process and its children be of a recommender."""
    os.environ[f"{PREFIX}RECOMMENDER"] = name

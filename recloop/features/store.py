"""Feast's feature store, opened with recloop's settings.

Belongs here: opening, and applying the definitions of `feature_repo/`. Keep out: what a feature is
(see `feature_repo/definitions.py`), reading features (see `online.py`, `training_set.py`).

Feast is imported inside the functions, and a store belongs to one process: its connections must not
cross a fork. `feature_repo/feature_store.yaml` is the one configuration; Feast's command line fills
it in from the environment, recloop from its settings.
"""

from __future__ import annotations

import hashlib
import importlib.util
import io
import logging
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from importlib.metadata import version
from pathlib import Path
from string import Template
from types import ModuleType
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, quote, unquote, urlencode, urlsplit

from recloop.addresses import without_setting
from recloop.database.connection import Cursor, Lock, redacted, transaction
from recloop.database.embedded import database_of
from recloop.errors import ServiceAway
from recloop.settings import RECOMMENDER, Settings, found_project

if TYPE_CHECKING:
    import pyarrow as pa
    from feast import FeatureStore

_opened: dict[tuple[int, str], FeatureStore] = {}
_feasts_own: list[str] = []


def feature_store(settings: Settings) -> FeatureStore:
    """The store of these settings, its definitions applied. One per process and database.

    Raises:
        ServiceAway: the database cannot be reached.
    """
    # One for all recommenders on the dataset.
    url = without_setting(database_of(settings), RECOMMENDER)
    key = (os.getpid(), url)
    if key not in _opened:
        with service_errors(url), transaction(url) as cursor:
            cursor.execute("select pg_advisory_xact_lock(%s)", (Lock.OPEN_FEAST,))
            store = _open(url)
            _apply_if_changed(store, cursor)
        _opened[key] = store
    return _opened[key]


def point_in_time_join(settings: Settings, entities: str, service: str) -> pa.Table:
    """Feast's join of an entity query; columns are `<view>__<feature>`, times are UTC.

    Raises:
        ServiceAway: the database was lost.
    """
    store = feature_store(settings)
    with service_errors(database_of(settings)):
        job = store.get_historical_features(
            entity_df=entities, features=store.get_feature_service(service), full_feature_names=True
        )
        return job.to_arrow()


def join_by_index() -> str:
    """Have Feast join by `point_in_time.sql` where it is asked for entities: the cost does not grow with
    their history. Returns the template that it came with. (It has no option for another one.)"""
    from feast.infra.offline_stores.contrib.postgres_offline_store import postgres

    name = "MULTIPLE_FEATURE_VIEW_POINT_IN_TIME_JOIN"
    if not _feasts_own:
        _feasts_own.append(getattr(postgres, name))
    ours = Path(__file__).with_name("point_in_time.sql").read_text()
    either = f"{{% if start_date and end_date %}}{_feasts_own[0]}{{% else %}}{ours}{{% endif %}}"
    setattr(postgres, name, either)
    return _feasts_own[0]


def forget_store(url: str) -> None:
    """Drop this process's store of a database, for instance after its connection broke."""
    _opened.pop((os.getpid(), without_setting(url, RECOMMENDER)), None)


@contextmanager
def service_errors(url: str) -> Iterator[None]:
    """Turn lost connections into `ServiceAway`, and forget the store that held them."""
    import psycopg
    import psycopg_pool
    import sqlalchemy.exc

    lost = (psycopg.OperationalError, psycopg_pool.PoolTimeout, sqlalchemy.exc.OperationalError)
    try:
        yield
    except lost as error:
        forget_store(url)
        raise ServiceAway(
            f"Feast lost PostgreSQL at {redacted(url)}: {str(error).strip()}. "
            "Check RECLOOP_DATABASE_URL and run it again."
        ) from error


@contextmanager
def quiet() -> Iterator[None]:
    """Swallow the progress bars and coloured lines that Feast prints."""
    with redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()):
        yield


def variables(url: str) -> dict[str, str]:
    """The variables of `feature_store.yaml`, for a database URL."""
    parts = urlsplit(url)
    query = dict(parse_qsl(parts.query))
    host = query.get("host") or parts.hostname or "localhost"
    search_path = {"options": "-csearch_path=feast_registry -ctimezone=UTC"}
    registry = parts._replace(
        scheme="postgresql+psycopg2", query=urlencode({**query, **search_path}, quote_via=quote)
    )
    return {
        "FEATURES_REGISTRY": registry.geturl(),
        "FEATURES_HOST": host,
        "FEATURES_PORT": str(query.get("port") or parts.port or 5432),
        "FEATURES_DATABASE": unquote(parts.path.lstrip("/")),
        "FEATURES_USER": unquote(parts.username or "postgres"),
        "FEATURES_PASSWORD": unquote(parts.password or ""),
        "FEATURES_SSLMODE": query.get("sslmode", "prefer"),
    }


def repository() -> Path:
    """The project's `feature_repo/`."""
    return found_project() / "feature_repo"


def definitions() -> ModuleType:
    """`feature_repo/definitions.py` as a module. Executed at each call: Feast's objects change."""
    import_feast()
    path = repository() / "definitions.py"
    spec = importlib.util.spec_from_file_location("feature_definitions", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _open(url: str) -> FeatureStore:
    import yaml

    import_feast()
    from feast import FeatureStore, RepoConfig

    join_by_index()
    logging.getLogger("feast").setLevel(logging.WARNING)
    config = yaml.safe_load((repository() / "feature_store.yaml").read_text())
    return FeatureStore(
        config=RepoConfig(**_filled(config, variables(url)), repo_path=repository())
    )


def _filled(config: Any, values: dict[str, str]) -> Any:
    """The configuration with `${NAME}` filled in, wherever it stands."""
    if isinstance(config, dict):
        return {key: _filled(value, values) for key, value in config.items()}
    return Template(config).substitute(values) if isinstance(config, str) else config


def _apply_if_changed(store: FeatureStore, cursor: Cursor) -> None:
    """Apply the definitions unless the registry holds exactly these.

    Applying takes a second and reads every object, so a hash of the definitions says whether it is
    needed. Feast keeps the materialization intervals of views that it applies again.
    """
    fingerprint = _fingerprint()
    cursor.execute("select fingerprint from features.applied")
    if cursor.fetchone() == (fingerprint,):
        return
    with quiet():
        store.apply(feast_objects(definitions()), partial=False)
    cursor.execute(
        "insert into features.applied (fingerprint) values (%s) "
        "on conflict (only_row) do update set fingerprint = excluded.fingerprint",
        (fingerprint,),
    )


def feast_objects(module: ModuleType) -> list[Any]:
    """The Feast objects of a module, as `feast apply` would collect them."""
    from feast import Entity, FeatureService, FeatureView

    kinds = (Entity, FeatureView, FeatureService)
    return [value for value in vars(module).values() if isinstance(value, kinds)]


def _fingerprint() -> str:
    digest = hashlib.sha256(version("feast").encode())
    for path in (repository() / "definitions.py", repository() / "feature_store.yaml"):
        digest.update(path.read_bytes())
    return digest.hexdigest()


if __name__ == "__main__":
    import shlex

    for name, value in variables(database_of(Settings.from_environment())).items():
        print(f"export {name}={shlex.quote(value)}")


# Feast's import, in a third of the time.
#
# Feast decorates its classes with typeguard, which reads and rewrites their sources whenever a
# process imports Feast: two thirds of the seconds that the import takes, in every task and every
# command. What it would check is how `feature_repo/definitions.py` calls Feast; `feast apply`
# checks that as well.

_one_at_a_time = threading.Lock()


def import_feast() -> None:
    """Import Feast without typeguard's checks; where it was imported before, nothing happens.

    The decorator is in its place again afterwards: other libraries get what they ask for.
    """
    import typeguard

    with _one_at_a_time:
        typechecked = typeguard.typechecked
        typeguard.typechecked = _unchanged
        try:
            import feast.infra.offline_stores.contrib.postgres_offline_store.postgres_source  # noqa: F401
        finally:
            typeguard.typechecked = typechecked


def _unchanged(target: Any = None, **_options: Any) -> Any:
    """`typechecked`, with or without its parentheses."""
    return _unchanged if target is None else target

"""What the DAGs of each recommender and dataset are called in Airflow, and whose a DAG is.

Those of a recommender `home_page` are `home_page.incremental_update` and so on; those that read a
dataset are the dataset's, `online_retail.ingest_behavior`, for recommenders share it. The recommender
`default`, and the dataset that it learns from, have the plain names.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass

from models.recommenders.offered import FEATURES
from recloop.config.recommenders import recommenders, usable
from recloop.config.rules import read_family, read_schedule
from recloop.errors import BadInput
from recloop.settings import DEFAULT, Settings

OF_DATASET = ("behavior_arrival", "ingest_behavior")
OF_RECOMMENDER = (
    "full_rebuild", "incremental_update", "maintain_models", "periodic_update",
    "publish_recommendations", "rollback_release", "shadow_rebuild",
)  # fmt: skip
DAG_IDS = tuple(sorted((*OF_DATASET, *OF_RECOMMENDER)))
"""The DAGs of `dags/`, one file each, named alike."""


def prefixed(prefix: str, name: str) -> str:
    """A DAG's id, or the name of an asset or a pool, of whoever has this prefix."""
    return f"{prefix}.{name}" if prefix else name


def prefix_of(settings: Settings) -> str:
    """What the names of a recommender's DAGs and pool begin with; empty for `default`."""
    return "" if settings.recommender in ("", DEFAULT) else settings.recommender


def pool_of(settings: Settings) -> str:
    """The Airflow pool in which a recommender trains."""
    return prefixed(prefix_of(settings), settings.gpu_pool)


@dataclass(frozen=True)
class Shared:
    """A dataset, and the recommenders that learn from it.

    Attributes:
        prefix: what the names of its DAGs and assets begin with; empty where `default` learns from it.
        keeper: the recommender as which its tasks run.
        recommenders: all of them, by name.
    """

    prefix: str
    keeper: Settings
    recommenders: tuple[Settings, ...]


def shared(fleet: Sequence[Settings]) -> list[Shared]:
    """The datasets of these recommenders."""
    by_dataset: dict[str, list[Settings]] = {}
    for one in fleet:
        by_dataset.setdefault(one.dataset, []).append(one)
    return [
        Shared(
            prefix="" if DEFAULT in [one.recommender for one in alike] else alike[0].dataset_name,
            keeper=keeper(alike),
            recommenders=tuple(alike),
        )
        for alike in by_dataset.values()
    ]


def dag_id(settings: Settings, name: str) -> str:
    """What the DAG `name` of a recommender, or of its dataset, is called."""
    if name not in OF_DATASET:
        return prefixed(prefix_of(settings), name)
    datasets = shared(usable(settings)[0])
    alike = [one for one in datasets if settings.dataset in {r.dataset for r in one.recommenders}]
    return prefixed(alike[0].prefix if alike else "", name)


def keeper(alike: Sequence[Settings]) -> Settings:
    """Of recommenders on one dataset, the one that ingests for all of them: the first that needs
    features, so that they are written with the window; else the first."""
    for one in alike if len(alike) > 1 else ():
        with suppress(BadInput):
            if set(read_family(one).inputs) & set(FEATURES):
                return one
    return alike[0]


def expected(settings: Settings) -> set[str]:
    """The ids of all DAGs of all recommenders whose files can be used."""
    fleet = usable(settings)[0]
    own = {prefixed(prefix_of(one), name) for one in fleet for name in OF_RECOMMENDER}
    return own | {prefixed(one.prefix, name) for one in shared(fleet) for name in OF_DATASET}


def recommender_of(settings: Settings, dag_id: str) -> str:
    """The name of the recommender as which a DAG's tasks run; empty: it is none of recloop's, or cannot
    be told."""
    prefix, _, name = dag_id.rpartition(".")
    if name not in OF_DATASET:
        known = recommenders(settings)
        return next((one for one in known if one == (prefix or DEFAULT)), "")
    found = [one.keeper for one in shared(usable(settings)[0]) if one.prefix == prefix]
    return found[0].recommender if found else ""


def dags_of_arrival(settings: Settings) -> dict[str, bool]:
    """The id of each dataset's `behavior_arrival`, and whether data keep coming."""
    return {
        prefixed(one.prefix, "behavior_arrival"): read_schedule(one.keeper).end is None
        for one in shared(usable(settings)[0])
    }

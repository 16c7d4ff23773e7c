"""Every value that a form or a plan file offers for a family, run once to a gate report.

    python -m tests.offered                       # all families, about half an hour
    python -m tests.offered --families ratings

Each update learns the same week from the same champion; after a promotion it is rolled back. What a
family lacks must be refused when it is planned.
"""

from __future__ import annotations

import logging
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import typer

from models.errors import ModelError
from models.ids.starts import STARTS
from models.learning.batch_source import SHUFFLES
from models.learning.recipes import OPTIMIZERS, REPLAYS, SCHEDULES, SCOPES
from models.recommenders.family import Family, family_named
from models.recommenders.offered import FAMILIES
from recloop.cli.loop import run_update
from recloop.database.embedded import database_of
from recloop.errors import BadInput
from recloop.settings import Settings
from recloop.stages import update_stages
from recloop.stages.ingest_stages import ingest_windows
from tests.integration.family_shop import deliver, key, settings_of

Json = dict[str, Any]
NUMBERS: Json = {
    "epochs": 2, "learning_rate": 0.02, "batch_size": 32, "dropout": 0.2, "user_dropout": 0.2,
    "clip_norm": 1.0, "weight_decay": 0.001, "champion_decay": 0.01, "ewc": 0.1, "patience": 1,
}  # fmt: skip
IDS: Json = {"minimum_events": 2, "expire_after_days": 60}
MAINTENANCE = ("prune", "float16", "int8", "float32", "student")


def offered(family: Family) -> Iterator[tuple[str, Json, bool]]:
    """Name, options of a plan, and whether the family has it."""
    recipe: list[tuple[str, Json, bool]] = [
        *((f"scope = {one}", {"scope": one}, one in family.scopes) for one in SCOPES),
        *((f"optimizer = {one}", {"optimizer": one}, True) for one in OPTIMIZERS),
        *((f"schedule = {one}", {"schedule": one}, True) for one in SCHEDULES),
        *((f"shuffle = {one}", {"shuffle": one}, True) for one in SHUFFLES),
        *((f"replay = {one}", {"replay": one}, True) for one in REPLAYS),
        *(
            (f"{name} = {value}", {name: value}, name not in family.idle)
            for name, value in NUMBERS.items()
        ),
        ("distillation = 0.5", {"replay": "uniform", "distillation": 0.5}, True),
    ]
    for name, values, has in recipe:
        yield name, {"recipe": values}, has
    second = family.ranker is not None
    for scope in ("everything", "head"):
        yield f"ranker.scope = {scope}", {"ranker": {"scope": scope}}, second
    yield "rank = false", {"rank": False}, second
    for start in STARTS:
        yield f"ids.start = {start}", {"ids": {"start": start}}, "start" in family.ids
    for name, value in IDS.items():
        yield f"ids.{name} = {value}", {"ids": {name: value}}, name in family.ids
    for kind in MAINTENANCE:
        yield f"maintain = {kind}", {"maintain": kind}, kind in family.maintenance
    yield "average_releases = 2", {"average_releases": 2}, True
    yield "shards = 2", {"shards": 2}, family.shards


def outcome(settings: Settings, options: Json) -> str:
    """The gate's word: promoted or rejected, by how many rules; or why there was no update."""
    try:
        done = run_update(settings, key(2), "increment", options)
    except BadInput as error:
        return f"refused: {error}"
    except ModelError as error:
        return f"failed: {error}"
    if done["gate"] is None:
        return f"no update: {done['plan']['reason']}"
    if done["outcome"] == "promoted":
        update_stages.roll_back(1, "the next value", settings)
    return f"{done['outcome']}, {len(done['gate']['rules'])} rules"


def main(
    families: Annotated[str, typer.Option(help="With commas between.")] = ",".join(FAMILIES),
) -> None:
    """Run all, print a line for each, and fail if one was not as offered."""
    logging.disable(logging.WARNING)
    wrong = 0
    for name in families.split(","):
        family = family_named(name)
        with tempfile.TemporaryDirectory() as folder:
            settings = settings_of("", Path(folder), {"family": name})
            settings = settings.model_copy(update={"database_url": database_of(settings)})
            deliver(settings, 0, 1, 2)
            ingest_windows(settings)
            run_update(settings, key(1), "rebuild", {})
            for what, options, has in offered(family):
                began = time.monotonic()
                found = outcome(settings, options)
                fine = found.startswith(("promoted", "rejected", "deferred") if has else "refused")
                wrong += not fine
                mark = "   " if fine else "!! "
                print(
                    f"{mark}{name:18}{what:26}{time.monotonic() - began:5.1f} s  {found}",
                    flush=True,
                )
    raise typer.Exit(int(wrong > 0))


if __name__ == "__main__":
    typer.run(main)

"""What a worker changed in a cascade: a part of the towers' and one of the ranker's.

    mark = mark_of(model)                           # after growing, before learning
    model.fit(queries, interactions, …)             # of one worker's share of the users
    part = part_of(model, mark, queries, interactions)
    merge(other, [part, …])                         # into a copy of what was marked, or a later one

Neighbours: `models.merging.merging` has the arithmetic, `models.merging.part_files` the files.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from models.data.queries import Interactions, Queries
from models.merging import merging, part_files
from models.merging.merging import Mark, Part
from models.retrieve_and_rank.retrieve_and_rank import RetrieveAndRank
from models.retrieve_and_rank.two_stage_files import RANKER, TOWERS
from models.storage.checkpoint import MAGNITUDE_LIMIT
from models.tables.state import ModelState

TOWERS_STRETCH, TOWERS_PUSHED = 0.35, 8.0
"""Of the towers' means. On UCI Online Retail, 27 weeks in 4 shards, NDCG@20 on new pairs loses (against
one process, with a stretch of 0.5 and whole batches) 1.9 % with pushed = 0, 1.5 % with 1, 1.2 % with
4, 1.1 % with 16, 1.2 % with 10^6. With 8 and the smaller batches of `recloop.training.sharding`: 0.9 %
with a stretch of 0.35, 1.0 % with 0.5, 1.1 % with 0.6. On all pairs all lose 0.3 to 0.5 %. The
ranker's mean lost 0.1 % as it is."""


@dataclass(frozen=True, eq=False)
class TwoStageChanges:
    """What one worker changed in both stages."""

    towers: Part
    ranker: Part


def mark_of(model: RetrieveAndRank) -> tuple[Mark, Mark]:
    """Both stages as they are now."""
    return Mark.of(model.towers), Mark.of(model.ranker_state)


def put_back(model: RetrieveAndRank, mark: tuple[Mark, Mark]) -> None:
    """Gives a model that has not grown since the weights that it had at the mark."""
    for state, one in zip((model.towers, model.ranker_state), mark, strict=True):
        one.put_back(state)


def part_of(
    model: RetrieveAndRank, mark: tuple[Mark, Mark], queries: Queries, interactions: Interactions
) -> TwoStageChanges:
    """What the model has learned from these events since `mark` was taken of it.

    A ranker that learns for the first time fixes the scale of its features by what it sees, which is
    another for each worker: its part is then empty.
    """
    towers, ranker = mark
    times = times_touched(model.towers, queries, interactions)
    asked = len(np.unique(interactions.query))
    learned = merging.part_of(model.ranker_state, ranker, asked, {})
    if not ranker.steps:
        learned = replace(learned, steps=0)
    return TwoStageChanges(merging.part_of(model.towers, towers, len(interactions), times), learned)


def times_touched(
    towers: ModelState, queries: Queries, interactions: Interactions
) -> dict[str, np.ndarray]:
    """How many times the events are about each row of the towers' keyed tables: [rows] by table.

    A user and an item once for each event, an item of the history once for each query that looks
    back on it. Row 0, of what isn't known, is nobody's.
    """
    users = towers.users.rows(queries.user_keys[interactions.query])
    items = towers.items.rows(interactions.item_keys)
    history = towers.items.rows(queries.history[:, : towers.config.history_length]).ravel()
    counts = {
        "users": np.bincount(users, minlength=len(towers.users) + 1),
        "items": np.bincount(items, minlength=len(towers.items) + 1),
        "history": np.bincount(history, minlength=len(towers.items) + 1),
    }
    for array in counts.values():
        array[0] = 0
    keyed = towers.network.keyed.items()
    return {name: counts["history" if name == "history" else entity] for name, entity in keyed}


def merge(
    model: RetrieveAndRank,
    given: Sequence[TwoStageChanges],
    discounts: Sequence[float] | None = None,
) -> None:
    """Merges the parts into the model, in place. See `models.merging.merging.merge`."""
    towers = [part.towers for part in given]
    merging.merge(model.towers, towers, discounts, TOWERS_STRETCH, TOWERS_PUSHED)
    merging.merge(model.ranker_state, [part.ranker for part in given], discounts)


def save(part: TwoStageChanges, directory: Path, header: Mapping[str, Any]) -> None:
    """Writes `directory/towers` and `directory/ranker`. See `models.merging.part_files.save`."""
    part_files.save(part.towers, directory / TOWERS, header)
    part_files.save(part.ranker, directory / RANKER, header)


def restore(
    directory: Path, magnitude_limit: float = MAGNITUDE_LIMIT
) -> tuple[TwoStageChanges, dict[str, Any]]:
    """What `save` wrote: the part, and its header.

    Raises:
        RestoreError: see `models.merging.part_files.restore`.
    """
    towers, header = part_files.restore(directory / TOWERS, magnitude_limit)
    ranker, _ = part_files.restore(directory / RANKER, magnitude_limit)
    return TwoStageChanges(towers, ranker), header

"""Whether an update takes the model's catalogue over a bound at which its loss becomes another one.

The basket loss looks at every item while there are few (`ModelConfig.whole_catalogue`), and at a sample
of them beyond: cheaper steps, another gradient, other costs than the policy has learnt. A person who
reads the plan is told.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from recloop.contracts import Release, TrainingSet
from recloop.update.model import CHECKPOINT


def loss_change(champion: Release, sets: Sequence[TrainingSet], anew: bool) -> str:
    """What a plan's reason says of it; empty: the loss stays as it is.

    Args:
        sets: what the update learns from.
        anew: from scratch, so that the champion's other items are not known any more.
    """
    from models.errors import RestoreError
    from models.ordering.cascade_files import TOWERS
    from models.storage.archive import read_manifest

    towers = Path(champion.uri) / CHECKPOINT / TOWERS
    try:
        manifest = read_manifest(towers)
    except RestoreError:
        return ""  # whoever restores it says what is damaged
    config, arrays = manifest["config"], manifest["arrays"]
    if config.get("loss") != "basket":
        return ""
    limit = int(config["whole_catalogue"])
    before = int(arrays["item_keys"]["shape"][0])
    kept = 0 if anew else before
    if before <= limit and kept + sum(one.items for one in sets) <= limit:
        return ""
    keys = _learnt(sets)
    after = len(keys) if anew else len(np.union1d(keys, _items_of(towers)))
    if (before <= limit) == (after <= limit):
        return ""
    looks = "a sample of the items, no longer at all" if after > limit else "all items again"
    return (
        f"the catalogue goes from {before:,} items to {after:,}, past the {limit:,} of "
        f"`whole_catalogue`: the towers' loss looks at {looks}, which changes what a step costs and "
        "teaches"
    )


def _learnt(sets: Sequence[TrainingSet]) -> np.ndarray:
    """int64, the items that have events in these training sets, ascending."""
    import pyarrow.parquet as pq

    found = [np.zeros(0, np.int64)]
    for one in sets:
        table = pq.read_table(Path(one.uri) / "interactions.parquet", columns=["item_key"])
        found.append(np.unique(table["item_key"].to_numpy()))
    return np.unique(np.concatenate(found))


def _items_of(towers: Path) -> np.ndarray:
    """int64, the items that a checkpoint knows."""
    from models.storage.archive import ARRAYS

    with np.load(towers / ARRAYS, allow_pickle=False) as archive:
        return np.asarray(archive["item_keys"])

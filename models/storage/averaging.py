"""Averaging: one model from the last k releases, at the cost of one.

The weights of releases that were trained one from another lie in one valley of the loss, and their
mean is often better than the last of them: it has taken the noise of the latest window out. Rows
are matched by key, never by number: an id that only some releases know is the mean of those.

References: Izmailov et al., Averaging weights leads to wider optima and better generalization, UAI
2018; Wortsman et al., Model soups, ICML 2022 (the uniform soup).
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from models.storage import archive, checkpoint
from models.tables.network import Config, Entity
from models.tables.rows import shape_of
from models.tables.state import ModelState, config_of
from models.tables.vocabulary import Vocabulary

Arrays = dict[str, np.ndarray]
KEYS: dict[Entity, str] = {"users": "user_keys", "items": "item_keys"}


def average(releases: Sequence[ModelState | Path]) -> ModelState:
    """The mean of the releases' weights.

    Args:
        releases: oldest first, of one configuration: states, which are left alone, or folders that
            `models.storage.checkpoint` restores.

    Returns:
        A new state. Slots, vocabularies, content, extra arrays and steps are the newest's: ids that
        it has let expire stay away. Its next save is a whole one.

    Raises:
        ValueError: there is no release, or they are of different configurations.
        RestoreError: a folder can't be used.
    """
    if not releases:
        raise ValueError("`releases` should hold at least one. Received: none.")
    latest = releases[-1]
    state = (
        checkpoint.copy(latest) if isinstance(latest, ModelState) else checkpoint.restore(latest)
    )
    tables = state.network.tables
    totals = {name: np.zeros(shape_of(table)) for name, table in tables.items()}
    counts = {name: np.zeros(total.shape[:1]) for name, total in totals.items()}
    for place, release in enumerate(releases):
        config, arrays = _read(release)
        if config != state.config:
            raise ValueError(
                "Releases should be of one configuration. Received: "
                f"{config} at place {place}, and {state.config} as the newest. Average only "
                "releases since the configuration last changed."
            )
        # Row n of this release is row `to` of the newest.
        to = {entity: _rows(state.vocabulary(entity), arrays[KEYS[entity]]) for entity in KEYS}
        for name, total in totals.items():
            array = arrays[f"table/{name}"]
            if name not in state.network.keyed:
                total += array
                counts[name] += 1
                continue
            rows = to[state.network.keyed[name]]
            known = rows >= 0
            total[rows[known]] += array[known]
            counts[name][rows[known]] += 1
    for name, table in tables.items():
        total, count = totals[name], counts[name]
        count = count.reshape(count.shape + (1,) * (total.ndim - 1))
        table.assign((total / count).astype(np.float32))
    state.forget_origin()
    return state


def _read(release: ModelState | Path) -> tuple[Config, Arrays]:
    """The configuration and the arrays of a release."""
    if isinstance(release, ModelState):
        return release.config, checkpoint.to_arrays(release)
    manifest, arrays = archive.read(release, checkpoint.MAGNITUDE_LIMIT)
    return config_of(manifest["family"], manifest["config"]), arrays


def _rows(newest: Vocabulary, keys: np.ndarray) -> np.ndarray:
    """int64 [n + 1]: for each row of a release its row in the newest, -1 where that has none."""
    rows = newest.rows(keys)
    return np.concatenate([np.zeros(1, np.int64), np.where(rows > 0, rows, -1)])

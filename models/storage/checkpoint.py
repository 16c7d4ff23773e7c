"""Saving, restoring and averaging whole models: tables, slots, vocabularies, steps.

What is saved is an archive (`models.storage.archive`) whose header has the family, the
configuration, the optimizer's name, the seed and the steps. Saving and restoring is bit-exact, and
training goes on as if it had never stopped. `models.storage.delta` saves what has changed since;
`restore` reads both.

Rejected: `tf.train.Checkpoint`, which restores by object graph, says nothing of an array that is
not finite, and needs TensorFlow to be looked into.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from models.errors import CorruptCheckpoint, IncompatibleCheckpoint
from models.storage import archive, delta
from models.storage.archive import MANIFEST, Arrays
from models.tables.network import Config, Entity
from models.tables.optimizers import make_optimizer
from models.tables.rows import shape_of
from models.tables.state import ModelState, config_of
from models.tables.vocabulary import Vocabulary

MAGNITUDE_LIMIT = 1e6
"""Largest absolute value of a weight that restore lets through by default. A trained one is of the
order of 1. Slots have no limit: Adagrad's are sums over a model's whole life."""

MOST_DELTAS = 12
"""Restoring reads the whole chain: after so many deltas, a save is a whole one again."""


def to_arrays(state: ModelState) -> Arrays:
    """All arrays of a state by name: table/…, slot/…, content/…, extra/…, user_keys, item_keys."""
    arrays = {f"table/{name}": array for name, array in state.parameters().items()}
    arrays |= {f"slot/{name}": array for name, array in state.slots().items()}
    arrays |= {f"content/{name}": table.numpy() for name, table in state.network.content.items()}
    arrays |= {f"extra/{name}": array for name, array in state.extra.items()}
    arrays["user_keys"] = np.array(state.users.keys)
    arrays["item_keys"] = np.array(state.items.keys)
    return arrays


def save(state: ModelState, directory: Path, base: Path | None = None) -> str:
    """Writes the state to `directory`, replacing a model that is there.

    Args:
        state: from now on, its changes are counted from here.
        directory: new, or to be replaced.
        base: what the state was last saved to or restored from: only what has changed since is
            written, unless rows have moved since (an expiry), or the base is the `MOST_DELTAS`-th
            delta in a row. None: all is written.

    Returns:
        "delta" or "whole".

    Raises:
        UnusableBase: see `delta.save_delta`. Nothing was written.
        NonFiniteWeights: a weight is NaN or infinite. Nothing was written: restore would refuse it.
    """
    if base is not None and state.origin:
        delta.check_base(state, base, directory)
        if len(archive.chain(base)) <= MOST_DELTAS:
            delta.save_delta(state, base, directory)
            return "delta"
    state.saved_as(archive.write(directory, state.header(), to_arrays(state)))
    return "whole"


def restore(directory: Path, magnitude_limit: float = MAGNITUDE_LIMIT) -> ModelState:
    """The state saved in `directory`, bit for bit; of a delta, after reading what it is based on.

    Args:
        directory: what `save` or `delta.save_delta` wrote.
        magnitude_limit: the largest absolute value that a weight may have.

    Raises:
        CorruptCheckpoint: a file or an array is missing, truncated, altered, not finite, or beyond
            the limit; or a delta's base is not the one that it was made from.
        IncompatibleCheckpoint: another format version, or a configuration of another recloop.
    """
    manifest, arrays = archive.read(directory, magnitude_limit)
    config = _read_config(directory, manifest)
    try:
        state = _assemble(config, manifest, arrays, directory)
    except (KeyError, TypeError, ValueError) as error:
        raise CorruptCheckpoint(
            f"The manifest of {directory} doesn't describe a model ({error!r}). "
            "Restore the previous release, or save the model again."
        ) from error
    state.saved_as(archive.digest(directory))
    return state


def copy(state: ModelState) -> ModelState:
    """Another model with the same bits, which has its own variables and no base."""
    arrays = {name: np.array(array) for name, array in to_arrays(state).items()}
    numbers = {"optimizer": state.optimizer.kind, "seed": state.seed, "steps": state.steps}
    return _assemble(state.config, numbers, arrays, Path("memory"))


def _assemble(
    config: Config, manifest: dict[str, Any], arrays: Arrays, directory: Path
) -> ModelState:
    state = ModelState.create(config, archive.whole_number(manifest, "seed"))
    tables = state.network.tables
    state.optimizer = make_optimizer(manifest["optimizer"], tables, config.initial_accumulator)
    _check_shapes(state, arrays, directory)
    state.steps = archive.whole_number(manifest, "steps")
    for keys, vocabulary in (
        (arrays["user_keys"], state.users),
        (arrays["item_keys"], state.items),
    ):
        if len(vocabulary.extend(keys)) != len(keys):
            raise ValueError("a vocabulary repeats a key")
    for name, table in tables.items():
        table.assign(arrays[f"table/{name}"])
    for name, slot in state.optimizer.slots.items():
        slot.assign(arrays[f"slot/{name}"])
    state.optimizer.touch_all(tables)
    for name, content in state.network.content.items():
        content.assign(arrays[f"content/{name}"])
    state.extra = {
        name.removeprefix("extra/"): array
        for name, array in arrays.items()
        if name.startswith("extra/")
    }
    return state


def _read_config(directory: Path, manifest: dict[str, Any]) -> Config:
    try:
        return config_of(manifest["family"], manifest["config"])
    except (KeyError, TypeError, ValueError) as error:
        raise IncompatibleCheckpoint(
            f"The configuration in {directory / MANIFEST} isn't one of this recloop ({error}). "
            "Restore it with the recloop that wrote it, or rebuild the model."
        ) from error


def _check_shapes(state: ModelState, arrays: Arrays, directory: Path) -> None:
    """Tables, slots, words and vocabularies must fit one another and the configuration."""
    network = state.network
    lengths = {"users": len(arrays["user_keys"]) + 1, "items": len(arrays["item_keys"]) + 1}
    expected: dict[str, tuple[int, ...]] = {
        f"content/{name}": (lengths["items"], *table.shape[1:])
        for name, table in network.content.items()
    }
    for name, table in network.tables.items():
        fresh = shape_of(table)
        keyed = network.keyed.get(name)
        expected[f"table/{name}"] = (lengths[keyed], *fresh[1:]) if keyed else fresh
    for name, slot in state.optimizer.slots.items():
        rows = expected[f"table/{name.rsplit('/', 1)[0]}"][:1]
        expected[f"slot/{name}"] = (*rows, *slot.shape[1:])
    content = {
        name: arrays[f"content/{name}"] for name in network.content if f"content/{name}" in arrays
    }
    wrong = network.check_content(content) if len(content) == len(network.content) else None
    if wrong:
        raise CorruptCheckpoint(f"In {directory}: {wrong} Restore the previous release.")
    missing = set(expected) - set(arrays)
    for name, shape in expected.items():
        actual = None if name in missing else arrays[name].shape
        if actual != shape:
            raise CorruptCheckpoint(
                f"Array {name!r} of {directory} should have shape {shape}, by the model's "
                f"configuration and vocabularies. Received: {actual}. Restore the previous release."
            )


KEYS: dict[Entity, str] = {"users": "user_keys", "items": "item_keys"}


def average(releases: Sequence[ModelState | Path]) -> ModelState:
    """The mean of the releases' weights: one model, at the cost of one.

    Releases that were trained one from another lie in one valley of the loss, and their mean has
    the noise of the latest window taken out (Izmailov et al., Averaging weights leads to wider
    optima and better generalization, UAI 2018; Wortsman et al., Model soups, ICML 2022, the uniform
    soup). Rows are matched by key: an id that only some releases know is the mean of those.

    Args:
        releases: oldest first: states, which are left alone, or folders that `restore` reads. Those
            before the configuration last changed (a student has fewer dimensions) are passed over.

    Returns:
        A new state. Slots, vocabularies, content, extra arrays and steps are the newest's: ids that
        it has let expire stay away. Its next save is a whole one.

    Raises:
        ValueError: there is no release.
        RestoreError: a folder can't be used.
    """
    if not releases:
        raise ValueError("`releases` should hold at least one. Received: none.")
    latest = releases[-1]
    state = copy(latest) if isinstance(latest, ModelState) else restore(latest)
    tables = state.network.tables
    totals = {name: np.zeros(shape_of(table)) for name, table in tables.items()}
    counts = {name: np.zeros(total.shape[:1]) for name, total in totals.items()}
    for release in reversed(releases):
        config, arrays = _read(release)
        if config != state.config:
            break
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
        return release.config, to_arrays(release)
    manifest, arrays = archive.read(release, MAGNITUDE_LIMIT)
    return config_of(manifest["family"], manifest["config"]), arrays


def _rows(newest: Vocabulary, keys: np.ndarray) -> np.ndarray:
    """int64 [n + 1]: for each row of a release its row in the newest, -1 where that has none."""
    rows = newest.rows(keys)
    return np.concatenate([np.zeros(1, np.int64), np.where(rows > 0, rows, -1)])

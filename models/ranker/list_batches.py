"""The ranker's batches: lists of candidates, or single examples. See
`models.learning.batch_source.BatchSource`.

Features are standardised here, with the mean and the deviation of the first training set that the
model saw: weights keep their meaning from update to update. They travel in `ModelState.extra`. The
lists are most of what a rebuild holds in memory: they are copied once, without what says nothing, and
standardised in place. (Chunk by chunk would save that copy, but cost each epoch anew.)
"""

from dataclasses import dataclass

import numpy as np

from models.data.checks import Float32Array, Int64Array, check_amounts, check_arrays, check_finite
from models.data.queries import Interactions
from models.data.ragged import picked
from models.errors import BadTrainingData
from models.learning.batch_source import Shuffled, check_weights, owners_of
from models.learning.memory import Examples
from models.learning.recipes import Recipe
from models.ranker.ranker_config import (
    KNOWN_FEATURE,
    LARGEST,
    MEAN,
    SCALE,
    VALUE_SCALE,
    CandidateLists,
)
from models.tables.backend import tf
from models.tables.state import ModelState

ROWS_AT_ONCE = 65_536

Tensors = dict[str, tf.Tensor]


@dataclass(frozen=True, eq=False)
class RankingExamples:
    """N examples, each a user, an item and what was known of both.

    Attributes:
        user_keys, item_keys: int64 [N]; 0, or unknown: without ids.
        features: float32 [N, F], finite.
        labels: float32 [N], chosen (1) or not (0).
        weights: float32 [N], not negative.
        values: float32 [N] for the head "value", NaN where not known; None: none is.
    """

    user_keys: Int64Array
    item_keys: Int64Array
    features: Float32Array
    labels: Float32Array
    weights: Float32Array
    values: Float32Array | None = None

    def __post_init__(self) -> None:
        keys, numbers = (np.int64, 1), (np.float32, 1)
        features = (np.float32, 2)
        check_arrays(
            self, user_keys=keys, item_keys=keys, features=features, labels=numbers, weights=numbers
        )
        check_finite("features", self.features)
        check_amounts("weights", self.weights)

    def __len__(self) -> int:
        return len(self.user_keys)


class PairBatches(Shuffled):
    """Single examples, for the pointwise loss.

    Raises:
        BadTrainingData: there is nothing to learn from, or the features are of another width.
    """

    kind = "examples"

    def __init__(self, state: ModelState, examples: RankingExamples, recipe: Recipe) -> None:
        _check(state, examples.features, examples.weights)
        self.weights = examples.weights
        self._recipe = recipe
        self._arrays: dict[str, np.ndarray] = {
            "features": standardised(state, examples.features),
            "known": known(examples.features),
            "labels": examples.labels,
            "weights": examples.weights,
            "values": _scaled_values(state, _values_of(examples)),
            "user_rows": state.users.rows(examples.user_keys),
            "item_rows": state.items.rows(examples.item_keys),
        }
        self.signature = {
            name: tf.TensorSpec([None, *array.shape[1:]], array.dtype)
            for name, array in self._arrays.items()
        }

    def chunk(self, examples: Int64Array) -> dict[str, np.ndarray]:
        return {name: array[examples] for name, array in self._arrays.items()}

    def batch(self, chunk: Tensors, low: tf.Tensor, high: tf.Tensor, seed: tf.Tensor) -> Tensors:
        del seed
        return {name: array[low:high] for name, array in chunk.items()}

    def touched(self) -> dict[str, Int64Array]:
        return {
            name: np.unique(rows[rows > 0])
            for name, rows in (
                ("users", self._arrays["user_rows"]),
                ("items", self._arrays["item_rows"]),
            )
        }


class ListBatches(Shuffled):
    """Queries with their candidates, for the listwise loss. An example is a query.

    Queries none of whose candidates was chosen are left out: they say nothing.

    Raises:
        BadTrainingData: no candidate was chosen, or the features are of another width.
    """

    kind = "lists"

    def __init__(
        self, state: ModelState, lists: CandidateLists, labels: Float32Array, recipe: Recipe
    ) -> None:
        owners = lists.owners()
        chosen = np.bincount(owners, labels, minlength=len(lists))
        kept = np.flatnonzero(chosen > 0)
        _check(state, lists.features, chosen[kept])
        self._offsets, places = picked(lists.offsets, kept)
        features = lists.features[places]
        self._known = known(features)
        self._features = standardise(state, features)
        self._labels = labels[places]
        self.weights: Float32Array = np.ones(len(kept), np.float32)
        self._recipe = recipe
        spec = tf.TensorSpec
        self.signature = {
            "features": spec([None, lists.features.shape[1]], tf.float32),
            "known": spec([None], tf.float32),
            "labels": spec([None], tf.float32),
            "offsets": spec([None], tf.int64),
            "weights": spec([None], tf.float32),
        }

    def chunk(self, examples: Int64Array) -> dict[str, np.ndarray]:
        offsets, places = picked(self._offsets, examples)
        return {
            "features": self._features[places],
            "known": self._known[places],
            "labels": self._labels[places],
            "offsets": offsets,
            "weights": self.weights[examples],
        }

    def batch(self, chunk: Tensors, low: tf.Tensor, high: tf.Tensor, seed: tf.Tensor) -> Tensors:
        del seed
        offsets = chunk["offsets"][low : high + 1]
        first, last = offsets[0], offsets[-1]
        return {
            "features": chunk["features"][first:last],
            "known": chunk["known"][first:last],
            "labels": chunk["labels"][first:last],
            "owner": owners_of(offsets),
            "weights": chunk["weights"][low:high],
        }

    def touched(self) -> dict[str, Int64Array]:
        return {"users": np.zeros(0, np.int64), "items": np.zeros(0, np.int64)}


def labels_of(lists: CandidateLists, interactions: Interactions) -> Float32Array:
    """The weight with which each candidate was chosen, summed: float32 [N].

    What was chosen without being a candidate isn't learned here: no ranking of these candidates
    could have shown it.
    """
    both = np.concatenate([lists.item_keys, interactions.item_keys])
    names, item = np.unique(both, return_inverse=True)
    owner = np.concatenate([lists.owners(), interactions.query])
    pair = owner * len(names) + item
    candidate, event = pair[: len(lists.item_keys)], pair[len(lists.item_keys) :]
    order = np.argsort(candidate)
    at = np.searchsorted(candidate, event, sorter=order)
    found = at < len(candidate)
    place = order[at[found]]
    right = candidate[place] == event[found]
    labels = np.bincount(place[right], interactions.weights[found][right], minlength=len(candidate))
    return labels.astype(np.float32)


def fix_scale(state: ModelState, features: Float32Array) -> None:
    """Remembers mean and deviation of these features ([N, F]), if the model has none yet."""
    if MEAN not in state.extra and len(features):
        mean = features.mean(axis=0, dtype=np.float64)
        # np.std would make all differences at once: twice the size of the features.
        starts = range(0, len(features), ROWS_AT_ONCE)
        squares = [((features[n : n + ROWS_AT_ONCE] - mean) ** 2).sum(axis=0) for n in starts]
        deviation = np.sqrt(np.sum(squares, axis=0) / len(features))
        state.extra[MEAN] = mean.astype(np.float32)
        # A feature that never varied must not explode when it does.
        state.extra[SCALE] = np.maximum(deviation, 0.01).astype(np.float32)


def _values_of(examples: RankingExamples) -> Float32Array:
    """float32 [N]; NaN where there is none."""
    if examples.values is None:
        return np.full(len(examples), np.nan, np.float32)
    return examples.values


def fix_value_scale(state: ModelState, values: Float32Array) -> None:
    """Remembers mean and deviation of these values (NaN: there is none), if the model has none yet.
    Values that hardly vary are no measure of those to come: a tenth of their mean is the least."""
    told = values[np.isfinite(values)].astype(np.float64)
    if VALUE_SCALE not in state.extra and len(told):
        scale = max(float(told.std()), abs(float(told.mean())) / 10) or 1.0
        state.extra[VALUE_SCALE] = np.array([told.mean(), scale], np.float32)


def _scaled_values(state: ModelState, values: Float32Array) -> Float32Array:
    """The values as the network learns them, by the mean and the deviation of the first that it saw,
    in [-LARGEST, LARGEST]: an amount of money must not outweigh the clicks."""
    fix_value_scale(state, values)
    if VALUE_SCALE not in state.extra:
        return values
    mean, scale = state.extra[VALUE_SCALE]
    return np.clip((values - mean) / scale, -LARGEST, LARGEST).astype(np.float32)


def standardised(state: ModelState, features: Float32Array) -> Float32Array:
    """The features as the network takes them: float32 [N, F], in [-LARGEST, LARGEST]."""
    return standardise(state, features.copy())


def standardise(state: ModelState, features: Float32Array) -> Float32Array:
    """The same in place; returns `features`."""
    if MEAN not in state.extra:
        return features
    features -= state.extra[MEAN]
    features /= state.extra[SCALE]
    return np.clip(features, -LARGEST, LARGEST, out=features)


def known(features: Float32Array) -> Float32Array:
    """Which pairs are known, 1 or 0: float32 [N]."""
    if features.shape[1] <= KNOWN_FEATURE:
        return np.zeros(len(features), np.float32)
    return (features[:, KNOWN_FEATURE] > 0).astype(np.float32)


def _check(state: ModelState, features: Float32Array, weights: np.ndarray) -> None:
    check_weights(weights, "example(s) for the ranker")
    if features.shape[1] != state.config.feature_width:
        raise BadTrainingData(
            f"The ranker takes {state.config.feature_width} features. "
            f"Received: {features.shape[1]}. Select the same features, or rebuild the model."
        )
    fix_scale(state, features)


# The pointwise ranker's past examples: what was known of a user and an item, and what followed.


def examples_of(examples: RankingExamples) -> Examples:
    """The examples by the names of `RankingExamples`; `valued` (bool [n]) says which have a value,
    for a memory has no NaN."""
    values = _values_of(examples)
    return {
        "user_keys": examples.user_keys,
        "item_keys": examples.item_keys,
        "features": examples.features,
        "labels": examples.labels,
        "weights": examples.weights,
        "values": np.nan_to_num(values, nan=0.0),
        "valued": ~np.isnan(values),
    }


def batches_of(state: ModelState, examples: Examples, recipe: Recipe) -> PairBatches:
    """The examples as training takes them."""
    named = {name: array for name, array in examples.items() if name != "valued"}
    named["values"] = np.where(examples["valued"], examples["values"], np.float32(np.nan))
    return PairBatches(state, RankingExamples(**named), recipe)


def vectors_of(state: ModelState, examples: Examples) -> Float32Array:
    """What herding compares among the examples of an item: their standardised features and the
    label, float32 [n, F + 1]."""
    features = standardised(state, examples["features"])
    return np.concatenate([features, examples["labels"][:, None]], axis=1)

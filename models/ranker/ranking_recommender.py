"""RankingRecommender: the ranker's facade, for examples that come with their features.

Click-through data, or any table of (user, item, features, chosen). Neighbours:
`models.retrieve_and_rank.retrieve_and_rank` uses the same network on the candidates that retrieval
found.
"""

from collections.abc import Callable
from typing import Any

import numpy as np

from models.data.checks import Float32Array, Int64Array
from models.errors import IncompatibleCheckpoint
from models.learning import rehearsal
from models.learning.graphs import compiled
from models.learning.recipes import ProgressCallback, Recipe, TrainingReport
from models.ranker import list_batches
from models.ranker.list_batches import (
    VALUE_SCALE,
    PairBatches,
    RankingExamples,
    known,
    standardised,
)
from models.ranker.ranker_config import RankerConfig
from models.recommenders.facade import Facade, KnowsIds
from models.tables.backend import tf
from models.tables.state import ModelState

BLOCK_EXAMPLES = 65_536
"""How many examples are predicted at a time."""


class RankingRecommender(Facade, KnowsIds):
    """A pointwise ranker that grows and learns in place."""

    config_class = RankerConfig

    def __init__(self, state: ModelState) -> None:
        """Wraps a state; use `create` or `restore`.

        Raises:
            IncompatibleCheckpoint: the state is of another family, or ranks lists.
        """
        super().__init__(state)
        if state.config.loss != "pointwise":
            raise IncompatibleCheckpoint(
                "RankingRecommender takes a ranker with loss='pointwise'. Received: "
                f"{state.config.loss!r}. Restore it with the cascade that it is a stage of."
            )

    def fit(
        self,
        examples: RankingExamples,
        recipe: Recipe,
        progress: ProgressCallback | None = None,
        validate: Callable[[], float] | None = None,
    ) -> TrainingReport:
        """Learns from the examples, and rehearses what it remembers if the recipe says so, in
        place. See `training.fit`."""
        batches = PairBatches(self._state, examples, recipe)
        return rehearsal.learn(
            self._state, batches, recipe, list_batches.batches_of, progress, validate
        )

    def remember(self, examples: RankingExamples, recipe: Recipe, day: float | np.ndarray) -> int:
        """Offers what was learned to the memory that the next `fit` rehearses. See
        `TwoTowerRecommender.remember`."""
        return rehearsal.remember(
            self._state,
            list_batches.examples_of(examples),
            recipe,
            list_batches.vectors_of,
            day,
            list_batches.batches_of,
        )

    def predict(
        self, user_keys: Int64Array, item_keys: Int64Array, features: Float32Array
    ) -> Float32Array:
        """The probability that each example is chosen: float32 [N]."""
        return self._by_blocks(user_keys, item_keys, features, 0)

    def predict_values(
        self, user_keys: Int64Array, item_keys: Int64Array, features: Float32Array
    ) -> Float32Array:
        """The value expected of each example if it is chosen, as learned: float32 [N]; NaN without a
        head "value", and before a value was told."""
        if self.config.second_head != "value" or VALUE_SCALE not in self._state.extra:
            return np.full(len(features), np.nan, np.float32)
        mean, scale = self._state.extra[VALUE_SCALE]
        return np.asarray(self._by_blocks(user_keys, item_keys, features, 1) * scale + mean)

    def _by_blocks(
        self, user_keys: Int64Array, item_keys: Int64Array, features: Float32Array, head: int
    ) -> Float32Array:
        users, items = self._state.users.rows(user_keys), self._state.items.rows(item_keys)
        parts = [np.zeros(0, np.float32)]
        for low in range(0, len(features), BLOCK_EXAMPLES):
            block = slice(low, low + BLOCK_EXAMPLES)
            logits = pair_logits(self._state, features[block], users[block], items[block])[head]
            parts.append(logits if head else tf.math.sigmoid(logits).numpy())
        return np.concatenate(parts)


def pair_scores(state: ModelState, features: Float32Array) -> Float32Array:
    """The scores of pairs by a ranker without ids: float32 [N] from float32 [N, F], as given."""
    return pair_logits(state, features)[0]


def pair_logits(
    state: ModelState,
    features: Float32Array,
    user_rows: Int64Array | None = None,
    item_rows: Int64Array | None = None,
) -> tuple[Float32Array, Float32Array]:
    """Both heads' logits of pairs, see `Ranker.logits`: float32 [N] each, from their features, float32
    [N, F], as given."""

    def trace() -> Any:
        spec = tf.TensorSpec

        @tf.function(
            autograph=False,
            input_signature=[
                spec([None, state.config.feature_width], tf.float32),
                spec([None], tf.float32),
                spec([None], tf.int64),
                spec([None], tf.int64),
            ],
        )
        def scores(features, known, user_rows, item_rows):  # type: ignore[no-untyped-def]
            return state.network.logits(
                {
                    "features": features,
                    "known": known,
                    "user_rows": user_rows,
                    "item_rows": item_rows,
                }
            )

        return scores.get_concrete_function()

    nobody = np.zeros(len(features), np.int64)
    score, second = compiled(state, "scores", trace)(
        standardised(state, features),
        known(features),
        nobody if user_rows is None else user_rows,
        nobody if item_rows is None else item_rows,
    )
    return score.numpy(), second.numpy()

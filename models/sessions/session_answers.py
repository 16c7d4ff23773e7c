"""The sequential Transformer without TensorFlow: what comes next, from an export's arrays.

The arithmetic is that of `models.sessions.transformer` and `SessionRecommender`, line by line. Every
session is met at its full length, padded: a matrix product of one shape gives each session the same
bits, whoever else is asked for.
"""

from typing import TYPE_CHECKING

import numpy as np

from models.data.checks import Float32Array, Int64Array
from models.data.queries import Queries
from models.recommenders.answers import Answerer, product, unit
from models.sessions.cooccurrence import Cooccurrence
from models.sessions.transformer_config import TransformerConfig

if TYPE_CHECKING:
    from models.tables.state import ModelState

ITEM_VECTORS = "item_vectors"
HIDDEN, NORM_EPSILON = np.float32(-1e9), 1e-6


def arrays_of(state: "ModelState", item_vectors: np.ndarray) -> dict[str, np.ndarray]:
    """What `SessionAnswers` reads, by name; item vectors float32 [items + 1, d], as exported."""
    memory = Cooccurrence.of(state.extra)
    tables = {name: state.network.tables[name].numpy() for name in state.network.query_tables}
    return {ITEM_VECTORS: item_vectors, **tables, **({} if memory is None else memory.to_arrays())}


class SessionAnswers(Answerer):
    """See `models.recommenders.answers.Answerer`."""

    def _open(self) -> None:
        self._config = TransformerConfig(**self.shape)
        self._memory = Cooccurrence.of(self.arrays) if self._config.memory_weight else None
        place = np.arange(self._config.history_length)
        self._distance = np.clip(place[:, None] - place[None, :], 0, None)
        self._past = place[:, None] >= place[None, :]

    def all_scores(self, queries: Queries) -> Float32Array:
        config = self._config
        history = queries.latest(config.history_length)
        rows = self.items.rows(history)
        scores = product(self._next(rows[:, ::-1]), self.arrays[ITEM_VECTORS][1:])
        scores /= np.float32(config.temperature)
        if self._memory is not None:
            # An item that has expired, or was not admitted yet, asks nothing.
            known = np.where(rows > 0, history, 0)
            owner, position, share = self._memory.shares(known, config.memory_recency)
            at = self.items.rows(self._memory.keys[position])
            bonus = config.memory_weight * np.log1p(share / config.memory_floor)
            scores[owner[at > 0], at[at > 0] - 1] += bonus[at > 0].astype(np.float32)
        return scores

    def item_vectors(self) -> Float32Array:
        """See `Answerer`."""
        return self.arrays[ITEM_VECTORS][1:]

    def _next(self, sessions: Int64Array) -> Float32Array:
        """What comes after the last item of each session, int64 [S, H] rows, oldest first: float32 [S,
        d]; zero where nothing is known."""
        config, tables = self._config, self.arrays
        root = np.float32(np.sqrt(config.dimension))
        known = (sessions > 0)[:, :, None]
        items = np.where(known, unit(tables["item"][sessions], NORM_EPSILON), np.float32(0.0))
        seen = (sessions > 0)[:, None, :] & self._past
        hidden = items * root
        for block in range(config.blocks):
            name = f"b{block}_"
            gain = tables[f"{name}gain"]
            hidden = hidden + self._attend(name, _normalised(hidden) * gain[0], seen)
            normal = _normalised(hidden) * gain[1]
            wide = normal @ tables[f"{name}wide"] + tables[f"{name}wide_bias"]
            narrow = np.maximum(wide, np.float32(0.0)) @ tables[f"{name}narrow"]
            hidden = hidden + narrow + tables[f"{name}narrow_bias"]
        normal = _normalised(hidden)
        query, key = normal @ tables["read_query"], normal @ tables["read_key"]
        attention = self._attention(query[:, None], key[:, None], tables["read_distance"], seen)
        mean = attention[:, 0] @ items
        last = mean[:, -1] + (normal @ tables["read_own"])[:, -1] / root
        there = seen[:, -1].any(axis=1, keepdims=True)
        return np.where(there, unit(last, NORM_EPSILON), np.float32(0.0))

    def _attend(self, name: str, normal: Float32Array, seen: np.ndarray) -> Float32Array:
        """What a block's attention adds: float32 [S, H, d]."""
        config, (size, length, _) = self._config, normal.shape
        shape = (size, length, config.heads, config.dimension // config.heads)
        query, key, value = (
            (normal @ self.arrays[f"{name}{kind}"]).reshape(shape).transpose(0, 2, 1, 3)
            for kind in ("query", "key", "value")
        )
        attention = self._attention(query, key, self.arrays[f"{name}distance"], seen)
        heads = (attention @ value).transpose(0, 2, 1, 3).reshape(normal.shape)
        return np.asarray(heads @ self.arrays[f"{name}out"])

    def _attention(
        self, query: Float32Array, key: Float32Array, distance: Float32Array, seen: np.ndarray
    ) -> Float32Array:
        """float32 [S, heads, H, H]; each row sums to 1, over what is seen alone."""
        scores = query @ key.swapaxes(2, 3) / np.float32(np.sqrt(query.shape[-1]))
        scores = np.where(seen[:, None], scores + distance[:, self._distance], HIDDEN)
        powers = np.exp(scores - scores.max(axis=3, keepdims=True))
        return np.asarray(powers / powers.sum(axis=3, keepdims=True))


def _normalised(values: Float32Array) -> Float32Array:
    """Rows of [..., d] with mean 0 and variance 1."""
    mean = values.mean(axis=-1, keepdims=True)
    spread = np.square(values - mean).mean(axis=-1, keepdims=True)
    return np.asarray((values - mean) / np.sqrt(spread + np.float32(NORM_EPSILON)))

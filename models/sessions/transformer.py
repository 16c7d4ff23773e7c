"""SequentialTransformer: the items so far, through causal self-attention, point to the next one.

    x_i    = unit(row of item i), coordinates dropped in training
    h      = blocks of causal self-attention and feed-forward over sqrt(d) * x
    s_t    = unit(sum_(i <= t) a_ti x_i + h_t W / sqrt(d))
    a_t    = softmax_i(h_t Q . h_i K + r_(t-i))
    logit  = s_t . unit(row of item j) / temperature

A session's vector is, in the main, a weighted mean of the items' own vectors, so what asks and what
is offered share one space; the blocks decide on the weights. Positions are distances from the
present (r, and likewise in each block), never places in the session: all prefixes of a session are
learned from in one pass, and padding may stand on either side.

Everything here speaks rows (row 0: unknown, hidden, or padding), never keys.

References:
    Kang and McAuley, Self-attentive sequential recommendation, ICDM 2018 (causal blocks). Hou et
    al., CORE: simple and effective session-based recommendation within consistent representation
    space, SIGIR 2022 (the weighted mean, dropout on items' coordinates). Gupta et al., NISER:
    normalized item and session representations to handle popularity bias, 2019 (unit vectors). Shaw
    et al., Self-attention with relative position representations, NAACL 2018. Xie et al.,
    Contrastive learning for sequential recommendation, ICDE 2022 (the optional contrastive loss).
"""

import numpy as np

from models.recommenders.softmax import sampled_softmax
from models.sessions.cooccurrence import Cooccurrence
from models.sessions.served_cooccurrence import ServedCooccurrence
from models.sessions.transformer_config import TransformerConfig
from models.tables.backend import tf
from models.tables.network import Network, initial
from models.tables.packing import rows_of
from models.tables.state import ModelState

HIDDEN = -1e9
NORM_EPSILON = 1e-6
BLOCK_WEIGHTS = ("query", "key", "value", "out")


class SequentialTransformer(Network):
    """The network and its loss.

    Attributes:
        tables: `item` [items + 1, d]; of block b `b<b>_query`, `_key`, `_value`, `_out` [d, d],
            `_wide` [d, w d], `_wide_bias` [w d], `_narrow` [w d, d], `_narrow_bias` [d], `_gain`
            [2, d], `_distance` [heads, H]; of the readout `read_query`, `read_key`, `read_own`
            [d, d] and `read_distance` [1, H].
    """

    query_tables: tuple[str, ...]

    def __init__(self, config: TransformerConfig, seed: int) -> None:
        """Makes a model that knows no item; `models.ids.growth` adds them."""
        super().__init__(name="transformer")
        self.config = config
        self.temperature = config.temperature
        d, wide = config.dimension, config.widening * config.dimension
        rng = np.random.default_rng([seed, *b"transformer"])
        self.table("item", np.zeros((1, d)), "items", spread=config.row_length / np.sqrt(d))
        for block in range(config.blocks):
            for name in BLOCK_WEIGHTS:
                self.table(f"b{block}_{name}", initial(rng, d, d))
            self.table(f"b{block}_wide", initial(rng, d, wide))
            self.table(f"b{block}_wide_bias", np.zeros(wide))
            self.table(f"b{block}_narrow", initial(rng, wide, d))
            self.table(f"b{block}_narrow_bias", np.zeros(d))
            self.table(f"b{block}_gain", np.ones((2, d)))
            self.table(f"b{block}_distance", np.zeros((config.heads, config.history_length)))
        for name in ("read_query", "read_key"):
            self.table(name, initial(rng, d, d))
        # The blocks' own say begins small: what co-occurs with the items looked at is a good guess.
        self.table("read_own", 0.1 * initial(rng, d, d))
        self.table("read_distance", -0.5 * np.arange(config.history_length)[None, :])
        self.query_tables = tuple(self.tables)
        place = np.arange(config.history_length)
        self._distance = np.clip(place[:, None] - place[None, :], 0, None)
        self._past = place[:, None] >= place[None, :]

    def served_beside(self, state: ModelState) -> ServedCooccurrence | None:
        memory = Cooccurrence.of(state.extra)
        if memory is None or not self.config.memory_weight:
            return None
        return ServedCooccurrence(state, memory)

    def query_vectors(
        self, user_rows: tf.Tensor, history_rows: tf.Tensor, statistics: tf.Tensor
    ) -> tf.Tensor:
        """What comes next after each history: float32 [B, d]; zero where nothing is known.

        Args:
            user_rows, statistics: unused; a session is all that is known.
            history_rows: int64 [B, H], most recent first; 0 is padding or an unknown item.
        """
        del user_rows, statistics
        filled = tf.where(history_rows > 0, tf.range(1, tf.shape(history_rows)[1] + 1), 0)
        width = tf.maximum(tf.reduce_max(filled), 1)
        oldest_first = tf.reverse(history_rows[:, :width], axis=[1])
        return self.session_vectors(oldest_first)[:, -1]

    def item_vectors(self, item_rows: tf.Tensor) -> tf.Tensor:
        """int64 [...] to float32 [..., d], of length 1; zero for row 0."""
        known = tf.cast(item_rows > 0, tf.float32)[..., None]
        return _unit(rows_of(self.weight("item"), item_rows)) * known

    def session_vectors(self, sessions: tf.Tensor, seed: tf.Tensor | None = None) -> tf.Tensor:
        """What comes next after each item, given it and those before: float32 [S, T, d].

        Args:
            sessions: int64 [S, T], oldest first, T at most H; 0 is hidden from all.
            seed: int32 [2], of what is dropped in training; None: nothing is.
        """
        config = self.config
        drop = _Dropout(seed)
        items = drop(self.item_vectors(sessions), config.coordinate_dropout)
        seen = self._visible(sessions)
        hidden = items * np.float32(np.sqrt(config.dimension))
        for block in range(config.blocks):
            name = f"b{block}_"
            gain = self.weight(f"{name}gain")
            normal = _normalised(hidden) * gain[0]
            added = self._attend(name, normal, seen) @ self.weight(f"{name}out")
            hidden += drop(added, config.layer_dropout)
            normal = _normalised(hidden) * gain[1]
            wide = normal @ self.weight(f"{name}wide") + self.weight(f"{name}wide_bias")
            added = tf.nn.relu(wide) @ self.weight(f"{name}narrow")
            hidden += drop(added + self.weight(f"{name}narrow_bias"), config.layer_dropout)
        normal = _normalised(hidden)
        attention = self._attention(
            (normal @ self.weight("read_query"))[:, None],
            (normal @ self.weight("read_key"))[:, None],
            self.weight("read_distance"),
            seen,
        )
        mean = attention[:, 0] @ items
        own = normal @ self.weight("read_own") / np.float32(np.sqrt(config.dimension))
        # Where nothing can be seen there is nothing to say, whatever the biases add.
        known = tf.cast(tf.reduce_any(seen, axis=2), tf.float32)[..., None]
        return _unit(mean + own) * known

    def _visible(self, sessions: tf.Tensor) -> tf.Tensor:
        """bool [S, T, T]: whether place i is known, and not after place t."""
        size = tf.shape(sessions)[1]
        return tf.logical_and((sessions > 0)[:, None, :], tf.constant(self._past)[:size, :size])

    def _attend(self, name: str, normal: tf.Tensor, seen: tf.Tensor) -> tf.Tensor:
        """float32 [S, T, d]: the values of what is seen, weighted, head by head."""
        parts = []
        for kind in ("query", "key", "value"):
            made = normal @ self.weight(f"{name}{kind}")
            width = self.config.dimension // self.config.heads
            shape = [tf.shape(made)[0], tf.shape(made)[1], self.config.heads, width]
            parts.append(tf.transpose(tf.reshape(made, shape), [0, 2, 1, 3]))
        attention = self._attention(parts[0], parts[1], self.weight(f"{name}distance"), seen)
        return tf.reshape(tf.transpose(attention @ parts[2], [0, 2, 1, 3]), tf.shape(normal))

    def _attention(
        self, query: tf.Tensor, key: tf.Tensor, distance: tf.Tensor, seen: tf.Tensor
    ) -> tf.Tensor:
        """float32 [S, heads, T, T]; each row sums to 1, over what is seen alone."""
        size = tf.shape(query)[2]
        scores = tf.linalg.matmul(query, key, transpose_b=True)
        scores /= np.float32(np.sqrt(query.shape[-1]))
        scores += tf.gather(distance, tf.constant(self._distance)[:size, :size], axis=1)
        return tf.nn.softmax(tf.where(seen[:, None], scores, HIDDEN))

    def compute_loss(self, inputs: dict[str, tf.Tensor], training: bool = False) -> tf.Tensor:
        """Sum over the batch's B targets of the weighted softmax cross-entropy.

        Over the batch's targets and a uniform sample of the update's items. The sample needs no
        correction; that frequent targets are negatives more often is left as it is.

        Args:
            inputs: S sessions: sequence int64 [S, T], oldest first; their B targets: place int32
                [B], where in the flattened sequence each is to be predicted, position int32 [B],
                where it is among the candidates, weights float32 [B]; candidate_rows int64 [C],
                distinct; seed int32 [2]; views int64 [2, S, T], for the contrastive loss.
            training: whether anything is dropped.
        """
        loss = sampled_softmax(
            self._vectors(inputs, training) / self.temperature,
            self.item_vectors(inputs["candidate_rows"]),
            tf.zeros_like(inputs["candidate_rows"], tf.float32),
            tf.ones_like(inputs["candidate_rows"], tf.float32),
            tf.range(tf.size(inputs["place"])),
            inputs["position"],
            inputs["weights"],
        )
        if training and self.config.contrastive:
            first, second = (self._last(view) for view in tf.unstack(inputs["views"]))
            apart = contrastive_loss(first, second, self.config.contrastive_temperature)
            each = tf.reduce_sum(inputs["weights"]) / tf.cast(tf.shape(first)[0], tf.float32)
            loss += self.config.contrastive * each * apart
        return loss

    def scores(self, inputs: dict[str, tf.Tensor]) -> tf.Tensor:
        """Logits of the candidates for each target's place: float32 [B, C]."""
        vectors = self._vectors(inputs, training=True)
        items = self.item_vectors(inputs["candidate_rows"])
        return tf.linalg.matmul(vectors, items, transpose_b=True) / self.temperature

    def columns(self, inputs: dict[str, tf.Tensor]) -> tf.Tensor:
        return inputs["candidate_rows"]

    def _vectors(self, inputs: dict[str, tf.Tensor], training: bool) -> tf.Tensor:
        made = self.session_vectors(inputs["sequence"], inputs["seed"] if training else None)
        return tf.gather(tf.reshape(made, [-1, self.config.dimension]), inputs["place"])

    def _last(self, sessions: tf.Tensor) -> tf.Tensor:
        """float32 [S, d], at the end of each session; zero where all of it is hidden."""
        width = tf.shape(sessions)[1]
        last = tf.reduce_max(tf.where(sessions > 0, tf.range(width), 0), axis=1)
        return tf.gather(self.session_vectors(sessions), last, batch_dims=1)


def contrastive_loss(first: tf.Tensor, second: tf.Tensor, temperature: float) -> tf.Tensor:
    """Sum over S sessions of -log softmax of the similarity of a session's two views among those of
    all other views of the batch, averaged over the two directions (NT-Xent).

    Args:
        first, second: float32 [S, d], of length 1.
        temperature: similarities are divided by it.
    """
    views = tf.concat([first, second], axis=0)
    size = tf.shape(first)[0]
    similar = tf.linalg.matmul(views, views, transpose_b=True) / temperature
    similar = tf.linalg.set_diag(similar, tf.fill([2 * size], HIDDEN))
    other = tf.concat([tf.range(size, 2 * size), tf.range(size)], axis=0)
    losses = tf.nn.sparse_softmax_cross_entropy_with_logits(labels=other, logits=similar)
    return tf.reduce_sum(losses) / 2.0


class _Dropout:
    """Hides shares of tensors, each by a stream of its own of one seed."""

    def __init__(self, seed: tf.Tensor | None) -> None:
        self._seed = seed
        self._stream = 0

    def __call__(self, values: tf.Tensor, share: float) -> tf.Tensor:
        if self._seed is None or not share:
            return values
        self._stream += 1
        seed = tf.random.experimental.stateless_fold_in(self._seed, self._stream)
        kept = tf.random.stateless_uniform(tf.shape(values), seed) >= share
        return tf.where(kept, values / np.float32(1.0 - share), 0.0)


def _unit(vectors: tf.Tensor) -> tf.Tensor:
    """Rows of [..., d] scaled to length 1; the zero vector stays zero."""
    squared = tf.reduce_sum(tf.square(vectors), axis=-1, keepdims=True)
    return vectors * tf.math.rsqrt(squared + NORM_EPSILON)


def _normalised(values: tf.Tensor) -> tf.Tensor:
    """Rows of [..., d] with mean 0 and variance 1 (layer normalisation; Ba et al., 2016)."""
    mean = tf.reduce_mean(values, axis=-1, keepdims=True)
    spread = tf.reduce_mean(tf.square(values - mean), axis=-1, keepdims=True)
    return (values - mean) * tf.math.rsqrt(spread + NORM_EPSILON)

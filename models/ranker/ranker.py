"""Ranker: features of a (query, item) pair to a score, by a cross network with two heads.

    x0       = the features, standardised, and the ids' embeddings, if the configuration asks
    x_(l+1)  = x0 * (x_l W_l + b_l) + x_l                        cross layers
    h        = relu(... relu(x_L V_1 + c_1) ...)                 dense layers on top
    choice   = [h, x_L] . p + p0        every pair: is it chosen?
    second   = [h, x_L] . r + r0        "repeat": pairs that are known; "value": how much?
    score    = choice + known * repeat

Both heads are linear and few: with `scope = "head"` they are the small adapter that is trained on a
frozen base (Houlsby et al., ICML 2019, put theirs between the layers; with two layers there is no
between). Losses, summed over the batch:

    listwise   for a query with candidates C and weights y:
               -n^(p - 1) sum_c y_c log softmax_C(score)_c with n = sum y, and the same among the
               pairs that aren't known, by `choice` alone (Cao et al., Learning to rank: from
               pairwise approach to listwise approach, ICML 2007)
    pointwise  weighted sigmoid cross-entropy of the score; squared error of a known value

The cross layer is that of `tfrs.layers.dcn.Cross` (full matrix); written out, because the weights
are tables, which the core grows, anchors and borrows by name.

References:
    Wang et al., DCN V2: Improved deep & cross network, WWW 2021. Ma et al., Entire space
    multi-task model, SIGIR 2018 (heads on shared weights).
"""

import numpy as np

from models.ranker.ranker_config import RankerConfig
from models.tables.backend import tf
from models.tables.network import Network, initial
from models.tables.packing import rows_of

NOWHERE = -1e9
"""Logit of a place that no candidate takes."""


class Ranker(Network):
    """The ranker and its losses.

    Attributes:
        tables: `cross_<l>_kernel` [W, W] and `_bias` [W], `dense_<l>_kernel` and `_bias`,
            `choice_kernel` [w, 1] and `choice_bias` [1], the same of the second head; `user` and
            `item` [ids + 1, d] if the configuration has a dimension. W = F + 2 d.
    """

    def __init__(self, config: RankerConfig, seed: int) -> None:
        """Scores by `start_feature` alone, or 0, until it has learned."""
        super().__init__(name="ranker")
        self.config = config
        self.seed = seed
        self.teaching = "softmax" if config.loss == "listwise" else "sigmoid"
        rng = np.random.default_rng([seed, *b"ranker"])
        width = config.feature_width
        if config.dimension:
            for name in ("user", "item"):
                start = np.zeros((1, config.dimension))
                self.table(name, start, keyed=f"{name}s", spread=0.1)  # type: ignore[arg-type]
            width += 2 * config.dimension
        self.know_words(0)
        for layer in range(config.cross_layers):
            self.table(f"cross_{layer}_kernel", 0.25 * initial(rng, width, width))
            self.table(f"cross_{layer}_bias", np.zeros(width))
        below = width
        for layer, units in enumerate(config.hidden):
            self.table(f"dense_{layer}_kernel", initial(rng, below, units))
            self.table(f"dense_{layer}_bias", np.zeros(units))
            below = units
        joined = width + (below if config.hidden else 0)
        names = ["choice"] if config.second_head == "none" else ["choice", config.second_head]
        for name in names:
            start = np.zeros((joined, 1))
            if name == "choice" and config.start_feature >= 0:
                start[config.start_feature - config.feature_width] = 1.0
            self.table(f"{name}_kernel", start)
            self.table(f"{name}_bias", np.zeros(1))
        self.heads = tuple(f"{name}_{part}" for name in names for part in ("kernel", "bias"))

    def logits(self, inputs: dict[str, tf.Tensor]) -> tuple[tf.Tensor, tf.Tensor]:
        """Both heads: (score [N], choice or value [N]).

        Args:
            inputs: features float32 [N, F], standardised; known float32 [N], 1 or 0; with a
                dimension user_rows and item_rows int64 [N] (row 0 adds nothing).

        Returns:
            The score of each pair, and what the score is without the second head ("repeat",
            "none"), or the predicted value.
        """
        start = inputs["features"]
        if self.config.dimension:
            ids = [
                rows_of(self.weight(name), inputs[f"{name}_rows"])
                * tf.cast(inputs[f"{name}_rows"] > 0, tf.float32)[:, None]
                for name in ("user", "item")
            ]
            # In front: the features stay the last columns whatever the dimension.
            start = tf.concat([*ids, start], axis=1)
        crossed = start
        for layer in range(self.config.cross_layers):
            mixed = tf.linalg.matmul(crossed, self.weight(f"cross_{layer}_kernel"))
            crossed = start * (mixed + self.weight(f"cross_{layer}_bias")) + crossed
        deep = crossed
        for layer in range(len(self.config.hidden)):
            deep = tf.linalg.matmul(deep, self.weight(f"dense_{layer}_kernel"))
            deep = tf.nn.relu(deep + self.weight(f"dense_{layer}_bias"))
        joined = tf.concat([deep, crossed], axis=1) if self.config.hidden else crossed
        choice = self._head("choice", joined)
        if self.config.second_head == "none":
            return choice, choice
        second = self._head(self.config.second_head, joined)
        if self.config.second_head == "value":
            return choice, second
        return choice + inputs["known"] * second, choice

    def _head(self, name: str, joined: tf.Tensor) -> tf.Tensor:
        kernel, bias = self.weight(f"{name}_kernel"), self.weight(f"{name}_bias")
        return tf.linalg.matmul(joined, kernel)[:, 0] + bias

    def compute_loss(self, inputs: dict[str, tf.Tensor], training: bool = False) -> tf.Tensor:
        """Sum over the batch of the weighted losses.

        Args:
            inputs: those of `logits`, and labels float32 [N]; listwise: owner int32 [N], which of
                the Q queries, and weights float32 [Q]; pointwise: weights float32 [N], and values
                float32 [N] (NaN: not known) for the head "value".
            training: unused.

        Returns:
            float32 scalar.
        """
        del training
        score, second = self.logits(inputs)
        labels, weights = inputs["labels"], inputs["weights"]
        if self.config.loss == "listwise":
            new = inputs["known"] < 0.5
            loss = self._listwise(score, inputs, tf.ones_like(new))
            if self.config.discovery_weight:
                discovery = second if self.config.second_head == "repeat" else score
                loss += self.config.discovery_weight * self._listwise(discovery, inputs, new)
            return loss
        entropy = tf.nn.sigmoid_cross_entropy_with_logits(labels=labels, logits=score)
        loss = tf.reduce_sum(weights * entropy)
        if self.config.second_head == "value":
            told = tf.math.is_finite(inputs["values"])
            # Not tf.where on the square: its gradient at NaN would be NaN.
            error = second - tf.where(told, inputs["values"], 0.0)
            loss += tf.reduce_sum(weights * tf.cast(told, tf.float32) * tf.square(error))
        return loss

    def _listwise(
        self, logits: tf.Tensor, inputs: dict[str, tf.Tensor], among: tf.Tensor
    ) -> tf.Tensor:
        """Softmax cross-entropy within each query, among the candidates where `among` is true."""
        owner, weights = inputs["owner"], inputs["weights"]
        queries = tf.size(weights)
        logits = tf.where(among, logits, NOWHERE)
        largest = tf.math.unsorted_segment_max(tf.stop_gradient(logits), owner, queries)
        shifted = logits - tf.gather(largest, owner)
        total = tf.math.unsorted_segment_sum(tf.exp(shifted), owner, queries)
        # A query of which nothing is among them has no candidates here: log 1.
        normaliser = tf.math.log(tf.maximum(total, 1e-30))
        labels = inputs["labels"]
        basket = tf.math.unsorted_segment_sum(labels, owner, queries)
        share = weights * tf.maximum(basket, 1e-30) ** (self.config.basket_power - 1.0)
        log_softmax = shifted - tf.gather(normaliser, owner)
        chosen = tf.where(among, labels * log_softmax, 0.0)
        return -tf.reduce_sum(tf.gather(share, owner) * chosen)

    def scores(self, inputs: dict[str, tf.Tensor]) -> tf.Tensor:
        """[Q, longest list], `NOWHERE` after a list's end; pointwise [N, 1]."""
        score, _ = self.logits(inputs)
        if self.config.loss == "pointwise":
            return score[:, None]
        lists = tf.RaggedTensor.from_value_rowids(
            score, tf.cast(inputs["owner"], tf.int64), tf.size(inputs["weights"], tf.int64)
        )
        return lists.to_tensor(default_value=NOWHERE)

    def columns(self, inputs: dict[str, tf.Tensor]) -> None:
        """Columns aren't items, but places in a list."""
        del inputs

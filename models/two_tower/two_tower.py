"""TwoTower: who is asking on one side, what is offered on the other, a dot product between them.

    query = unit(user id + mean(ids of the last H items) + scale * statistics @ K)
    item  = unit(item id + mean(words))
    logit = query . item / temperature + item bias

trained by a softmax over the items of the batch (`models.recommenders.softmax`), each logit corrected
by the log of the probability with which its item is in a batch (logQ).

Everything here speaks rows (row 0: unknown, or padding), never keys;
`models.two_tower.tower_recommender` translates. Tables are variables of shape [None, d], so that
they can grow without a new trace.

References:
    Yi et al., Sampling-bias-corrected neural modeling for large corpus item recommendations,
    RecSys 2019 (two towers, logQ). Covington et al., Deep neural networks for YouTube
    recommendations, RecSys 2016 (mean of the history). Yang et al., Mixed negative sampling for
    learning two-tower neural networks in recommendations, WWW 2020 (uniform negatives).
"""

from collections.abc import Collection

import numpy as np

from models.recommenders.retriever import mean_of_rows
from models.recommenders.softmax import log_probability, sampled_softmax
from models.tables.backend import tf
from models.tables.network import Network
from models.tables.packing import rows_of
from models.tables.rows import count_rows
from models.two_tower.tower_config import ModelConfig

# Added to a squared norm of about 1. A smaller one makes the gradient at the zero vector (a user
# of whom nothing is known) explode: 1 / sqrt(1e-12) is what tf.math.l2_normalize would give.
NORM_EPSILON = 1e-4


def _unit(vectors: tf.Tensor) -> tf.Tensor:
    """Rows of [..., d] scaled to length 1; the zero vector stays zero."""
    squared = tf.reduce_sum(tf.square(vectors), axis=-1, keepdims=True)
    return vectors * tf.math.rsqrt(squared + NORM_EPSILON)


def _share(size: tf.Tensor, index: tf.Tensor, count: int) -> tuple[tf.Tensor, tf.Tensor]:
    """The bounds of a replica's share of `size` things."""
    return size * index // count, size * (index + 1) // count


class TwoTower(Network):
    """The two towers and their loss.

    Attributes:
        tables: `user` [users + 1, d], `item` [items + 1, d], `history` [items + 1, d] (unless
            shared), `word` [word_buckets, d], `item_bias` [items + 1, 1] (unless off), `statistics`
            [S, d] (unless S is 0).
        content: `item_words` int64 [items + 1, W].
    """

    def __init__(self, config: ModelConfig, seed: int) -> None:
        """Makes a model that knows no user and no item; `models.ids.growth` adds them."""
        super().__init__(name="two_tower")
        self.config = config
        self.seed = seed
        self.temperature = config.temperature
        d = config.dimension
        self.table("user", np.zeros((1, d)), keyed="users")
        self.table("item", np.zeros((1, d)), keyed="items")
        if config.words_per_item:
            # Content starts as a no-op: a word that no one has learned says nothing.
            self.table("word", np.zeros((config.word_buckets, d)))
            self.embeddings = (*self.embeddings, "word")
        if config.history_length and not config.shared_history_table:
            self.table("history", np.zeros((1, d)), keyed="items")
        if config.item_bias:
            self.table("item_bias", np.zeros((1, 1)), keyed="items", spread=0.0)
        if config.statistics_width:
            # So do the statistics, whatever their scale: [S, d] of zeros still gets a gradient.
            self.table("statistics", np.zeros((config.statistics_width, d)))
        shared = config.history_length > 0 and config.shared_history_table
        read = ("user", "item" if shared else "history", "statistics")
        self.query_tables = tuple(name for name in read if name in self.tables)
        self.know_words(config.words_per_item)

    def query_vectors(
        self,
        user_rows: tf.Tensor,
        history_rows: tf.Tensor,
        statistics: tf.Tensor,
        keep: tf.Tensor | None = None,
        unbiased: bool = False,
    ) -> tf.Tensor:
        """The query tower.

        Args:
            user_rows: int64 [B]; 0 is served from its history and statistics alone.
            history_rows: int64 [B, H]; 0 is padding or an unknown item.
            statistics: float32 [B, S].
            keep: bool [B, H], which history items to look at (dropout); None is all.
            unbiased: leave the place of the item bias out.

        Returns:
            float32 [B, d], or [B, d + 1] with a bias, whose dot product with an item vector,
            divided by the temperature, is the logit.
        """
        known = tf.cast(user_rows > 0, tf.float32)[:, None]
        query = rows_of(self.weight("user"), user_rows) * known
        if self.config.history_length:
            history = self.weight("history" if "history" in self.tables else "item")
            seen = history_rows > 0
            if keep is not None:
                seen = tf.logical_and(seen, keep)
            query += mean_of_rows(history, history_rows, seen)
        if "statistics" in self.tables:
            scaled = statistics * self.config.statistics_scale
            query += tf.linalg.matmul(scaled, self.weight("statistics"))
        query = _unit(query)
        if "item_bias" in self.tables and not unbiased:
            query = tf.concat([query, tf.ones_like(query[:, :1])], axis=1)
        return query

    def item_vectors(
        self, item_rows: tf.Tensor, unbiased: bool = False, content: tf.Tensor | None = None
    ) -> tf.Tensor:
        """The item tower: int64 [M] to float32 [M, d], or [M, d + 1] with a bias.

        Args:
            content: what the words of all items say, if it is known: see `settled`.
        """
        item = rows_of(self.weight("item"), item_rows)
        if content is not None:
            item += tf.gather(content, item_rows)
        elif self.config.words_per_item:
            item += self._content(tf.gather(self.content["item_words"], item_rows))
        item = _unit(item)
        if "item_bias" in self.tables and not unbiased:
            # Divided by the temperature later: a bias is learned on the scale of the logits.
            bias = tf.gather(self.weight("item_bias"), item_rows)
            item = tf.concat([item, bias * self.config.temperature], axis=1)
        return item

    def _content(self, words: tf.Tensor) -> tf.Tensor:
        """What words say, of items as int64 [M, W]: float32 [M, d]."""
        return mean_of_rows(self.weight("word"), words, words > 0)

    def settled(self, trained: Collection[str]) -> dict[str, tf.Tensor]:
        """`content`, float32 [items + 1, d], if no word is trained and every step looks at the whole
        catalogue anyway."""
        words, config = self.content["item_words"], self.config
        whole = config.loss == "basket" and count_rows(words) - 1 <= config.whole_catalogue
        if "word" in trained or not config.words_per_item or not whole:
            return {}
        return {"content": self._content(words.read_value())}

    def _queries(self, inputs: dict[str, tf.Tensor], unbiased: bool = False) -> tf.Tensor:
        """The vectors of a batch's queries."""
        return self.query_vectors(
            inputs["user_rows"],
            inputs["history_rows"],
            inputs["statistics"],
            inputs.get("keep"),
            unbiased,
        )

    def compute_loss(self, inputs: dict[str, tf.Tensor], training: bool = False) -> tf.Tensor:
        """Sum over the batch of the weighted, corrected softmax cross-entropy.

        Args:
            inputs: for the basket loss see `_basket_loss`; in-batch, B events on U queries:
                user_rows int64 [U], history_rows int64 [U, H], statistics float32 [U, S];
                keep bool [U, H], which of the history to look at, optional;
                query int32 [B], index into the U queries;
                item_rows int64 [B]; weights float32 [B];
                negative_rows int64 [K], items drawn uniformly (K may be 0);
                counted int64 [D], probability float32 [D + 1], how often each item is in a batch,
                up to a constant (`models.recommenders.softmax`).
            training: unused; dropout is decided by `keep`, so that it is a function of the seed.

        Returns:
            float32 scalar.
        """
        del training
        if self.config.loss == "basket":
            return self._basket_loss(inputs)
        # Towers are computed once per distinct query and candidate, however often they occur.
        queries = self._queries(inputs, unbiased=True)
        rows, place, copies = tf.unique_with_counts(self.columns(inputs))
        offset = -log_probability(rows, inputs["counted"], inputs["probability"])
        if "item_bias" in self.tables:
            offset += tf.gather(self.weight("item_bias"), rows)[:, 0]
        # Rejected: masking the other items of the same basket (`score_mask`), which are positives
        # too. Measured on Online Retail it costs NDCG, with whole baskets in a batch and without.
        return sampled_softmax(
            queries / self.config.temperature,
            self.item_vectors(rows, unbiased=True),
            offset,
            tf.cast(copies, tf.float32),
            inputs["query"],
            place[: tf.size(inputs["query"])],
            inputs["weights"],
        )

    def _basket_loss(self, inputs: dict[str, tf.Tensor]) -> tf.Tensor:
        """-sum_u sum_(i in basket u) w_ui log softmax(logits of u over the candidates)_i.

        The multinomial likelihood of each query's basket (Liang et al., Variational autoencoders
        for collaborative filtering, WWW 2018). Over the whole catalogue it needs no correction;
        over a sample, log Q is subtracted as in the in-batch loss.

        Args:
            inputs: U queries: user_rows int64 [U], history_rows int64 [U, H], statistics float32
                [U, S], keep bool [U, H], optional; their E distinct events: query int32 [E],
                item_rows int64 [E], event_weights float32 [E]; candidate_rows int64 [C],
                distinct, all of the events' items among them; position int32 [E], where each
                event's item is among them; log_q float32 [C], not for the whole catalogue;
                content, if `settled`.
        """
        queries = self._queries(inputs, unbiased=True)
        rows = inputs["candidate_rows"]
        offset = tf.zeros_like(rows, tf.float32)
        if "item_bias" in self.tables:
            offset += tf.gather(self.weight("item_bias"), rows)[:, 0]
        if "log_q" in inputs:
            offset -= inputs["log_q"]
        return sampled_softmax(
            queries / self.config.temperature,
            self.item_vectors(rows, unbiased=True, content=inputs.get("content")),
            offset,
            tf.ones_like(offset),
            inputs["query"],
            inputs["position"],
            inputs["event_weights"],
        )

    def scores(self, inputs: dict[str, tf.Tensor]) -> tf.Tensor:
        """Logits of the batch's items and negatives for each event, uncorrected: [B, B + K].

        With the basket loss: of the candidates for each query, [U, C].
        """
        queries = self._queries(inputs)
        items = self.item_vectors(self.columns(inputs), content=inputs.get("content"))
        logits = tf.linalg.matmul(queries, items, transpose_b=True)
        logits /= self.config.temperature
        if self.config.loss == "basket":
            return logits
        return tf.gather(logits, inputs["query"])

    def shard(
        self, inputs: dict[str, tf.Tensor], index: tf.Tensor, count: int
    ) -> dict[str, tf.Tensor]:
        """Towers and logits of a share of the queries alone, against all candidates."""
        if self.config.loss == "basket":
            low, high = _share(tf.size(inputs["user_rows"]), index, count)
            here = tf.logical_and(inputs["query"] >= low, inputs["query"] < high)
            kept = {
                name: tf.boolean_mask(inputs[name], here)
                for name in ("query", "item_rows", "event_weights", "position")
            }
            queries = tf.range(low, high)
            kept["query"] -= low
            kept["weights"] = inputs["weights"][low:high]
        else:
            low, high = _share(tf.size(inputs["query"]), index, count)
            queries, query = tf.unique(inputs["query"][low:high])
            # The others' items go on as negatives, and the positives come first.
            rows = inputs["item_rows"]
            others = [rows[:low], rows[high:], inputs["negative_rows"]]
            kept = {
                "query": query,
                "item_rows": rows[low:high],
                "weights": inputs["weights"][low:high],
                "negative_rows": tf.concat(others, axis=0),
            }
        for name in ("user_rows", "history_rows", "statistics", "keep"):
            if name in inputs:
                kept[name] = tf.gather(inputs[name], queries)
        return {**inputs, **kept}

    def columns(self, inputs: dict[str, tf.Tensor]) -> tf.Tensor:
        if self.config.loss == "basket":
            return inputs["candidate_rows"]
        return tf.concat([inputs["item_rows"], inputs["negative_rows"]], axis=0)

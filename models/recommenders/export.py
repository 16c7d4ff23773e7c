"""A SavedModel for serving: plain `tf.saved_model.load` and TensorFlow Serving read it.

    directory/
    ├── saved_model.pb, variables/
    └── assets.extra/
        ├── vocabulary.npz      user_keys, item_keys (int64, row 1 first), for translating
    ├── answers/            the same model as arrays, without TensorFlow (`models.recommenders.answers`)
        ├── tf_serving_warmup_requests      what a server asks before it answers
        └── sha256.json         digests of all files (`models.storage.seal`)

Signatures, in rows (0: unknown or padding):
    scores  user_row int64 [B], history_rows int64 [B, H], statistics float32 [B, S],
            candidate_rows int64 [B, C]
            -> scores float32 [B, C]; -inf for row 0
    top_k   user_row, history_rows, statistics, exclude_rows int64 [B, E] (0-padded),
            k int32, one for all or [B], one for each
            -> rows int64 [B, k'], keys int64 [B, k'], scores float32 [B, k'],
            k' = min(largest k, items); past a query's own k, and where fewer are left, row 0,
            key 0 and -inf. A k below 0 counts as 0.
    serving_default = top_k

Item vectors are computed once, here; the query side stays in the graph. A family without history
or statistics has H = 0 or S = 0: the signatures are the same for every `Retriever`
(`models.recommenders.retriever`).
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from models.data.checks import Float32Array, Int64Array
from models.data.queries import Queries
from models.errors import IncompatibleCheckpoint
from models.recommenders import answers, recommender_files
from models.recommenders.answers import VOCABULARY
from models.storage import seal
from models.storage.archive import whole_directory
from models.tables.backend import tf
from models.tables.network import Config, Network
from models.tables.packing import PACKINGS, PackedTable, as_exported, packable, packing_of, rows_of
from models.tables.state import ModelState
from models.tables.vocabulary import Vocabulary


def query_signature(config: Config) -> list[tf.TensorSpec]:
    """What every signature takes of a query."""
    return [
        tf.TensorSpec([None], tf.int64, "user_row"),
        tf.TensorSpec([None, config.history_length], tf.int64, "history_rows"),
        tf.TensorSpec([None, config.statistics_width], tf.float32, "statistics"),
    ]


def top_k_signature(config: Config) -> list[tf.TensorSpec]:
    """What `top_k` takes."""
    lists = (
        tf.TensorSpec([None, None], tf.int64, "exclude_rows"),
        tf.TensorSpec(None, tf.int32, "k"),
    )
    return [*query_signature(config), *lists]


Answer = Callable[..., dict[str, tf.Tensor]]


def endpoint(function: Answer, inputs: list[tf.TensorSpec]) -> Any:
    """A signature of a SavedModel, traced as it is written: nothing in it branches on a tensor."""
    return tf.function(function, input_signature=inputs, autograph=False)


def endpoints_of(config: Config, scores: Answer, top_k: Answer) -> dict[str, Any]:
    """The signatures of every family, by name."""
    candidates = tf.TensorSpec([None, None], tf.int64, "candidate_rows")
    best = endpoint(top_k, top_k_signature(config))
    return {
        "scores": endpoint(scores, [*query_signature(config), candidates]),
        "top_k": best,
        "serving_default": best,
    }


class Serving(tf.Module):
    """What is needed to answer, and nothing that is needed to learn."""

    def __init__(self, state: ModelState) -> None:
        super().__init__(name=f"recloop_{state.config.family}")
        network, config = state.network, state.config
        self.packing = packing_of(state)
        self.query_tables = {name: self._packed(name, network) for name in network.query_tables}
        rows = tf.range(len(state.items) + 1, dtype=tf.int64)
        vectors = network.item_vectors(rows).numpy()
        self.item_table: tf.Variable | PackedTable = tf.Variable(vectors, trainable=False)
        self.item_bias: tf.Variable | None = None
        # A pruned model's item vectors aren't sparse: content was added, and the length made 1.
        if self.packing in ("float16", "int8"):
            width = network.tables["item"].shape[-1]
            self.item_table = PackedTable(vectors[:, :width], self.packing)
            self.item_bias = tf.Variable(vectors[:, width:], trainable=False)
        keys = np.concatenate([np.zeros(1, np.int64), state.items.keys])
        self.item_keys = tf.Variable(keys, trainable=False, name="item_keys")

        # A closure: an attribute would make the whole network, in float32, a part of what is saved.
        def query_vectors(*inputs: tf.Tensor) -> tf.Tensor:
            with network.borrowing(self.query_tables):
                return network.query_vectors(*inputs)

        self._query_vectors = query_vectors
        self._temperature = network.temperature
        self.beside = network.served_beside(state)
        self.endpoints = endpoints_of(config, self._scores, self._top_k)

    def _packed(self, name: str, network: Network) -> "tf.Variable | PackedTable":
        table = network.tables[name]
        if self.packing == PACKINGS[0] or name not in packable(network):
            return table
        return PackedTable(table.numpy(), self.packing)

    def _item_vectors(self, rows):  # type: ignore[no-untyped-def]
        items = rows_of(self.item_table, rows)
        if self.item_bias is not None:
            items = tf.concat([items, tf.gather(self.item_bias, rows)], axis=-1)
        return items

    def _all_item_vectors(self):  # type: ignore[no-untyped-def]
        if self.packing in ("float16", "int8"):
            return self._item_vectors(tf.range(tf.shape(self.item_keys, tf.int64)[0]))
        return self.item_table

    def _scores(self, user_row, history_rows, statistics, candidate_rows):  # type: ignore[no-untyped-def]
        queries = self._query_vectors(user_row, history_rows, statistics)
        items = self._item_vectors(candidate_rows)
        scores = tf.einsum("bd,bcd->bc", queries, items) / self._temperature
        if self.beside is not None:
            scores += tf.gather(self.beside.bonus(history_rows), candidate_rows, batch_dims=1)
        return {"scores": tf.where(candidate_rows > 0, scores, -np.inf)}

    def _top_k(self, user_row, history_rows, statistics, exclude_rows, k):  # type: ignore[no-untyped-def]
        queries = self._query_vectors(user_row, history_rows, statistics)
        scores = (
            tf.linalg.matmul(queries, self._all_item_vectors(), transpose_b=True)
            / self._temperature
        )
        if self.beside is not None:
            scores += self.beside.bonus(history_rows)
        return best_rows(without(scores, exclude_rows), asked_k(k, scores), self.item_keys)

    def logits(self, user_row, history_rows, statistics):  # type: ignore[no-untyped-def]
        """Of rows 1 and up, float32 [B, items]: the first stage of a cascade
        (`models.retrieve_and_rank.two_stage_serving`)."""
        queries = self._query_vectors(user_row, history_rows, statistics)
        items = self._all_item_vectors()[1:]
        logits = tf.linalg.matmul(queries, items, transpose_b=True) / self._temperature
        if self.beside is not None:
            logits += self.beside.bonus(history_rows)[:, 1:]
        return logits


def exported_vectors(state: ModelState) -> np.ndarray:
    """Vectors of all item rows, as an export answers with: float32 [items + 1, d]."""
    rows = tf.range(len(state.items) + 1, dtype=tf.int64)
    vectors: np.ndarray = as_exported(state, state.network.item_vectors(rows)).numpy()
    return vectors


def asked_k(k: tf.Tensor, scores: tf.Tensor) -> tf.Tensor:
    """How many items each query asks for: int32 [B], from a scalar or [B], in [0, items]; of scores
    [B, items + 1]."""
    queries, width = tf.shape(scores)[0], tf.shape(scores)[1]
    return tf.clip_by_value(tf.zeros([queries], tf.int32) + k, 0, width - 1)


def pairs_of(rows: tf.Tensor) -> tf.Tensor:
    """Item rows int64 [B, C] as pairs of a query and an item row: int32 [B * C, 2]."""
    query = tf.repeat(tf.range(tf.shape(rows)[0]), tf.shape(rows)[1])
    return tf.stack([query, tf.cast(tf.reshape(rows, [-1]), tf.int32)], axis=1)


def without(scores: tf.Tensor, exclude_rows: tf.Tensor) -> tf.Tensor:
    """The scores [B, items + 1], -inf at rows int64 [B, E] and at row 0, their padding."""
    banned = pairs_of(tf.pad(exclude_rows, [[0, 0], [0, 1]]))
    nowhere = tf.fill([tf.shape(banned)[0]], -np.float32(np.inf))
    return tf.tensor_scatter_nd_update(scores, banned, nowhere)


def best_rows(scores: tf.Tensor, k: tf.Tensor, item_keys: tf.Tensor) -> dict[str, tf.Tensor]:
    """The answer of `top_k`, from scores float32 [B, items + 1] (-inf: not to be shown) and k int32
    [B]. Ties go to the earlier row."""
    most = tf.reduce_max(tf.concat([k, [0]], axis=0))
    best, rows = tf.math.top_k(scores, most)
    best = tf.where(tf.range(most)[None, :] < k[:, None], best, -np.inf)
    rows = tf.where(tf.math.is_inf(best), tf.zeros([], tf.int64), tf.cast(rows, tf.int64))
    return {"rows": rows, "keys": tf.gather(item_keys, rows), "scores": best}


def export(
    state: ModelState,
    directory: Path,
    family: str = "",
    shape: Mapping[str, Any] | None = None,
    module: Any = None,
    arrays: Mapping[str, np.ndarray] | None = None,
) -> None:
    """Writes the SavedModel to `directory`, whole or not at all, replacing one that is there.

    Args:
        state: the one with the ids.
        family: of the recommender, for `recommender_files.family_in`; empty: it is none.
        shape: of the recommender; None: the state's configuration.
        module: what answers, with `endpoints`, a function for each signature; None: a `Serving`.
        arrays: what the family's `Answerer` reads; None: it has none.
    """
    module = Serving(state) if module is None else module
    with whole_directory(directory) as staging:
        tf.saved_model.save(module, str(staging), signatures=module.endpoints)
        (staging / VOCABULARY).parent.mkdir(exist_ok=True)
        np.savez(staging / VOCABULARY, user_keys=state.users.keys, item_keys=state.items.keys)
        seal.write_requests(staging, module.endpoints)
        if arrays is not None:
            answers.write(arrays, staging)
        if family:
            shape = state.config.to_json() if shape is None else shape
            recommender_files.write_header(family, shape, staging)
        seal.close(staging)


# Served: a released SavedModel, asked in keys. What a release answers with, nothing to learn.


class Served:
    """The model in `directory`, loaded.

    Raises:
        CorruptCheckpoint: a file is missing or not what was written; the message names it.
        IncompatibleCheckpoint: it is whole, but this recloop or TensorFlow cannot use it.
    """

    signature = "top_k"
    """Which signature answers."""

    def __init__(self, directory: str | Path) -> None:
        folder = Path(directory)
        seal.check(folder)
        try:
            with np.load(folder / VOCABULARY) as arrays:
                self._users = Vocabulary(arrays["user_keys"])
                self._items = Vocabulary(arrays["item_keys"])
            self._model = tf.saved_model.load(str(folder))
            self._answer = self._model.signatures[self.signature]
        except (OSError, KeyError, ValueError, tf.errors.OpError) as error:
            raise IncompatibleCheckpoint(
                f"the SavedModel in {folder} is not one of this recloop: {error}"
            ) from error

    def knows(self, user_key: int) -> bool:
        """Whether the user has an embedding of its own."""
        return bool(self._users.rows(np.array([user_key], np.int64))[0] > 0)

    def request(self, queries: Queries, k: int, exclude: Int64Array) -> dict[str, np.ndarray]:
        """The inputs of the signature for these queries, as a client of TensorFlow Serving sends
        them. Arguments are those of `top_k`."""
        rows = self._items.rows
        takes = self._answer.structured_input_signature[1]
        # A family that takes no statistics is asked as the others are.
        width = takes["statistics"].shape[1]
        return {
            "user_row": self._users.rows(queries.user_keys),
            "history_rows": rows(queries.latest(takes["history_rows"].shape[1])),
            "statistics": queries.statistics[:, : None if width else 0],
            "exclude_rows": rows(exclude),
            "k": np.array(min(k, len(self._items)), np.int32),
            **self._more(queries),
        }

    def top_k(
        self, queries: Queries, k: int, exclude: Int64Array
    ) -> tuple[Int64Array, Float32Array]:
        """The k best items: keys int64 [B, k'] and scores float32 [B, k'], k' = min(k, items); where
        fewer are left, 0 and -inf.

        Args:
            exclude: int64 [B, E] item keys not to return, 0-padded.
        """
        asked = self.request(queries, k, exclude)
        answer = self._answer(**{name: tf.constant(value) for name, value in asked.items()})
        return answer["keys"].numpy(), answer["scores"].numpy()

    def _more(self, queries: Queries) -> dict[str, np.ndarray]:
        """Inputs that the signature takes beside those of every family."""
        del queries
        return {}

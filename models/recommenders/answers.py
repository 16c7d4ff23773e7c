"""Answers without TensorFlow: an export's arrays, and what NumPy makes of them.

An export has the same model twice: as a graph, for TensorFlow Serving, and as plain arrays in
`assets.extra/answers/`, one `.npy` file each, which are mapped into memory: several processes share
them, and a release of any size is opened in milliseconds. What a family's `Answerer` says of them is
what its graph says; a test holds one against the other, for every family.

An answer is the same to the last bit whoever else is asked for beside it. A row of a matrix product
depends on the kernel that computes it, which libraries choose by the product's size: see `product`.

Belongs here: what all families' answers share. Neighbours: the families' own, beside their networks;
`models.recommenders.export` writes.
"""

from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
import numpy.typing as npt

from models.data.best_of_rows import best
from models.data.checks import Float32Array, Int64Array
from models.data.queries import Queries
from models.errors import IncompatibleCheckpoint, NoItemVectors
from models.recommenders.recommender_files import read_header
from models.storage import seal
from models.tables.vocabulary import Vocabulary

FOLDER = Path("assets.extra") / "answers"
VOCABULARY = Path("assets.extra") / "vocabulary.npz"
LEAST_ROWS = 16
"""A matrix product has so many rows at least; fewer are filled up with zeros."""
SMALL = 4_000_000
"""Multiplications of so many rows below which a library may have a kernel of its own."""
SOURCES = ("", "own", "together", "popular", "retrieval")
"""What `Answerer.sources` says by number, how an item came into an answer: nothing is there; the user
chose it before; it goes with what the user chose; it is popular; it fits. The first that holds."""
NONE, OWN, TOGETHER, POPULAR, RETRIEVAL = range(len(SOURCES))
BLOCK_SCORES = 1_000_000
"""How many scores are held at a time: 4 MB of float32, which a core's caches hold."""


def write(arrays: Mapping[str, np.ndarray], directory: Path) -> None:
    """Writes arrays, by names that may hold one `/`, into an export's folder."""
    folder = directory / FOLDER
    folder.mkdir(parents=True)
    for name, array in arrays.items():
        np.save(folder / f"{name.replace('/', '.')}.npy", np.ascontiguousarray(array))


def there(directory: Path) -> bool:
    """Whether an export has arrays to answer from; older ones have none."""
    return (directory / FOLDER).is_dir()


class Answerer:
    """The release in `directory`, opened. A family adds `_best`.

    Attributes:
        shape: what the recommender was made with, JSON's types.
        arrays: by name, read-only.
        users, items: the vocabularies.

    Raises:
        CorruptCheckpoint: a file is missing or not what was written; the message names it.
        IncompatibleCheckpoint: it is whole, but not of this recloop.
    """

    block_width: ClassVar[int] = 1
    """How many numbers of float32 are held for each query and item at a time."""
    block_scores: ClassVar[int] = BLOCK_SCORES
    """How many of them are held for all that are asked for at a time."""
    tells: ClassVar[bool] = False
    """Whether it knows the sources of what it finds without looking again."""

    def __init__(self, directory: str | Path, mapped: bool = True) -> None:
        """Opens it.

        Args:
            mapped: into memory that processes share; else a copy of this process's own, which does
                not change if somebody writes into the files later.
        """
        folder = Path(directory)
        seal.check(folder)
        if not there(folder):
            raise IncompatibleCheckpoint(f"the export in {folder} has no answers of this recloop")
        try:
            _, self.shape = read_header(folder)
            self.arrays = _Arrays(folder / FOLDER, "r" if mapped else None)
            with np.load(folder / VOCABULARY) as keys:
                self.users = Vocabulary(keys["user_keys"])
                self.items = Vocabulary(keys["item_keys"])
            self._open()
        except (OSError, KeyError, TypeError, ValueError) as error:
            raise IncompatibleCheckpoint(
                f"the answers of the export in {folder} are not of this recloop: {error}"
            ) from error

    def _open(self) -> None:
        """Takes from `shape` and `arrays` what answers need."""

    def top_k(
        self, queries: Queries, k: int, exclude: Int64Array, shown: np.ndarray | None = None
    ) -> tuple[Int64Array, Float32Array]:
        """The k best items of each query: keys int64 [B, k'] and scores float32 [B, k'], k' = min(k,
        items); 0 and -inf where fewer are left. Ties go to the item that is known longer.

        Args:
            exclude: int64 [B, E] item keys not to return, 0-padded.
            shown: bool [items], in the order of `items.keys`: which may be returned at all; None: all.
        """
        keys, scores, _ = self._answered(queries, k, exclude, shown, told=False)
        return keys, scores

    def top_k_and_sources(
        self, queries: Queries, k: int, exclude: Int64Array, shown: np.ndarray | None = None
    ) -> tuple[Int64Array, Float32Array, npt.NDArray[np.uint8]]:
        """`top_k` and the `sources` of what it answers, for little more than the former costs."""
        return self._answered(queries, k, exclude, shown, told=True)

    def _answered(
        self,
        queries: Queries,
        k: int,
        exclude: Int64Array,
        shown: np.ndarray | None,
        told: bool,
    ) -> tuple[Int64Array, Float32Array, npt.NDArray[np.uint8]]:
        k = max(0, min(k, len(self.items)))
        keys = np.zeros((len(queries), k), np.int64)
        scores = np.full((len(queries), k), -np.inf, np.float32)
        said = np.zeros((len(queries), k), np.uint8)
        banned = self.items.rows(exclude)
        size = max(1, self.block_scores // max(1, self.block_width * len(self.items)))
        for low in range(0, len(queries) if k else 0, size):
            block = slice(low, min(low + size, len(queries)))
            some = queries if size >= len(queries) else queries.take(block)
            self._best(some, banned[block], shown, keys[block], scores[block], said[block])
        if told and not self.tells:
            said = self.sources(queries, keys, shown)
        return keys, scores, said

    def _best(
        self,
        queries: Queries,
        banned: Int64Array,
        shown: np.ndarray | None,
        keys: Int64Array,
        scores: Float32Array,
        said: npt.NDArray[np.uint8],  # noqa: ARG002
    ) -> None:
        """Fills `keys` and `scores` of one block, int64 and float32 [B, k]; and `said`, uint8 [B, k],
        with their sources, if it `tells`.

        Args:
            banned: int64 [B, E], item rows not to return; 0 is none.
        """
        found = self.all_scores(queries)
        if shown is not None:
            found[:, ~shown] = -np.inf
        owner, place = np.nonzero(banned)
        found[owner, banned[owner, place] - 1] = -np.inf
        self.fill(*best(found, keys.shape[1]), keys, scores)

    def all_scores(self, queries: Queries) -> Float32Array:
        """Of every item, in row order: float32 [B, items], the caller's to change."""
        raise NotImplementedError

    def sources(
        self,
        queries: Queries,  # noqa: ARG002
        keys: Int64Array,
        shown: np.ndarray | None = None,  # noqa: ARG002
    ) -> npt.NDArray[np.uint8]:
        """How each answered item came into its answer: places in `SOURCES`, uint8 [B, k]. A family that
        finds items in one way only says so.

        Args:
            queries: B that were asked.
            keys: int64 [B, k], what `top_k` answered; 0 is none.
            shown: what `top_k` was given.
        """
        return np.where(keys > 0, RETRIEVAL, NONE).astype(np.uint8)

    def features(self, queries: Queries, keys: Int64Array) -> Float32Array:  # noqa: ARG002
        """What of one query and each item went into its score: float32 [n, F], in the order of
        `models.ranker.ranker_config.CandidateLists`; F = 0 in a family without a ranker.

        Args:
            queries: one.
            keys: int64 [n], some of what `top_k` answered.
        """
        return np.zeros((len(keys), 0), np.float32)

    def similar(
        self, item_keys: Int64Array, k: int, shown: np.ndarray | None = None
    ) -> tuple[Int64Array, Float32Array]:
        """The k items nearest to each of these, itself left out: keys int64 [B, k'] and cosines of their
        vectors float32 [B, k'], k' = min(k, items); 0 and -inf where fewer are left, and of an item that
        the release does not know. Ties go to the item that is known longer.

        Args:
            shown: bool [items], in the order of `items.keys`: which may be returned at all; None: all.

        Raises:
            NoItemVectors: the family has none.
        """
        vectors = self._directions
        rows = self.items.rows(item_keys)
        k = max(0, min(k, len(self.items)))
        keys = np.zeros((len(rows), k), np.int64)
        scores = np.full((len(rows), k), -np.inf, np.float32)
        size = max(1, 4 * BLOCK_SCORES // max(1, len(self.items)))
        for low in range(0, len(rows) if k else 0, size):
            block = rows[low : low + size]
            known = np.flatnonzero(block)
            found = product(vectors[block[known] - 1], vectors)
            if shown is not None:
                found[:, ~shown] = -np.inf
            found[np.arange(len(known)), block[known] - 1] = -np.inf
            some_keys = np.zeros((len(known), k), np.int64)
            some_scores = np.full((len(known), k), -np.inf, np.float32)
            self.fill(*best(found, k), some_keys, some_scores)
            keys[low + known], scores[low + known] = some_keys, some_scores
        return keys, scores

    def item_vectors(self) -> Float32Array:
        """Of every item, in row order: float32 [items, d], without a bias.

        Raises:
            NoItemVectors: the family has none.
        """
        raise NoItemVectors(
            f"{type(self).__name__} scores pairs of a user and an item and has no vectors of items, so "
            "it cannot say which items are similar; retrieve_and_rank, sessions and ratings can."
        )

    @cached_property
    def _directions(self) -> Float32Array:
        """Items' vectors of length 1, or 0 where they are zero."""
        vectors = np.asarray(self.item_vectors(), np.float32)
        lengths = np.sqrt(np.square(vectors).sum(axis=1, keepdims=True))
        return np.ascontiguousarray(vectors / np.maximum(lengths, np.float32(1e-12)))

    def fill(
        self,
        owner: Int64Array,
        column: Int64Array,
        values: Float32Array,
        keys: Int64Array,
        scores: Float32Array,
    ) -> None:
        """Puts the best of each query, as `best` gives them, into `keys` and `scores` [B, k]."""
        place = np.arange(len(owner)) - np.searchsorted(owner, owner)
        keys[owner, place] = self.items.keys[column]
        scores[owner, place] = values


class _Arrays(Mapping[str, np.ndarray]):
    """The arrays of a folder: mapped when they are first asked for, or read at once."""

    def __init__(self, folder: Path, mode: Literal["r"] | None) -> None:
        self._files = {path.stem.replace(".", "/"): path for path in sorted(folder.glob("*.npy"))}
        self._open: dict[str, np.ndarray] = {}
        self._mode: Literal["r"] | None = mode
        if mode is None:
            for name in self._files:
                self[name]

    def __getitem__(self, name: str) -> np.ndarray:
        if name not in self._open:
            array = np.load(self._files[name], mmap_mode=self._mode, allow_pickle=False)
            self._open[name] = array.view(np.ndarray)
        return self._open[name]

    def __iter__(self) -> Any:
        return iter(self._files)

    def __len__(self) -> int:
        return len(self._files)


def product(left: Float32Array, right: Float32Array) -> Float32Array:
    """left @ right.T: float32 [B, M] from [B, d] and [M, d]; the same bits for each row, whatever the
    others are.

    One row alone, and a small product, are the work of other kernels than a large one, with sums in
    another order. So there are always `LEAST_ROWS` rows, and small products have just so many, one
    product after the other.
    """
    missing = -len(left) % LEAST_ROWS
    filled = left
    if missing:
        filled = np.zeros((len(left) + missing, left.shape[1]), np.float32)
        filled[: len(left)] = left
    if LEAST_ROWS * right.size < SMALL:
        filled = filled.reshape(-1, LEAST_ROWS, left.shape[1])
    return np.asarray(filled @ right.T).reshape(-1, len(right))[: len(left)]


def unit(vectors: Float32Array, epsilon: float) -> Float32Array:
    """Rows of [..., d] divided by their length, the root of the squares' sum and `epsilon`."""
    squared = np.square(vectors).sum(axis=-1, keepdims=True) + np.float32(epsilon)
    return np.asarray(vectors / np.sqrt(squared))


def mean_of_rows(table: Float32Array, rows: Int64Array) -> Float32Array:
    """Mean over each bag of the table's rows that are there: float32 [B, d] from int64 [B, n], where 0
    is none; zeros of an empty bag."""
    # Added in order: a bag's sum does not depend on the others. Few bags are added up in one step, many
    # without a copy of all their rows.
    if len(rows) < rows.shape[1]:
        total = np.where((rows > 0)[:, :, None], table[rows], np.float32(0.0)).sum(axis=1)
    else:
        total = np.zeros((len(rows), table.shape[1]), np.float32)
        for column in rows.T:
            there = np.flatnonzero(column)
            total[there] += table[column[there]]
    count = np.count_nonzero(rows, axis=1).astype(np.float32)
    return total / np.maximum(count, 1.0)[:, None]

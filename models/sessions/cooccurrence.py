"""What co-occurs with what: a memory beside a network, which learns at once and costs little.

    pair weight    w(a, b) = sum over sessions, over places i, j of a, b in it, of
                   distance^(max(|i - j| - 1, 0)) / sqrt(length of the session); `repeat` times that
                   for i = j, and nothing where |i - j| is beyond `reach`. After a week older
                   weights are multiplied by `decay`, however often the model was updated meanwhile.
    history        q = sum over its items a of
                   recency^(items after a) * idf(a) / sqrt(w(a, .)) * w(a, .)
    share of b     q(b) / sum of q
    idf(a)         log(1 + total self-weight / (1 + self-weight of a))

A nearest-neighbour memory beside a parametric model (Khandelwal et al., Generalization through
memorization: nearest neighbor language models, ICLR 2020); the neighbours are sessions (Ludewig and
Jannach, Evaluation of session-based recommendation algorithms, UMUAI 2018), and since their votes
add up, they are kept as one sparse matrix.

Kept in a state's `extra` in keys, never rows, so that it outlives the growth and the expiry of
rows. NumPy and SciPy only.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from scipy.sparse import coo_array, csr_array, triu

from models.data.checks import Float32Array, Int32Array, Int64Array
from models.data.ragged import look_up, owners, picked, strongest
from models.data.sessions import Sessions
from models.sessions.transformer_config import TransformerConfig

PREFIX = "cooccurrence/"
IDF = "voices"
"""Named as the first checkpoints named it."""
FADED = 2.0**-24
"""Half of float32's last place: a weight that is this share of another adds nothing to it."""
FURTHEST = 128
"""Places that two items of one session may be apart, however slowly their weight fades."""


@dataclass(frozen=True, eq=False)
class Cooccurrence:
    """A symmetric matrix of weights between n items, by rows.

    Attributes:
        keys: int64 [n], ascending.
        offsets: int64 [n + 1]; neighbours of item i are at [offsets[i], offsets[i + 1]).
        neighbours: int32 [m], positions in `keys`, ascending within an item.
        weights: float32 [m], positive.
        idf: float32 [n], idf / sqrt(sum of weights); multiplies the neighbours of each item.
    """

    keys: Int64Array
    offsets: Int64Array
    neighbours: Int32Array
    weights: Float32Array
    idf: Float32Array

    @classmethod
    def empty(cls) -> "Cooccurrence":
        """Of no items."""
        none, nothing = np.zeros(0, np.int64), np.zeros(0, np.float32)
        return cls(none, np.zeros(1, np.int64), none.astype(np.int32), nothing, nothing)

    @classmethod
    def of(cls, arrays: Mapping[str, np.ndarray]) -> "Cooccurrence | None":
        """The one among these arrays (a state's `extra`), or None."""
        if f"{PREFIX}keys" not in arrays:
            return None
        names = ("keys", "offsets", "neighbours", "weights", IDF)
        return cls(*(arrays[PREFIX + name] for name in names))

    def to_arrays(self) -> dict[str, np.ndarray]:
        """All of it, by names that begin with `cooccurrence/`; what `of` reads."""
        return {
            f"{PREFIX}keys": self.keys,
            f"{PREFIX}offsets": self.offsets,
            f"{PREFIX}neighbours": self.neighbours,
            f"{PREFIX}weights": self.weights,
            PREFIX + IDF: self.idf,
        }

    def updated(
        self, sessions: Sessions, config: TransformerConfig, decay: float
    ) -> "Cooccurrence":
        """With these sessions, each to be counted once in a model's life.

        What is known is in order already, and only multiplied; the new pairs are merged into it.

        Args:
            decay: what older weights are multiplied by (`TransformerConfig.decay_of`).
        """
        keys = np.union1d(self.keys, np.unique(sessions.item_keys))
        size = len(keys)
        if size == 0:
            return self
        moved = np.searchsorted(keys, self.keys)
        counts = np.zeros(size, np.int64)
        counts[moved] = np.diff(self.offsets)
        known = csr_array(
            (
                self.weights * np.float32(decay),
                moved[self.neighbours],
                np.concatenate([[0], np.cumsum(counts)]),
            ),
            (size, size),
        )
        added = _summed(sessions, np.searchsorted(keys, sessions.item_keys), size, config)
        total = known + added
        del known, added
        kept = strongest(total.indptr, total.data, config.memory_neighbours)
        row, column, weights = owners(total.indptr)[kept], total.indices[kept], total.data[kept]
        del total, kept
        offsets = np.searchsorted(row, np.arange(size + 1))
        idf = _idf_weights(row, column, weights, size)
        return Cooccurrence(keys, offsets, column.astype(np.int32), weights, idf)

    def news_since(self, before: "Cooccurrence", decay: float) -> Float32Array:
        """What share of each item's weight came by the latest update: float32 [n], in [0, 1].

        Args:
            before: what was updated.
            decay: what its weights were multiplied by.
        """
        now, old = self._totals(), np.zeros(len(self.keys))
        old[np.searchsorted(self.keys, before.keys)] = decay * before._totals()
        news = 1.0 - old / np.maximum(now, 1e-6)
        # What rounding leaves of no news is none.
        return np.where(news > 1e-5, news, 0.0).astype(np.float32)

    def _totals(self) -> np.ndarray:
        """float64 [n]: the sum of each item's weights."""
        return np.bincount(owners(self.offsets), weights=self.weights, minlength=len(self.keys))

    def shares(
        self, history: Int64Array, recency: float
    ) -> tuple[Int64Array, Int64Array, Float32Array]:
        """What co-occurs with each history, as the entries of a sparse [B, n] matrix.

        Args:
            history: int64 [B, H] item keys, most recent first; 0 and unknown ones say nothing.
            recency: an item counts this to the power of the items after it.

        Returns:
            row int64 [e], ascending; position in `keys` int64 [e], ascending within a row; share
            float32 [e], positive, with sum 1 in each row that has any.
        """
        size = len(self.keys)
        if size == 0 or history.size == 0:
            return np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0, np.float32)
        known, place = look_up(self.keys, history)
        asked, after = np.nonzero(known & (history > 0))
        item = place[asked, after]
        strength = recency ** after.astype(np.float64) * self.idf[item]
        offsets, entry = picked(self.offsets, item)
        source = owners(offsets)
        votes = strength[source] * self.weights[entry]
        cells, where = np.unique(asked[source] * size + self.neighbours[entry], return_inverse=True)
        sums = np.bincount(where, weights=votes, minlength=len(cells))
        row, column = np.divmod(cells, size)
        total = np.bincount(row, weights=sums, minlength=len(history))
        return row, column, (sums / total[row]).astype(np.float32)


def pairs_of(
    sessions: Sessions, distance: float, repeat: float
) -> tuple[Int64Array, Int64Array, np.ndarray]:
    """Pairs of places in `sessions.item_keys`, the earlier first, each place with itself too, and
    what each weighs (float64); repeats not summed.

    Places further apart than `reach` make no pair, so that a session of n items makes at most
    n * (reach + 1).
    """
    length = np.diff(sessions.offsets)
    session = sessions.of_item
    weight = (1.0 / np.sqrt(np.maximum(length, 1)))[session]
    places = np.arange(len(session), dtype=np.int64)
    after = sessions.offsets[1:][session] - 1 - places
    # Of the places, those that have one so far after them: fewer with every gap.
    lefts = [places]
    for gap in range(1, min(reach(distance), int(length.max(initial=1)) - 1) + 1):
        lefts.append(lefts[-1][after[lefts[-1]] >= gap])
    left = np.concatenate(lefts)
    gaps = np.repeat(np.arange(len(lefts)), [len(places) for places in lefts])
    worth = np.concatenate([[repeat], distance ** np.arange(len(lefts) - 1)])
    # In float32, as they are kept.
    return left, left + gaps, (weight[left] * worth[gaps]).astype(np.float32).astype(np.float64)


def _summed(
    sessions: Sessions, positions: Int64Array, size: int, config: TransformerConfig
) -> csr_array:
    """What the sessions add, above 0: float32 [size, size], symmetric.

    Args:
        positions: int64 [N], in [0, size): the item at each place.
    """
    left, right, weight = pairs_of(sessions, config.memory_distance, config.memory_repeat)
    one, other = positions[left], positions[right]
    weight[(one == other) & (left != right)] *= 2  # an item that comes again is met both ways
    del left, right
    low, high = np.minimum(one, other), np.maximum(one, other)
    del one, other
    upper = coo_array((weight, (low, high)), (size, size)).tocsr()
    del weight, low, high
    upper.sum_duplicates()
    upper = upper.astype(np.float32)
    upper.eliminate_zeros()
    return upper + triu(upper, 1, format="csr").T.tocsr()


def reach(distance: float) -> int:
    """How many places apart two items of a session may be to make a pair.

    A pair that is `gap` apart weighs distance^(gap - 1) times what neighbours do. Below 2^-24 of
    that, float32 cannot tell the sum of both from the neighbours' weight alone: with the default
    0.8 that is beyond a gap of 75, which the longest session of DIGINETICA (70 clicks) does not
    reach. Where weights fade more slowly `FURTHEST` ends them, since a robot's session of n clicks
    would else make n * n pairs.
    """
    if distance >= 1.0:
        return FURTHEST
    return min(FURTHEST, 1 + int(np.log(FADED) / np.log(distance)))


def _idf_weights(
    row: Int64Array, column: Int64Array, weights: Float32Array, size: int
) -> Float32Array:
    total = np.bincount(row, weights=weights, minlength=size)
    same = row == column
    itself = np.bincount(row[same], weights=weights[same], minlength=size)
    idf = np.log1p(itself.sum() / (1.0 + itself))
    return np.asarray(idf / np.sqrt(np.maximum(total, 1e-6)), np.float32)


# Items' rows from what co-occurs, before any training: where they start, and how they follow. Both work
# on S = D^(-1/2) W D^(-1/2), the co-occurrences W with their row sums D divided out.


POWER_STEPS = 4
OVERSAMPLING = 20


def start_rows(memory: Cooccurrence, width: int, seed: int) -> Float32Array:
    """float32 [n, width]: a row of length 1 for each of the memory's n items; 0 in coordinates beyond n.

    The leading eigenvectors of S, row by row scaled (a spectral embedding; Ng, Jordan and Weiss, On
    spectral clustering, NIPS 2001), found by block power iteration (Halko, Martinsson and Tropp,
    SIAM Review 2011).
    """
    rng = np.random.default_rng([seed, *b"spectral"])
    links = _links(memory)
    size = len(memory.keys)
    basis = rng.standard_normal((size, min(size, width + OVERSAMPLING))).astype(np.float32)
    for _ in range(POWER_STEPS):
        basis, _ = np.linalg.qr(links @ basis)
    values, vectors = np.linalg.eigh(basis.T @ (links @ basis))
    leading = np.argsort(-values)[:width]
    scaled = basis @ vectors[:, leading] * np.sqrt(np.maximum(values[leading], 1e-3))
    rows = np.zeros((size, width), np.float32)
    rows[:, : len(leading)] = scaled
    return _unit(rows)


def follow(
    memory: Cooccurrence, rows: Float32Array, news: Float32Array, steps: int
) -> Float32Array:
    """The rows (float32 [n, d], one per item of the memory) after so many steps of

        x_i <- unit((1 - n_i) * unit(x_i) + n_i * unit((S x)_i))

    with `news` n, float32 [n], in [0, 1], as `Cooccurrence.news_since` says: a new item (n = 1) gets
    a place among those it was seen with, a well-known one hardly moves (label propagation; Zhou et
    al., Learning with local and global consistency, NIPS 2003; on item embeddings: He et al.,
    LightGCN, SIGIR 2020). So the space that the other weights have learned is kept; a new start each
    time would turn it. Rejected: n = 1/2 for all items, which makes the rows of different ones alike
    (on DIGINETICA the network's own Recall@20 was 49.8 % in period 4, and is 51.4 %), and
    `tf.sparse`, whose product takes four times as long on a CPU.
    """
    moving = np.flatnonzero(news > 0)
    links = _links(memory)[moving]
    moved = _unit(rows)
    share = news[moving, None]
    for _ in range(steps):
        moved[moving] = _unit((1.0 - share) * moved[moving] + share * _unit(links @ moved))
    return moved


def _links(memory: Cooccurrence) -> csr_array:
    """S, float32 [n, n]."""
    size = len(memory.keys)
    owner = owners(memory.offsets)
    total = np.bincount(owner, weights=memory.weights, minlength=size)
    scale = (1.0 / np.sqrt(np.maximum(total, 1e-6))).astype(np.float32)
    values = memory.weights * scale[owner] * scale[memory.neighbours]
    return csr_array((values, memory.neighbours, memory.offsets), shape=(size, size))


def _unit(vectors: np.ndarray) -> Float32Array:
    length = np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.asarray(vectors / np.maximum(length, 1e-6), np.float32)

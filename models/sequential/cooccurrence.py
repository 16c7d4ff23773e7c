"""What co-occurs with what: a memory beside a network, which learns at once and costs little.

    pair weight    w(a, b) = sum over sessions, over places i, j of a, b in it, of
                   distance^(max(|i - j| - 1, 0)) / sqrt(length of the session); `repeat` times that
                   for i = j. After a week older weights are multiplied by `decay`, however often
                   the model was updated meanwhile.
    history        q = sum over its items a of
                   recency^(items after a) * idf(a) / sqrt(w(a, .)) * w(a, .)
    share of b     q(b) / sum of q
    idf(a)         log(1 + total self-weight / (1 + self-weight of a))

A nearest-neighbour memory beside a parametric model (Khandelwal et al., Generalization through
memorization: nearest neighbor language models, ICLR 2020); the neighbours are sessions (Ludewig and
Jannach, Evaluation of session-based recommendation algorithms, UMUAI 2018), and since their votes
add up, they are kept as one sparse matrix.

Kept in a state's `extra` in keys, never rows, so that it outlives the growth and the expiry of
rows. NumPy only.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from models.arrays import Float32Array, Int32Array, Int64Array
from models.lists import owners, picked
from models.sequential.sessions import Sessions
from models.sequential.transformer_config import TransformerConfig
from models.sorted_keys import look_up

PREFIX = "cooccurrence/"


@dataclass(frozen=True, eq=False)
class Cooccurrence:
    """A symmetric matrix of weights between n items, by rows.

    Attributes:
        keys: int64 [n], ascending.
        offsets: int64 [n + 1]; neighbours of item i are at [offsets[i], offsets[i + 1]).
        neighbours: int32 [m], positions in `keys`, ascending within an item.
        weights: float32 [m], positive.
        voices: float32 [n], idf / sqrt(sum of weights); multiplies the neighbours of each item.
    """

    keys: Int64Array
    offsets: Int64Array
    neighbours: Int32Array
    weights: Float32Array
    voices: Float32Array

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
        names = ("keys", "offsets", "neighbours", "weights", "voices")
        return cls(*(arrays[PREFIX + name] for name in names))

    def to_arrays(self) -> dict[str, np.ndarray]:
        """All of it, by names that begin with `cooccurrence/`; what `of` reads."""
        return {
            f"{PREFIX}keys": self.keys,
            f"{PREFIX}offsets": self.offsets,
            f"{PREFIX}neighbours": self.neighbours,
            f"{PREFIX}weights": self.weights,
            f"{PREFIX}voices": self.voices,
        }

    def updated(
        self, sessions: Sessions, config: TransformerConfig, decay: float
    ) -> "Cooccurrence":
        """With these sessions, each to be counted once in a model's life.

        Sorted are the new pairs alone: what is known is in order already, and only multiplied.

        Args:
            decay: what older weights are multiplied by (`TransformerConfig.decay_of`).
        """
        first, second, weight = pairs_of(sessions, config.memory_distance, config.memory_repeat)
        keys = np.union1d(self.keys, np.unique(sessions.item_keys))
        size = len(keys)
        if size == 0:
            return self
        moved = np.searchsorted(keys, self.keys)
        cells = moved[owners(self.offsets)] * size + moved[self.neighbours]
        totals = self.weights * np.float32(decay)
        found, where = np.unique(
            np.searchsorted(keys, first) * size + np.searchsorted(keys, second), return_inverse=True
        )
        added = np.bincount(where, weights=weight, minlength=len(found)).astype(np.float32)
        known, at = look_up(cells, found)
        totals[at[known]] += added[known]
        cells = np.insert(cells, at[~known], found[~known])
        totals = np.insert(totals, at[~known], added[~known])
        row, column = np.divmod(cells, size)
        kept = _strongest(row, totals, config.memory_neighbours)
        row, column, totals = row[kept], column[kept], totals[kept]
        offsets = np.searchsorted(row, np.arange(size + 1))
        voices = _voices(row, column, totals, size)
        return Cooccurrence(keys, offsets, column.astype(np.int32), totals, voices)

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
        voice = recency ** after.astype(np.float64) * self.voices[item]
        offsets, entry = picked(self.offsets, item)
        source = owners(offsets)
        votes = voice[source] * self.weights[entry]
        cells, where = np.unique(asked[source] * size + self.neighbours[entry], return_inverse=True)
        sums = np.bincount(where, weights=votes, minlength=len(cells))
        row, column = np.divmod(cells, size)
        total = np.bincount(row, weights=sums, minlength=len(history))
        return row, column, (sums / total[row]).astype(np.float32)


def pairs_of(
    sessions: Sessions, distance: float, repeat: float
) -> tuple[Int64Array, Int64Array, Float32Array]:
    """Ordered pairs of item keys, both ways, with what each weighs; repeats not summed."""
    length = np.diff(sessions.offsets)
    session = sessions.of_item
    weight = (1.0 / np.sqrt(np.maximum(length, 1)))[session]
    keys = sessions.item_keys
    parts = [(keys, keys, weight * repeat)]
    for gap in range(1, int(length.max(initial=0))):
        same = np.flatnonzero(session[gap:] == session[:-gap])
        worth = weight[same] * distance ** (gap - 1)
        parts += [(keys[same], keys[same + gap], worth), (keys[same + gap], keys[same], worth)]
    first, second, worth = (np.concatenate(column) for column in zip(*parts, strict=True))
    kept = worth > 0
    return first[kept], second[kept], worth[kept].astype(np.float32)


def _strongest(row: Int64Array, weights: Float32Array, most: int) -> np.ndarray:
    """Ascending positions of the `most` largest weights of each row (int64 [m], ascending)."""
    counts = np.bincount(row)
    crowded = counts > most
    kept = ~crowded[row]
    among = np.flatnonzero(~kept)
    order = among[np.lexsort((-weights[among], row[among]))]
    sizes = counts[crowded]
    rank = np.arange(len(order)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    kept[order[rank < most]] = True
    return np.flatnonzero(kept)


def _voices(row: Int64Array, column: Int64Array, weights: Float32Array, size: int) -> Float32Array:
    total = np.bincount(row, weights=weights, minlength=size)
    same = row == column
    itself = np.bincount(row[same], weights=weights[same], minlength=size)
    idf = np.log1p(itself.sum() / (1.0 + itself))
    return np.asarray(idf / np.sqrt(np.maximum(total, 1e-6)), np.float32)

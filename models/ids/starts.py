"""Starts: which known items a new item's rows start from, and how much each says. NumPy only.

Belongs here: the choice of rows and weights. Keep out: the tables (`models.ids.growth` blends their
rows). Both rules give the rows of a cold item a place among items that are like it; Adagrad's and
Adam's fresh slots then move it fast (cold start from content: Schein et al., Methods and metrics
for cold-start recommendations, SIGIR 2002).
"""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from models.data import checks
from models.data.checks import Int64Array, check_arrays
from models.tables.vocabulary import Vocabulary

Blend = tuple[Int64Array, npt.NDArray[np.float64]]
"""Known rows (int64 [n], distinct, ascending) and their weights (float64 [n], positive); empty
where nothing is known."""

MOST_SHARING = 256
"""Of the items that have a word, or are in a group, so many take part, the newest: the mean of more
is the same. The word "of" would bring in the whole catalogue, and a robot's session its length
squared."""

NOTHING: Blend = (np.zeros(0, np.int64), np.zeros(0))


@dataclass(frozen=True, eq=False)
class Groups:
    """Events that belong together: of one basket, one session, or one user's day.

    Attributes:
        groups: int64 [N], any number that names the group.
        item_keys: int64 [N].
    """

    groups: Int64Array
    item_keys: Int64Array

    def __post_init__(self) -> None:
        check_arrays(self, item_keys=(np.int64, 1), groups=(np.int64, 1))


def by_words(new: Int64Array, known: Int64Array) -> list[Blend]:
    """The known items that share words with each new one.

    A shared word counts log(1 + M / how many known items have it): "lantern" says more than "of"
    (inverse document frequency; Sparck Jones 1972).

    Args:
        new: int64 [n, W]; word ids, 0 is padding.
        known: int64 [M + 1, W], by row; row 0 is no item.
    """
    items = len(known) - 1
    wanted, index = np.unique(new, return_inverse=True)
    # One look at each known word: what isn't wanted drops out before anything is sorted. Past the
    # last wanted word all is clipped to "not wanted".
    number = np.zeros(int(wanted.max(initial=0)) + 2, np.min_scalar_type(len(wanted) + 1))
    number[wanted] = np.arange(1, len(wanted) + 1)
    number[0] = 0
    found = number.take(known.ravel(), mode="clip")
    at = np.flatnonzero(found)
    word = found[at]
    order = np.argsort(word, kind="stable")  # a radix sort, of small integers
    row, word = at[order] // known.shape[1], word[order]
    bounds = np.searchsorted(word, np.arange(1, len(wanted) + 2).astype(word.dtype))
    once = np.ones(len(row), np.bool_)
    once[1:] = (row[1:] != row[:-1]) | (word[1:] != word[:-1])
    having = [row[low:high][once[low:high]] for low, high in pairwise(bounds.tolist())]
    blends: list[Blend] = []
    for words in index.reshape(new.shape):
        shared = [having[w] for w in np.unique(words) if wanted[w] and len(having[w])]
        if not shared:
            blends.append(NOTHING)
            continue
        newest = [rows[-MOST_SHARING:] for rows in shared]
        weights = [np.log1p(items / len(rows)) for rows in shared]
        rows, at = np.unique(np.concatenate(newest), return_inverse=True)
        each = np.repeat(weights, [len(rows) for rows in newest])
        blends.append((rows, np.bincount(at, weights=each).astype(np.float64)))
    return blends


def by_groups(new_keys: Int64Array, together: Groups, known: Vocabulary) -> list[Blend]:
    """The known items that are in a group with each new one, the newest `MOST_SHARING` of each group;
    the weight is in how many.

    Args:
        new_keys: int64 [n].
        together: the new events; items that are neither new nor known are passed over.
        known: the items before the new ones.
    """
    _, group = np.unique(together.groups, return_inverse=True)
    rows = known.rows(together.item_keys)
    # Each item once per group, in the order of groups.
    pairs = np.unique(np.stack([group, rows], axis=1)[rows > 0], axis=0)
    bounds = np.searchsorted(pairs[:, 0], np.arange(group.max(initial=-1) + 2))
    ends = bounds[1:]
    starts = np.maximum(bounds[:-1], ends - MOST_SHARING)
    order = np.argsort(together.item_keys, kind="stable")
    ordered = together.item_keys[order]
    blends: list[Blend] = []
    for key in new_keys:
        low, high = np.searchsorted(ordered, key), np.searchsorted(ordered, key, side="right")
        within = [pairs[starts[g] : ends[g], 1] for g in np.unique(group[order[low:high]])]
        found, count = np.unique(np.concatenate([NOTHING[0], *within]), return_counts=True)
        blends.append((found, count.astype(np.float64)))
    return blends


STARTS = ("content", "cooccurrence", "mean")


@dataclass(frozen=True)
class NewIds:
    """How ids come and go."""

    minimum_events: int = 1
    """Events, over all windows, before a user or an item gets a row of its own; until then it is
    served as unknown (admission by frequency, as in Monolith, Liu et al., 2022)."""
    start: str = "content"
    """Where a new item's rows start: "content" (items with the same words), "cooccurrence" (items
    chosen together with it) or "mean" (all items)."""
    expire_after_days: int = 0
    """Days without an event after which an id's rows are dropped; 0: never."""

    def __post_init__(self) -> None:
        checks.integers(self, minimum_events=1, expire_after_days=0)
        checks.one_of(self, start=STARTS)

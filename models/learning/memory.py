"""Memory: a bounded set of past examples that travels with the model. NumPy only.

Belongs here: what is kept, and by which rule. Keep out: how a family's events become examples
(`models.two_tower.tower_recommender` is the two-tower's) and what is done with them
(`models.learning.rehearsal`).

Examples speak keys, never rows, so that they outlive the growth and the expiry of rows. The rules
(`models.learning.recipes.REPLAYS`), for a capacity of n:

    uniform   every example ever seen is kept with the same probability (the reservoir of Vitter,
              Random sampling with a reservoir, TOMS 1985)
    recency   the weight of an example halves with each half-life of its age (weighted reservoir,
              Efraimidis and Spirakis, Information Processing Letters 2006; the weights decay
              forward, Cormode et al., ICDE 2009, so that no kept example is ever weighed anew)
    herding   exemplars per item, see below

Both reservoirs keep the n examples with the smallest E / weight, where E is exponential and drawn
once in an example's life. With equal weights that is a uniform sample without replacement, what
Vitter's Algorithm R draws; rejected: Algorithm R itself, which replaces one example at a time.
Examples of one `group` share their E, so that the reservoirs keep or drop a basket as a whole.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from models.data.checks import Float32Array, Int64Array

Examples = dict[str, np.ndarray]
"""Arrays by name, with one first dimension, in keys; none of them NaN. `item_keys` (int64 [n]) is
what was chosen; `weights` (float32 [n]) and `group` (int64 [n]) are optional."""
Float64Array = npt.NDArray[np.float64]
PREFIX = "memory/"
DRAWS = f"{PREFIX}luck"
"""Named as the first checkpoints named it."""


@dataclass(frozen=True, eq=False)
class Memory:
    """n past examples, oldest first.

    Attributes:
        examples: theirs, by name.
        draws: float64 [n], log of the exponential number that was drawn for each.
        days: float64 [n], when each happened, in days since some fixed day.
        seen: how many examples were ever offered.
    """

    examples: Examples
    draws: Float64Array
    days: Float64Array
    seen: int

    def __post_init__(self) -> None:
        lengths = {name: len(array) for name, array in self.examples.items()}
        if "item_keys" not in lengths or {len(self), len(self.days)} != set(lengths.values()):
            raise ValueError(
                "Examples should have `item_keys`, and arrays of one length. Received: "
                f"{lengths}, for {len(self)} examples. Build them all from the same events."
            )

    def __len__(self) -> int:
        return len(self.draws)

    def take(self, index: np.ndarray) -> "Memory":
        """The examples at `index` (integers or booleans)."""
        return Memory(take(self.examples, index), self.draws[index], self.days[index], self.seen)

    def to_arrays(self) -> dict[str, np.ndarray]:
        """All of it, by names that begin with `memory/`; what `of` reads."""
        named = {f"{PREFIX}example/{name}": array for name, array in self.examples.items()}
        seen = np.array(self.seen, np.int64)
        return named | {DRAWS: self.draws, f"{PREFIX}days": self.days, f"{PREFIX}seen": seen}

    @classmethod
    def of(cls, arrays: Mapping[str, np.ndarray]) -> "Memory | None":
        """The memory among these arrays (a state's `extra`), or None."""
        if f"{PREFIX}seen" not in arrays:
            return None
        start = f"{PREFIX}example/"
        examples = {
            name.removeprefix(start): array
            for name, array in arrays.items()
            if name.startswith(start)
        }
        return cls(examples, arrays[DRAWS], arrays[f"{PREFIX}days"], int(arrays[f"{PREFIX}seen"]))


def take(examples: Examples, index: np.ndarray) -> Examples:
    """The examples at `index` (integers or booleans)."""
    return {name: array[index] for name, array in examples.items()}


def update(
    memory: Memory | None,
    new: Examples,
    kind: str,
    capacity: int,
    days: float | Float64Array,
    half_life: float,
    seed: int,
    vectors_of: Callable[[Examples], Float32Array] | None = None,
) -> Memory:
    """The memory after it has been offered new examples; a function of its arguments.

    An example keeps its draw and its day, so the kind may change from one update to the next: the
    new rule then chooses among what the old one kept.

    Args:
        memory: what is remembered; None: nothing.
        new: m examples, oldest first, each offered once in the model's life.
        kind: "uniform", "recency" or "herding".
        capacity: the most examples to keep.
        days: float64 [m], or one for all: when they happened, in days since some fixed day.
        half_life: days after which an example weighs half as much ("recency").
        seed: of the draws, along with the number of examples seen.
        vectors_of: float32 [n, d] of n examples ("herding").

    Raises:
        ValueError: the kind isn't one of these, or the capacity or the half-life isn't positive,
            or the new examples have other arrays than the old.
    """
    if capacity < 1 or half_life <= 0:
        raise ValueError(
            f"`capacity` and `half_life` should be positive. Received: {capacity} and {half_life}."
        )
    count = len(new["item_keys"])
    seen = memory.seen if memory else 0
    rng = np.random.default_rng([seed, seen])
    # Never 0: its logarithm could not be saved.
    draws = np.log(np.maximum(rng.exponential(size=count), 1e-300))
    if "group" in new:
        group = np.unique(new["group"], return_inverse=True)[1]
        draws = draws[group]
        new = new | {"group": group.astype(np.int64) + seen}  # apart from earlier updates'
    offered = Memory(new, draws, np.broadcast_to(np.asarray(days, np.float64), count), seen + count)
    pool = _join(memory, offered) if memory else offered
    if len(pool) <= capacity:
        return pool.take(np.arange(len(pool)))  # a copy: the arrays given stay the caller's
    if kind == "herding":
        if vectors_of is None:
            raise ValueError("Herding compares vectors. Pass `vectors_of`, or another `kind`.")
        return pool.take(
            choose_exemplars(
                pool.examples["item_keys"], vectors_of(pool.examples), capacity, pool.draws
            )
        )
    return pool.take(_reservoir(pool, kind, capacity, half_life))


def _reservoir(pool: Memory, kind: str, capacity: int, half_life: float) -> Int64Array:
    """Positions of the `capacity` smallest log(E / weight), in order of arrival."""
    if kind == "uniform":
        key = pool.draws
    elif kind == "recency":
        # log(2^(day / half_life)): on a log scale no day is too late to be a number.
        key = pool.draws - pool.days * (np.log(2.0) / half_life)
    else:
        raise ValueError(f"`kind` should be uniform, recency or herding. Received: {kind!r}.")
    return np.sort(np.argsort(key, kind="stable")[:capacity])


def _join(old: Memory, new: Memory) -> Memory:
    if old.examples.keys() != new.examples.keys():
        raise ValueError(
            f"The new examples have the arrays {sorted(new.examples)}, the remembered ones "
            f"{sorted(old.examples)}. Offer the same kind, or rebuild the model, which forgets."
        )
    joined = {
        name: np.concatenate([old.examples[name], new.examples[name]]) for name in new.examples
    }
    return Memory(
        joined,
        np.concatenate([old.draws, new.draws]),
        np.concatenate([old.days, new.days]),
        new.seen,
    )


# Herding: the few examples of each item whose mean is closest to the mean of all.
#
# References:
#     Welling, Herding dynamical weights to learn, ICML 2009. Rebuffi et al., iCaRL: incremental
#     classifier and representation learning, CVPR 2017 (algorithm 4: exemplars per class). Mi, Lin
#     and Faltings, ADER, RecSys 2020 (an item is a class; exemplars in proportion to its frequency).

GREEDY = 256
"""So many exemplars of an item are chosen greedily, and the rest of its share at random: their mean
is by then within about 1 / 256 of the mean of all, and each choice compares all its examples."""

ROUNDING = 1e-12
"""Gains that differ by less are equal: two vectors are always as far from their mean."""


def choose_exemplars(
    item_keys: Int64Array, vectors: Float32Array, capacity: int, draws: Float64Array
) -> Int64Array:
    """Positions of the exemplars, ascending: int64 [min(capacity, n)].

    Item by item, the k-th exemplar is the one that brings the mean of the first k closest to the
    mean of all the item's vectors, each scaled to length 1; ties go to the earlier example. After
    the first `GREEDY`, chance chooses.

    Args:
        item_keys: int64 [n].
        vectors: float32 [n, d], what the model sees in each example.
        capacity: how many in all; `shares` says how many of each item.
        draws: float64 [n], distinct numbers drawn at random; the smaller one wins where exemplars
            are as good as each other.
    """
    order = np.argsort(item_keys, kind="stable")
    _, starts, counts = np.unique(item_keys[order], return_index=True, return_counts=True)
    share = shares(counts, capacity, draws[order][starts])
    # An item that keeps all or nothing asks for no comparison.
    whole = np.repeat(share == counts, counts)
    contested = np.flatnonzero((share > 0) & (share < counts))
    chosen = [order[whole]]
    if len(contested):
        # Items of large shares first: in each round, the items still choosing are a prefix.
        contested = contested[np.argsort(-share[contested], kind="stable")]
        part = np.concatenate([np.arange(starts[i], starts[i] + counts[i]) for i in contested])
        rows = order[part]
        herded = _herd(_unit(vectors[rows]), counts[contested], share[contested], draws[rows])
        chosen.append(rows[herded])
    return np.sort(np.concatenate(chosen))


def shares(counts: Int64Array, capacity: int, draws: Float64Array) -> Int64Array:
    """How many exemplars each item gets: in proportion to its count, by largest remainders.

    Rejected: ADER's multinomial draw, which may give an item more than it has and so keeps fewer
    than the capacity.

    Args:
        counts: int64 [G], positive.
        capacity: what they sum to, unless there are fewer examples.
        draws: float64 [G]; among equal remainders the smaller one wins.

    Returns:
        int64 [G], each at most its count.
    """
    total = int(counts.sum())
    if total <= capacity:
        return counts.copy()
    share, remainder = np.divmod(counts * capacity, total)
    left = capacity - int(share.sum())
    share[np.lexsort((draws, -remainder))[:left]] += 1
    return share


def _herd(
    vectors: Float64Array, counts: Int64Array, share: Int64Array, draws: Float64Array
) -> Int64Array:
    """Positions of the chosen, for items one after the other, by descending share.

    |mean - (sum + v) / k| is least where 2 v . (k mean - sum) - |v|^2 is largest, sum being that
    of the k - 1 already chosen.
    """
    starts = np.concatenate([[0], np.cumsum(counts)])
    item = np.repeat(np.arange(len(counts)), counts)
    mean = np.add.reduceat(vectors, starts[:-1], axis=0) / counts[:, None]
    squared = np.einsum("nd,nd->n", vectors, vectors)
    free = np.ones(len(vectors), bool)
    wanted = mean.copy()
    for k in range(min(int(share[0]), GREEDY)):
        items = int(np.searchsorted(-share, -k, side="left"))
        rows = starts[items]
        gain = 2 * np.einsum("nd,nd->n", vectors[:rows], wanted[item[:rows]]) - squared[:rows]
        gain[~free[:rows]] = -np.inf
        best = np.maximum.reduceat(gain, starts[:items])
        hits = np.flatnonzero(gain >= best[item[:rows]] - ROUNDING)
        winners = hits[np.unique(item[hits], return_index=True)[1]]
        free[winners] = False
        wanted[:items] += mean[:items] - vectors[winners]
    for i in range(int(np.searchsorted(-share, -GREEDY, side="left"))):
        rest = starts[i] + np.flatnonzero(free[starts[i] : starts[i + 1]])
        free[rest[np.argsort(draws[rest])[: share[i] - GREEDY]]] = False
    return np.flatnonzero(~free)


def _unit(vectors: Float32Array) -> Float64Array:
    """Rows scaled to length 1 as float64; the zero vector stays zero."""
    wide = vectors.astype(np.float64)
    length = np.sqrt(np.einsum("nd,nd->n", wide, wide))[:, None]
    return wide / np.where(length > 0, length, 1.0)

"""What a window says of pairs of items: counted once, after it was ranked.

The cost is that of the window's own pairs: of each query the latest `LATEST` items that its user has,
and of its new choices the first `LATEST`, since a robot's basket of n items would else make n * n
pairs.
"""

import itertools

import numpy as np
from scipy.sparse import csr_array

from models.cooccurrence.pair_memory import AGAIN, CHOSEN, OWNED, SOURCE, Counted, PairMemory
from models.data.checks import Int64Array
from models.data.queries import OWN_COLUMNS, Interactions, Queries
from models.data.ragged import look_up
from models.tables.vocabulary import Vocabulary

AGE_DAYS = 60.0
BASKET = 0.25
"""What an item that is chosen beside another counts, where the user having it before counts 1 and pairs
come again; up to 1 where none does yet (`PairMemory.novelty`)."""
LATEST = 100
SOME = 256
"""Items by whose pairs it is known how many come again."""
MOST_OWN = 4_000_000
"""Own items that are counted at a time: each takes some hundred bytes meanwhile."""
LAST_AGE = OWN_COLUMNS.index("last_age")


def learnt(
    memory: PairMemory, items: Vocabulary, queries: Queries, interactions: Interactions
) -> PairMemory:
    """The memory with this window counted; as it is, if what users have is not known.

    Args:
        items: whose rows the memory is by; others are passed over.
        queries: with `own`; with `days`, what is older decays.
        interactions: what was chosen; those of weight 0 are passed over.
    """
    if queries.own is None:
        return memory
    # Of a long history one stretch of it after the other.
    ends = queries.own.offsets
    cuts = np.searchsorted(ends, np.arange(MOST_OWN, int(ends[-1]), MOST_OWN))
    for low, high in itertools.pairwise(np.unique([0, *cuts, len(queries)]).tolist()):
        here = (interactions.query >= low) & (interactions.query < high)
        chosen = Interactions(
            interactions.query[here] - np.int32(low),
            interactions.item_keys[here],
            interactions.weights[here],
        )
        memory = _with(memory, items, queries.take(slice(low, high)), chosen)
    return memory


def _with(
    memory: PairMemory, items: Vocabulary, queries: Queries, interactions: Interactions
) -> PairMemory:
    """See `learnt`; the queries' `own` is there."""
    own = queries.own
    assert own is not None
    memory = memory.at(queries.days)
    grown = memory.growth_at(queries.days) if queries.days is not None else memory.growth
    grown = np.broadcast_to(np.asarray(grown, np.float64), len(queries))
    rows, size = len(items) + 1, len(queries)
    owner, source = own.owners(), items.rows(own.item_keys)
    age = own.values[:, LAST_AGE]
    chosen, item = _distinct(interactions, items)
    wanted = chosen * rows + item
    order = np.argsort(wanted)
    repeated, at = look_up(wanted[order], owner * rows + source)
    again = np.zeros(len(wanted), bool)
    again[order[at[repeated]]] = True
    known = source > 0
    counted = [_count(OWNED, source[known], grown[owner[known]])]
    counted.append(_count(AGAIN, source[repeated], grown[owner[repeated]]))
    chosen, item = chosen[~again], item[~again]
    counted.append(_count(CHOSEN, item, grown[chosen]))
    mine = _first(owner[known], age[known])
    owner, source = owner[known][mine], source[known][mine]
    strength = np.exp(-age[known][mine].astype(np.float64) / AGE_DAYS) * grown[owner]
    few = _first(chosen, np.zeros(len(chosen)))
    chosen, item = chosen[few], item[few]
    basket = np.bincount(chosen, minlength=size)
    fresh = grown[chosen]
    # By numbers of their own: the product holds a column of each item that it has.
    sources, number = np.unique(np.concatenate([source, item]), return_inverse=True)
    targets, column = np.unique(item, return_inverse=True)
    followed = csr_array((np.ones(len(item)), (chosen, column)), (size, len(targets)))
    by, shape = np.concatenate([owner, chosen]), (size, len(sources))

    def before(side_by_side: float) -> csr_array:
        return csr_array((np.concatenate([strength, side_by_side * fresh]), (by, number)), shape)

    some = np.arange(0, len(sources), max(1, len(sources) // SOME))
    counts = _pairs(before(1.0)[:, some], followed, sources[some], targets, rows)
    novelty = memory.novelty(rows, counts, sources[some])
    share = BASKET ** (1.0 - novelty)
    counted.append(_count(SOURCE, source, strength))
    counted.append(_count(SOURCE, item, np.where(basket[chosen] > 1, share * fresh, 0.0)))
    pairs = _pairs(before(share), followed, sources, targets, rows)
    return memory.plus(rows, pairs, sources, counted, novelty)


def _pairs(
    before: csr_array, followed: csr_array, sources: Int64Array, targets: Int64Array, rows: int
) -> csr_array:
    """[s, rows]: which items follow which, without what an item has with itself.

    Args:
        before, followed: [queries, s] and [queries, t], by places in `sources` and `targets`.
    """
    # By its transpose, whose columns then come in order without being sorted.
    counts = (followed.T.tocsr() @ before).T.tocsr()
    items = targets[counts.indices]
    other = items != np.repeat(sources, np.diff(counts.indptr))
    ends = np.concatenate([[0], np.cumsum(other)])[counts.indptr]
    return csr_array((counts.data[other], items[other], ends), (len(sources), rows))


def _count(column: int, rows: Int64Array, weights: np.ndarray) -> Counted:
    sums = np.bincount(rows, weights)
    found = np.flatnonzero(sums)
    return column, found, sums[found]


def _distinct(interactions: Interactions, items: Vocabulary) -> tuple[Int64Array, Int64Array]:
    """Query and item row of each pair that was chosen, once, in the order in which it came."""
    item = items.rows(interactions.item_keys)
    there = np.flatnonzero((item > 0) & (interactions.weights > 0))
    pair = interactions.query[there].astype(np.int64) * (len(items) + 1) + item[there]
    _, first = np.unique(pair, return_index=True)
    kept = there[np.sort(first)]
    return interactions.query[kept].astype(np.int64), item[kept]


def _first(owner: Int64Array, rank: np.ndarray) -> Int64Array:
    """Places of the `LATEST` smallest of each owner, the earlier of equal ones first."""
    order = np.lexsort((np.arange(len(owner)), rank, owner))
    sorted_owner = owner[order]
    starts = np.searchsorted(sorted_owner, sorted_owner)
    return order[np.arange(len(order)) - starts < LATEST]

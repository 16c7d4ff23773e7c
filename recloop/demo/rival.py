"""The champion's rival, refitted for every week of the demonstration: EASE, which a data scientist
would try first.

The benchmarks fit the same EASE.
"""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
from psycopg2.extensions import cursor as Cursor

from recloop.calendar import Window
from recloop.config.learnable import LEARNABLE, Meaning
from recloop.contracts import TrainingSet
from recloop.database.connection import transaction
from recloop.evaluation.ranking_judge import Rank, score_ranking
from recloop.features.examples import read_examples
from recloop.features.heldout import CSR, HeldOut, Int64, read_heldout
from recloop.settings import Settings

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix

LARGEST_CATALOGUE = 8_000
"""A dense matrix of items by items is inverted: beyond this many it is left out."""
Purchases = tuple[Int64, Int64, np.ndarray]
"""User keys, item keys (int64 [N]) and how many weeks ago (float64 [N])."""


def ease_scores(
    settings: Settings, target: TrainingSet, window: Window, meaning: Meaning, days: int, kept: Path
) -> dict[str, np.ndarray]:
    """EASE's scores on a window, fitted on everything before it, by metric (float64 [U], in the
    order of the window's users). Empty for a large catalogue. Kept in the file `kept`.

    Args:
        days: popularity's, for the held-out events.
    """
    if kept.exists():
        with np.load(kept) as arrays:
            return {name: arrays[name] for name in arrays.files}
    with transaction(settings.database_url) as cursor:
        heldout = read_heldout(
            cursor,
            read_examples([target]),
            cut=window.start,
            window_start=window.start,
            meaning=meaning,
            popularity_days=days,
        )
        if not 0 < len(heldout.catalogue) <= LARGEST_CATALOGUE:
            return {}
        bought = purchases(cursor, window.start, meaning)
    arrays = dict(score_ranking(by_ease(bought), heldout).values)
    kept.parent.mkdir(parents=True, exist_ok=True)
    np.savez(kept, **arrays)
    return arrays


def purchases(cursor: Cursor, before: datetime, meaning: Meaning) -> Purchases:
    """The youngest purchase of each user and item before a moment (UTC), and its age then."""
    cursor.execute(
        "select user_key, item_key, "
        "min(extract(epoch from %(before)s - event_timestamp))::float8 / 604800 "
        f"from behavior.event where event_timestamp < %(before)s and {LEARNABLE} "
        "group by 1, 2 order by 1, 2",
        {"before": before} | meaning.parameters(),
    )
    rows = np.array(cursor.fetchall(), np.float64).reshape(-1, 3)
    return rows[:, 0].astype(np.int64), rows[:, 1].astype(np.int64), rows[:, 2]


def by_ease(bought: Purchases) -> Rank:
    """Ranks with EASE, fitted on these purchases; nothing for a user who has none."""
    users, user = np.unique(bought[0], return_inverse=True)
    items, item = np.unique(bought[1], return_inverse=True)
    table, weights = fit_ease(user, item, bought[2])

    def rank(heldout: HeldOut, k: int, exclude: CSR | None) -> Int64:
        keys = heldout.queries.user_keys
        values = np.zeros((len(keys), len(items)))
        known = np.isin(keys, users)
        values[known] = table[np.searchsorted(users, keys[known])] @ weights
        values[:, ~np.isin(items, heldout.catalogue)] = -np.inf
        if exclude is not None:
            owner = np.repeat(np.arange(len(heldout)), np.diff(exclude[0]))
            here = np.isin(exclude[1], items)
            values[owner[here], np.searchsorted(items, exclude[1][here])] = -np.inf
        best = np.argsort(-values, axis=1, kind="stable")[:, :k]
        return np.where(np.isneginf(np.take_along_axis(values, best, axis=1)), 0, items[best])

    return rank


# EASE: a linear autoencoder of users' items with a zero diagonal, in closed form.
#
# X holds, for each user and item, 0.93 ** weeks since the user last bought it. (Sums over
# purchases did better on all pairs and worse on new ones, for which one takes EASE.) With G = X'X
# + ridge I and P = G^-1: B = I - P / diag(P), scores X B. Steck, Embarrassingly shallow
# autoencoders for sparse data, WWW 2019.

DECAY_PER_WEEK, RIDGE = 0.93, 300.0
Float64 = npt.NDArray[np.float64]


def fit_ease(
    users: Int64, items: Int64, weeks: Float64, ridge: float = RIDGE
) -> tuple[csr_matrix, Float64]:
    """X (float32, a row per user number and a column per item number) and B (float64, square).

    Args:
        users, items: [N], one purchase each, in any order; small numbers, for both matrices have a
            column for every number up to the greatest.
        weeks: [N], how long ago it was.
    """
    from scipy.sparse import coo_matrix

    width = items.max() + 1
    pairs, place = np.unique(users * width + items, return_inverse=True)
    youngest = np.full(len(pairs), np.inf)
    np.minimum.at(youngest, place, weeks)
    values = (DECAY_PER_WEEK**youngest).astype(np.float32)
    table = coo_matrix((values, (pairs // width, pairs % width))).tocsr()
    gram = (table.T @ table).toarray().astype(np.float64)
    gram[np.diag_indices_from(gram)] += ridge
    inverse = np.linalg.inv(gram)
    weights = inverse / -np.diag(inverse)
    np.fill_diagonal(weights, 0.0)
    return table, weights

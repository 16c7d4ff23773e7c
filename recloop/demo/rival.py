"""The champion's rival, refitted for every week of the demonstration: EASE, which a data scientist
would try first.

Belongs here: the purchases before a week, and EASE's ranking of the week. Keep out: the model itself
(see `ease.py`).
"""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import numpy as np
from psycopg2.extensions import cursor as Cursor

from recloop.contracts import TrainingSet
from recloop.database.connection import transaction
from recloop.demo.ease import fit_ease
from recloop.features.examples import read_examples
from recloop.features.meaning import LEARNABLE, Meaning
from recloop.settings import Settings
from recloop.update.heldout import CSR, HeldOut, Int64, read_heldout
from recloop.update.scoring import Rank, Scores, score
from recloop.windows import Window

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
    found: Scores = score(by_ease(bought), heldout)
    arrays = {name: getattr(found, name) for name in ("recall", "ndcg", "recall_new", "ndcg_new")}
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

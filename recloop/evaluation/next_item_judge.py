"""Judging sessions: did the item that was clicked next come first?

Every item of a session but its first is to be predicted from those before it, among the items seen
before the cut; others are taken out of the sessions first, and then sessions of fewer than two
items (the protocol of Mi, Lin and Faltings, ADER, RecSys 2020, section 4.1). Recall@20, and the
mean reciprocal rank with 0 beyond place 20, are means over predictions.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from psycopg2.extensions import cursor as Cursor

from models.data.events import Events
from models.data.queries import Queries
from models.data.sessions import queries_of, sessions_of
from models.recommenders.family import Recommender
from recloop.config.learnable import LEARNABLE
from recloop.evaluation.scoring import Float64, Int64, Judge, K, Measure, Scores, best_of, distinct
from recloop.features.daily import HISTORY_LENGTH
from recloop.features.heldout import Past


@dataclass(frozen=True, eq=False)
class NextItems:
    """P predictions.

    Attributes:
        history: int64 [P, 50], the session's items before, most recent first, 0-padded.
        targets: int64 [P], what was chosen next.
        owners: int64 [P], the user of each.
        catalogue: int64 [C], items seen before the cut, ascending.
        popular: int64, those of them with events in the days before the cut, most first.
    """

    history: Int64
    targets: Int64
    owners: Int64
    catalogue: Int64
    popular: Int64

    @property
    def queries(self) -> Queries:
        """What is asked."""
        return queries_of(self.history)


class NextItemJudge(Judge):
    name = "next_item"
    unit = "users"
    held_out = "users with a next click"
    measures = (
        Measure("recall@20", "recall@20 of the next item"),
        Measure("mrr@20", "MRR@20 of the next item"),
    )
    metrics = headline = quality = ("recall@20", "mrr@20")
    baseline = "popularity"

    def hold_out(self, cursor: Cursor, events: Events, past: Past) -> NextItems:
        cursor.execute(
            "select item_key, "
            "count(*) filter (where event_timestamp >= %(cut)s - make_interval(days => %(days)s)) "
            f"from behavior.event where event_timestamp < %(cut)s and {LEARNABLE} "
            "group by 1 order by 1",
            past.parameters(),
        )
        items = np.array(cursor.fetchall(), np.int64).reshape(-1, 2)
        recent = items[items[:, 1] > 0]
        recent = recent[np.lexsort((recent[:, 0], -recent[:, 1]))]
        return next_items(events, items[:, 0], recent[:, 0], past.meaning.goal)

    def score(self, model: Recommender, heldout: NextItems) -> Scores:
        keys, _ = model.top_k(heldout.queries, K, candidates=heldout.catalogue)
        return scores_of(keys, heldout.targets)

    def owners(self, heldout: NextItems) -> Int64:
        return heldout.owners

    def counts(self, heldout: NextItems) -> dict[str, float]:
        users = float(len(np.unique(heldout.owners)))
        return {"users": users, "predictions": float(len(heldout.targets))}

    def baselines(self) -> Mapping[str, Callable[[Any], Scores]]:
        return {"popularity": _popularity}


JUDGE = NextItemJudge()


def next_items(
    events: Events, catalogue: Int64, popular: Int64, goal: Collection[str] | None = None
) -> NextItems:
    """The predictions that these events ask for; a query is a session. With a goal, only items of events
    of these kinds are to be predicted, from all that came before them."""
    known = events.where(np.isin(events.item_keys, catalogue) & (events.weights > 0))
    sessions = sessions_of(known)
    history, targets = sessions.prefixes(HISTORY_LENGTH)
    owners = np.repeat(known.user_keys, np.maximum(np.diff(sessions.offsets) - 1, 0))
    if goal is not None:
        order = np.argsort(known.query, kind="stable")
        place = np.arange(len(order)) - sessions.offsets[sessions.of_item]
        asked = known.of_kinds(goal)[order][place > 0]
        history, targets, owners = history[asked], targets[asked], owners[asked]
    return NextItems(history, targets, owners, catalogue, popular)


def scores_of(keys: Int64, targets: Int64) -> Scores:
    """Scores of rankings (int64 [P, 20], best first, 0-padded) with one target each."""
    hits = keys == targets[:, None]
    found = hits.any(axis=1)
    reciprocal: Float64 = np.where(found, 1.0 / (hits.argmax(axis=1) + 1.0), 0.0)
    values = {"recall@20": found.astype(np.float64), "mrr@20": reciprocal}
    return Scores(values, distinct(keys))


def _popularity(heldout: NextItems) -> Scores:
    best = best_of(heldout.popular, K, users=1)
    return scores_of(best.repeat(len(heldout.targets), axis=0), heldout.targets)

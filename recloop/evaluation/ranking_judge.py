"""Judging a ranking of the catalogue for each user: did the items that the user then chose come first?

Two rankings per user: over the whole catalogue (`all_pairs_…`), and with what the user had chosen before
masked: pairs never seen before. Metrics are those of `models/metrics/ranking.py` at k = 20. Where the
dataset names a goal, chosen is what its events are of; each kind of events is a slice beside it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np
from psycopg2.extensions import cursor as Cursor

from models.data.events import Events
from models.data.queries import OWN_COLUMNS, OwnItems
from models.metrics.ranking import ndcg_at_k, recall_at_k
from models.recommenders.family import Recommender
from recloop.evaluation.scoring import Int64, Judge, K, Measure, Scores, Slice, best_of, distinct
from recloop.features.heldout import CSR, HeldOut, Past, read_heldout

POPULARITY_SHARE = 0.2
HEAD = 0.5
"""The most popular items with this share of recent events are the head; the rest is the tail."""
Rank = Callable[[HeldOut, int, CSR | None], Int64]
"""(held-out, k, excluded per user) → item keys int64 [U, k], best first, 0 where none is left."""


class RankingJudge(Judge):
    name = "ranking"
    unit = "users"
    held_out = "users with new pairs"
    measures = (
        Measure("recall@20", "recall@20 on new pairs"),
        Measure("ndcg@20", "NDCG@20 on new pairs"),
        Measure("all_pairs_ndcg@20", "NDCG@20 on all pairs"),
    )
    metrics = ("recall@20", "ndcg@20", "all_pairs_recall@20", "all_pairs_ndcg@20")
    headline = ("recall@20", "ndcg@20")
    quality = ("all_pairs_ndcg@20", "ndcg@20")
    baseline = "popularity"

    def hold_out(self, cursor: Cursor, events: Events, past: Past) -> HeldOut:
        return read_heldout(cursor, events, past)

    def score(self, model: Recommender, heldout: HeldOut) -> Scores:
        return score_ranking(by_model(model), heldout)

    def owners(self, heldout: HeldOut) -> Int64:
        return heldout.queries.user_keys

    def slices(self, heldout: HeldOut) -> tuple[Slice, ...]:
        return (
            Slice("new_users_recall@20", "recall@20 of new users", "recall@20", heldout.new_users),
            Slice("new_items_recall@20", "recall@20 on new items", "new_items_recall@20"),
            Slice("tail_recall@20", "recall@20 on new pairs of the tail", "tail_recall@20"),
            *(
                Slice(f"{kind}_ndcg@20", f"NDCG@20 of kind {kind}", f"{kind}_ndcg@20")
                for kind in heldout.kinds
            ),
        )

    def counts(self, heldout: HeldOut) -> dict[str, float]:
        return {"users": float(len(heldout)), "users_new": float(heldout.new_users.sum())}

    def baselines(self) -> Mapping[str, Callable[[Any], Scores]]:
        return {
            "popularity": lambda heldout: replace(
                score_ranking(by_popularity, heldout), scorable=len(heldout.popular)
            ),
            "own_counts": lambda heldout: score_ranking(by_own_counts, heldout),
        }


JUDGE = RankingJudge()


def score_ranking(rank: Rank, heldout: HeldOut) -> Scores:
    """Rank the same candidates for each user, then measure."""
    everything = rank(heldout, K, None)
    fresh = rank(heldout, K, heldout.known)
    pairs = zip(_rows(heldout.relevant), _rows(heldout.known), strict=True)
    relevant_new = [np.setdiff1d(chosen, before) for chosen, before in pairs]
    relevant_new_items = [row[np.isin(row, heldout.new_items)] for row in relevant_new]
    head = head_of(heldout.popular, heldout.popular_events)
    relevant_tail = [row[~np.isin(row, head)] for row in relevant_new]
    by_kind = {
        f"{kind}_ndcg@20": ndcg_at_k(everything, relevant, K)
        for kind, relevant in heldout.kinds.items()
    }
    return Scores(
        {
            "recall@20": recall_at_k(fresh, relevant_new, K),
            "ndcg@20": ndcg_at_k(fresh, relevant_new, K),
            "all_pairs_recall@20": recall_at_k(everything, heldout.relevant, K),
            "all_pairs_ndcg@20": ndcg_at_k(everything, heldout.relevant, K),
            "new_items_recall@20": recall_at_k(fresh, relevant_new_items, K),
            "tail_recall@20": recall_at_k(fresh, relevant_tail, K),
            **by_kind,
        },
        shown=distinct(fresh),
    )


def head_of(popular: Int64, events: Int64) -> Int64:
    """Of items by their recent events, most first, those that have `HEAD` of all of these together."""
    return popular[np.cumsum(events) - events < HEAD * events.sum()]


def by_model(recommender: object) -> Rank:
    """Ranks with a model: anything that has `top_k`."""

    def rank(heldout: HeldOut, k: int, exclude: CSR | None) -> Int64:
        keys, _ = recommender.top_k(  # type: ignore[attr-defined]
            heldout.queries, k, candidates=heldout.catalogue, exclude=exclude
        )
        return np.asarray(keys, np.int64)

    return rank


def by_popularity(heldout: HeldOut, k: int, exclude: CSR | None) -> Int64:
    """Ranks everybody's items alike: most events in the days before the cut first."""
    return best_of(heldout.popular, k, exclude, len(heldout))


def by_own_counts(heldout: HeldOut, k: int, exclude: CSR | None) -> Int64:
    """Ranks what a user has purchased, decayed over 112 days, plus a fifth of recent popularity.

    What a shop can do with two SQL queries, and hard to beat where people buy the same again
    (Dacrema, Cremonesi and Jannach, Are we really making much progress?, RecSys 2019).
    """
    own = heldout.queries.own or OwnItems.none(len(heldout))
    decayed = own.values[:, OWN_COLUMNS.index("decayed_112d")]
    share = POPULARITY_SHARE / max(1, heldout.popular_events.max(initial=0))
    ranked = np.zeros((len(heldout), k), np.int64)
    for user, (low, high) in enumerate(pairwise(own.offsets)):
        mine = own.item_keys[low:high]
        banned = heldout.known[1][:0]
        if exclude is not None:
            banned = exclude[1][exclude[0][user] : exclude[0][user + 1]]
        # No item beyond the k + n most popular can be among the best k of n own items and these.
        near = k + len(mine) + len(banned)
        keys = np.concatenate([mine, heldout.popular[:near]])
        values = np.concatenate([decayed[low:high], share * heldout.popular_events[:near]])
        keys, place = np.unique(keys, return_inverse=True)
        total = np.bincount(place, weights=values)
        fit = np.isin(keys, heldout.catalogue) & ~np.isin(keys, banned)
        best = np.lexsort((keys[fit], -total[fit]))[:k]
        ranked[user, : len(best)] = keys[fit][best]
    return ranked


def _rows(csr: CSR) -> list[Int64]:
    offsets, keys = csr
    return [keys[low:high] for low, high in pairwise(offsets)]

"""Scores of any items, to hold top-k against: each item scored, and nothing left out or sorted."""

from __future__ import annotations

from typing import Any

import numpy as np

from models.data.checks import Float32Array, Int64Array
from models.data.queries import Queries
from models.recommenders.top_k import blocks
from models.retrieve_and_rank import two_stages as stages
from models.retrieve_and_rank.retrieval_scores import Hidden
from models.retrieve_and_rank.retrieve_and_rank import RetrieveAndRank


def scored(model: Any, queries: Queries, item_keys: Any) -> Float32Array:
    """Of each item for each query: float32 [B, M]; -inf for an unknown item."""
    keys = np.asarray(item_keys, np.int64)
    return (
        _of_both(model, queries, keys)
        if isinstance(model, RetrieveAndRank)
        else _of_one(model, queries, keys)
    )


def _of_one(model: Any, queries: Queries, item_keys: Int64Array) -> Float32Array:
    rows = model._state.items.rows(item_keys)
    found = np.empty((len(queries), len(rows)), np.float32)
    items = model._item_vectors(rows)
    for block in blocks(len(queries), len(rows)):
        found[block] = model._scores(queries.take(block), items).numpy()
    found[:, rows == 0] = -np.inf
    return found


def _of_both(model: RetrieveAndRank, queries: Queries, item_keys: Int64Array) -> Float32Array:
    """The ranker's, of all items as candidates."""
    rows = model.towers.items.rows(item_keys)
    found = np.full((len(queries), len(rows)), -np.inf, np.float32)
    asked = np.zeros(len(model.towers.items), bool)
    asked[rows[rows > 0] - 1] = True
    wide = int(asked.sum()) * model._ranker.config.feature_width
    for block in blocks(len(queries), wide + len(asked)) if asked.any() else ():
        part = queries.take(block)
        none = np.zeros(0, np.int64)
        hidden = Hidden(none, none, asked)
        lists = stages.candidates_of(model.config, model.towers, part, hidden, len(asked))
        by_row = np.full((len(part), len(asked) + 1), -np.inf, np.float32)
        places = model.towers.items.rows(lists.item_keys)
        by_row[lists.owners(), places] = stages.ranked_scores(model._ranker, lists)
        found[block] = by_row[:, rows]
    return found

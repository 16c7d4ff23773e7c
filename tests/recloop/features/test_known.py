"""What a ranker knows of own items and of the candidates: ages, decay, snapshots, all by hand."""

from __future__ import annotations

import math
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from models.data.events import Events
from recloop.contracts import TrainingSet
from recloop.features.artefact import write_training_set
from recloop.features.examples import read_examples
from recloop.features.ranker_inputs import STATISTICS, schemas

DAY_0 = (datetime(2011, 1, 3) - datetime(1970, 1, 1)).days


def moment(day: int) -> datetime:
    return datetime(2011, 1, 3 + day, 9, tzinfo=UTC)


def query(n: int, user: int, day: int, own: list[tuple[int, ...]], totals: tuple[int, int]) -> dict:
    """`own` holds (item, purchases, days, first day, last day) with days from 2011-01-03 on."""
    columns = list(zip(*own, strict=True)) or [()] * 5
    return {
        "query_id": n,
        "user_key": user,
        "event_timestamp": moment(day),
        "history": [],
        **dict.fromkeys(STATISTICS),
        "own_items": list(columns[0]),
        "own_purchases": list(columns[1]),
        "own_days": list(columns[2]),
        "own_first_day": [DAY_0 + d for d in columns[3]],
        "own_last_day": [DAY_0 + d for d in columns[4]],
        "own_decayed_28d": [float(p) for p in columns[1]],
        "own_decayed_112d": [float(p) for p in columns[1]],
        "all_purchases": totals[0],
        "all_days": totals[1],
    }


def item_day(day: int, key: int, week: float, price: float | None) -> dict:
    statistics = {"purchases_7d": week, "purchases_28d": 0.0, "buyers_28d": 0.0, "price": price}
    return {"day": DAY_0 + day, "item_key": key, **statistics, "cancels_28d": 0.0}


def written(folder: Path, window: str, queries: list[dict], item_days: list[dict]) -> TrainingSet:
    for query in queries:
        query["day"] = int(query["event_timestamp"].timestamp()) // 86_400
    rows = {
        "queries": queries,
        "interactions": [
            {"query_id": q["query_id"], "item_key": 10, "event_timestamp": q["event_timestamp"]}
            | {"weight": 1.0}
            for q in queries
        ],
        "items": [{"item_key": 10, "name": "", "words": []}],
        "item_days": item_days,
    }
    tables = {name: pa.Table.from_pylist(rows[name], schema=schemas()[name]) for name in rows}
    return write_training_set(folder, window, tables)


@pytest.fixture
def examples(tmp_path: Path) -> Events:
    first = written(
        tmp_path,
        "2011-01-03",
        [
            query(0, 1, 4, [(7, 3, 2, 0, 2), (8, 1, 1, 1, 1)], (4, 2)),
            query(1, 2, 5, [], (0, 0)),
        ],
        [item_day(4, 10, 2.0, None), item_day(4, 12, 1.0, 3.0), item_day(5, 12, 5.0, 3.0)],
    )
    second = written(
        tmp_path,
        "2011-01-10",
        [query(0, 2, 7, [(9, 1, 1, 6, 6)], (1, 1))],
        [item_day(7, 11, 4.0, 1.0)],
    )
    return read_examples([first, second])


def test_own_items_are_aged_to_the_day_of_the_query(examples: Events) -> None:
    own = examples.own
    assert own.offsets.tolist() == [0, 2, 2, 3]
    assert own.item_keys.tolist() == [7, 8, 9]
    # Day 4 is one day after day 3, of which the counts were; day 7 is the day after day 6.
    slow, fast = math.exp(-1 / 112), math.exp(-1 / 28)
    expected = [
        [3, 2, 4, 2, 3 * fast, 3 * slow],
        [1, 1, 3, 3, 1 * fast, 1 * slow],
        [1, 1, 1, 1, 1.0, 1.0],
    ]
    assert own.values == pytest.approx(np.array(expected), rel=1e-6)
    assert own.totals.tolist() == [[4, 2], [0, 0], [1, 1]]


def test_each_query_sees_the_items_of_its_own_day(examples: Events) -> None:
    assert examples.items.item_keys.tolist() == [10, 11, 12]
    assert examples.moments.tolist() == [0, 1, 2]
    week = np.expm1(examples.items.values[:, :, 0])
    assert week == pytest.approx(np.array([[2, 0, 1], [0, 0, 5], [0, 4, 0]]), abs=1e-5)
    price = np.expm1(examples.items.values[:, :, 3])
    assert price == pytest.approx(np.array([[0, 0, 3], [0, 0, 3], [0, 1, 0]]), abs=1e-5)


def test_a_slice_of_time_takes_its_queries_knowledge_along(examples: Events) -> None:
    part = examples.between(moment(5), moment(8))
    queries = part.queries()
    assert queries.user_keys.tolist() == [2, 2]
    assert queries.own is not None
    assert queries.own.item_keys.tolist() == [9]
    assert queries.own.offsets.tolist() == [0, 0, 1]
    assert queries.moments.tolist() == [1, 2]
    assert part.interactions().item_keys.tolist() == [10, 10]

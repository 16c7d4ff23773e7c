"""A million items: `make bench-million`.

    exact     answers of both stages, beside those of the same release whose retrieval scores are a
              table: which share of the items are the same ones, and what one costs either way
    http      the same release behind `recloop serve`, asked RATE times a second by a second process

The shop is made up (`benchmarks/publish_shop.py`), its vectors random: without clusters, which an
approximate index would need. Bar: p99 at most 40 ms, a recall of at least .95.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.publish import _postgres
from benchmarks.publish_shop import Shop, make
from benchmarks.serving import _asked, numbers
from benchmarks.serving_home import running
from benchmarks.serving_load import Plan
from models.data.queries import Queries
from models.recommenders.answers import Answerer
from models.retrieve_and_rank import two_stage_answers
from recloop.config.learnable import meaning_of
from recloop.database.connection import column, transaction
from recloop.release.answering import champion_or, held, queries_for
from recloop.settings import Settings

Json = dict[str, Any]
K, USERS, ASKED = 20, 1_000, 100
NOTHING = np.zeros((1, 0), np.int64)


def main() -> None:
    """Makes the shop, measures, and prints."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.million", description=__doc__)
    parser.add_argument("--items", type=int, default=1_000_000)
    parser.add_argument("--rate", type=float, default=10.0, help="requests a second")
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--out", type=Path, help="a JSON file for the figures")
    given = parser.parse_args()
    with _postgres() as settings:
        make(settings, Shop(USERS, given.items))
        found = {"exact": exact(settings), "http": http(settings, given.rate, given.seconds)}
    print(json.dumps(found, indent=1))
    if given.out:
        given.out.write_text(json.dumps(found, indent=1))


def exact(settings: Settings) -> Json:
    """Found through whole numbers, and by a table of all scores."""
    meaning = meaning_of(settings)
    with transaction(settings.database_url) as cursor:
        release = champion_or(cursor, None)
        answerer = held(release)
        queries = queries_for(cursor, answerer.family, range(1, ASKED + 1), meaning)
    usual = two_stage_answers.MANY
    try:
        two_stage_answers.MANY = 10**9
        table = held(release)
    finally:
        two_stage_answers.MANY = usual
    keys, milliseconds = _timed(answerer.answerer, queries)
    expected, table_milliseconds = _timed(table.answerer, queries)
    same = [len(set(one) & set(other)) / K for one, other in zip(keys, expected, strict=True)]
    return {
        "recall": float(np.mean(same)),
        "cpu_ms": milliseconds,
        "cpu_ms_of_a_table": table_milliseconds,
    }


def _timed(answerer: Answerer, queries: Queries) -> tuple[list[list[int]], float]:
    """Items of each query, asked alone; and the median of the CPU milliseconds."""
    found, costs = [], []
    for place in range(len(queries)):
        one = queries.take(slice(place, place + 1))
        began = time.process_time()
        keys, _ = answerer.top_k(one, K, NOTHING)
        costs.append(1000 * (time.process_time() - began))
        found.append(keys[0].tolist())
    return found, float(np.median(costs[1:]))


def http(settings: Settings, rate: float, seconds: float) -> Json:
    """Through the server."""
    with transaction(settings.database_url) as cursor:
        users = column(cursor, "select user_id from behavior.account order by md5(user_id)")
    bodies = [json.dumps({"user": user, "count": K}) for user in users]
    with running(settings, "uvicorn") as server:
        _asked(settings, Plan(server.port, "/v1/recommend", bodies, 20, connections=1))
        before = server.cpu_seconds()
        plan = Plan(server.port, "/v1/recommend", bodies, int(rate * seconds), rate)
        return numbers(_asked(settings, plan), server.cpu_seconds() - before)


if __name__ == "__main__":
    main()

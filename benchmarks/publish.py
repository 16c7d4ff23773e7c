"""Recommendations of everybody as tables: `make bench-publish`.

    first     `recommend --all` of a made-up shop (`benchmarks/publish_shop.py`): features read from the
              database, tables written
    exact     the least that any list costs: one float32 product of the users' and the items' vectors of
              the same release, and NumPy's argpartition; neither features nor a ranker
    second    the same after 1 % of the users chose something
    killed    the first again, killed with -9 in the middle: nothing may have changed; and repeated

CPU seconds are those of this process and of PostgreSQL. Digests tell whether two publications are equal.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np
import psutil

from benchmarks.growth import _cpu_of_server
from benchmarks.publish_shop import Shop, come_again, make
from recloop.contracts import Publication
from recloop.database import embedded
from recloop.database.connection import column, transaction
from recloop.database.schema import migrate
from recloop.outlets.publication import Wanted, publish_recommendations
from recloop.release.answering import champion_or, opened
from recloop.settings import Settings

K, ACTIVE = 20, 0.01
BLOCK = 496
USERS_PER_CPU_S, SHARE = 5000, 0.05
"""The bars: of the first, and of the second's cost in the first's."""


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.publish", description=__doc__)
    parser.add_argument("--users", type=int, default=100_000)
    parser.add_argument("--items", type=int, default=16_000)
    parser.add_argument("--home", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--out", type=Path, help="a JSON file for the figures")
    given = parser.parse_args()
    if given.home:  # the child that is killed
        settings = _settings(given.home)
        publish_recommendations(settings, Wanted(k=K), lambda *done: print(*done, flush=True), True)
        return
    shop = Shop(given.users, given.items)
    with _postgres() as settings:
        make(settings, shop)
        found = measured(settings, shop)
    for name, value in found.items():
        print(f"{name:44}{value}")
    if given.out:
        given.out.write_text(json.dumps(found, indent=1))


def measured(settings: Settings, shop: Shop) -> dict[str, Any]:
    """All figures, by what they say."""
    exact = _exact(settings, shop)
    first, own, server = _published(settings, anew=False)
    cost = own + server
    count = come_again(settings, shop, ACTIVE)
    second, *parts = _published(settings, anew=False)
    full, *_ = _published(settings, anew=True)
    before = _rows(settings)
    seen = _killed_in_the_middle(settings, shop.users)
    still = _rows(settings) == before
    again, *_ = _published(settings, anew=False)
    return {
        "users": first.users,
        "rows": first.rows,
        "first: CPU s of this process": round(own, 2),
        "first: CPU s of PostgreSQL": round(server, 2),
        "first: users per CPU s": round(shop.users / cost),
        "first: users per CPU s of this process": round(shop.users / own),
        "exact NumPy: users per CPU s": round(shop.users / exact),
        "first in times of exact NumPy": round(cost / exact, 2),
        "bar: users per CPU s": USERS_PER_CPU_S,
        "second: why all": second.why or "-",
        "second: lists computed anew": f"{second.computed} of {count} active",
        "second: CPU s of this process": round(parts[0], 3),
        "second: CPU s of PostgreSQL": round(parts[1], 3),
        "second: share of the first's cost": round(sum(parts) / cost, 4),
        "bar: share": SHARE,
        "second equals a full one": (second.sha256, second.rows) == (full.sha256, full.rows),
        "killed after so many users": seen,
        "killed: readers see what they saw": still,
        "repeated equals a full one": (again.sha256, again.rows) == (full.sha256, full.rows),
    }


def _published(settings: Settings, anew: bool) -> tuple[Publication, float, float]:
    """A publication, and its CPU seconds here and in PostgreSQL."""
    server, own = _cpu_of_server(settings.home), time.process_time()
    made = publish_recommendations(settings, Wanted(k=K), anew=anew)
    own = time.process_time() - own
    return made, own, _cpu_of_server(settings.home) - server


def _exact(settings: Settings, shop: Shop) -> float:
    """CPU seconds of the exact lists of as many users by the items' vectors of the release."""
    with transaction(settings.database_url) as cursor:
        answerer = opened(champion_or(cursor, None)).answerer
    items = np.ascontiguousarray(answerer.arrays["item_vectors"][1:])
    users = np.random.default_rng(1).normal(size=(shop.users, items.shape[1])).astype(np.float32)
    began = time.process_time()
    for low in range(0, shop.users, BLOCK):
        scores = users[low : low + BLOCK] @ items.T
        best = np.argpartition(scores, -K, axis=1)[:, -K:]
        np.take_along_axis(scores, best, axis=1)
    return time.process_time() - began


def _killed_in_the_middle(settings: Settings, users: int) -> int:
    """A process that publishes everything anew, killed when half of the users are done."""
    child = subprocess.Popen(
        [sys.executable, "-m", "benchmarks.publish", "--home", str(settings.home)],
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ,  # noqa: TID251  (a child like this process)
    )
    assert child.stdout
    done = 0
    for line in child.stdout:
        done = int(line.split()[0])
        if done >= users / 2:
            child.send_signal(signal.SIGKILL)
            break
    assert child.wait() == -signal.SIGKILL
    child.stdout.close()
    return done


def _rows(settings: Settings) -> list[Any]:
    """What a reader sees, in short."""
    with transaction(settings.database_url) as cursor:
        return column(
            cursor,
            "select md5(string_agg(md5(r::text), '' order by user_id, rank)) "
            "from published.recommendation r union all select count(*)::text from "
            "published.similar_item",
        )


def _settings(home: Path) -> Settings:
    return Settings(
        home=home,
        database_url=embedded.ensure_running(home),
        dataset=str(home / "publish.toml"),
        data=home,
    )


@contextmanager
def _postgres() -> Iterator[Settings]:
    home = Path(tempfile.mkdtemp(prefix="publish-"))
    try:
        settings = _settings(home)
        migrate(settings.database_url)
        yield settings
    finally:
        with suppress(psutil.NoSuchProcess):
            embedded.stop(home)
        shutil.rmtree(home, ignore_errors=True)


if __name__ == "__main__":
    main()

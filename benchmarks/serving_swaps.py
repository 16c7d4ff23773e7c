"""Requests while releases are promoted, rolled back to and damaged: none fails, none mixes releases.

Each answer has to be, item for item and score for score, what `recommend --release N` says of the
release N that the answer names. Belongs here: the swaps and what is made of the answers.
"""

from __future__ import annotations

import json
import shutil
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.serving_home import Server, start_load, taken
from benchmarks.serving_load import Plan
from recloop.database.connection import transaction
from recloop.ledger import releases
from recloop.release.recommend import recommend
from recloop.settings import Settings

Json = dict[str, Any]
ROLLBACK_EVERY = 5
BEFORE = 2.0
"""Seconds before a swap that are not quiet: the release is being opened."""
AFTER = 1.0


def steps(versions: list[int], swaps: int) -> list[int]:
    """Which release reigns after each swap: the next one, from the last on to the first; every fifth
    time the one two before.

    >>> steps([1, 2, 3, 4], 7)
    [1, 2, 3, 4, 2, 3, 4]
    """
    place, found = len(versions) - 1, []
    for number in range(1, swaps + 1):
        place += -2 if number % ROLLBACK_EVERY == 0 else 1
        place %= len(versions)
        found.append(versions[place])
    return found


def damaged(settings: Settings, version: int) -> None:
    """A byte of a copy of the release's files is changed, and the ledger of this copy names the copy."""
    folder = settings.home / f"damaged-{version}-{time.time_ns()}"
    with transaction(settings.database_url) as cursor:
        shutil.copytree(releases.release_of(cursor, version).uri, folder)
        path = max((folder / "saved_model/assets.extra/answers").glob("*.npy"), key=_size)
        content = bytearray(path.read_bytes())
        content[len(content) // 2] ^= 1
        path.write_bytes(content)
        _set_uri(cursor, version, str(folder))


def _size(path: Path) -> int:
    return path.stat().st_size


def _set_uri(cursor: Any, version: int, uri: str) -> None:
    cursor.execute("update ledger.release set uri = %s where version = %s", (uri, version))


def reign(settings: Settings, version: int) -> None:
    """In the ledger alone, as a promotion or a rollback notes it."""
    with transaction(settings.database_url) as cursor:
        releases.roll_back(cursor, version, "a benchmark")


def run(
    settings: Settings, server: Server, users: list[str], requests: int, swaps: int, rate: float
) -> Json:
    """Asks while releases change; the rollback in the middle is to a damaged release.

    Args:
        requests: at least so many; asking goes on until the last swap is over.
        rate: requests a second.
    """
    folder = Path(tempfile.mkdtemp(dir=settings.home))
    with transaction(settings.database_url) as cursor:
        versions = [row["version"] for row in releases.all_releases(cursor)]
        uris = {version: releases.release_of(cursor, version).uri for version in versions}
    asked = [json.dumps({"user": user}) for user in users]
    end = folder / "end"
    load = start_load(
        Plan(server.port, "/v1/recommend", asked, requests, rate, until=str(end)), folder
    )
    pause = requests / rate / (swaps + 1)
    last_rollback = swaps // ROLLBACK_EVERY
    refused = 0
    for number, version in enumerate(steps(versions, swaps), 1):
        time.sleep(pause)
        bad = number == ROLLBACK_EVERY * ((last_rollback + 1) // 2)
        if bad:
            damaged(settings, version)
        reign(settings, version)
        refused += _until(server, version, bad)
        if bad:
            with transaction(settings.database_url) as cursor:
                _set_uri(cursor, version, uris[version])
            reign(settings, versions[-1])
            _until(server, versions[-1], False)
    time.sleep(min(pause, 2.0))
    end.touch()
    return report(settings, taken(load, folder), users, versions) | {"refused": refused}


def _until(server: Server, version: int, bad: bool) -> int:
    """Waits until the server has followed; 1 where it has refused."""
    for _ in range(600):
        release, refused = server.answering()
        if refused == version if bad else (release == version and not refused):
            return int(bad)
        time.sleep(0.1)
    raise TimeoutError(f"release {version} was not followed: {server.health()}")


def report(settings: Settings, load: Json, users: list[str], versions: list[int]) -> Json:
    """What the answers were."""
    said, wrong = _checked(settings, load["answers"], users, versions)
    status = np.array(load["status"])
    place = np.array(load["answer"])
    release = np.array([said.get(one) or 0 for one in range(len(load["answers"]))])[place]
    mixed = int(np.isin(place, list(wrong)).sum())
    milliseconds = np.array(load["seconds"]) * 1e3
    due = np.array(load["due"])
    order = np.argsort(due)
    changes = np.flatnonzero(np.diff(release[order])) + 1
    # Answers of both releases come within some milliseconds: the first of the new one is the swap.
    moments = [float(due[order[at]]) for at in changes]
    starts = [m for n, m in enumerate(moments) if n == 0 or m - moments[n - 1] > AFTER]
    after, opening = np.zeros(len(due), bool), np.zeros(len(due), bool)
    for moment in starts:
        after |= (due >= moment) & (due < moment + AFTER)
        opening |= (due >= moment - BEFORE) & (due < moment)
    quiet = ~after & ~opening
    found: Json = {
        "requests": len(status),
        "failed": int((status != 200).sum()),
        "statuses": dict(Counter(map(str, status.tolist()))),
        "mixed": mixed,
        "releases_seen": sorted(set(release.tolist())),
        "swaps_seen": len(starts),
    }
    for name, which in (("quiet", quiet), ("after_a_swap", after), ("before_a_swap", opening)):
        if which.any():
            p50, p99, p999 = np.percentile(milliseconds[which], [50, 99, 99.9])
            found[name] = {"requests": int(which.sum()), "p50": p50, "p99": p99, "p999": p999}
    if after.any() and quiet.any():
        found["p999_ratio"] = found["after_a_swap"]["p999"] / found["quiet"]["p999"]
        found["p99_ratio"] = found["after_a_swap"]["p99"] / found["quiet"]["p99"]
    return found


def _checked(
    settings: Settings, answers: list[str], users: list[str], versions: list[int]
) -> tuple[dict[int, int], set[int]]:
    """The release of each distinct answer, and which of them are not what that release says."""
    expected: dict[tuple[int, str], list[tuple[str, float]]] = {}
    said: dict[int, int] = {}
    wrong: set[int] = set()
    for place, told in enumerate(answers):
        number, _, text = told.partition(" ")
        try:
            answer = json.loads("{" + text.removeprefix('", '))
        except ValueError:
            wrong.add(place)
            continue
        said[place] = answer.get("release", 0)
        user = users[int(number) % len(users)]
        key = said[place], user
        if key[0] not in versions:
            wrong.add(place)
            continue
        if key not in expected:
            found = recommend(settings, user, version=key[0]).items
            expected[key] = [(one.item_id, one.score) for one in found]
        if [(row["item"], row["score"]) for row in answer["items"]] != expected[key]:
            wrong.add(place)
    return said, wrong

"""`make bench-serve`: `recloop serve` on a home's champion, asked by a second process.

    open      200 requests a second for 30 s, whatever the answers do: p50, p99, p999
    floor     the same of `/health/live`: what the machine and the HTTP server cost without an answer
    closed    as many as four connections give: requests for each second of the server's CPU, p99
    swaps     20 promotions and 5 rollbacks, one of them to a damaged release (`serving_swaps.py`)

The machine's other work is in all of them: read `open` beside `floor`. Bars: `open` p99 at most 10 ms,
`closed` at least 300 requests/s per core at p99 of at most 40 ms; no failed and no mixed answer in
`swaps`, and p999 in the second after a swap at most twice the quiet one.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import serving_swaps
from benchmarks.output import (
    RunFailed,
    default_path,
    ended_like_ctrl_c,
    plain,
    versions,
    write_json,
)
from benchmarks.serving_home import copied, running, start_load, taken
from benchmarks.serving_load import Plan
from recloop.database.connection import column, transaction
from recloop.settings import Settings

Json = dict[str, Any]
RATE = 200.0
PARTS = ("open", "floor", "closed", "swaps")
USERS = 100


def main(arguments: Sequence[str] | None = None) -> None:
    """Measures, and writes after each part."""
    parser = argparse.ArgumentParser(prog="benchmarks.serving", description=__doc__.split("\n")[0])
    parser.add_argument("--home", type=Path, help="default: RECLOOP_HOME")
    parser.add_argument("--systems", default="uvicorn", help="of uvicorn, granian")
    parser.add_argument("--only", default=",".join(PARTS), help=f"of {', '.join(PARTS)}")
    parser.add_argument("--rate", type=float, default=RATE, help="requests a second, open loop")
    parser.add_argument("--seconds", type=float, default=30.0)
    parser.add_argument("--requests", type=int, default=100_000, help="of the swaps")
    parser.add_argument("--swaps", type=int, default=25)
    parser.add_argument("--out", type=Path, default=default_path("serving"))
    given = parser.parse_args(arguments)
    settings = Settings.from_environment()
    if given.home:
        settings = settings.model_copy(update={"home": given.home.resolve()})
    found: Json = {
        "systems": {},
        "settings": {"rate": given.rate, "seconds": given.seconds, "users": USERS},
        "versions": versions("uvicorn", "granian", "uvloop", "httptools", "numpy"),
        "unfinished": [],
    }
    with ended_like_ctrl_c(), copied(settings) as copy:
        with transaction(copy.database_url) as cursor:
            named = "select user_id from behavior.account order by md5(user_id) limit %s"
            users = column(cursor, named, (USERS,))
        for system in given.systems.split(","):
            parts: Json = found["systems"].setdefault(system, {})
            for part in given.only.split(","):
                try:
                    parts[part] = measured(part, system, copy, users, given)
                    print(system, part, plain(parts[part]), flush=True)
                except RunFailed as error:
                    found["unfinished"].append(f"{system} {part}: {error}")
                write_json(given.out, found)
    print(f"written to {given.out}")


def measured(
    part: str, system: str, settings: Settings, users: list[str], given: argparse.Namespace
) -> Json:
    """One part, of a server started anew.

    Raises:
        RunFailed: the server or the load failed.
    """
    bodies = [json.dumps({"user": user}) for user in users]
    with running(settings, system) as server:
        _asked(settings, Plan(server.port, "/v1/recommend", bodies, 400, connections=2))
        if part == "swaps":
            return serving_swaps.run(
                settings, server, users, given.requests, given.swaps, given.rate
            )
        wanted = int(given.rate * given.seconds)
        if part == "closed":
            plan = Plan(server.port, "/v1/recommend", bodies, 2 * wanted, connections=4)
        elif part == "floor":
            plan = Plan(server.port, "/health/live", [], wanted, given.rate)
        else:
            plan = Plan(server.port, "/v1/recommend", bodies, wanted, given.rate)
        before = server.cpu_seconds()
        load = _asked(settings, plan)
        return numbers(load, server.cpu_seconds() - before)


def _asked(settings: Settings, plan: Plan) -> Json:
    with tempfile.TemporaryDirectory(dir=settings.home) as folder:
        return taken(start_load(plan, Path(folder)), Path(folder))


def numbers(load: Json, cpu_seconds: float) -> Json:
    """Milliseconds at three quantiles, and what a core gives."""
    seconds, due = np.array(load["seconds"]), np.array(load["due"])
    p50, p99, p999 = np.percentile(seconds * 1e3, [50, 99, 99.9])
    lasted = float((due + seconds).max() - due.min())
    return {
        "requests": len(seconds),
        "failed": int((np.array(load["status"]) != 200).sum()),
        "p50": p50,
        "p99": p99,
        "p999": p999,
        "per_second": len(seconds) / lasted,
        "per_core_second": len(seconds) / cpu_seconds,
        "cpu_ms": cpu_seconds / len(seconds) * 1e3,
    }


if __name__ == "__main__":
    main()

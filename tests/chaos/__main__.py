"""`make chaos SEED= N=`: kill one process after the other, and see that the loop goes on by itself.

Each of N kills happens while a new week is on its way through the loop. Afterwards nobody helps: a task
that is triggered has to be done, Airflow to work by its own judgement, the week to be decided; the
books are looked at, and somebody asks for recommendations all the while. The table by kind of process
is printed, and written with all cases to OUT.
"""

from __future__ import annotations

import argparse
import json
import logging
import random
import shutil
import statistics
import sys
import tempfile
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path

from recloop.cli.session import end_by_signal
from recloop.database.connection import transaction
from recloop.errors import RecloopError
from recloop.home import keep_private
from tests.chaos.invariants import broken, lost
from tests.chaos.kills import AT_WORK, VICTIMS, kill
from tests.chaos.shop import KNOWN, WEEKS, Asking, ShopLoop

LIMIT = 120.0
"""Seconds in which the loop has to go on, on an idle machine."""
WAIT = 300.0
"""Seconds after which a case counts as one from which the loop did not recover."""


@dataclass
class Case:
    """One kill, and what came of it. Times in seconds from the kill."""

    number: int
    kind: str
    recovered: float | None = None
    """Until a task triggered afterwards was done and all of Airflow worked."""
    decided: float | None = None
    """Until the week that was on its way was learnt."""
    faults: list[str] = field(default_factory=list)


def order(seed: int, n: int, kinds: list[str]) -> list[str]:
    """N kinds in seeded order, each at least N // kinds times."""
    luck = random.Random(seed)
    chosen = [kind for _ in range(n // len(kinds)) for kind in kinds]
    chosen += luck.sample(kinds, n - len(chosen))
    luck.shuffle(chosen)
    return chosen


def one_case(loop: ShopLoop, number: int, kind: str, luck: random.Random) -> Case:
    """Deliver a week, kill while it is worked on, and wait for the loop to go on."""
    case = Case(number, kind)
    by_hand = kind == "cli update"
    if by_hand:
        loop.client.pause("incremental_update")
    week = loop.deliver()
    if kind != "triggerer":  # whose work it is to notice that something has arrived
        loop.wake()
    if by_hand:
        _wait(lambda: _is_featured(loop, week), WAIT)
    elif kind not in AT_WORK:
        time.sleep(luck.uniform(0.5, 8))
    try:
        kill(loop.settings, kind, luck)
    except TimeoutError as error:
        case.faults.append(str(error))
    began = time.monotonic()
    if by_hand:
        loop.client.pause("incremental_update", paused=False)
        loop.wake()
    if loop.probe(WAIT) is None or not loop.is_well(WAIT):
        case.faults.append("no task was done")
    else:
        case.recovered = time.monotonic() - began
    if _wait(lambda: loop.is_decided(week), WAIT):
        case.decided = time.monotonic() - began
    else:
        case.faults.append(f"{week} was not decided within {WAIT:.0f} s")
        loop.wake()
    with transaction(loop.settings.database_url) as cursor:
        case.faults += broken(cursor, loop.delivered)
        if case.decided is not None and (missing := lost(cursor, loop.delivered)):
            case.faults.append(f"{missing} lines are nowhere")
    return case


def _is_featured(loop: ShopLoop, week: str) -> bool:
    query = f"select 1 from ledger.window where window_key = '{week}' and state = 'featured'"
    return bool(loop.rows(query))


def _wait(condition, timeout: float) -> bool:  # type: ignore[no-untyped-def]
    deadline = time.monotonic() + timeout
    while time.monotonic() < deadline:
        try:
            if condition():
                return True
        except RecloopError:
            pass
        time.sleep(0.5)
    return False


def table(cases: list[Case]) -> str:
    """One line per kind: tries, and the seconds to recovery."""
    lines = [
        "| kind | tries | recovered | s to recovery: median | longest | s to the week's end: longest "
        "| faults |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    for kind in VICTIMS:
        these = [case for case in cases if case.kind == kind]
        if not these:
            continue
        back = [case.recovered for case in these if case.recovered is not None]
        ends = [case.decided for case in these if case.decided is not None]
        faults = sum(len(case.faults) for case in these)
        lines.append(
            f"| {kind} | {len(these)} | {len(back)} | {_of(statistics.median, back)} | "
            f"{_of(max, back)} | {_of(max, ends)} | {faults} |"
        )
    return "\n".join(lines)


def _of(function, values: list[float]) -> str:  # type: ignore[no-untyped-def]
    return f"{function(values):.0f}" if values else "–"


def write(out: Path, seed: int, minutes: float, asking: Asking, cases: list[Case]) -> None:
    """The table and all that is known of each case."""
    found = {
        "seed": seed,
        "minutes": minutes,
        "answers": asking.given,
        "met no PostgreSQL": asking.away,
        "failures": asking.failures,
        "cases": [asdict(case) for case in cases],
    }
    out.mkdir(parents=True, exist_ok=True)
    (out / "chaos.json").write_text(json.dumps(found, indent=2))
    (out / "chaos.md").write_text(table(cases) + "\n")


def main() -> int:
    """Exit code 0 if the loop went on after every kill, within the limit and without a fault."""
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--n", type=int, default=len(VICTIMS))
    parser.add_argument("--kinds", help=f"of {', '.join(VICTIMS)}; separated by commas")
    parser.add_argument("--out", type=Path, default=Path("var/chaos"))
    given = parser.parse_args()
    kinds = given.kinds.split(",") if given.kinds else list(VICTIMS)
    if not 0 < given.n <= WEEKS - KNOWN or not set(kinds) <= set(VICTIMS):
        parser.error(f"N should be from 1 to {WEEKS - KNOWN}, kinds of {', '.join(VICTIMS)}")
    keep_private()
    end_by_signal()
    logging.captureWarnings(True)
    home = Path(tempfile.mkdtemp(prefix="recloop-chaos-"))
    cases: list[Case] = []
    luck = random.Random(given.seed)
    began = time.monotonic()
    loop = None
    try:
        loop = ShopLoop(home)
        loop.start()
        print(f"a loop is up after {time.monotonic() - began:.0f} s", flush=True)
        asking = loop.asking()
        thread = asking.start()
        for number, kind in enumerate(order(given.seed, given.n, kinds), 1):
            case = one_case(loop, number, kind, luck)
            cases.append(case)
            print(
                f"{number:3} {kind}: recovered {case.recovered and round(case.recovered)} s, week "
                f"decided {case.decided and round(case.decided)} s {case.faults or ''}",
                flush=True,
            )
            minutes = round((time.monotonic() - began) / 60, 1)
            write(given.out, given.seed, minutes, asking, cases)  # whatever comes of the next one
            shutil.copy(home / "logs" / "supervisor.log", given.out / "supervisor.log")
        asking.stop()
        thread.join(30)
    finally:
        if loop is not None:
            loop.stop()
        shutil.rmtree(home, ignore_errors=True)
    print(table(cases))
    print(
        f"{asking.given} recommendations, {asking.away} met no PostgreSQL, "
        f"{len(asking.failures)} failures {asking.failures[:3] or ''}; {minutes} minutes"
    )
    slow = [case for case in cases if case.recovered is None or case.recovered > LIMIT]
    for case in slow:
        print(f"case {case.number}, {case.kind}: not within {LIMIT:.0f} s")
    faults = [fault for case in cases for fault in case.faults]
    return 1 if slow or faults or asking.failures else 0


if __name__ == "__main__":
    sys.exit(main())

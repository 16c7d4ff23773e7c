"""`make fuzz`: inputs of every kind by their shares, on all processors; status 1 if there is a fault."""

from __future__ import annotations

import argparse
import multiprocessing
import os
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from contextlib import suppress
from pathlib import Path

from recloop.settings import PROJECT
from tests.fuzz import report
from tests.fuzz.cases import Outcome
from tests.fuzz.kinds import KINDS
from tests.fuzz.worker import begin, work


def main() -> int:
    """Tries, tells, writes."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--n", type=int, default=2000, help="inputs of all kinds together")
    parser.add_argument("--only", default="", help="one input, as a report names it: line:1234")
    parser.add_argument("--kinds", default=",".join(KINDS), help=f"of {', '.join(KINDS)}")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--out", type=Path, default=PROJECT / "var" / "fuzz" / "report.txt")
    options = parser.parse_args()
    kinds = options.kinds.split(",")
    unknown = sorted(set(kinds) - set(KINDS))
    if unknown:
        parser.error(f"--kinds takes {', '.join(KINDS)}. Received: {', '.join(unknown)}.")
    jobs = list(batches(options.n, kinds))
    if options.only:
        kind, _, number = options.only.partition(":")
        if kind not in KINDS or not number.isdecimal():
            parser.error(
                f"--only takes a kind and a number, like line:1234. Received: {options.only}."
            )
        jobs = [(kind, [int(number)])]
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # so that the server is stopped
    began = time.monotonic()
    outcomes: list[Outcome] = []
    with suppress(KeyboardInterrupt):  # a run that is cut short tells what it has tried
        outcomes.extend(_all(options.seed, jobs, min(options.jobs, len(jobs))))
    faults = [one for one in outcomes if one.fate == "fault"]
    print("\n" + report.table(outcomes))
    if faults:
        print("\n" + report.told(faults[: report.SHOWN], options.seed))
    seconds = time.monotonic() - began
    planned = sum(len(numbers) for _, numbers in jobs)
    if len(outcomes) < planned:
        print(f"\ncut short: {len(outcomes)} of {planned} inputs")
    print(f"\n{seconds:.0f} s; {report.write(options.out, outcomes, options.seed, seconds)}")
    return bool(faults) or len(outcomes) < planned


def batches(count: int, kinds: Iterable[str]) -> Iterator[tuple[str, list[int]]]:
    """(kind, numbers) of so many inputs, by the kinds' shares; the dearest first."""
    shares = {name: KINDS[name].share for name in kinds}
    for name in sorted(kinds, key=lambda name: KINDS[name].batch):
        numbers = list(range(max(1, round(count * shares[name] / sum(shares.values())))))
        size = KINDS[name].batch
        yield from ((name, numbers[low : low + size]) for low in range(0, len(numbers), size))


def _all(seed: int, jobs: list[tuple[str, list[int]]], workers: int) -> Iterator[Outcome]:
    from recloop.database import embedded
    from recloop.database.schema import migrate
    from tests.conftest import _need_not_survive_a_crash

    home = Path(tempfile.mkdtemp(prefix="recloop-fuzz-"))
    try:
        url = embedded.ensure_running(home)
        _need_not_survive_a_crash(url)
        migrate(url)
        context = multiprocessing.get_context("spawn")
        with ProcessPoolExecutor(workers, context, begin, (url, home)) as pool:
            waiting = [pool.submit(work, seed, kind, numbers) for kind, numbers in jobs]
            done = 0
            try:
                for future in as_completed(waiting):
                    found = future.result()
                    done += len(found)
                    faults = sum(one.fate == "fault" for one in found)
                    print(f"{done} tried; {found[0].kind}: {faults or 'no'} fault(s)", flush=True)
                    yield from found
            except BaseException:
                pool.shutdown(wait=False, cancel_futures=True)  # what waits is not tried
                raise
    finally:
        embedded.stop(home)
        shutil.rmtree(home, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main())

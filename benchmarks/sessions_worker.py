"""One system with one seed through the session protocol, in a process of one thread.

    python -m benchmarks.sessions_worker '{"folder": …, "system": …, "seed": …, "cycles": […]}'

Writes one line of JSON per tested period to standard output: what `sessions_protocol.Result` has of it,
and the peak memory so far. Neighbours: `sessions` starts it and reads the lines.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from benchmarks.cost import peak_megabytes
from benchmarks.sessions_protocol import Result, read_periods, run
from benchmarks.sessions_systems import make


def main(job: str) -> None:
    """Runs the job. The import of TensorFlow and the reading of files are in no figure."""
    wanted = json.loads(job)
    import models.sessions.session_recommender  # noqa: F401

    periods = read_periods(Path(wanted["folder"]))
    cycles = [int(cycle) for cycle in wanted["cycles"]]

    def told(cycle: int, result: Result) -> None:
        line = {
            "cycle": cycle,
            "metrics": {name: found[cycle] for name, found in result.per_period.items()},
            "train_cpu_s": result.train_cpu_s[cycle],
            "test_cpu_s": result.test_cpu_s[cycle],
            "targets": result.targets[cycle],
            "peak_mb": peak_megabytes(),
        }
        print(json.dumps(line), flush=True)

    run(make(wanted["system"], wanted["seed"], set(cycles)), periods, cycles, told)


if __name__ == "__main__":
    main(sys.argv[1])

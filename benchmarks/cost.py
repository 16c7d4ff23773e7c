"""What a process has used: CPU seconds of all its threads and ended children, and peak memory."""

from __future__ import annotations

import logging
import resource
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

ONE_THREAD = dict.fromkeys(
    (
        "OMP_NUM_THREADS",
        "OPENBLAS_NUM_THREADS",
        "MKL_NUM_THREADS",
        "NUMEXPR_NUM_THREADS",
        "TF_NUM_INTRAOP_THREADS",
        "TF_NUM_INTEROP_THREADS",
    ),
    "1",
)
"""Environment of a process whose CPU seconds are compared with another's: threads that wait for each
other spin, and are charged for it."""


def one_thread() -> None:
    """The same for this process, before TensorFlow starts: and no GPU."""
    from models.tables.backend import tf

    logging.getLogger("tensorflow").setLevel(logging.ERROR)
    try:
        tf.config.set_visible_devices([], "GPU")
        tf.config.threading.set_intra_op_parallelism_threads(1)
        tf.config.threading.set_inter_op_parallelism_threads(1)
    except RuntimeError:
        # TensorFlow already runs in this process (tests do that): it stays as it is.
        return


def cpu_seconds() -> float:
    """CPU seconds since the process began, its ended children's included."""
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.process_time() + children.ru_utime + children.ru_stime


def peak_megabytes() -> float:
    """The largest resident memory so far, in MB (10^6 bytes).

    From /proc on Linux: there `ru_maxrss` begins at the resident memory of the process that forked
    this one, so that a large parent would be counted.
    """
    status = Path("/proc/self/status")
    if status.exists():
        for line in status.read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024 / 1e6
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6


@dataclass
class Meter:
    """Sums CPU and wall seconds of the blocks measured.

    >>> meter = Meter()
    >>> with meter.measuring():
    ...     total = sum(range(1000))
    >>> meter.wall_s >= meter.cpu_s * 0
    True
    """

    cpu_s: float = 0.0
    wall_s: float = 0.0

    @contextmanager
    def measuring(self) -> Iterator[None]:
        """Adds what the block takes, whether or not it raises."""
        cpu, wall = cpu_seconds(), time.perf_counter()
        try:
            yield
        finally:
            self.cpu_s += cpu_seconds() - cpu
            self.wall_s += time.perf_counter() - wall

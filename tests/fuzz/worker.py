"""One of the processes that try inputs: it has a database, a folder and one maker of each kind."""

from __future__ import annotations

import logging
import tempfile
import warnings
from pathlib import Path

from tests.fuzz.cases import Kind, Outcome
from tests.fuzz.kinds import make
from tests.fuzz.world import World

_made: dict[str, Kind] = {}
_worlds: list[World] = []


def begin(url: str, home: Path) -> None:
    """In a worker: a database and a folder of its own."""
    from tests.conftest import copy_database

    warnings.filterwarnings("ignore")
    logging.disable(logging.WARNING)
    _worlds.append(World(copy_database(url), Path(tempfile.mkdtemp(prefix="worker-", dir=home))))


def work(seed: int, kind: str, numbers: list[int]) -> list[Outcome]:
    """Outcomes of these inputs."""
    if kind not in _made:
        _made[kind] = make(kind, _worlds[0])
    return list(_made[kind].tried(seed, numbers))

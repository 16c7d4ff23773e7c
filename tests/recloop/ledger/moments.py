"""A family that remembers, of all that it has learnt, when it happened: for tests of the ledger."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from models.learning.recipes import INCREMENT, REBUILD, TrainingReport
from models.recommenders import recommender_files
from models.recommenders.family import Family

LEARNT = "learnt.json"


@dataclass(frozen=True)
class Shape:
    """Nothing to choose."""


class Moments:
    """See `models.recommenders.family.Recommender`."""

    remembers = True
    item_keys = np.zeros(0, np.int64)
    states: dict[str, Any] = {}
    merging: dict[str, Any] = {}

    def __init__(self, learnt: list[int]) -> None:
        self.learnt = learnt

    @classmethod
    def new(cls, *_: Any) -> Moments:
        return cls([])

    @classmethod
    def restore(cls, directory: str | Path, limit: float = 0.0) -> Moments:
        return cls(json.loads((Path(directory) / LEARNT).read_text()))

    @classmethod
    def loss_change(cls, *_: Any) -> str:
        return ""

    def moments(self) -> list[datetime]:
        return [datetime.fromtimestamp(us / 1e6, UTC) for us in self.learnt]

    def make_room(self, *_: Any) -> None: ...

    def remember_events(self, *_: Any) -> None: ...

    def learn(self, events: Any, *_: Any) -> TrainingReport:
        self.learnt += events.times.astype("datetime64[us]").astype(int).tolist()
        return TrainingReport(len(events.times), 1, 0.0, 0.0, 0.0)

    def learn_from_nothing(self, events: Any, *_: Any) -> TrainingReport:
        return self.learn(events)

    def maintained(self, *_: Any) -> Moments:
        return self

    def averaged(self, *_: Any) -> Moments:
        return self

    def save(self, directory: Path, base: Path | None = None) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        (directory / LEARNT).write_text(json.dumps(self.learnt))
        recommender_files.write_header(f"{__name__}:FAMILY", {}, directory)


FAMILY = Family(
    name="moments",
    summary="a list of moments",
    recommender=f"{__name__}:Moments",
    shape=f"{__name__}:Shape",
    inputs=("history", "own_items", "statistics", "content"),
    judged_by="ranking",
    increment=INCREMENT,
    rebuild=REBUILD,
)

"""A site with one dataset file for each family: visitors who walk through films in order and rate them.

80 visitors in two camps; a camp likes its 20 of 40 films. A visitor comes twice a week and takes
five films in a row, so that the next can be told from the last, and gives 4 or 5 to those of its
camp, else 1 or 2.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np

from recloop.settings import Settings
from tests.recloop.behavior.datasets import as_toml, customised

MONDAY = datetime(2024, 1, 1)
VISITORS, FILMS, TAKEN = 80, 40, 5
DATASET: dict[str, Any] = {
    "name": "films",
    "source": {"kind": "folder"},
    "window": {"length": "week"},
    "period": {"start": MONDAY.strftime("%Y-%m-%dT00:00:00Z"), "end": "2024-06-03T00:00:00Z"},
    "columns": {"visitor": "text", "film": "text", "rating": "number", "at": "time"},
    "event": {
        "id": ["visitor", "film", "at"],
        "user_id": "visitor",
        "item_id": "film",
        "timestamp": "at",
        "value": "rating",
        "type": "rate",
        "learn_from": {"types": ["rate"], "minimum_value": 4.0},
    },
    "rules": {"value_between": [1.0, 5.0]},
}

MODELS: dict[str, dict[str, Any]] = {
    "retrieve_and_rank": {},
    "sessions": {"family": "sessions", "shape": {"dimension": 32, "uniform_negatives": 16}},
    "click_through": {"family": "click_through", "shape": {"hidden": [16]}},
    "ratings": {"family": "ratings", "shape": {"dimension": 8}},
    "registered": {"family": "tests.integration.choices_family:FAMILY"},
}
LOADED = """
import sys
import numpy as np, tensorflow as tf
model = tf.saved_model.load(sys.argv[1])
top_k = model.signatures["top_k"]
takes = top_k.structured_input_signature[1]
asked = {
    "user_row": tf.constant([1], tf.int64),
    "history_rows": tf.ones([1, takes["history_rows"].shape[1]], tf.int64),
    "statistics": tf.zeros([1, takes["statistics"].shape[1]]),
    "exclude_rows": tf.zeros([1, 0], tf.int64),
    "k": tf.constant(5),
}
keys = top_k(**{name: asked[name] for name in takes})["keys"].numpy()
assert "models" not in sys.modules and "recloop" not in sys.modules
print(len(set(keys[0].tolist())))
"""
"""A process that knows TensorFlow alone asks the export in `sys.argv[1]` for five items."""


def lines(week: int) -> list[list[object]]:
    """visitor, film, rating, time."""
    rng = np.random.default_rng([11, week])
    found: list[list[object]] = []
    for visit in range(2):
        for visitor in range(VISITORS):
            start = MONDAY + timedelta(
                weeks=week, days=3 * visit + visitor % 3, minutes=7 * visitor
            )
            at_home = rng.random() < 0.85
            half = FILMS // 2 * ((visitor + (not at_home)) % 2)
            begin = int(rng.integers(FILMS // 2))
            for step in range(TAKEN):
                film = half + (begin + step) % (FILMS // 2)
                rating = int(rng.integers(4, 6)) if at_home else int(rng.integers(1, 3))
                when = start + timedelta(minutes=step)
                found.append([f"v{visitor:02}", f"film {film:02}", rating, when.isoformat()])
    return found


def settings_of(url: str, home: Path, model: dict[str, Any]) -> Settings:
    """A folder in which files arrive, a dataset file with this [model], and a gate of wide margins:
    so few visitors say little."""
    (home / "incoming").mkdir(parents=True)
    base = Settings(home=home, database_url=url, data=home / "incoming")
    settings = customised(base, "online_retail", home)
    path = settings.config / "datasets" / "films.toml"
    path.write_text(as_toml(DATASET | {"model": model}))
    gate = settings.config / "gate.toml"
    text = re.sub(r"^(\w*margin) = \S+", r"\1 = 100.0", gate.read_text(), flags=re.M)
    gate.write_text(text.replace("coverage_ratio = 0.5 ", "coverage_ratio = 0.1 "))
    return settings.model_copy(update={"dataset": "films"})


def deliver(settings: Settings, *weeks: int) -> None:
    """Files arrive."""
    assert settings.data is not None
    for week in weeks:
        with (settings.data / f"week_{week:02}.csv").open("w", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(["visitor", "film", "rating", "at"])
            writer.writerows(lines(week))


def key(week: int) -> str:
    """The window of a week."""
    return f"{MONDAY + timedelta(weeks=week):%Y-%m-%d}"


@contextmanager
def refuse_all(settings: Settings) -> Iterator[None]:
    """Meanwhile the gate asks for more of a catalogue than there is."""
    gate = settings.config / "gate.toml"
    shipped = gate.read_text()
    gate.write_text(shipped.replace("catalogue_share = 0.95 ", "catalogue_share = 9.5 "))
    try:
        yield
    finally:
        gate.write_text(shipped)

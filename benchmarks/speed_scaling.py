"""What an update of 10,000 events costs when the tables are larger, and what saving it costs.

Ours against itself, 10^4 to 10^6 rows per table, and against Keras' Adam, which writes every row of
a table at every step. A delta checkpoint against a full one.
"""

from __future__ import annotations

import statistics
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.speed_data import make_ratings
from benchmarks.speed_timing import Ratio, costs, cpu_of, cpu_seconds

EVENTS = 10_000
BATCH = 512
DIMENSION = 32
ROWS = (10_000, 100_000, 1_000_000)
TURNS = 10
"""Updates of every size in a repeat: one takes .03 s, which is less than the machine's own swings."""
KERAS_EVENTS = 2_048
"""Keras' Adam is measured on fewer, whole batches of them, and scaled: its steps all cost the same."""


def recommender(rows: int) -> Any:
    """A two-tower with so many users and as many items: ids only, as in `speed_throughput`."""
    from benchmarks.speed_throughput import ids_only
    from models.two_tower.tower_recommender import TwoTowerRecommender

    model = TwoTowerRecommender.create(ids_only(DIMENSION), seed=0)
    ratings = make_ratings(1, rows, rows)
    model.add_ids(np.arange(1, rows + 1), ratings.catalogue())
    return model


def updating(model: Any, rows: int, active: int = ROWS[0]) -> Callable[[], object]:
    """One update of 10,000 events, on users and items from all over the tables.

    The same window whatever the table, but for where its rows lie: events are drawn from `active`
    users and as many items, spread over the whole of it. So the work of a step and the distinct rows
    of the window are the same, and what is left is what the table costs.
    """
    from models.data.queries import Interactions, Queries
    from models.learning.recipes import Recipe

    rng = np.random.default_rng(0)
    active_users, active_items = (
        np.random.default_rng(seed).choice(rows, active, replace=False) + 1 for seed in (1, 2)
    )
    drawn_users, drawn_items = rng.integers(0, active, (2, EVENTS))
    users, query = np.unique(active_users[drawn_users], return_inverse=True)
    nothing = np.zeros((len(users), 0))
    queries = Queries(users, nothing.astype(np.int64), nothing.astype(np.float32))
    events = Interactions(
        query.astype(np.int32), active_items[drawn_items], np.ones(EVENTS, np.float32)
    )
    recipe = Recipe(epochs=1, learning_rate=0.1, batch_size=BATCH)
    return partial(model.fit, queries, events, recipe)


def keras_adam(rows: int) -> Callable[[], object]:
    """Tuned Keras with its Adam, on tables of so many rows."""
    from benchmarks.speed_keras import tuned
    from models.tables.backend import tf

    ratings = make_ratings(KERAS_EVENTS, rows, rows)
    train = tuned(ratings, DIMENSION, BATCH, tf.keras.optimizers.Adam(1e-3))
    return partial(train, ratings)


def over_rows(repeats: int, rows: tuple[int, ...] = ROWS) -> dict[str, Ratio]:
    """The largest tables against the smallest, and ours against Keras' Adam on the largest."""
    work: dict[str, Callable[[], object]] = {
        str(count): updating(recommender(count), count, rows[0]) for count in rows
    }
    seconds = cpu_seconds(work, TURNS * repeats)
    seconds |= cpu_seconds({"keras": keras_adam(rows[-1])}, repeats)
    least, most = f"{rows[0]:,}", f"{rows[-1]:,}"
    ours, theirs = seconds[str(rows[-1])], seconds["keras"] * EVENTS / KERAS_EVENTS
    found = {
        f"{most} rows cost times {least}": Ratio(
            ours, seconds[str(rows[0])], ours / seconds[str(rows[0])], "CPU s per update"
        ),
        f"Keras Adam, {most} rows": costs(ours, theirs, "CPU s per update"),
    }
    for count in rows[1:-1]:
        middle = seconds[str(count)]
        found[f"{count:,} rows cost times {least}"] = Ratio(
            middle, seconds[str(rows[0])], middle / seconds[str(rows[0])], "CPU s per update"
        )
    return found


def checkpoints(repeats: int, rows: int = ROWS[-1]) -> dict[str, Ratio]:
    """A delta after an update of 10,000 events against a full checkpoint: CPU seconds and bytes."""
    seconds: dict[str, list[float]] = {"full": [], "delta": []}
    with tempfile.TemporaryDirectory() as folder:
        full, delta = Path(folder) / "full", Path(folder) / "delta"
        model = recommender(rows)
        update = updating(model, rows)
        for _ in range(repeats + 1):
            seconds["full"].append(cpu_of(partial(model.save, full)))
            update()
            seconds["delta"].append(cpu_of(partial(model.save, delta, base=full)))
        sizes = {path.name: _bytes(path) for path in (full, delta)}
    # The first of each writes cold files.
    cost = {name: statistics.median(values[1:]) for name, values in seconds.items()}
    return {
        f"full checkpoint, {rows:,} rows, CPU": costs(
            cost["delta"], cost["full"], "CPU s per save"
        ),
        f"full checkpoint, {rows:,} rows, size": costs(
            sizes["delta"], sizes["full"], "bytes on disk"
        ),
    }


def _bytes(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())

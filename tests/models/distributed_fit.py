"""One fit of the small shop in a process of its own; run by `test_distribution`.

    python -m tests.models.distributed_fit mirrored|worker in_batch|basket

`worker` takes its place from `TF_CONFIG`. Prints the report and sums of the tables as JSON.
"""

import dataclasses
import json
import sys

import numpy as np

from models.learning.recipes import Recipe
from models.tables import distribution
from models.tables.backend import tf
from models.two_tower.tower_recommender import TwoTowerRecommender
from tests.models.conftest import CONFIG, RECIPE, make_world

FIT: Recipe = dataclasses.replace(
    RECIPE, epochs=2, batch_size=40, clip_norm=1.0, weight_decay=1e-3, optimizer="adam"
)
"""120 events: two epochs of three steps, with all that a step does to the summed gradient."""


def fit(loss: str) -> dict[str, object]:
    """Trains, lets the tables grow, and trains again."""
    world = make_world()
    model = TwoTowerRecommender.create(
        dataclasses.replace(CONFIG, loss=loss, uniform_negatives=4), seed=7
    )
    model.add_ids(world.user_keys[:-1], world.items)
    first = model.fit(world.queries, world.interactions, FIT)
    model.add_ids(world.user_keys, world.items)
    second = model.fit(world.queries, world.interactions, FIT)
    tables = model.parameters()
    return {
        "losses": [first.first_loss, first.last_loss, second.first_loss, second.last_loss],
        "sums": {name: float(np.abs(table).sum()) for name, table in tables.items()},
        "examples": second.examples,
        "replicas": distribution.current().num_replicas_in_sync,
        "variable": type(model._state.network.tables["user"]).__name__,
    }


if __name__ == "__main__":
    how, which = sys.argv[1:]
    if how == "worker":
        result = fit(which)
    else:
        cpu = tf.config.list_physical_devices("CPU")[0]
        tf.config.set_logical_device_configuration(
            cpu, [tf.config.LogicalDeviceConfiguration()] * 2
        )
        with tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"]).scope():
            result = fit(which)
    print(json.dumps(result))

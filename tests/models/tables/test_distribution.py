"""Training on several replicas is training on one: same losses, same tables, to float tolerance.

Collective operations are set up when TensorFlow starts, so each test trains in processes of its
own; the expected values are those of an ordinary fit in this one.
"""

import dataclasses
import json
import os
import socket
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import pytest

from models.tables.backend import tf
from models.tables.network import Network
from models.two_tower.basket_batches import tower_batches
from models.two_tower.tower_recommender import TwoTowerRecommender
from tests.models.conftest import CONFIG, make_world
from tests.models.distributed_fit import FIT, fit

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[3]
LOSSES = ("in_batch", "basket")
SECONDS = 300


def start(how: str, loss: str, **environment: str) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-m", "tests.models.distributed_fit", how, loss],
        cwd=ROOT,
        env={**os.environ, "TF_NUM_INTRAOP_THREADS": "1", **environment},  # noqa: TID251
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def results(processes: list["subprocess.Popen[str]"]) -> list[dict[str, object]]:
    """What they printed last; none outlives this."""
    with ExitStack() as stack:
        for process in processes:
            stack.callback(process.wait)
            stack.callback(process.kill)
        found = []
        for process in processes:
            out, errors = process.communicate(timeout=SECONDS)
            assert process.returncode == 0, errors[-3000:]
            found.append(json.loads(out.splitlines()[-1]))
        return found


def free_ports(count: int) -> list[int]:
    with ExitStack() as stack:
        taken = [stack.enter_context(socket.socket()) for _ in range(count)]
        for taken_socket in taken:
            taken_socket.bind(("127.0.0.1", 0))
        return [taken_socket.getsockname()[1] for taken_socket in taken]


def check_equal(found: dict[str, object], expected: dict[str, object]) -> None:
    assert found["examples"] == expected["examples"]
    np.testing.assert_allclose(found["losses"], expected["losses"], rtol=1e-4)
    assert found["sums"] == pytest.approx(expected["sums"], rel=1e-4)


def test_two_processes_on_loopback_report_what_one_does() -> None:
    addresses = [f"127.0.0.1:{port}" for port in free_ports(2)]
    workers = [
        start(
            "worker",
            "in_batch",
            TF_CONFIG=json.dumps(
                {
                    "cluster": {"worker": addresses},
                    "task": {"type": "worker", "index": index},
                }
            ),
        )
        for index in range(2)
    ]
    first, second = results(workers)
    assert first["replicas"] == 2
    assert first["losses"] == second["losses"]
    assert first["sums"] == pytest.approx(second["sums"], rel=1e-6)
    check_equal(first, fit("in_batch"))


def test_two_devices_of_one_process_report_what_one_does() -> None:
    (mirrored,) = results([start("mirrored", "basket")])
    assert mirrored["replicas"] == 2
    assert mirrored["variable"] == "MirroredVariable"
    alone = fit("basket")
    assert alone["replicas"] == 1
    assert alone["variable"] == "ResourceVariable"
    check_equal(mirrored, alone)


def batch_of(loss: str) -> tuple[Network, dict[str, tf.Tensor]]:
    """The small shop's trained model, and one batch of its events (or baskets)."""
    world = make_world()
    model = TwoTowerRecommender.create(
        dataclasses.replace(CONFIG, loss=loss, uniform_negatives=4), seed=7
    )
    model.add_ids(world.user_keys, world.items)
    model.fit(world.queries, world.interactions, FIT)
    batches = tower_batches(model._state, world.queries, world.interactions, FIT)
    size = min(len(batches), 23)
    chunk = {name: tf.constant(array) for name, array in batches.chunk(np.arange(size)).items()}
    low, high = tf.constant(0, tf.int64), tf.constant(size, tf.int64)
    return model._state.network, batches.batch(chunk, low, high, tf.constant([1, 2]))


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("count", [2, 3])
def test_the_losses_of_the_shares_sum_to_the_batchs(loss: str, count: int) -> None:
    network, batch = batch_of(loss)
    name = "event_weights" if loss == "basket" else "weights"
    batch[name] = tf.linspace(0.5, 1.5, tf.size(batch[name]))
    shares = [network.shard(batch, tf.constant(index), count) for index in range(count)]
    whole = float(network.compute_loss(batch, training=True))
    losses = [float(network.compute_loss(share, training=True)) for share in shares]
    assert sum(losses) == pytest.approx(whole, rel=1e-5)
    assert min(losses) > 0
    # Each share has its part of the examples, and looks up its part of the users.
    total = sum(int(tf.size(share["weights"])) for share in shares)
    assert total == int(tf.size(batch["weights"]))
    assert max(int(tf.size(share["user_rows"])) for share in shares) < int(
        tf.size(batch["user_rows"])
    )


def test_by_default_the_others_examples_weigh_nothing() -> None:
    network, batch = batch_of("in_batch")
    weights = np.arange(1, 6, dtype=np.float32)
    shares = [
        Network.shard(network, {"weights": tf.constant(weights)}, tf.constant(index), 2)["weights"]
        for index in range(2)
    ]
    np.testing.assert_array_equal(shares[0], [1, 0, 3, 0, 5])
    np.testing.assert_array_equal(shares[1], [0, 2, 0, 4, 0])
    whole = float(network.compute_loss(batch))
    losses = [
        float(network.compute_loss(Network.shard(network, batch, tf.constant(index), 2)))
        for index in range(2)
    ]
    assert sum(losses) == pytest.approx(whole, rel=1e-5)

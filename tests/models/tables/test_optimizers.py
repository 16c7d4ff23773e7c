"""Every kind against the textbook, worked in float64 row by row, with no code of `models`."""

import math
import time

import numpy as np
import pytest

from models.learning import recipes
from models.tables.backend import tf
from models.tables.optimizers import OPTIMIZERS, make_optimizer

START, TINY = 0.1, 1e-7
KINDS = ("adagrad", "adam", "momentum", "rmsprop", "sgd")
STARTS = {"accumulator": START, "velocity": 0, "square": 0, "first": 0, "second": 0, "count": 0}


def textbook(kind: str, weights: list[float], gradients: list[float], slots: dict, rate: float):
    """One step of one row, in place; `slots` starts empty."""
    t = slots["t"] = slots.get("t", 0) + 1
    for n, g in enumerate(gradients):
        s = slots.setdefault(n, {"a": START, "v": 0.0, "m": 0.0, "s": 0.0})
        if kind == "sgd":
            step = g
        elif kind == "momentum":
            step = s["v"] = 0.9 * s["v"] + g
        elif kind == "rmsprop":
            s["s"] = 0.9 * s["s"] + 0.1 * g * g
            step = g / (math.sqrt(s["s"]) + TINY)
        elif kind == "adagrad":
            s["a"] += g * g
            step = g / (math.sqrt(s["a"]) + TINY)
        else:
            s["m"] = 0.9 * s["m"] + 0.1 * g
            s["s"] = 0.999 * s["s"] + 0.001 * g * g
            step = (s["m"] / (1 - 0.9**t)) / (math.sqrt(s["s"] / (1 - 0.999**t)) + TINY)
        weights[n] -= rate * step


class Trial:
    """One table under an optimizer."""

    def __init__(self, kind: str, table: np.ndarray) -> None:
        self.variable = tf.Variable(table, shape=[None, *table.shape[1:]])
        self.optimizer = make_optimizer(kind, {"t": self.variable}, START)

    def step(self, gradient, rate=0.5, clip=0.0, **options) -> float:
        return float(
            self.optimizer.apply(
                {"t": self.variable}, {"t": gradient}, tf.constant(rate), tf.constant(clip),
                **options,
            )
        )  # fmt: skip

    @property
    def table(self) -> np.ndarray:
        return self.variable.numpy()

    @property
    def slots(self) -> dict[str, np.ndarray]:
        return {name: slot.numpy() for name, slot in self.optimizer.slots.items()}


def sparse(values, rows) -> tf.IndexedSlices:
    return tf.IndexedSlices(
        tf.constant(np.asarray(values, np.float32)), tf.constant(rows, tf.int64), None
    )


@pytest.fixture
def table() -> np.ndarray:
    return np.random.default_rng(0).standard_normal((6, 3)).astype(np.float32)


@pytest.fixture(params=KINDS)
def kind(request) -> str:
    return request.param


def test_recipes_know_every_optimizer() -> None:
    assert tuple(sorted(OPTIMIZERS)) == tuple(sorted(recipes.OPTIMIZERS)) == KINDS


def test_follows_the_textbook_on_touched_rows(kind, table) -> None:
    rng = np.random.default_rng(1)
    trial, expected, slots = Trial(kind, table), table.astype(float).tolist(), {}
    for step in range(12):
        rows = rng.integers(0, 5, 4)  # repeats happen; row 5 is never touched
        values = rng.standard_normal((4, 3))
        rate = 0.3 / (step + 1)
        trial.step(sparse(values, rows), rate)
        for row in np.unique(rows):
            gradient = values[rows == row].sum(axis=0)
            textbook(kind, expected[row], gradient, slots.setdefault(row, {}), rate)
    assert trial.table == pytest.approx(np.array(expected), rel=2e-4, abs=2e-5)
    assert (trial.table[5] == table[5]).all()


@pytest.mark.parametrize("shape", [(6, 3), (6,), (2, 3, 4), ()])
def test_dense_gradients_update_all_rows(kind, shape) -> None:
    rng = np.random.default_rng(2)
    start = rng.standard_normal(shape).astype(np.float32)
    variable = tf.Variable(start)
    optimizer = make_optimizer(kind, {"t": variable}, START)
    expected, slots = start.astype(float).reshape(-1).tolist(), {}
    for _ in range(5):
        gradient = rng.standard_normal(shape).astype(np.float32)
        optimizer.apply(
            {"t": variable}, {"t": tf.constant(gradient)}, tf.constant(0.1), tf.constant(0.0)
        )
        textbook(kind, expected, gradient.reshape(-1), slots, 0.1)
    assert variable.numpy().reshape(-1) == pytest.approx(expected, rel=2e-4, abs=2e-5)


def test_the_first_steps_by_hand() -> None:
    """Rate 0.1, gradients 1 and then -1, from weight 0 (Adagrad's accumulator: 0.1)."""
    after = {
        "sgd": [-0.1, 0.0],
        "momentum": [-0.1, -0.1 + 0.1 * 0.1],  # velocity 1, then 0.9 - 1
        "adagrad": [-0.1 / math.sqrt(1.1), -0.1 / math.sqrt(1.1) + 0.1 / math.sqrt(2.1)],
        "rmsprop": [-0.31622777, -0.31622777 + 0.1 / math.sqrt(0.19)],
        "adam": [-0.1, -0.1 + 0.1 * 0.01 / 0.19],  # corrected moments: -0.01 / 0.19 and 1
    }
    for kind, expected in after.items():
        trial = Trial(kind, np.zeros((1, 1), np.float32))
        for gradient, weight in zip([1, -1], expected, strict=True):
            trial.step(sparse([[gradient]], [0]), 0.1)
            assert trial.table.item() == pytest.approx(weight, rel=1e-5, abs=1e-7), kind


def test_untouched_rows_and_slots_are_bit_identical(kind, table) -> None:
    trial = Trial(kind, table)
    for _ in range(2):  # slots have something to lose
        trial.step(tf.constant(np.ones((6, 3), np.float32)))
    before, slots = trial.table, trial.slots
    trial.step(sparse(np.ones((2, 3)), [4, 1]))
    for name, array in {"table": trial.table, **trial.slots}.items():
        old = before if name == "table" else slots[name]
        assert (array[[0, 2, 3, 5]] == old[[0, 2, 3, 5]]).all(), name
        assert (array[[1, 4]] != old[[1, 4]]).all(), name


def test_repeated_rows_are_summed_once(kind, table) -> None:
    trial, once = Trial(kind, table), Trial(kind, table)
    trial.step(sparse([[1, 2, 3], [4, 5, 6], [-2, 0, 1]], [4, 1, 4]))
    once.step(sparse([[-1, 2, 4], [4, 5, 6]], [4, 1]))
    assert (trial.table == once.table).all()
    assert all((trial.slots[name] == once.slots[name]).all() for name in once.slots)


def test_a_zero_gradient_moves_no_fresh_row(kind, table) -> None:
    trial = Trial(kind, table)
    trial.step(sparse(np.zeros((1, 3)), [2]))
    assert (trial.table == table).all()


def test_a_dense_gradient_is_that_of_every_row(kind, table) -> None:
    gradient = np.arange(18).reshape(6, 3) - 4.0
    dense, rows = Trial(kind, table), Trial(kind, table)
    for _ in range(3):
        dense.step(tf.constant(gradient, tf.float32))
        rows.step(sparse(gradient, range(6)))
    assert dense.table == pytest.approx(rows.table, rel=1e-4)  # 1 - 0.999 in float32
    for name, slot in dense.slots.items():
        assert slot == pytest.approx(rows.slots[name], rel=1e-4)


@pytest.mark.parametrize("dense", [False, True])
def test_rows_that_must_be_kept_are(kind, table, dense) -> None:
    keep = {"t": tf.constant([False, True, True, False, True, False])}
    gradient = np.ones((6, 3))
    trial, only = Trial(kind, table), Trial(kind, table)
    trial.step(
        tf.constant(gradient, tf.float32) if dense else sparse(gradient, range(6)), keep=keep
    )
    only.step(sparse(gradient[:3], [1, 2, 4]))
    assert (trial.table == only.table).all()
    assert all((trial.slots[name] == only.slots[name]).all() for name in only.slots)


def test_clips_by_the_norm_of_the_summed_rows(kind, table) -> None:
    # Two halves of one row: the norm is 10, not sqrt(50); clipped to 5, the row is [3, 4, 0].
    trial, by_hand = Trial(kind, table), Trial(kind, table)
    assert trial.step(sparse([[3, 4, 0], [3, 4, 0]], [2, 2]), clip=5.0) == pytest.approx(10)
    by_hand.step(sparse([[3, 4, 0]], [2]))
    assert trial.table == pytest.approx(by_hand.table, rel=1e-6)
    assert (trial.table != table).any()


def test_the_norm_is_that_of_all_tables_together(table) -> None:
    # sqrt(3^2 + 4^2) = 5, clipped to 1: each gradient shrinks to a fifth.
    variables = {"a": tf.Variable(table), "b": tf.Variable(np.zeros(2, np.float32))}
    optimizer = make_optimizer("sgd", variables, START)
    gradients = {"a": sparse([[3, 0, 0]], [1]), "b": tf.constant([0.0, 4.0])}
    norm = optimizer.apply(variables, gradients, tf.constant(1.0), tf.constant(1.0))
    assert float(norm) == pytest.approx(5)
    assert variables["a"].numpy()[1] - table[1] == pytest.approx([-0.6, 0, 0], abs=1e-6)
    assert variables["b"].numpy() == pytest.approx([0, -0.8])


def test_a_smaller_norm_is_left_alone(kind, table) -> None:
    clipped, free = Trial(kind, table), Trial(kind, table)
    clipped.step(sparse(np.ones((1, 3)), [2]), clip=2.0)
    free.step(sparse(np.ones((1, 3)), [2]))
    assert (clipped.table == free.table).all()


def test_slots_grow_as_new(kind, table) -> None:
    trial = Trial(kind, table)
    trial.step(tf.constant(np.ones((6, 3), np.float32)))
    old = trial.slots
    trial.optimizer.extend("t", 2)
    for name, slot in trial.slots.items():
        assert (slot[:6] == old[name]).all()
        assert slot.shape == (8, *old[name].shape[1:])
        assert (slot[6:] == np.float32(STARTS[name.removeprefix("t/")])).all()
    trial.optimizer.keep_rows("t", np.array([0, 7, 3]))
    for name, slot in trial.slots.items():
        assert (slot[[0, 2]] == old[name][[0, 3]]).all()


def test_a_row_that_comes_late_to_adam_starts_with_one_rate() -> None:
    trial = Trial("adam", np.zeros((2, 2), np.float32))
    for _ in range(50):
        trial.step(sparse([[1, 1]], [0]), 0.01)
    trial.step(sparse([[5, -0.2]], [1]), 0.01)
    assert trial.table[1] == pytest.approx([-0.01, 0.01], rel=1e-4)
    assert trial.slots["t/count"].tolist() == [[50], [1]]


def test_dense_adam_gives_each_row_its_own_correction() -> None:
    """Row 1 grows after four steps of row 0: its first is the textbook's first."""
    trial = Trial("adam", np.zeros((1, 2), np.float32))
    expected, slots = [[0.0, 0.0], [0.5, -0.5]], [{}, {}]
    rng = np.random.default_rng(4)
    for step in range(7):
        rows = 1 if step < 4 else 2
        if step == 4:
            trial.variable.assign(np.concatenate([trial.table, [[0.5, -0.5]]]))
            trial.optimizer.extend("t", 1)
        gradient = rng.standard_normal((rows, 2)).astype(np.float32)
        trial.step(tf.constant(gradient), 0.1)
        for row in range(rows):
            textbook("adam", expected[row], gradient[row], slots[row], 0.1)
    assert trial.table == pytest.approx(np.array(expected), rel=1e-4)
    assert trial.slots["t/count"].tolist() == [[7], [3]]


def test_adams_count_stays_of_a_modest_size() -> None:
    trial = Trial("adam", np.zeros((1, 1), np.float32))
    trial.optimizer.slots["t/count"].assign([[100_000.0]])
    trial.optimizer.slots["t/first"].assign([[1.0]])
    trial.optimizer.slots["t/second"].assign([[4.0]])
    trial.step(sparse([[1.0]], [0]), 0.1)
    assert trial.slots["t/count"].item() == 100_000
    assert trial.table.item() == pytest.approx(-0.1 / math.sqrt(0.999 * 4 + 0.001), rel=1e-5)


def test_an_unknown_kind_is_refused() -> None:
    with pytest.raises(ValueError, match=r"adagrad, adam, momentum, rmsprop, sgd.*'lion'"):
        make_optimizer("lion", {}, START)


def test_nothing_to_train_is_refused(table) -> None:
    with pytest.raises(ValueError, match=r"nothing to train. Received: \['t'\].*`scope`"):
        Trial("sgd", table).step(None)


def test_the_cost_does_not_follow_the_table(kind) -> None:
    """The same 1,000 rows of 10^4 and of 10^6: a dense step would cost a hundred times as much."""

    def cost(rows: int) -> float:
        table = tf.Variable(tf.zeros([rows, 8]), shape=[None, 8])
        optimizer = make_optimizer(kind, {"t": table}, START)

        @tf.function
        def steps(touched, values):
            for _ in tf.range(20):
                optimizer.apply(
                    {"t": table},
                    {"t": tf.IndexedSlices(values, touched, None)},
                    tf.constant(0.1),
                    tf.constant(0.0),
                )

        touched = tf.constant(np.random.default_rng(0).integers(0, rows, 1000))
        values = tf.ones([1000, 8])
        steps(touched, values)
        took = []
        for _ in range(3):
            began = time.process_time()
            steps(touched, values)
            took.append(time.process_time() - began)
        return min(took)

    assert cost(1_000_000) < 5 * cost(10_000)

"""The backend: Keras 2, and in what precision products are made."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import pytest

from models.recommenders.softmax import sampled_softmax
from models.tables import backend
from models.tables.backend import compute_dtype, matmul, tf

LEFT = np.array([[1.0, 2.0], [1.00390625, 0.0]], np.float32)
"""1.00390625 is 1 + 2^-8: half of bfloat16's step above 1, and goes to the even neighbour, 1."""
RIGHT = np.array([[1.0, 0.0], [0.0, 1.0]], np.float32)


def test_exports_are_not_commented_on_in_logs_at_info(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logging.root, "level", logging.INFO)
    assert not logging.getLogger("absl").isEnabledFor(logging.INFO)


def test_nothing_is_mixed_without_a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tf.config, "get_visible_devices", lambda kind: [])
    assert compute_dtype() == tf.float32
    np.testing.assert_array_equal(matmul(LEFT, RIGHT), LEFT)


@pytest.mark.parametrize(
    ("capabilities", "dtype"),
    [
        ([(9, 0)], tf.bfloat16),
        ([(8, 0), (9, 0)], tf.bfloat16),
        ([(7, 5)], tf.float32),
        ([(9, 0), (7, 0)], tf.float32),
        ([None], tf.float32),
    ],
)
def test_mixed_on_gpus_that_all_have_bfloat16(
    capabilities: list[tuple[int, int] | None], dtype: tf.DType, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tf.config, "get_visible_devices", lambda kind: capabilities)
    monkeypatch.setattr(
        tf.config.experimental,
        "get_device_details",
        lambda gpu: {} if gpu is None else {"compute_capability": gpu},
    )
    assert compute_dtype() == dtype


@contextmanager
def computing_in(dtype: tf.DType) -> Iterator[None]:
    """As on a machine with a GPU that has bfloat16, or with none."""
    gpus = [(8, 0)] if dtype == tf.bfloat16 else []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tf.config, "get_visible_devices", lambda _: gpus)
        details = tf.config.experimental
        patch.setattr(details, "get_device_details", lambda gpu: {"compute_capability": gpu})
        yield


def test_a_product_is_rounded_and_comes_back_as_float32() -> None:
    with computing_in(tf.bfloat16):
        product = matmul(LEFT, RIGHT)
    assert product.dtype == tf.float32
    np.testing.assert_array_equal(product, [[1.0, 2.0], [1.0, 0.0]])
    assert compute_dtype() == tf.float32 or backend.prepare_devices()


def test_transposed_products() -> None:
    a = np.array([[1.0, 2.0, 3.0]], np.float32)
    np.testing.assert_array_equal(matmul(a, a, transpose_b=True), [[14.0]])
    np.testing.assert_array_equal(
        matmul(a, a, transpose_a=True), [[1.0, 2.0, 3.0], [2.0, 4.0, 6.0], [3.0, 6.0, 9.0]]
    )


def test_the_softmax_in_bfloat16_is_near_that_in_float32() -> None:
    rng = np.random.default_rng(0)
    queries = tf.constant(rng.standard_normal((20, 16)), tf.float32)
    items = tf.constant(rng.standard_normal((30, 16)) / 4, tf.float32)
    offset = tf.constant(rng.standard_normal(30) * 5, tf.float32)

    def loss_and_gradients() -> tuple[float, list[np.ndarray]]:
        with tf.GradientTape() as tape:
            tape.watch([queries, items, offset])
            loss = sampled_softmax(
                queries,
                items,
                offset,
                tf.ones([30]),
                tf.range(20),
                tf.range(20),
                tf.ones([20]),
            )
        return float(loss), [g.numpy() for g in tape.gradient(loss, [queries, items, offset])]

    with computing_in(tf.float32):
        exact, exact_gradients = loss_and_gradients()
    with computing_in(tf.bfloat16):
        mixed, mixed_gradients = loss_and_gradients()
    assert mixed != exact
    # bfloat16 keeps 8 bits: 1 in 256.
    assert mixed == pytest.approx(exact, rel=1 / 256)
    for ours, theirs in zip(mixed_gradients, exact_gradients, strict=True):
        assert ours.dtype == np.float32
        assert np.abs(ours - theirs).max() < 3 / 256 * np.abs(theirs).max()

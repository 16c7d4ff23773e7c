"""The one place that decides how TensorFlow runs; import `tf` and `tfrs` from here only.

Keras 2 (`tf_keras`): tensorflow-recommenders 0.7 subclasses `tf.keras.Model` and needs it, so the
flag is set before the first import of TensorFlow. If something imported TensorFlow earlier with
Keras 3, the import below would succeed and fail later in a strange place: that is checked here.

Precision is decided here and nowhere else. Weights, slots, corrections, softmaxes and losses are
float32 everywhere. On GPUs that have bfloat16 (compute capability 8 and above), the large products,
queries times candidates and their gradients, are made in it: see `matmul`. Its range is float32's,
so no loss needs scaling. Rejected: float16, whose range does; and Keras' `mixed_bfloat16` policy,
which works through layers, and the towers are tables without any. On CPU nothing is mixed: there
bfloat16 is slower on most machines, and increments should give the same bits again.
"""

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache

os.environ["TF_USE_LEGACY_KERAS"] = "1"
# "No CUDA driver" is an error on every CPU machine.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")


@contextmanager
def _without_chatter() -> Iterator[None]:
    """Keeps what TensorFlow's C++ prints before its logging is set up off standard error.

    A failing import still raises: only file descriptor 2 is turned away, not exceptions.
    """
    kept, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)


with _without_chatter():
    import tensorflow as tf
    import tensorflow_recommenders as tfrs

# At INFO, absl says of each exported function how TensorFlow renames the variables it reads (all of
# them "resource", whatever the arguments are called); Airflow's task logs are at INFO.
logging.getLogger("absl").setLevel(logging.WARNING)

__all__ = ["compute_dtype", "matmul", "prepare_devices", "tf", "tfrs"]


if not tf.keras.Model.__module__.startswith("tf_keras."):
    raise ImportError(
        f"recloop needs Keras 2 (tf_keras). Received: {tf.keras.Model.__module__}, "
        "because TF_USE_LEGACY_KERAS was not 1 when TensorFlow was first imported. Import "
        "models.tables.backend before tensorflow, or export TF_USE_LEGACY_KERAS=1."
    )


@cache
def prepare_devices() -> tuple[str, ...]:
    """Readies the accelerators once per process; returns the names of the GPUs found.

    Memory growth is switched on so that a second process (serving, another worker) can share the
    card. Called by the first `Recommender`, never at import: listing devices starts the CUDA
    driver, which does not survive a fork.
    """
    gpus = tf.config.list_physical_devices("GPU")
    for gpu in gpus:
        try:
            tf.config.experimental.set_memory_growth(gpu, True)
        except RuntimeError:
            # The caller has already used the device: its setting stands.
            break
    return tuple(gpu.name for gpu in gpus)


def compute_dtype() -> "tf.DType":
    """What large products are made in: bfloat16 if every GPU in use has it, else float32."""
    gpus = tf.config.get_visible_devices("GPU")
    return tf.bfloat16 if gpus and all(map(_has_bfloat16, gpus)) else tf.float32


def _has_bfloat16(gpu: "tf.config.PhysicalDevice") -> bool:
    """Whether its tensor cores take bfloat16 (NVIDIA Ampere and later)."""
    details = tf.config.experimental.get_device_details(gpu)
    return bool(details.get("compute_capability", (0, 0))[0] >= 8)


def matmul(
    left: "tf.Tensor", right: "tf.Tensor", transpose_a: bool = False, transpose_b: bool = False
) -> "tf.Tensor":
    """The product of two float32 matrices, float32, made in `compute_dtype`.

    For products whose result goes into a softmax or a gradient. Not for what a loss adds up.
    """
    dtype = compute_dtype()
    product = tf.linalg.matmul(
        tf.cast(left, dtype),
        tf.cast(right, dtype),
        transpose_a=transpose_a,
        transpose_b=transpose_b,
    )
    return tf.cast(product, tf.float32)

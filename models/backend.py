"""The one place that decides how TensorFlow runs; import `tf` and `tfrs` from here only.

Keras 2 (`tf_keras`): tensorflow-recommenders 0.7 subclasses `tf.keras.Model` and needs it, so the
flag is set before the first import of TensorFlow. If something imported TensorFlow earlier with
Keras 3, the import below would succeed and fail later in a strange place: that is checked here.

Precision is decided here and nowhere else: weights, slots and losses are float32. On NVIDIA GPUs
the products run in TensorFloat-32 (TensorFlow's default), which needs no loss scaling. Rejected:
the `mixed_float16` and `mixed_bfloat16` policies; a two-tower step is embedding traffic, which they
don't shrink, and `tfrs.tasks.Retrieval` adds float32 labels and masks of -3.4e36 (beyond float16)
to its scores.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache

os.environ["TF_USE_LEGACY_KERAS"] = "1"
os.environ.setdefault(
    "TF_CPP_MIN_LOG_LEVEL", "3"
)  # "no CUDA driver" is an error on every CPU machine


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

__all__ = ["prepare_devices", "tf", "tfrs"]

if not tf.keras.Model.__module__.startswith("tf_keras."):
    raise ImportError(
        f"recloop needs Keras 2 (tf_keras). Received: {tf.keras.Model.__module__}, "
        "because TF_USE_LEGACY_KERAS was not 1 when TensorFlow was first imported. Import "
        "models.backend before tensorflow, or export TF_USE_LEGACY_KERAS=1."
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

"""Augmented views of sessions, in the graph: a crop, and a mask.

A session is a row of int64 [S, T]: item rows oldest first, then 0 (padding). Both views keep that
form. The same seed gives the same view.

Reference: Xie et al., Contrastive learning for sequential recommendation (CL4SRec), ICDE 2022,
sections 3.2.1 and 3.2.2. Its third view, reordering, is left out: in a session order is the signal.
"""

from models.backend import tf


def crop(sessions: tf.Tensor, share: float, seed: tf.Tensor) -> tf.Tensor:
    """One contiguous piece of each session, moved to the front.

    Args:
        sessions: int64 [S, T].
        share: of its items that a session keeps, in (0, 1]; rounded up, so one at least.
        seed: int32 [2].
    """
    length = tf.math.count_nonzero(sessions, axis=1)
    kept = tf.cast(tf.math.ceil(share * tf.cast(length, tf.float32) - 1e-4), tf.int64)
    room = tf.cast(length - kept + 1, tf.float32)
    luck = tf.random.stateless_uniform(tf.shape(length), seed)
    start = tf.minimum(tf.cast(luck * room, tf.int64), length - kept)
    column = tf.range(tf.shape(sessions)[1], dtype=tf.int64)[None, :]
    place = tf.minimum(start[:, None] + column, tf.shape(sessions, tf.int64)[1] - 1)
    return tf.where(column < kept[:, None], tf.gather(sessions, place, batch_dims=1), 0)


def mask(sessions: tf.Tensor, share: "float | tf.Tensor", seed: tf.Tensor) -> tf.Tensor:
    """Each item replaced, with probability `share` in [0, 1), by row 0: what isn't known."""
    luck = tf.random.stateless_uniform(tf.shape(sessions), seed)
    return tf.where(luck < share, tf.zeros_like(sessions), sessions)

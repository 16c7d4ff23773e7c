"""Distillation: the champion's scores on past examples as soft targets for the challenger.

The term of a step is lambda * (weight of the new examples) * (weighted mean over the past ones), so
it stands to the new examples' loss as the paper's does, however many past ones are drawn. Teacher
and student see the same view of an example, hidden items and all (Beyer et al., Knowledge
distillation: a good teacher is patient and consistent, CVPR 2022).

References:
    Hinton, Vinyals and Dean, Distilling the knowledge in a neural network, 2015. Mi, Lin and
    Faltings, ADER: adaptively distilled exemplar replay towards continual learning for
    session-based recommendation, RecSys 2020.
"""

import math
from collections.abc import Mapping

from models.tables.backend import tf
from models.tables.network import Network


def distillation_loss(
    network: Network,
    batch: dict[str, tf.Tensor],
    champion: Mapping[str, tf.Tensor],
    known: tf.Tensor,
    temperature: "tf.Tensor | float" = 1.0,
) -> tf.Tensor:
    """Weighted mean over a batch of how far the network's scores are from the champion's.

    By `network.teaching`, over the columns of an example that the champion knew:
    "softmax": cross-entropy between the two softmaxes of scores / temperature, times the squared
    temperature, so that its gradient doesn't shrink with it (Hinton et al., section 2.1);
    "sigmoid": mean cross-entropy between the two sigmoids, likewise; "value": mean of half the
    squared difference.

    Args:
        network: the challenger.
        batch: past examples, as `Network.scores` takes them; `weights` float32 [B].
        champion: the tables of the teacher. No gradient reaches them.
        known: bool [items + 1], item rows that the champion has learned; what it says of others
            is where they started, and teaches nothing.
        temperature: of both; above 1, the champion's second choices say more.

    Returns:
        float32 scalar.
    """
    with network.borrowing(champion):
        taught = tf.stop_gradient(network.scores(batch))
    own = network.scores(batch)
    columns = network.columns(batch)
    mask = tf.ones_like(own, tf.bool)
    if columns is not None:
        mask = tf.logical_and(mask, tf.gather(known, columns))
    losses = _compare(network.teaching, own, taught, mask, temperature)
    weights = batch["weights"]
    return tf.math.divide_no_nan(tf.reduce_sum(weights * losses), tf.reduce_sum(weights))


def _compare(
    teaching: str,
    own: tf.Tensor,
    taught: tf.Tensor,
    mask: tf.Tensor,
    temperature: "tf.Tensor | float",
) -> tf.Tensor:
    """float32 [B]: the loss of each example, over the columns where mask ([B, C]) is true."""
    if teaching == "softmax":
        # Not -inf: 0 * -inf, a probability times its logarithm, is not a number.
        hidden = own.dtype.min / 4
        target = tf.nn.softmax(tf.where(mask, taught / temperature, hidden))
        log_own = tf.nn.log_softmax(tf.where(mask, own / temperature, hidden))
        # A hidden column's target is 0, or 1 / C where all are hidden; neither teaches.
        entropy = -tf.reduce_sum(tf.where(mask, target * log_own, 0.0), axis=1)
        return tf.square(temperature) * entropy
    if teaching == "sigmoid":
        target = tf.sigmoid(taught / temperature)
        each = tf.nn.sigmoid_cross_entropy_with_logits(target, own / temperature)
        each *= tf.square(temperature)
    elif teaching == "value":
        each = tf.square(own - taught) / 2.0
    else:
        raise ValueError(f"`teaching` should be softmax, sigmoid or value. Received: {teaching!r}.")
    count = tf.reduce_sum(tf.cast(mask, tf.float32), axis=1)
    return tf.math.divide_no_nan(tf.reduce_sum(tf.where(mask, each, 0.0), axis=1), count)


def adaptive_weight(
    base: float, old_items: int, items: int, exemplars: int, examples: int
) -> float:
    """ADER's weight: base * sqrt(old_items / items * exemplars / examples).

    The more of the catalogue is new, and the more new data there is beside the exemplars, the less
    the past should teach (Mi et al. 2020, section 3.3).

    Args:
        base: of a recipe; ADER's were 0.8 (DIGINETICA) and 1.0 (YOOCHOOSE).
        old_items: items that the champion knows.
        items: items known now.
        exemplars: past examples.
        examples: new ones.
    """
    if items < 1 or examples < 1:
        raise ValueError(
            f"`items` and `examples` should be positive. Received: {items} and {examples}. An "
            "update without examples has nothing to weigh the past against: skip it."
        )
    return base * math.sqrt(old_items / items * exemplars / examples)

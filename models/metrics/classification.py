"""Classification metrics, NumPy only: how well chances of a yes were told.

In every function `labels` is bool or 0/1 [N], `chances` float [N]. Neighbours: `models.metrics.ranking`
judges lists.
"""

import numpy as np

SMALLEST_CHANCE = 1e-7
"""Chances are kept this far from 0 and 1 in the log loss: one sure mistake isn't infinite."""


def _checked(labels: np.ndarray, chances: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Both as arrays, bool and float64.

    Raises:
        ValueError: other shapes, none at all, labels other than 0 and 1, or chances that aren't
            finite.
    """
    labels, chances = np.asarray(labels), np.asarray(chances, np.float64)
    if labels.ndim != 1 or labels.shape != chances.shape or not len(labels):
        raise ValueError(
            f"`labels` and `chances` should be [N], N at least 1. Received: {labels.shape} and "
            f"{chances.shape}."
        )
    if not np.isin(labels, (0, 1)).all():
        raise ValueError(
            f"`labels` should be 0 or 1. Received: {labels[~np.isin(labels, (0, 1))][0]}."
        )
    if not np.isfinite(chances).all():
        raise ValueError(f"{int((~np.isfinite(chances)).sum())} of `chances` are not finite.")
    return labels.astype(bool), chances


def auc(labels: np.ndarray, chances: np.ndarray) -> float:
    """How often a yes has a higher chance than a no, ties counting half; NaN without both.

    By rank sums: Hanley and McNeil, The meaning and use of the area under a receiver operating
    characteristic (ROC) curve, Radiology 1982.
    """
    labels, chances = _checked(labels, chances)
    yes = int(labels.sum())
    no = len(labels) - yes
    if not yes or not no:
        return float("nan")
    _, place, counts = np.unique(chances, return_inverse=True, return_counts=True)
    # Mean rank (from 1) of each distinct chance.
    ranks = np.cumsum(counts) - (counts - 1) / 2
    total = float(ranks[place[labels]].sum())
    return (total - yes * (yes + 1) / 2) / (yes * no)


def placements(labels: np.ndarray, chances: np.ndarray) -> np.ndarray:
    """Of each yes, the share of the no's that have a lower chance, ties counting half: float64 [N]; NaN
    for a no, and everywhere without both. Their mean is the AUC.

    DeLong, DeLong and Clarke-Pearson, Comparing the areas under two or more correlated receiver
    operating characteristic curves, Biometrics 1988: what makes a difference of two AUCs a paired mean.
    """
    labels, chances = _checked(labels, chances)
    no = np.sort(chances[~labels])
    placed = np.full(len(labels), np.nan)
    if len(no):
        yes = chances[labels]
        below, upto = np.searchsorted(no, yes, "left"), np.searchsorted(no, yes, "right")
        placed[labels] = (below + upto) / 2 / len(no)
    return placed


def log_losses(labels: np.ndarray, chances: np.ndarray) -> np.ndarray:
    """float64 [N]: -log of the chance given to what happened, in nats."""
    labels, chances = _checked(labels, chances)
    kept = np.clip(chances, SMALLEST_CHANCE, 1 - SMALLEST_CHANCE)
    return np.asarray(-np.where(labels, np.log(kept), np.log1p(-kept)))


def calibration_error(labels: np.ndarray, chances: np.ndarray, bins: int = 10) -> float:
    """How far the mean chance is from the share of yes, in the mean over bins of equally many examples
    by their chance (expected calibration error: Naeini, Cooper and Hauskrecht, AAAI 2015; bins of
    equal mass: Nguyen and O'Connor, EMNLP 2015)."""
    labels, chances = _checked(labels, chances)
    parts = np.array_split(np.argsort(chances, kind="stable"), min(bins, len(chances)))
    gaps = [abs(float(chances[part].mean() - labels[part].mean())) * len(part) for part in parts]
    return sum(gaps) / len(labels)


def log_loss(labels: np.ndarray, chances: np.ndarray) -> float:
    """Mean of -log of the chance given to what happened, in nats."""
    return float(np.mean(log_losses(labels, chances)))


def threshold_metrics(
    labels: np.ndarray, chances: np.ndarray, threshold: float = 0.5
) -> dict[str, float]:
    """Precision, recall, F1 and accuracy of saying yes from `threshold` on (inclusive).

    A share of nothing is 0: precision where no yes was said, recall where none was to be found.
    """
    labels, chances = _checked(labels, chances)
    said = chances >= threshold
    right = int((said & labels).sum())
    precision = right / max(int(said.sum()), 1)
    recall = right / max(int(labels.sum()), 1)
    return {
        "precision": precision,
        "recall": recall,
        "f1": 2 * precision * recall / (precision + recall) if right else 0.0,
        "accuracy": float((said == labels).mean()),
    }

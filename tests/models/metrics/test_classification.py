import numpy as np
import pytest

from models.metrics.classification import auc, log_loss, threshold_metrics


def test_auc_by_hand() -> None:
    # Pairs (yes, no): .8>.4, .8>.35, .35<.4, .35=.35: 1 + 1 + 0 + ½ of 4.
    assert auc(np.array([1, 0, 1, 0]), np.array([0.8, 0.4, 0.35, 0.35])) == pytest.approx(2.5 / 4)
    assert auc(np.array([0, 1]), np.array([0.2, 0.9])) == 1.0
    assert auc(np.array([1, 0]), np.array([0.2, 0.9])) == 0.0
    assert auc(np.array([1, 0, 0, 1]), np.full(4, 0.3)) == 0.5


@pytest.mark.parametrize("seed", range(5))
def test_auc_is_the_share_of_pairs_in_the_right_order(seed: int) -> None:
    rng = np.random.default_rng(seed)
    labels = rng.random(60) < 0.3
    chances = np.round(rng.random(60), 1)  # many ties
    yes, no = chances[labels], chances[~labels]
    right = (yes[:, None] > no[None]).sum() + 0.5 * (yes[:, None] == no[None]).sum()
    assert auc(labels, chances) == pytest.approx(right / (len(yes) * len(no)))


def test_auc_needs_both() -> None:
    assert np.isnan(auc(np.array([1, 1]), np.array([0.1, 0.2])))
    assert np.isnan(auc(np.array([0]), np.array([0.1])))


def test_log_loss_by_hand() -> None:
    # -(ln .8 + ln .6 + ln .5) / 3
    got = log_loss(np.array([1, 0, 1]), np.array([0.8, 0.4, 0.5]))
    assert got == pytest.approx((0.2231436 + 0.5108256 + 0.6931472) / 3, rel=1e-6)


def test_one_sure_mistake_is_not_infinite() -> None:
    # -ln 1e-7
    assert log_loss(np.array([1]), np.array([0.0])) == pytest.approx(16.1180957, rel=1e-6)
    assert log_loss(np.array([0]), np.array([1.0])) == pytest.approx(16.1180957, rel=1e-6)
    assert log_loss(np.array([0, 1]), np.array([0.0, 1.0])) == pytest.approx(1e-7, rel=1e-3)


def test_the_threshold_s_metrics_by_hand() -> None:
    labels = np.array([1, 1, 1, 0, 0, 0, 0])
    chances = np.array([0.9, 0.5, 0.1, 0.7, 0.49, 0.2, 0.0])
    # Said: .9, .5, .7. Right: two of them; a third yes was missed; 5 of 7 as they are.
    got = threshold_metrics(labels, chances)
    assert got == pytest.approx(
        {"precision": 2 / 3, "recall": 2 / 3, "f1": 2 / 3, "accuracy": 5 / 7}
    )
    # Of .9 alone: precision 1, recall 1/3, F1 2 · 1 · ⅓ / 1⅓.
    got = threshold_metrics(labels, chances, threshold=0.8)
    assert got == pytest.approx({"precision": 1.0, "recall": 1 / 3, "f1": 0.5, "accuracy": 5 / 7})


def test_a_share_of_nothing_is_0() -> None:
    none_said = threshold_metrics(np.array([1, 0]), np.array([0.1, 0.2]))
    assert none_said == {"precision": 0.0, "recall": 0.0, "f1": 0.0, "accuracy": 0.5}
    none_there = threshold_metrics(np.array([0, 0]), np.array([0.9, 0.2]))
    assert none_there == {"precision": 0.0, "recall": 0.0, "f1": 0.0, "accuracy": 0.5}


@pytest.mark.parametrize(
    ("labels", "chances", "message"),
    [
        ([], [], "N at least 1"),
        ([1, 0], [0.5], r"\(2,\) and \(1,\)"),
        ([2], [0.5], "0 or 1. Received: 2"),
        ([1], [np.nan], "1 of `chances` are not finite"),
    ],
)
def test_what_can_t_be_judged_is_refused(labels, chances, message) -> None:
    for metric in (auc, log_loss, threshold_metrics):
        with pytest.raises(ValueError, match=message):
            metric(np.array(labels), np.array(chances))

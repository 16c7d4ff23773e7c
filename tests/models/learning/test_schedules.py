import numpy as np
import pytest

from models.learning.batch_source import rates
from models.learning.recipes import SCHEDULES


def test_constant() -> None:
    assert rates("constant", 0.2, 3, 6, 10).tolist() == [np.float32(0.2)] * 3


def test_linear_falls_to_zero_at_the_end() -> None:
    # 0.4 * (1 - t / 4); the step that would have a rate of 0 is the fifth.
    assert rates("linear", 0.4, 0, 4, 4) == pytest.approx([0.4, 0.3, 0.2, 0.1])


def test_cosine_is_half_way_down_in_the_middle() -> None:
    # cos(0), cos(45 degrees), cos(90), cos(135): 1, 0.7071, 0, -0.7071.
    expected = [0.4, 0.2 * 1.70710678, 0.2, 0.2 * 0.29289322]
    assert rates("cosine", 0.4, 0, 4, 4) == pytest.approx(expected)


def test_warmup_rises_over_the_first_tenth() -> None:
    expected = [0.1, 0.2, 0.3, 0.3, 0.3]  # 30 steps, 3 of them to warm up
    assert rates("warmup", 0.3, 0, 5, 30) == pytest.approx(expected)
    assert rates("warmup", 0.3, 29, 30, 30) == pytest.approx([0.3])


def test_a_short_warmup_rounds_up() -> None:
    # 11 steps: a tenth is 1.1, so two of them. Up to 10, the only one has the full rate.
    assert rates("warmup", 0.3, 0, 3, 11) == pytest.approx([0.15, 0.3, 0.3])
    assert rates("warmup", 0.3, 0, 2, 7) == pytest.approx([0.3, 0.3])


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_chunks_join_without_a_seam(schedule) -> None:
    whole = rates(schedule, 0.1, 0, 50, 50)
    parts = [rates(schedule, 0.1, low, min(low + 32, 50), 50) for low in (0, 32)]
    assert np.concatenate(parts).tolist() == whole.tolist()
    assert whole.dtype == np.float32
    assert (whole > 0).all()
    assert (whole <= np.float32(0.1)).all()


def test_an_unknown_schedule_is_refused() -> None:
    with pytest.raises(ValueError, match=r"constant, linear, cosine, warmup. Received: 'step'"):
        rates("step", 0.1, 0, 1, 1)

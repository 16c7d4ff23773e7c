"""The chart: every point at the height of its value, and nothing in it that a page's policy forbids."""

from __future__ import annotations

import re

import pytest

from recloop.chart import HEIGHT, Line, line_chart, scale


def heights(drawn: str, series: int) -> list[float]:
    """The y of the points of a line."""
    line = re.search(
        rf'<g class="series serie-{series} [^>]*><path d="([^"]+)"', drawn[drawn.index("</ul>") :]
    )
    assert line
    return [float(y) for _, y in re.findall(r"([\d.]+) ([\d.]+)", line[1])]


@pytest.mark.parametrize(
    ("values", "marks"),
    [
        ([0.1, 0.2], [0.1, 0.12, 0.14, 0.16, 0.18, 0.2]),
        ([0.0, 7.0], [0, 2, 4, 6, 8]),
        ([3.0], [2, 3]),
        ([0.0], [0, 0.1]),
        ([-0.01, 0.01], [-0.01, -0.005, 0, 0.005, 0.01]),
    ],
)  # fmt: skip
def test_the_scale_is_of_round_numbers_around_the_values(
    values: list[float], marks: list[float]
) -> None:
    found = scale([Line("one", values)])
    assert found[0] <= min(values) <= max(values) <= found[-1]
    if len(values) > 1:
        assert found == marks


def test_points_stand_at_their_values() -> None:
    drawn = line_chart(
        "recall", ["a", "b", "c"], [Line("one", [0.1, 0.2, 0.15]), Line("two", [0.2, 0.2, 0.2])]
    )
    low, high, middle = heights(drawn, 0)
    assert 0 < high < middle < low < HEIGHT
    assert middle == pytest.approx((low + high) / 2)
    assert heights(drawn, 1) == pytest.approx([high] * 3)


def test_an_interval_reaches_from_its_low_to_its_high_end() -> None:
    lines = [Line("one", [0.15, 0.15], [(0.1, 0.2), None]), Line("two", [0.1, 0.2])]
    drawn = line_chart("recall", ["a", "b"], lines)
    bars = re.findall(r'<g class="ci"><path d="M[\d.]+ ([\d.]+) L[\d.]+ ([\d.]+)" ', drawn)
    assert len(bars) == 1
    assert sorted(map(float, bars[0])) == pytest.approx(sorted(heights(drawn, 1)))


def test_a_gap_is_a_gap_and_nothing_at_all_is_no_chart() -> None:
    drawn = line_chart("recall", ["a", "b", "c"], [Line("one", [0.1, None, 0.2])])
    assert drawn.count("<circle") == 2
    assert line_chart("recall", ["a"], [Line("one", [None])]) == ""
    assert line_chart("recall", [], []) == ""


def test_it_holds_no_script_no_style_and_no_address_and_escapes_names() -> None:
    evil = '"><script>alert(1)</script>'
    drawn = line_chart(evil, [evil, "b"], [Line(evil, [0.1, 0.2]), Line("x", [0.3, 0.1])])
    assert "<script" not in drawn
    assert "<style" not in drawn
    assert "style=" not in drawn
    assert set(re.findall(r"https?://[^\"]+", drawn)) == {"http://www.w3.org/2000/svg"}
    assert "&lt;script&gt;alert(1)&lt;/script&gt;, b: 0.2000</title>" in drawn


def test_lines_differ_by_more_than_colour() -> None:
    drawn = line_chart("recall", ["a", "b"], [Line("one", [1, 2]), Line("two", [2, 1])])
    keys = re.findall(
        r'<g class="series (serie-\d) color-\d"><path class="line nofill" d="M1', drawn
    )
    assert keys == ["serie-0", "serie-1"]
    from recloop.page import FRAME

    assert ".chart .serie-1 .line { stroke-dasharray" in FRAME

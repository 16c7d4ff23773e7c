"""The frame of every page: what is escaped, how numbers read, and that a page is whole on the disk."""

from __future__ import annotations

import math
import re
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

from recloop.page import readable, template, write_page

HOSTILE = """"><script>alert(1)</script><img src=x onerror='alert(2)'>{{ 7 * 7 }}&amp;"""


class Seen(HTMLParser):
    """The tags and the text that a browser would make of a page."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.text = ""
        self.titles: list[str | None] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.titles += [value for name, value in attrs if name == "title"]

    def handle_data(self, data: str) -> None:
        self.text += data


def test_a_page_escapes_what_strangers_wrote(tmp_path: Path) -> None:
    (tmp_path / "said.html").write_text(
        "{% block title %}{{ said }}{% endblock %}"
        '{% block body %}<p title="{{ said }}">{{ said | readable }}</p>{% endblock %}'
    )
    page = template(tmp_path / "said.html").render(said=HOSTILE)
    seen = Seen(page)
    assert seen.tags == ["html", "head", "meta", "title", "meta", "style", "body", "main", "p"]
    assert seen.text.count(HOSTILE) == 2, "in the title and in the paragraph, letter by letter"
    assert seen.titles == [HOSTILE]


def test_a_page_fetches_nothing_and_is_called_recloop_unless_it_says_otherwise(
    tmp_path: Path,
) -> None:
    (tmp_path / "weeks.html").write_text("{% block body %}<h1>Weeks</h1>{% endblock %}")
    page = template(tmp_path / "weeks.html").render()
    assert not re.search(r"//|url\(|@import|<link|<script|<iframe|src=|href=", page)
    assert "<title>recloop</title>" in page
    assert page.index("<h1>Weeks</h1>") > page.index("<body>")


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "–"), ("12", "12"), (0, "0"), (-3.0, "-3"), (1234567, "1,234,567"),
        (1234.5, "1,234.5000"), (0.25, "0.2500"), (-0.001, "-0.0010"), (0.00012345, "0.00012"),
        (-1e-7, "-1e-07"), (math.nan, "nan"), (-math.inf, "-inf"), (2.0**70, f"{2**70:,}"),
        (-0.0, "0"), (np.float64(-0.0), "0"), (2**53 + 1, "9,007,199,254,740,993"),
    ],
)  # fmt: skip
def test_a_number_reads_as_people_write_it(value: float | str | None, text: str) -> None:
    assert readable(value) == text


def test_a_page_is_replaced_as_a_whole_and_keeps_bytes_that_are_no_text(tmp_path: Path) -> None:
    path = tmp_path / "gate" / "deep" / "1.html"
    write_page(path, "a long page of earlier")
    write_page(path, "café \udce9")
    assert path.read_text(encoding="utf-8") == "café \\udce9"
    assert [one.name for one in path.parent.iterdir()] == ["1.html"]


def test_a_page_that_cannot_be_written_leaves_no_half_of_it(tmp_path: Path) -> None:
    taken = tmp_path / "1.html"
    (taken / "inside").mkdir(parents=True)
    with pytest.raises(OSError, match=r"1\.html"):
        write_page(taken, "text")
    with pytest.raises(TypeError):
        write_page(tmp_path / "2.html", b"bytes")  # type: ignore[arg-type]
    assert [one.name for one in tmp_path.iterdir()] == ["1.html"]

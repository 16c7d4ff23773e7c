"""The report: the page as one file, and the same as Markdown."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from recloop.dashboard.report import write_report
from recloop.database.connection import transaction
from recloop.errors import BadInput
from recloop.settings import Settings
from tests.recloop.dashboard.lives import NOW, key, live, shadow
from tests.recloop.ledger.builders import accept

EVIL = "<script>alert(1)</script> | [x](http://evil.example) ![y](http://evil.example/y.png)"


@pytest.fixture
def shop(settings: Settings) -> Settings:
    with transaction(settings.database_url) as cursor:
        live(cursor)
        shadow(cursor)
    return settings


def test_html_stands_alone(shop: Settings, tmp_path: Path) -> None:
    page = write_report(shop, NOW, tmp_path / "deep" / "report.html").read_text()
    assert "release 2" in page
    assert "champion, 2011-06-13: 0.2000</title>" in page
    assert "<form" not in page
    assert "href=" not in page, "there is nothing to lead to"
    assert set(re.findall(r"https?://[^\" ]+", page)) == {"http://www.w3.org/2000/svg"}


def test_markdown_tells_the_same(shop: Settings, tmp_path: Path) -> None:
    text = write_report(shop, NOW, tmp_path / "report.md").read_text()
    for said in (
        "# default\n",
        "As of 2011-08-01 00:00 UTC.",
        "- Champion: release 2, for ",
        f"- Next decision: The policy adaptive on window {key(4)}, with the next run of an update.",
        f"| {key(2)} | 0.2000 (0.1804 to 0.2196) | 0.1500 | 0.0500 | 0.0100 (-0.0050 to 0.0250) "
        "| increment | promoted |",
        "Full retrainings in their place would have cost about 180.0 CPU s.",
        "| ndcg@20 | 0.0100 | \\>= -0.01 | BROKEN | so far |",
        f"| {key(5)} | ✗ refused by validation | 0 | 0 | 0 | – | – | 3 events, not 90 |",
        "| 2 (champion) | 1 | increment |",
        f"| price | 4 | {key(4)} | – |",
    ):
        assert said in text, said
    assert [line for line in text.splitlines() if line.startswith("## ")] == [
        "## How fresh", "## Quality over time", "## Drift", "## Cost", "## The gate", "## Windows",
        "## Releases", "## Quarantine",
    ]  # fmt: skip


def test_events_of_each_kind_are_told(shop: Settings, tmp_path: Path) -> None:
    with transaction(shop.database_url) as cursor:
        accept(cursor, 6, 1203, purchase=3, click=1200)
    page = write_report(shop, NOW, tmp_path / "report.html").read_text()
    assert '<td class="number">1,203: 1,200 click, 3 purchase</td>' in page
    text = write_report(shop, NOW, tmp_path / "report.md").read_text()
    assert "| 1,203 (1,200 click, 3 purchase) |" in text


def test_text_of_others_is_nothing_but_text(shop: Settings, tmp_path: Path) -> None:
    with transaction(shop.database_url) as cursor:
        cursor.execute("update ledger.update set reason = %s", (EVIL,))
    text = write_report(shop, NOW, tmp_path / "report.md").read_text()
    assert "alert(1)" in text
    for raw in ("<script", "](http", "!["):
        assert not re.search(r"(?<!\\)" + re.escape(raw), text), raw
    assert "\\<script\\>alert(1)\\</script\\> \\| \\[x\\](http" in text
    rows = [line for line in text.splitlines() if "alert" in line and line.startswith("|")]
    assert rows, "it stands in tables"
    assert {len(re.findall(r"(?<!\\)\|", line)) for line in rows} <= {8, 9}, "and makes no cell"


def test_an_empty_ledger_has_a_report_too(settings: Settings, tmp_path: Path) -> None:
    text = write_report(settings, NOW, tmp_path / "report.md").read_text()
    assert "- Champion: none yet" in text
    assert "How fresh" in write_report(settings, NOW, tmp_path / "report.html").read_text()


def test_another_suffix_is_refused(settings: Settings, tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"ending in \.html or \.md"):
        write_report(settings, NOW, tmp_path / "report.pdf")

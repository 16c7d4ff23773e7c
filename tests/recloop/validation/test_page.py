"""The page of a window's validation: what it says, and that a feed's text is nothing but text in it."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from recloop.behavior.landing import land
from recloop.contracts import RuleResult, ValidationReport
from recloop.dashboard.pages import recommender_page
from recloop.errors import WindowRefused
from recloop.settings import Settings
from recloop.validation.judging import page_of, write_all_pages, write_validation_page
from recloop.validation.window import validate_window
from tests.recloop.behavior.shop import WEEKS, shop_week, write

FIRST = WEEKS[0]
NOW = datetime(2011, 6, 20, tzinfo=UTC)
SCRIPTS = ("<script>alert(1)</script>", "<img src=x onerror=alert(1)>", '"><svg onload=alert(1)>')


def test_a_hostile_feed_leaves_no_text_of_its_own_on_pages_and_results(
    settings: Settings, tmp_path: Path
) -> None:
    """Ids, texts and countries are scripts; the shipped rules quarantine what is no customer's id."""
    lines = shop_week(FIRST)
    for n, script in enumerate(SCRIPTS):
        lines[9 * n]["CustomerID"] = script
        lines[9 * n + 1]["Description"] = lines[9 * n + 2]["Country"] = script
    settings = settings.model_copy(update={"data": write(tmp_path / "shop.csv", lines)})
    land(settings)
    report = validate_window(settings, FIRST)
    assert sum(report.quarantined.values()) >= len(SCRIPTS)
    assert report.data_docs == str(page_of(settings, FIRST))
    page = Path(report.data_docs).read_text()
    assert "missing_days" in page
    assert f"quarantined: {next(iter(report.quarantined))}" in page

    written = [*settings.data_docs.rglob("*"), *(settings.artifacts / "validations").rglob("*")]
    texts = {path: path.read_text() for path in written if path.is_file()}
    assert len(texts) >= 3, "the window's page, and a result of each suite"
    for path, text in texts.items():
        assert "alert(1)" not in text, path

    shown = recommender_page(settings, NOW)
    assert f'<a href="../default/data-docs/{FIRST}">{FIRST}</a>' in shown
    page_of(settings, FIRST).unlink()
    assert write_all_pages(settings) == 1
    assert page_of(settings, FIRST).read_text() == page


def test_a_refused_window_has_its_page_too(settings: Settings, tmp_path: Path) -> None:
    lines = [line for line in shop_week(FIRST) if int(line["CustomerID"]) < 12_003]
    settings = settings.model_copy(update={"data": write(tmp_path / "shop.csv", lines[:20])})
    land(settings)
    with pytest.raises(WindowRefused, match=f"Data Docs: {page_of(settings, FIRST)}"):
        validate_window(settings, FIRST)
    page = page_of(settings, FIRST).read_text()
    assert "Refused: " in page
    assert "BROKEN" in page
    assert f"Refused by validation: {FIRST}" in recommender_page(settings, NOW)


@pytest.mark.parametrize("script", SCRIPTS)
def test_whatever_a_report_holds_is_escaped(settings: Settings, script: str) -> None:
    rule = RuleResult(name=script, value=script, limit=script, passed=False, message=script)
    report = ValidationReport(
        window=FIRST,
        passed=False,
        lines=1,
        accepted=0,
        duplicates=0,
        quarantined={script: 1},
        data_hash="",
        rules=(rule,),
    )
    write_validation_page(settings, report)
    page = page_of(settings, FIRST).read_text()
    assert script not in page
    assert "<script" not in page
    assert "<img" not in page
    assert "<svg" not in page
    assert "//" not in page, "nothing is fetched"

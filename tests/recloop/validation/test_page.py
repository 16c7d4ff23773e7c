"""The page of a window's validation: what it says, and that a feed's text is nothing but text in it."""

from __future__ import annotations

from pathlib import Path

import pytest

from recloop.behavior.landing import land
from recloop.calendar import WindowCalendar
from recloop.contracts import RuleResult, ValidationReport
from recloop.database.connection import transaction
from recloop.errors import WindowRefused
from recloop.ledger import window_states
from recloop.settings import Settings
from recloop.stages.status import overview
from recloop.validation.judging import page_of, write_all_pages, write_validation_page
from recloop.validation.window import validate_window
from tests.recloop.behavior.shop import WEEKS, shop_week, write

FIRST = WEEKS[0]
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

    first = overview(settings)
    assert f'<a href="data-docs/{FIRST}">{FIRST}</a>' in first
    assert "There is no champion yet" in first
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
    assert f"Refused by validation: {FIRST}" in overview(settings)


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


def test_the_overview_escapes_reasons_and_links_to_reports(settings: Settings) -> None:
    with transaction(settings.database_url) as cursor:
        window_states.note_landed(cursor, [WindowCalendar("week").parse(FIRST)])
        cursor.execute(
            "insert into ledger.update (target, state, holder, token, lease_until, plan, reason, "
            "gate_report) values (%s, 'rejected', 'h', 1, now(), "
            '\'{"decision": "increment"}\', %s, \'{"passed": false}\') returning update_id',
            (FIRST, SCRIPTS[0]),
        )
        (update_id,) = cursor.fetchone() or (0,)
    page = overview(settings)
    assert "<script" not in page
    assert "&lt;script&gt;" in page
    assert f'<a href="gate/{update_id}">{update_id}</a>' in page

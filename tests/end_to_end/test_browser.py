"""A person in a browser: fills the form of `incremental_update`, sees the run succeed.

Leaves `var/screenshots/form.png` and `run.png`.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from recloop.settings import PROJECT
from tests.end_to_end.conftest import Loop

pytestmark = [pytest.mark.airflow, pytest.mark.browser]

CHROMIUM = Path("/usr/bin/chromium")
FLAGS = (
    "--no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking "
    "--disable-component-update --disable-sync"
)
SCREENSHOTS = PROJECT / "var" / "screenshots"


@pytest.fixture
def page(loop: Loop) -> Iterator[Any]:
    sync_api = pytest.importorskip("playwright.sync_api", reason="pip install playwright")
    if not CHROMIUM.exists():
        pytest.skip(f"no {CHROMIUM}; apt-get install chromium")
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=str(CHROMIUM), args=FLAGS.split())
        try:
            made = browser.new_page(
                base_url=loop.client.url, viewport={"width": 1400, "height": 1000}
            )
            made.set_default_timeout(60_000)
            yield made
        finally:
            browser.close()


def test_form_is_filled_and_the_run_succeeds(loop: Loop, page: Any) -> None:
    window = loop.oldest_waiting()
    SCREENSHOTS.mkdir(parents=True, exist_ok=True)
    before = {run["dag_run_id"] for run in loop.client.runs("incremental_update")}

    page.goto("/dags/incremental_update")
    page.get_by_test_id("trigger-dag-button").click()
    page.locator("input[name=element_window]").fill(window)
    page.locator("input[name=element_reason], textarea[name=element_reason]").fill("a browser test")
    page.screenshot(path=SCREENSHOTS / "form.png")
    page.get_by_test_id("trigger-dag-submit").click()

    def started() -> str | bool:
        new = [r for r in loop.client.runs("incremental_update") if r["dag_run_id"] not in before]
        return bool(new) and str(new[0]["dag_run_id"])

    run_id = str(loop.client.wait_until(started, 30, "the run that the form started"))
    loop.finish(run_id)
    page.goto(f"/dags/incremental_update/runs/{run_id}")
    badge = page.get_by_test_id("header-card").get_by_test_id("state-badge").first
    badge.wait_for()
    assert "success" in badge.inner_text().lower()
    page.screenshot(path=SCREENSHOTS / "run.png")

    run = next(r for r in loop.client.runs("incremental_update") if r["dag_run_id"] == run_id)
    assert run["conf"]["window"] == window
    assert run["conf"]["reason"] == "a browser test"
    assert (SCREENSHOTS / "form.png").stat().st_size > 10_000
    assert (SCREENSHOTS / "run.png").stat().st_size > 10_000

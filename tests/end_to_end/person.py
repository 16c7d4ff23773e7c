"""What a person does in a browser: logs in, fills a form, presses its button."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from recloop.runtime.airflow_client import AirflowClient
from recloop.runtime.environment import passwords_file
from recloop.settings import PROJECT, Settings

PERSON = "vera"
"""Who logs in to the UI, and whose name the ledger keeps."""
CHROMIUM = Path("/usr/bin/chromium")
FLAGS = (
    "--no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking "
    "--disable-component-update --disable-sync"
)
NOTHING = "about:blank"
"""Where a browser waits: a page of Airflow asks its server again and again meanwhile."""
SCREENSHOTS = PROJECT / "var" / "screenshots"


@contextmanager
def logged_in(settings: Settings, url: str) -> Iterator[Any]:
    """A page of Airflow's UI for somebody who has logged in as `PERSON`."""
    sync_api = pytest.importorskip("playwright.sync_api", reason="pip install playwright")
    if not CHROMIUM.exists():
        pytest.skip(f"no {CHROMIUM}; apt-get install chromium")
    SCREENSHOTS.mkdir(parents=True, exist_ok=True)
    password = json.loads(passwords_file(settings).read_text())[PERSON]  # Airflow made it up
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=str(CHROMIUM), args=FLAGS.split())
        try:
            page = browser.new_page(base_url=url, viewport={"width": 1400, "height": 1000})
            page.set_default_timeout(60_000)
            page.goto("/")
            page.locator("input[name=username]").fill(PERSON)
            page.locator("input[name=password]").fill(password)
            page.locator("button[type=submit]").click()
            page.wait_for_url(lambda url: "login" not in url)
            yield page
        finally:
            browser.close()


def submit(
    client: AirflowClient, page: Any, dag_id: str, fields: dict[str, str | bool] | None = None
) -> str:
    """Fill the form of a DAG and press its button; returns the run's id."""
    before = {run["dag_run_id"] for run in client.runs(dag_id)}
    page.goto(f"/dags/{dag_id}")
    page.get_by_test_id("trigger-dag-button").click()
    for name, value in (fields or {}).items():
        place = page.locator(f"[name=element_{name}]")
        if isinstance(value, bool):
            if place.is_checked() != value:
                place.locator("xpath=..").click()  # the switch; the box itself is hidden
        else:
            place.fill(value)
    page.screenshot(path=SCREENSHOTS / f"form-{dag_id}.png")
    page.get_by_test_id("trigger-dag-submit").click()

    def started() -> str | bool:
        new = [run for run in client.runs(dag_id) if run["dag_run_id"] not in before]
        mine = [run for run in new if run["run_type"] == "manual"]
        return bool(mine) and str(mine[0]["dag_run_id"])

    run_id = str(client.wait_until(started, 30, f"the run of {dag_id} that the form started"))
    page.goto(NOTHING)
    return run_id

"""Every page of the plugin in a real browser, on a feed full of scripts: nothing runs, nothing is
fetched from anywhere else, and one can read it in light and dark and on a telephone.

Leaves screenshots in `var/screenshots`.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import uvicorn
from airflow.api_fastapi.core_api.security import get_user
from fastapi import FastAPI, Request
from recloop_airflow import access, reports
from recloop_airflow.reports import PREFIX, create_app

from recloop.behavior.landing import land
from recloop.calendar import WindowCalendar
from recloop.contracts import Candidate, GateReport, Metrics, RuleResult, ShadowReport, UpdatePlan
from recloop.database.connection import transaction
from recloop.evaluation.gate_page import write_gate_report, write_shadow_page
from recloop.ledger import verdicts, window_states
from recloop.settings import Settings
from recloop.validation.window import validate_window
from tests.end_to_end.person import CHROMIUM, FLAGS, SCREENSHOTS
from tests.recloop.behavior.shop import WEEKS, shop_week, write

pytestmark = pytest.mark.browser
FIRST = WEEKS[0]
EVIL = "http://evil.example"
SCRIPTS = (
    "<script>alert(1)</script>",
    f"<img src={EVIL}/x.png onerror=alert(1)>",
    f'"><svg onload=alert(1)><link rel=stylesheet href={EVIL}/x.css>',
    f"<iframe src={EVIL}></iframe><meta http-equiv=refresh content='0;url={EVIL}'>",
    f"<form action={EVIL}><button autofocus onfocus=alert(1)>",
)
PAGES = ("", "default/", f"data-docs/{FIRST}", "gate/1", f"shadow/{FIRST}")


@dataclass
class Seen:
    """What the browser did meanwhile."""

    requests: list[str] = field(default_factory=list)
    dialogs: list[str] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)


def prepare(settings: Settings, folder: Path) -> None:
    """A validated window, an update and a shadow rebuild whose every text is a script."""
    lines = shop_week(FIRST)
    for n, script in enumerate(SCRIPTS):
        lines[9 * n]["CustomerID"] = lines[9 * n]["StockCode"] = script
        lines[9 * n + 1]["Description"] = lines[9 * n + 2]["Country"] = script
    settings = settings.model_copy(update={"data": write(folder / "shop.csv", lines)})
    land(settings)
    validate_window(settings, FIRST)
    everything = " ".join(SCRIPTS)
    plan = UpdatePlan(
        decision="increment", target=FIRST, windows=(FIRST,), parent_release=None,
        signals={"new_users": 0.25, "champion_recall@20": 0.1}, reason=everything,
    )  # fmt: skip
    candidate = Candidate(
        update_id=1, uri="/c", parent_release=None, windows=(FIRST,),
        holdout_from=datetime(2011, 6, 11, tzinfo=UTC), examples=1, cpu_seconds=1.0, sha256="0",
    )  # fmt: skip
    rule = RuleResult(name=everything, value=0.1, limit="<= 1", passed=False, message=everything)
    gate = GateReport(
        update_id=1, window=FIRST, passed=False, rules=(rule,), champion=None,
        challenger=Metrics(recall=0.1, ndcg=0.1, users=3),
    )  # fmt: skip
    gate = write_gate_report(settings, plan, candidate, gate, everything)
    shadow = ShadowReport(
        window=FIRST, version=1, windows=2, champion={}, retrained={}, gaps=(), cpu_seconds=1.0,
        champion_cpu_seconds=None, summary=everything,
    )  # fmt: skip
    shadow = write_shadow_page(settings, shadow)
    with transaction(settings.database_url) as cursor:
        window_states.note_landed(cursor, [WindowCalendar("week").parse(FIRST)])
        cursor.execute(
            "insert into ledger.update (target, state, holder, token, lease_until, plan, reason, "
            "gate_report) values (%s, 'rejected', 'h', 1, now(), %s, %s, %s) returning update_id",
            (FIRST, plan.model_dump_json(), everything, gate.model_dump_json()),
        )
        assert cursor.fetchone() == (1,)
        cursor.execute(
            "insert into ledger.release (update_id, uri) values (1, '/c') returning version"
        )
        verdicts.note_shadow(cursor, shadow)


@pytest.fixture
def visited() -> list[str]:
    """Names by which the server was called, one for each request, whatever the browser tells."""
    return []


@pytest.fixture
def address(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, visited: list[str]
) -> Iterator[str]:
    """The plugin's pages, served to anybody."""
    prepare(settings, tmp_path)
    for name, value in settings.environment().items():
        monkeypatch.setenv(name, value)
    pages = create_app()
    for dependency in pages.router.dependencies:
        pages.dependency_overrides[dependency.dependency] = lambda: None
    pages.dependency_overrides[get_user] = lambda: SimpleNamespace(get_id=lambda: "vera")
    monkeypatch.setattr(access, "may", lambda *_: True)
    whole = FastAPI()
    whole.mount(PREFIX, pages)

    @whole.middleware("http")
    async def listen(request: Request, call_next: Any) -> Any:
        visited.append(request.headers["host"].partition(":")[0])
        return await call_next(request)

    server = uvicorn.Server(uvicorn.Config(whole, host="127.0.0.1", port=0, log_level="error"))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    deadline = time.monotonic() + 30
    while not server.started:
        assert time.monotonic() < deadline, "the pages' server does not start"
        time.sleep(0.05)
    port = server.servers[0].sockets[0].getsockname()[1]
    yield f"http://127.0.0.1:{port}{PREFIX}/"
    server.should_exit = True
    thread.join(10)


@pytest.fixture
def browser() -> Iterator[Any]:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        made = playwright.chromium.launch(executable_path=str(CHROMIUM), args=FLAGS.split())
        yield made
        made.close()


def opened(browser: Any, url: str, seen: Seen, **options: Any) -> Any:
    """A page on `url`, after it has come to rest."""
    page = browser.new_page(**options)
    page.on("request", lambda request: seen.requests.append(request.url))
    page.on("console", lambda message: seen.complaints.append(message.text))
    page.on("dialog", lambda dialog: (seen.dialogs.append(dialog.message), dialog.dismiss()))
    assert page.goto(url).status == 200
    page.wait_for_load_state("networkidle")
    page.wait_for_timeout(300)
    return page


def contrast(page: Any) -> float:
    """Of the body's ink on its paper (WCAG 2)."""
    colours = page.evaluate(
        "() => { const s = getComputedStyle(document.body); return [s.color, s.backgroundColor] }"
    )

    def luminance(colour: str) -> float:
        parts = [int(n) / 255 for n in colour.partition("(")[2].rstrip(")").split(",")[:3]]
        linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    light, dark = sorted(map(luminance, colours), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def test_a_hostile_feed_runs_nothing_and_fetches_nothing_on_any_page(
    address: str, browser: Any
) -> None:
    SCREENSHOTS.mkdir(parents=True, exist_ok=True)
    for path in PAGES:
        seen = Seen()
        for scheme in ("light", "dark"):
            for width in (1400, 390):
                size = {"width": width, "height": 900}
                page = opened(browser, address + path, seen, color_scheme=scheme, viewport=size)
                assert contrast(page) > 7, (path, scheme)
                assert page.evaluate("document.documentElement.scrollWidth") <= width, (path, width)
                name = f"page-{path.partition('/')[0] or 'overview'}-{scheme}-{width}.png"
                page.screenshot(path=SCREENSHOTS / name)
                page.close()
        assert set(seen.requests) == {address + path}
        assert (seen.dialogs, seen.complaints) == ([], []), path
    page = opened(browser, f"{address}default/", Seen())
    page.get_by_role("link", name=FIRST).first.click()
    page.get_by_role("heading", name=f"Validation of window {FIRST}").wait_for()


def test_even_a_page_that_forgot_to_escape_runs_and_fetches_nothing(
    address: str, browser: Any, settings: Settings, visited: list[str]
) -> None:
    """The server stands for the evil host, too, under its other name."""
    evil = address.replace("127.0.0.1", "localhost").removesuffix(f"{PREFIX}/")
    planted = "".join(SCRIPTS).replace(EVIL, evil)
    page = f"<!doctype html><p id=there>here</p>{planted}<style>@import '{evil}/y.css';</style>"
    (settings.data_docs / "forgotten.html").write_text(page)
    seen = Seen()
    shown = opened(browser, f"{address}data-docs/forgotten", seen)
    assert shown.locator("#there").inner_text() == "here"
    assert shown.url == f"{address}data-docs/forgotten"
    assert seen.dialogs == []
    assert set(visited) == {"127.0.0.1"}
    assert any("Content Security Policy" in text or "sandbox" in text for text in seen.complaints)
    with pytest.MonkeyPatch.context() as patch:  # without the policy the page does run and fetch
        patch.setattr(reports, "HEADERS", {})
        opened(browser, f"{address}data-docs/forgotten", seen)
    assert seen.dialogs
    assert "localhost" in visited

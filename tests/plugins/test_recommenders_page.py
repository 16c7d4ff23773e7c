"""*Recommenders* in a real browser and in Airflow's own app, under a path prefix, with a ledger of
years: at two widths, light and dark, for a viewer and an operator.

Leaves screenshots in `var/screenshots`.
"""

from __future__ import annotations

import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from recloop.database.connection import transaction
from recloop.runtime.airflow_process import free_port
from recloop.settings import Settings
from tests.airflow_home import ROOT, child_environment
from tests.conftest import copy_database
from tests.end_to_end.person import CHROMIUM, FLAGS, SCREENSHOTS
from tests.plugins.long_ledger import EVIL, RUN, fill

pytestmark = [pytest.mark.browser, pytest.mark.slow]
PATH = "/some/prefix"
PEOPLE = {"viewer": "ole", "op": "vera"}
SCRIPTED = {"bypass_csp": True}
"""For the tools of a test that are scripts; everything else is seen as people see it."""
PAGES = {
    "index": "",
    "page": "default/",
    "run": f"default/?run={RUN.replace(' ', '+').replace('+00', '%2B00')}",
    "windows": "default/windows",
    "releases": "default/releases",
    "lineage": "default/releases/1000",
}
SERIOUS = ("serious", "critical")


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory, server_url: str) -> Settings:
    """Settings of a ledger with 1,000 releases and 10,000 windows."""
    url = copy_database(server_url)
    fill(url)
    return Settings(home=tmp_path_factory.mktemp("home"), database_url=url)


@pytest.fixture(scope="module")
def address(shop: Settings, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Where Airflow is served, with its path."""
    port, home = free_port(), tmp_path_factory.mktemp("airflow")
    url = f"http://127.0.0.1:{port}{PATH}"
    people = ",".join(f"{name}:{role}" for role, name in PEOPLE.items())
    environment = (
        child_environment()
        | shop.environment()
        | {
            "AIRFLOW_HOME": str(home),
            "AIRFLOW_API_APPS": "core",
            "AIRFLOW__API__BASE_URL": url,
            "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_USERS": people,
        }
    )
    log = (home / "server.txt").open("w")
    command = [sys.executable, "-W", "ignore", "-m", "tests.plugins.page_server", str(port)]
    server = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=log, stderr=log)
    try:
        deadline = time.monotonic() + 120
        while True:
            try:
                urllib.request.urlopen(f"{url}/api/v2/version", timeout=5).close()
                break
            except OSError:
                said = (home / "server.txt").read_text()[-3000:]
                assert server.poll() is None, said
                assert time.monotonic() < deadline, said
                time.sleep(0.3)
        yield url
    finally:
        server.terminate()
        server.wait(20)
        log.close()


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    from playwright.sync_api import sync_playwright

    SCREENSHOTS.mkdir(parents=True, exist_ok=True)
    with sync_playwright() as playwright:
        made = playwright.chromium.launch(executable_path=str(CHROMIUM), args=FLAGS.split())
        yield made
        made.close()


Open = Callable[..., Any]


@pytest.fixture
def opened(browser: Any, address: str) -> Open:
    """`with opened(role, path) as page:` a page of ours for somebody; afterwards it is seen that it
    asked no other host and that nothing ran."""

    @contextmanager
    def open_page(role: str, path: str = "default/", **options: Any) -> Iterator[Any]:
        quiet = options.pop("quiet", True)
        context = browser.new_context(**options)
        context.add_cookies([{"name": "_token", "value": token(role), "url": address}])
        page = context.new_page()
        page.set_default_timeout(30_000)
        asked, said = [], []
        page.on("request", lambda request: asked.append(request.url))
        page.on("dialog", lambda dialog: (said.append(dialog.message), dialog.dismiss()))
        page.on("console", lambda message: said.append(message.text))
        answer = page.goto(path if path.startswith("http") else f"{address}/recloop/{path}")
        assert answer.status == 200, page.content()
        yield page
        own = address.removesuffix(PATH)
        assert [url for url in asked if not url.startswith((own, "data:", "blob:"))] == []
        if quiet:
            assert said == []
        context.close()

    return open_page


def token(role: str) -> str:
    """What somebody who has logged in carries."""
    from airflow.api_fastapi.app import create_auth_manager
    from airflow.api_fastapi.auth.managers.simple.user import SimpleAuthManagerUser

    user = SimpleAuthManagerUser(username=PEOPLE[role], role=role)
    return str(create_auth_manager().generate_jwt(user))


@pytest.mark.parametrize("role", PEOPLE)
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 1440])
def test_each_page_fits_and_runs_and_fetches_nothing(
    opened: Open, role: str, scheme: str, width: int
) -> None:
    size = {"width": width, "height": 900}
    for name, path in PAGES.items():
        with opened(role, path, viewport=size, color_scheme=scheme) as page:
            assert page.evaluate("document.documentElement.scrollWidth") <= width, (name, width)
            assert EVIL not in str(page.evaluate("[...document.links].map(l => l.href)"))
            picture = SCREENSHOTS / f"recommenders-{name}-{role}-{scheme}-{width}.png"
            page.screenshot(path=picture, full_page=True)


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 1440])
def test_axe_finds_nothing_serious(opened: Open, scheme: str, width: int) -> None:
    from axe_playwright_python.sync_playwright import Axe

    size = {"width": width, "height": 900}
    for name, path in PAGES.items():
        with opened("op", path, viewport=size, color_scheme=scheme, **SCRIPTED) as page:
            page.evaluate("document.querySelectorAll('details').forEach(one => one.open = true)")
            found = Axe().run(page).response
            assert len(found["passes"]) > 10, "it has looked"
            bad = [
                (one["id"], one["nodes"][0]["html"])
                for one in found["violations"] if one["impact"] in SERIOUS
            ]  # fmt: skip
            assert bad == [], name


def test_axe_would_find_what_is_wrong(opened: Open) -> None:
    from axe_playwright_python.sync_playwright import Axe

    with opened("op", "", **SCRIPTED) as page:
        page.evaluate("document.body.insertAdjacentHTML('beforeend', '<input><img src=data:,>')")
        found = Axe().run(page).response["violations"]
    assert {"label", "image-alt"} <= {one["id"] for one in found}


def test_the_first_paint_is_there_in_less_than_a_second(opened: Open) -> None:
    paints = []
    for path in ("", "default/"):
        for _ in range(3):
            with opened("op", path, viewport={"width": 1440, "height": 900}) as page:
                page.wait_for_timeout(500)
                paints.append(
                    page.evaluate(
                        "performance.getEntriesByType('paint').map(one => one.startTime).at(-1)"
                    )
                )
    print("first contentful paint, ms:", [round(paint) for paint in paints])
    assert all(0 < paint < 1000 for paint in paints[1:]), paints  # the first one imports


def test_a_viewer_sees_no_button_that_would_be_refused(opened: Open) -> None:
    with opened("viewer") as page:
        assert page.locator("form[method=post]").count() == 0
        assert page.get_by_role("button").all_inner_texts() == ["Show"]
    with opened("op") as page:
        buttons = page.locator("form[method=post] button").all_inner_texts()
        assert buttons == ["Accept", "Start", "Pin", "Roll back"]


def test_a_keyboard_is_enough(opened: Open) -> None:
    with opened("op") as page:
        page.keyboard.press("Tab")
        assert page.evaluate("document.activeElement.innerText") == "Skip to the content"
        outline = "getComputedStyle(document.activeElement).outlineStyle"
        assert page.evaluate(outline) == "solid", "the focus is seen"
        page.keyboard.press("Tab")
        assert page.evaluate("document.activeElement.innerText") == "All recommenders"
        page.keyboard.press("Enter")
        page.get_by_role("heading", name="Recommenders").wait_for()


def test_a_lineage_is_followed_by_clicking(opened: Open) -> None:
    with opened("viewer") as page:
        page.get_by_role("link", name="1000").first.click()
        page.get_by_role("heading", name="how release 1000 came to be").wait_for()
        page.get_by_role("link", name="999", exact=True).first.click()
        page.get_by_role("heading", name="how release 999 came to be").wait_for()
        page.get_by_role("link", name="Releases").click()
        page.get_by_role("link", name="Older").click()
        page.get_by_role("link", name="900", exact=True).first.wait_for()


def filled(page: Any, legend: str, reason: str) -> Any:
    """The form of this name, with a reason typed into it."""
    form = page.locator("form", has=page.locator("legend", has_text=legend))
    form.get_by_label("Reason").fill(reason)
    return form


def test_pin_and_unpin_stand_in_the_ledger_with_their_reasons(opened: Open, shop: Settings) -> None:
    with opened("op") as page:
        filled(page, "Pin release 1000", 'sale "week" <b>').get_by_role("button").click()
        page.get_by_role("status").get_by_text("The champion is pinned.").wait_for()
        page.get_by_text('sale "week" <b>').first.wait_for()
        page.screenshot(path=SCREENSHOTS / "recommenders-pinned.png")
        filled(page, "Unpin the champion", "it is over").get_by_role("button").click()
        page.get_by_role("status").get_by_text("not pinned any more").wait_for()
    with transaction(shop.database_url) as cursor:
        cursor.execute("select pinned_by, reason, unpinned_by, unpinned_why from ledger.pin")
        assert cursor.fetchall() == [("vera", 'sale "week" <b>', "vera", "it is over")]


@pytest.mark.parametrize(
    ("legend", "dag", "conf"),
    [
        ("Roll back", "rollback_release", {"version": 999, "reason": "it is worse"}),
        (
            "Accept a refused window",
            "ingest_behavior",
            {"window": "2026-11-25", "accept": "it is worse"},
        ),
        (
            "Start a plan",
            "incremental_update",
            {"plan": "auto", "approval": False, "reason": "it is worse"},
        ),
    ],
)
def test_a_button_starts_a_run_of_airflow_in_ones_own_name_with_the_reason(
    opened: Open, address: str, legend: str, dag: str, conf: dict[str, Any]
) -> None:
    with opened("op") as page:
        filled(page, legend, "it is worse").get_by_role("button").click()
        page.get_by_role("status").wait_for()
        link = page.get_by_role("link", name="The run in Airflow").get_attribute("href")
        headers = {"Authorization": f"Bearer {token('op')}"}
        runs = page.request.get(f"{address}/api/v2/dags/{dag}/dagRuns", headers=headers).json()
        (run,) = runs["dag_runs"]
        assert (run["conf"], run["triggering_user_name"]) == (conf, "vera")
        assert link.startswith(f"../../dags/{dag}/runs/manual__")


def test_it_is_in_airflows_navigation_and_a_tab_of_dags_and_runs(
    opened: Open, address: str
) -> None:
    ours = ("Recommenders", "default", "default")
    places = ("plugin/recloop", "dags/full_rebuild/plugin/recommender",
              "dags/incremental_update/runs/manual__1/plugin/recommender_run")  # fmt: skip
    for place, heading, scheme in zip(places, ours, ("dark", "light", "light"), strict=True):
        size = {"width": 1440, "height": 900}
        with opened(
            "op", f"{address}/{place}", quiet=False, viewport=size, color_scheme=scheme
        ) as page:
            frame = page.frame_locator("iframe")
            frame.get_by_role("heading", name=heading, exact=True).wait_for()
            page.wait_for_timeout(500)
            page.screenshot(path=SCREENSHOTS / f"recommenders-in-{place.replace('/', '-')}.png")
            if place.startswith("plugin"):
                frame.get_by_role("link", name="default", exact=True).click()
                filled(frame, "Pin release", "from the frame").get_by_role("button").click()
                frame.get_by_role("status").get_by_text("The champion is pinned.").wait_for()
                filled(frame, "Unpin", "from the frame").get_by_role("button").click()
                frame.get_by_role("status").get_by_text("not pinned").wait_for()

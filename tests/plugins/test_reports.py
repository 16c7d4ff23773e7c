"""The pages under /recloop: who may see them, and which files they give out."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from recloop_airflow import access
from recloop_airflow.links import DataDocsLink, GateReportLink, ShadowReportLink, own_pages, served
from recloop_airflow.reports import PREFIX, create_app

from recloop import stages
from recloop.config.recommenders import settings_of
from recloop.database import embedded
from recloop.settings import PROJECT, Settings

ROUTES = (
    f"{PREFIX}/gate/1",
    f"{PREFIX}/shadow/2011-06-06",
    f"{PREFIX}/data-docs/2011-06-06",
)
PAGES = (
    f"{PREFIX}/",
    f"{PREFIX}/default/",
    f"{PREFIX}/default/windows",
    f"{PREFIX}/default/releases",
    f"{PREFIX}/default/releases/1",
    f"{PREFIX}/default/recommended?user=1",
)


class Stages:
    """Stands in for `recloop.stages.update_stages`: update 1 has a report, 2 points outside, 3 was
    not judged."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.uris = {1: str(home / "artifacts/gate/1.html"), 2: "/etc/hostname", 3: ""}

    def current_settings(self, recommender: str) -> Settings:
        return settings_of(Settings.from_environment(), recommender)

    def gate_report_uri(self, update_id: int, settings: Settings) -> str:
        if settings.recommender == "films":
            return str(self.home / "recommenders/films/artifacts/gate/1.html")
        return self.uris.get(update_id, "")

    def shadow_report_uri(self, window: str, settings: Settings) -> str:
        return self.uris[1].replace("gate", "shadow") if window == "2011-06-06" else ""


@pytest.fixture
def pages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FastAPI:
    monkeypatch.setenv("RECLOOP_HOME", str(tmp_path))
    shutil.copytree(PROJECT / "config", tmp_path / "config")
    monkeypatch.setenv("RECLOOP_CONFIG", str(tmp_path / "config"))
    fake = Stages(tmp_path)
    shown = SimpleNamespace(
        index_page=lambda settings, now, strange: f"<h1>all of them{strange}</h1>",
        recommender_page=lambda settings, *_, **__: f"<h1>page of {settings.recommender}</h1>",
    )
    monkeypatch.setattr(embedded, "resolve", lambda settings: settings)
    monkeypatch.setitem(sys.modules, "recloop.dashboard.pages", shown)
    for name, stub in {
        "bookkeeping": fake,
        "update_stages": fake,
        "upkeep_stages": fake,
    }.items():
        monkeypatch.setitem(sys.modules, f"recloop.stages.{name}", stub)
        monkeypatch.setattr(stages, name, stub, raising=False)
    for name, text in {
        "artifacts/gate/1.html": "<h1>gate of update 1</h1>",
        "artifacts/shadow/1.html": "<h1>shadow rebuild</h1>",
        "data_docs/2011-06-06.html": "<h1>docs</h1>",
        "recommenders/films/artifacts/gate/1.html": "<h1>gate of films</h1>",
        "datasets/movielens/data_docs/2001-01-01.html": "<h1>docs of films</h1>",
        "secret.txt": "secret",
    }.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    (tmp_path / "data_docs" / "escape.html").symlink_to(tmp_path / "secret.txt")
    return create_app()


@pytest.fixture
def anonymous(pages: FastAPI) -> Iterator[TestClient]:
    """As Airflow mounts it, with Airflow's own check of who is asking."""
    from airflow.api_fastapi.app import create_auth_manager

    whole = FastAPI()
    whole.mount(PREFIX, pages)
    whole.state.auth_manager = pages.state.auth_manager = create_auth_manager()
    with TestClient(whole, raise_server_exceptions=False) as client:
        yield client


@pytest.fixture
def admitted(pages: FastAPI, monkeypatch: pytest.MonkeyPatch) -> Iterator[TestClient]:
    """A user whom Airflow lets see plugins, and do nothing."""
    from airflow.api_fastapi.core_api.security import get_user

    monkeypatch.setattr(access, "may", lambda *_: False)
    pages.dependency_overrides[get_user] = lambda: SimpleNamespace(get_id=lambda: "vera")
    for dependency in pages.router.dependencies:
        pages.dependency_overrides[dependency.dependency] = lambda: None
    whole = FastAPI()
    whole.mount(PREFIX, pages)
    with TestClient(whole) as client:
        yield client


@pytest.mark.parametrize("path", [*ROUTES, *PAGES])
def test_strangers_are_turned_away(anonymous: TestClient, path: str) -> None:
    assert anonymous.get(path).status_code == 401
    assert anonymous.post(f"{PREFIX}/default/actions/pin").status_code == 401


def test_every_route_is_behind_the_check(pages: FastAPI) -> None:
    assert len(pages.router.dependencies) == 1
    each = {"/gate/{update_id}", "/shadow/{window}", "/data-docs/{window}"}
    own = {*each, "/", "/windows", "/releases", "/releases/{version}", "/recommended"}
    reading = {"/", *each, *("/{recommender}" + path for path in own)}
    writing = {"/{recommender}/actions/{action}"}
    assert {route.path for route in pages.routes} == reading | writing
    for route in pages.routes:
        assert route.methods == ({"POST"} if route.path in writing else {"GET"})


def test_gate_report_is_shown(admitted: TestClient) -> None:
    answer = admitted.get(f"{PREFIX}/gate/1")
    assert answer.status_code == 200
    assert "gate of update 1" in answer.text
    assert answer.headers["content-type"].startswith("text/html")


def test_shadow_report_is_shown(admitted: TestClient) -> None:
    assert "shadow rebuild" in admitted.get(f"{PREFIX}/shadow/2011-06-06").text


def test_a_windows_data_docs_and_the_pages_are_shown(admitted: TestClient) -> None:
    assert "docs" in admitted.get(f"{PREFIX}/data-docs/2011-06-06").text
    assert "all of them<" in admitted.get(f"{PREFIX}/").text
    assert "page of default" in admitted.get(f"{PREFIX}/default/").text
    assert admitted.get(f"{PREFIX}/films/").status_code == 404


def test_from_a_dag_or_a_run_one_comes_to_the_page_of_its_recommender(admitted: TestClient) -> None:
    def led(query: str) -> str:
        answer = admitted.get(f"{PREFIX}/?{query}", follow_redirects=False)
        return answer.headers.get("location", answer.text)

    assert led("dag=full_rebuild") == "default/"
    assert led("dag=ingest_behavior&run=manual__1") == "default/?run=ingest_behavior+manual__1"
    assert led("dag=somebody_elses") == "<h1>all of themsomebody_elses</h1>"


@pytest.mark.parametrize("path", PAGES[:2])
def test_a_page_with_forms_runs_nothing_either_and_sends_them_here_only(
    admitted: TestClient, path: str
) -> None:
    headers = admitted.get(path).headers
    parts = (part.split() for part in headers["content-security-policy"].split(";"))
    policy = {name: values for name, *values in parts}
    style = policy.pop("style-src")
    assert policy == {
        "sandbox": ["allow-forms", "allow-same-origin"],
        "default-src": ["'none'"],
        "base-uri": ["'none'"],
        "form-action": ["'self'"],
        "frame-ancestors": ["'self'"],
    }
    assert len(style) == 1, "the frame's own style only"
    assert style[0].startswith("'sha256-")
    assert headers["referrer-policy"] == "same-origin", "else a form has no origin"
    assert headers["x-content-type-options"] == "nosniff"
    assert "no-store" in headers["cache-control"]


def test_each_recommender_has_pages_of_its_own(
    pages: FastAPI, admitted: TestClient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert admitted.get(f"{PREFIX}/films/gate/1").status_code == 404
    own = tmp_path / "config" / "recommenders" / "films.toml"
    own.parent.mkdir()
    own.write_text('dataset = "movielens"')
    assert "gate of films" in admitted.get(f"{PREFIX}/films/gate/1").text
    assert "docs of films" in admitted.get(f"{PREFIX}/films/data-docs/2001-01-01").text
    assert admitted.get(f"{PREFIX}/films/data-docs/2011-06-06").status_code == 404
    assert admitted.get(f"{PREFIX}/gate/1").status_code == 404, "there is no default any more"
    monkeypatch.setenv("RECLOOP_RECOMMENDER", "films")
    assert own_pages() == f"{PREFIX}/films"


@pytest.mark.parametrize("path", [*ROUTES, f"{PREFIX}/gate/99", f"{PREFIX}/data-docs/%00"])
def test_no_answer_may_run_or_fetch_or_keep_anything(
    admitted: TestClient, anonymous: TestClient, path: str
) -> None:
    for client in (admitted, anonymous):
        headers = client.get(path).headers
        policy = {
            name: values
            for name, *values in (
                part.split() for part in headers["content-security-policy"].split(";")
            )
        }
        assert policy["sandbox"] == [], "no scripts, no forms, no origin"
        assert policy["default-src"] == ["'none'"]
        assert policy["style-src"] == ["'unsafe-inline'"]
        assert policy["img-src"] == ["data:"]
        assert set(policy) == {
            *("sandbox", "default-src", "style-src", "img-src"),
            *("base-uri", "form-action", "frame-ancestors"),
        }
        assert headers["x-content-type-options"] == "nosniff"
        assert "no-store" in headers["cache-control"]


@pytest.mark.parametrize(
    "path",
    [
        "/gate/2",
        "/gate/3",
        "/gate/99",
        "/gate/-1",
        "/gate/99999999999999999999",
        "/shadow/2011-06-13",
        "/shadow/..%2Fsecret.txt",
        "/shadow/%00",
        "/shadow/2011-06-06%00",
        "/shadow/%0d%0aSet-Cookie:x",
        "/data-docs/",
        "/data-docs/%00",
        "/data-docs/2011-06-06%00",
        "/data-docs/" + 5000 * "a",
        "/data-docs/2011-06-06.html",
        "/data-docs/missing",
        "/data-docs/escape",
        "/data-docs/..%2Fsecret.txt",
        "/data-docs/%2e%2e/secret.txt",
        "/data-docs/%2Fetc%2Fhostname",
        "/data-docs//etc/hostname",
        "/data-docs/%ff",
    ],
)
def test_nothing_else_is_given_out(admitted: TestClient, path: str) -> None:
    answer = admitted.get(PREFIX + path)
    assert answer.status_code == 404
    assert "secret" not in answer.text


def test_a_ledger_that_is_away_is_told_in_a_sentence(
    admitted: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    from recloop.errors import ServiceAway

    def away(self: Stages, recommender: str) -> None:
        raise ServiceAway("the database cannot be reached")

    monkeypatch.setattr(Stages, "current_settings", away)
    answer = admitted.get(f"{PREFIX}/default/")
    assert (answer.status_code, answer.text) == (503, "the database cannot be reached")
    assert answer.headers["content-type"].startswith("text/plain")


def test_gate_takes_numbers_only(admitted: TestClient) -> None:
    assert admitted.get(f"{PREFIX}/gate/..%2F..%2Fsecret.txt").status_code in (404, 422)


def test_links_lead_to_the_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    from airflow.sdk.execution_time.xcom import XCom

    key = type("Key", (), {"task_id": "evaluate", "dag_id": "d", "run_id": "r"})()
    returned: dict[str, Any] = {"evaluate": {"update_id": 12}}
    monkeypatch.setattr(XCom, "get_one", lambda *, task_id, **_: returned.get(task_id))
    assert GateReportLink().get_link(None, ti_key=key) == "/recloop/gate/12"
    key.task_id = "approve"
    assert GateReportLink().get_link(None, ti_key=key) == "/recloop/gate/12"
    returned["retrain"] = {"window": "2011-06-06"}
    assert ShadowReportLink().get_link(None, ti_key=key) == "/recloop/shadow/2011-06-06"
    returned.clear()
    assert ShadowReportLink().get_link(None, ti_key=key) == ""
    assert GateReportLink().get_link(None, ti_key=key) == ""
    assert DataDocsLink().get_link(None, ti_key=key) == "/recloop/"
    key.task_id = "validate"  # which returns nothing when it refuses the window
    returned["land"] = {"window": "2011-06-06"}
    assert DataDocsLink().get_link(None, ti_key=key) == "/recloop/data-docs/2011-06-06"


def test_links_are_right_where_airflow_is_served_under_a_path(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert served("/") == "/recloop/"
    monkeypatch.setenv("AIRFLOW__API__BASE_URL", "https://shop.example/some/prefix/")
    assert served("/gate/1") == "/some/prefix/recloop/gate/1"
    assert own_pages() == "/some/prefix/recloop"


def test_the_plugin_is_found_and_imports_no_tensorflow() -> None:
    import subprocess

    from tests.airflow_home import child_environment

    code = (
        "import sys; from airflow import plugins_manager as p;"
        "names = [x.name for x in p._get_plugins()[0]];"
        "print('PLUGINS', names, p.get_import_errors());"
        "print('HEAVY', [m for m in ('tensorflow','feast','great_expectations','mlflow','pandas')"
        " if m in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code],
        env=child_environment(),
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert "'recloop'" in done.stdout, done.stderr[-2000:]
    assert "HEAVY []" in done.stdout, done.stdout

"""What each role may do, as the table of docs/howto/airflow.md says it, asked of Airflow's own app."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient
from recloop_airflow.access import STARTS, token_for

from tests.airflow_home import ROOT

pytestmark = pytest.mark.slow

WHO = ("nobody", "viewer", "user", "op", "admin")
RUN = "/api/v2/dags/full_rebuild/dagRuns"
BACKFILL = {
    "dag_id": "ingest_behavior",
    "from_date": "2011-05-30T00:00:00Z",
    "to_date": "2011-06-06T00:00:00Z",
}
ACTIONS = {
    "accept": {"window": "2011-06-06"},
    "answer": {"answer": "approve", "update": "1"},
    "pin": {},
    "rollback": {"version": "1"},
    "start": {"plan": "auto"},
    "unpin": {},
}
"""Of the page, with what their forms send beside the reason."""
HERE = "http://testserver"
ROUTES: dict[str, list[tuple[str, str, Any]]] = {
    "see runs, the overview, gate reports, Data Docs": [
        ("GET", "/api/v2/dags", None),
        ("GET", RUN, None),
        ("GET", "/recloop/", None),
        ("GET", "/recloop/default/", None),
        ("GET", "/recloop/default/windows", None),
        ("GET", "/recloop/default/releases", None),
        ("GET", "/recloop/default/releases/1", None),
        ("GET", "/recloop/default/recommended?user=1", None),
        ("GET", "/recloop/gate/1", None),
        ("GET", "/recloop/shadow/2011-06-06", None),
        ("GET", "/recloop/data-docs/2011-06-06", None),
    ],
    "start, approve or reject, roll back, backfill, pause": [
        ("POST", RUN, {"logical_date": None, "conf": {}}),
        ("PATCH", f"{RUN}/r/taskInstances/approve/-1/hitlDetails", {"chosen_options": ["Approve"]}),
        ("PATCH", f"{RUN}/r", {"note": "seen"}),
        ("POST", "/api/v2/dags/rollback_release/dagRuns", {"logical_date": None, "conf": {}}),
        ("POST", "/api/v2/backfills", BACKFILL),
        ("PATCH", "/api/v2/dags/rollback_release", {"is_paused": False}),
        *(
            ("POST", f"/recloop/default/actions/{name}", {"reason": "a test", **fields})
            for name, fields in ACTIONS.items()
        ),
    ],
    "see variables and connections, resize pools": [
        ("GET", "/api/v2/variables", None),
        ("GET", "/api/v2/connections", None),
        ("PATCH", "/api/v2/pools/gpu", {"name": "gpu", "slots": 4}),
    ],
    "read Airflow's configuration": [("GET", "/api/v2/config", None)],
}


def documented() -> dict[str, tuple[bool, ...]]:
    """The page's table: what may be done, by whom."""
    lines = (ROOT / "docs" / "howto" / "airflow.md").read_text().splitlines()
    start = next(n for n, line in enumerate(lines) if line.startswith("| may |"))
    found = {}
    for line in lines[start + 2 :]:
        if not line.startswith("|"):
            break
        what, *cells = (cell.strip() for cell in line.strip("|").split("|"))
        assert set(cells) <= {"yes", "–"}
        found[what] = tuple(cell == "yes" for cell in cells)
    return found


@pytest.fixture(scope="module")
def app() -> Iterator[TestClient]:
    """Airflow's API with recloop's plugin, on an empty database, with everybody's login in force."""
    from airflow.api_fastapi.app import cached_app, purge_cached_app
    from airflow.models import import_all_models
    from airflow.models.base import Base
    from airflow.utils.session import create_session

    import_all_models()
    with create_session() as session:
        Base.metadata.create_all(session.get_bind())
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AIRFLOW_API_APPS", "core")  # the page's actions ask the same app
        with TestClient(cached_app(apps="core"), raise_server_exceptions=False) as client:
            yield client
    purge_cached_app()


@pytest.fixture(autouse=True)
def home(tmp_path: Path, server_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RECLOOP_HOME", str(tmp_path))
    monkeypatch.setenv("RECLOOP_DATABASE_URL", server_url)


def person(who: str) -> Any:
    from airflow.api_fastapi.auth.managers.simple.user import SimpleAuthManagerUser

    return SimpleAuthManagerUser(username=f"a {who}", role=who)


def login(app: TestClient, who: str) -> dict[str, str]:
    """The headers of somebody's requests."""
    if who == "nobody":
        return {}
    token = app.app.state.auth_manager.generate_jwt(person(who))  # type: ignore[attr-defined]
    return {"Authorization": f"Bearer {token}"}


def asked(app: TestClient, who: str, method: str, path: str, body: Any) -> int:
    """The status that somebody gets; a form of the page comes from the page."""
    headers = login(app, who)
    if "/actions/" not in path:
        return app.request(method, path, json=body, headers=headers).status_code
    csrf = "" if who == "nobody" else token_for(person(who))
    return sent(app, path, {**body, "csrf": csrf}, headers | {"Origin": HERE})


def sent(app: TestClient, path: str, form: dict[str, str], headers: dict[str, str]) -> int:
    """The status of a form."""
    return app.post(path, data=form, headers=headers, follow_redirects=False).status_code


def test_the_page_says_it_of_everything_that_is_asked_here() -> None:
    assert list(documented()) == list(ROUTES)


@pytest.mark.parametrize("what", ROUTES)
def test_a_role_may_do_what_the_page_says_and_nothing_else(app: TestClient, what: str) -> None:
    for method, path, body in ROUTES[what]:
        for who, allowed in zip(WHO, documented()[what], strict=True):
            status = asked(app, who, method, path, body)
            where = f"{who}: {method} {path} is {status}"
            if allowed:  # there is no run, no window: found or not, the answer is about that
                assert status in (200, 201, 303, 404, 409, 422), where
            else:
                assert status == (401 if who == "nobody" else 403), where


def test_every_action_is_asked_here() -> None:
    assert set(ACTIONS) == set(STARTS)


@pytest.mark.parametrize("action", ACTIONS)
def test_a_form_without_its_token_or_from_another_site_does_nothing(
    app: TestClient, action: str
) -> None:
    path = f"/recloop/default/actions/{action}"
    form = {"reason": "a test", **ACTIONS[action], "csrf": token_for(person("op"))}
    mine = login(app, "op")
    for wrong in (
        {"csrf": ""},
        {"csrf": "made.up.token"},
        {"csrf": token_for(person("admin"))},
    ):
        assert sent(app, path, form | wrong, mine | {"Origin": HERE}) == 403, wrong
    for origin in ("http://evil.example", "null", "https://testserver", f"{HERE}.evil.example"):
        assert sent(app, path, form, mine | {"Origin": origin}) == 403, origin
    assert sent(app, path, form, mine) == 403, "a browser names the origin of every form"
    assert sent(app, path, form, mine | {"Origin": HERE}) != 403


def test_a_page_that_was_open_for_too_long_is_loaded_again(
    app: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    from recloop_airflow import access

    monkeypatch.setattr(access, "HOURS", -1)
    form = {"reason": "a test", "csrf": token_for(person("op"))}
    path = "/recloop/default/actions/pin"
    assert sent(app, path, form, login(app, "op") | {"Origin": HERE}) == 403


def test_an_action_needs_a_reason_and_a_known_name(app: TestClient) -> None:
    headers = login(app, "op") | {"Origin": HERE}
    csrf = token_for(person("op"))
    for reason in ("", "  ", "no", "x" * 1001):
        form = {"csrf": csrf, "reason": reason}
        assert sent(app, "/recloop/default/actions/pin", form, headers) == 422, reason
    assert sent(app, "/recloop/default/actions/drop", {"csrf": csrf}, headers) == 404
    assert sent(app, "/recloop/other/actions/pin", {"csrf": csrf}, headers) == 404
    long = {"csrf": csrf, "reason": "x" * 20_000}
    assert sent(app, "/recloop/default/actions/pin", long, headers) == 413


@pytest.mark.parametrize("who", WHO[1:])
def test_nobody_is_shown_a_button_that_would_be_refused(
    app: TestClient, who: str, server_url: str
) -> None:
    answer = app.get("/recloop/default/", headers=login(app, who))
    assert answer.status_code == 200
    shown = set(re.findall(r'action="[^"]+/actions/(\w+)"', answer.text))
    assert shown == (set() if who == "viewer" else {"start"}), "an empty ledger has no more"

"""What each role may do, as the table of docs/howto/airflow.md says it, asked of Airflow's own app."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

from tests.airflow_home import ROOT

pytestmark = pytest.mark.slow

WHO = ("nobody", "viewer", "user", "op", "admin")
RUN = "/api/v2/dags/full_rebuild/dagRuns"
BACKFILL = {
    "dag_id": "ingest_behavior",
    "from_date": "2011-05-30T00:00:00Z",
    "to_date": "2011-06-06T00:00:00Z",
}
ROUTES: dict[str, list[tuple[str, str, Any]]] = {
    "see runs, the overview, gate reports, Data Docs": [
        ("GET", "/api/v2/dags", None),
        ("GET", RUN, None),
        ("GET", "/recloop/", None),
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
    from airflow.api_fastapi.app import create_app, purge_cached_app
    from airflow.models import import_all_models
    from airflow.models.base import Base
    from airflow.utils.session import create_session

    import_all_models()
    with create_session() as session:
        Base.metadata.create_all(session.get_bind())
    with TestClient(create_app(apps="core"), raise_server_exceptions=False) as client:
        yield client
    purge_cached_app()


@pytest.fixture(autouse=True)
def home(tmp_path: Path, server_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RECLOOP_HOME", str(tmp_path))
    monkeypatch.setenv("RECLOOP_DATABASE_URL", server_url)


def asked(app: TestClient, who: str, method: str, path: str, body: Any) -> int:
    """The status that somebody gets."""
    from airflow.api_fastapi.auth.managers.simple.user import SimpleAuthManagerUser

    headers = {}
    if who != "nobody":
        user = SimpleAuthManagerUser(username=f"a {who}", role=who)
        token = app.app.state.auth_manager.generate_jwt(user)  # type: ignore[attr-defined]
        headers = {"Authorization": f"Bearer {token}"}
    return app.request(method, path, json=body, headers=headers).status_code


def test_the_page_says_it_of_everything_that_is_asked_here() -> None:
    assert list(documented()) == list(ROUTES)


@pytest.mark.parametrize("what", ROUTES)
def test_a_role_may_do_what_the_page_says_and_nothing_else(app: TestClient, what: str) -> None:
    for method, path, body in ROUTES[what]:
        for who, allowed in zip(WHO, documented()[what], strict=True):
            status = asked(app, who, method, path, body)
            where = f"{who}: {method} {path} is {status}"
            if allowed:  # there is no run, no window: found or not, the answer is about that
                assert status in (200, 201, 404, 409, 422), where
            else:
                assert status == (401 if who == "nobody" else 403), where

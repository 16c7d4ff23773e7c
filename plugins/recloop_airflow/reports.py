"""The pages under /recloop: *Recommenders*, gate reports, shadow reports and Data Docs.

Airflow leaves the apps of plugins open to everybody, so every route here asks for the right to see
plugins, and what a button does for more (`access.py`). The pages lie in Airflow's own origin and tell
what strangers wrote into a feed: `HEADERS` keep them from running or fetching anything, even if one of
them forgot to escape a name. Files are served from two folders only, whatever the path says.
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlencode, urlparse

from airflow.api_fastapi.core_api.security import GetUserDep, requires_access_view
from fastapi import APIRouter, Depends, FastAPI, HTTPException, Request, Response
from fastapi.responses import FileResponse, HTMLResponse, PlainTextResponse, RedirectResponse
from starlette.concurrency import run_in_threadpool

from recloop.errors import RecloopError
from recloop.page import FRAME
from recloop_airflow import access, actions
from recloop_airflow.links import PREFIX

if TYPE_CHECKING:
    from recloop.settings import Settings

__all__ = ["PREFIX", "create_app"]

MISSING = "There is no such report; it may not have been written yet."
LARGEST = 2**63 - 1
"""Of the ledger's numbers of updates and releases."""
LONGEST_FORM = 16_384
"""Bytes."""
HEADERS = {
    "Content-Security-Policy": (
        "sandbox; default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; "
        "form-action 'none'; frame-ancestors 'self'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store, private",
}
"""Of files, which were written once, by an older version maybe."""
STYLE = base64.b64encode(
    hashlib.sha256(FRAME.partition("<style>")[2].partition("</style>")[0].encode()).digest()
).decode()
PAGE_HEADERS = {
    **HEADERS,
    "Content-Security-Policy": (
        f"sandbox allow-forms allow-same-origin; default-src 'none'; style-src 'sha256-{STYLE}'; "
        "base-uri 'none'; form-action 'self'; frame-ancestors 'self'"
    ),
    "Referrer-Policy": "same-origin",
}
"""Of pages with forms: they keep their origin, without which a form would come without the reader's
cookie, and have the frame's own style only. No script runs there either. Of a page that tells no
referrer, a form would tell no origin."""


def create_app() -> FastAPI:
    """The app that the plugin mounts."""
    from airflow.api_fastapi.auth.managers.models.resource_details import AccessView

    app = FastAPI(
        title="recloop pages",
        docs_url=None,
        redoc_url=None,
        openapi_url=None,
        dependencies=[Depends(requires_access_view(AccessView.PLUGINS))],
    )

    @app.middleware("http")
    async def sandboxed(
        request: Request, call_next: Callable[[Request], Awaitable[Response]]
    ) -> Response:
        """Every answer has the headers, refusals included."""
        answer = await call_next(request)
        for name, value in HEADERS.items():
            answer.headers.setdefault(name, value)
        return answer

    @app.exception_handler(RecloopError)
    async def away(request: Request, error: RecloopError) -> PlainTextResponse:  # noqa: ARG001
        """The ledger cannot be read: one sentence."""
        return PlainTextResponse(str(error), 503)

    @app.get("/")
    def index(dag: str = "", run: str = "") -> Response:
        """One card for each recommender; opened from a DAG or a run, the page of its recommender."""
        from recloop.config.dag_ids import DAG_IDS, recommender_of
        from recloop.dashboard.pages import index_page
        from recloop.database import embedded
        from recloop.settings import Settings

        base = Settings.from_environment()
        ours = dag.rpartition(".")[2] in DAG_IDS
        if ours and (name := recommender_of(base, dag)):
            asked = f"?{urlencode({'run': f'{dag} {run}'})}" if run else ""
            return RedirectResponse(f"{name}/{asked}", 303)
        return _page(index_page(embedded.resolve(base), datetime.now(UTC), dag))

    app.include_router(_files())
    app.include_router(_files(), prefix="/{recommender}")
    app.include_router(_pages(), prefix="/{recommender}")
    return app


def _files() -> APIRouter:
    """The reports of one recommender: of `default`, where the path names none."""
    router = APIRouter()

    @router.get("/gate/{update_id}")
    def gate_report(update_id: int, recommender: str = "") -> FileResponse:
        """The gate's report on one update, HTML."""
        from recloop.stages import update_stages

        settings = _settings(recommender)
        known = 0 < update_id <= LARGEST
        uri = update_stages.gate_report_uri(update_id, settings) if known else ""
        return _file(settings.artifacts, local_path(uri) if uri else None)

    @router.get("/shadow/{window}")
    def shadow_report(window: str, recommender: str = "") -> FileResponse:
        """What a full retraining would have given on one window, HTML."""
        from recloop.stages import upkeep_stages

        settings = _settings(recommender)
        uri = upkeep_stages.shadow_report_uri(_plain(window), settings)
        return _file(settings.artifacts, local_path(uri) if uri else None)

    @router.get("/data-docs/{window}")
    def data_docs(window: str, recommender: str = "") -> FileResponse:
        """What validation found on one window, HTML."""
        root = _settings(recommender).data_docs
        return _file(root, root / f"{_plain(window)}.html")

    return router


def _pages() -> APIRouter:
    """The pages of one recommender, and what their buttons do."""
    router = APIRouter()

    @router.get("/")
    def recommender_page(
        recommender: str,
        user: GetUserDep,
        metric: str = "",
        run: str = "",
        done: str = "",
        started: str = "",
    ) -> HTMLResponse:
        """Everything about a recommender."""
        said = DONE.get(done, "")
        return _page(_shown(_settings(recommender), user, metric, run, said, started))

    @router.get("/windows")
    def windows(recommender: str, before: str = "") -> HTMLResponse:
        """All windows, newest first."""
        from recloop.dashboard.pages import windows_page

        return _page(windows_page(_settings(recommender), _plain(before) if before else None))

    @router.get("/releases")
    def releases(recommender: str, before: int = LARGEST) -> HTMLResponse:
        """All releases, newest first."""
        from recloop.dashboard.pages import releases_page

        return _page(releases_page(_settings(recommender), min(before, LARGEST)))

    @router.get("/releases/{version}")
    def lineage(recommender: str, version: int) -> HTMLResponse:
        """How a release came to be."""
        from recloop.dashboard.pages import lineage_page
        from recloop.errors import ReleaseMissing

        try:
            return _page(lineage_page(_settings(recommender), max(0, min(version, LARGEST))))
        except ReleaseMissing as error:
            raise HTTPException(404, str(error)) from error

    @router.get("/recommended")
    def recommended(recommender: str, user: str) -> HTMLResponse:
        """What a user is shown, now and by the release before."""
        from recloop.dashboard.pages import recommended_page

        return _page(recommended_page(_settings(recommender), user[:200], datetime.now(UTC)))

    @router.post("/actions/{action}")
    async def act(recommender: str, action: str, request: Request, user: GetUserDep) -> Response:
        """Do what a form asks for; the page then says what it led to."""
        if action not in access.STARTS:
            raise HTTPException(404, MISSING)
        if int(request.headers.get("content-length") or LONGEST_FORM + 1) > LONGEST_FORM:
            raise HTTPException(413, "The form is too long.")
        form = {name: str(value) for name, value in (await request.form()).items()}
        access.refuse_foreign(request, user, form.get("csrf", ""))
        settings = await run_in_threadpool(_settings, recommender)
        if not await run_in_threadpool(access.may, user, settings, action):
            raise HTTPException(403, "Your role may not do this.")
        try:
            done = await actions.act(action, form, user, settings)
        except (actions.Refused, RecloopError) as error:
            status = error.status if isinstance(error, actions.Refused) else 409
            text = await run_in_threadpool(_shown, settings, user, "", "", str(error), "", "../../")
            return _page(text, status)
        return RedirectResponse(f"../?{urlencode({'done': action, 'started': done.run})}", 303)

    return router


DONE = {
    "accept": "A run ingests the window; your reason goes with it.",
    "answer": "Your answer is with the run.",
    "pin": "The champion is pinned.",
    "rollback": "A run rolls back; your reason goes with it.",
    "start": "A run of the update was started.",
    "unpin": "The champion is not pinned any more.",
}
"""What the page says after an action: no text of the address is shown."""


def _shown(
    settings: Settings,
    user: object,
    metric: str,
    run: str,
    said: str,
    started: str,
    up: str = "../",
) -> str:
    from recloop.dashboard.pages import recommender_page

    may = [action for action in access.STARTS if access.may(user, settings, action)]
    return recommender_page(
        settings, datetime.now(UTC), metric, may, access.token_for(user), run, up=up,
        said=said, said_run=started,
    )  # fmt: skip


def _page(text: str, status: int = 200) -> HTMLResponse:
    return HTMLResponse(text, status, headers=PAGE_HEADERS)


def _settings(recommender: str) -> Settings:
    """Of a recommender whose name comes from a path; without one, of `default`."""
    from recloop.config.recommenders import recommenders
    from recloop.settings import DEFAULT, Settings
    from recloop.stages import bookkeeping

    name = recommender or DEFAULT
    if name not in recommenders(Settings.from_environment()):
        raise HTTPException(404, MISSING)
    return bookkeeping.current_settings(name)


def _plain(name: str) -> str:
    """`name`, if it looks like a window's key; else 404."""
    if not re.fullmatch(r"[0-9A-Za-z+-]{1,40}", name):
        raise HTTPException(404, MISSING)
    return name


def local_path(uri: str) -> Path:
    """The file of a `file://` URI or a plain path."""
    parsed = urlparse(uri)
    return Path(unquote(parsed.path)) if parsed.scheme == "file" else Path(uri)


def _file(root: Path, path: Path | None) -> FileResponse:
    """`path`, if it is a file under `root` after following links; else 404, which tells nothing."""
    resolved = path.resolve() if path else root
    if not (resolved.is_relative_to(root.resolve()) and resolved.is_file()):
        raise HTTPException(404, MISSING)
    return FileResponse(resolved)

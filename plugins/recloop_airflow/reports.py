"""The read-only pages under /recloop: an overview, gate reports, shadow reports and Data Docs.

Airflow leaves the apps of plugins open to everybody, so every route here asks for the right to see
plugins. The pages lie in Airflow's own origin and tell what strangers wrote into a feed: `HEADERS` keep
them from running or fetching anything, even if one of them forgot to escape a name. Files are served
from two folders only, whatever the path says.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlparse

from fastapi import APIRouter, Depends, FastAPI, HTTPException, Request, Response
from fastapi.responses import FileResponse, HTMLResponse, PlainTextResponse

from recloop.errors import RecloopError
from recloop_airflow.links import PREFIX

if TYPE_CHECKING:
    from recloop.settings import Settings

__all__ = ["PREFIX", "create_app"]

MISSING = "There is no such report; it may not have been written yet."
LARGEST = 2**63 - 1
"""Of the ledger's numbers of updates."""
HEADERS = {
    "Content-Security-Policy": (
        "sandbox; default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; "
        "form-action 'none'; frame-ancestors 'self'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store, private",
}


def create_app() -> FastAPI:
    """The app that the plugin mounts."""
    from airflow.api_fastapi.auth.managers.models.resource_details import AccessView
    from airflow.api_fastapi.core_api.security import requires_access_view

    app = FastAPI(
        title="recloop reports",
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
        answer.headers.update(HEADERS)
        return answer

    @app.exception_handler(RecloopError)
    async def away(request: Request, error: RecloopError) -> PlainTextResponse:  # noqa: ARG001
        """The ledger cannot be read: one sentence."""
        return PlainTextResponse(str(error), 503)

    @app.get("/")
    def first_page() -> HTMLResponse:
        """The overview; of several recommenders, of all at a glance."""
        from recloop.config.recommenders import recommenders
        from recloop.database import embedded
        from recloop.settings import DEFAULT, Settings

        base = Settings.from_environment()
        if recommenders(base) == [DEFAULT]:
            return _overview("")
        from recloop.stages.fleet_status import fleet_page

        return HTMLResponse(fleet_page(embedded.resolve(base)))

    @app.get("/{recommender}/")
    def overview(recommender: str) -> HTMLResponse:
        """The champion, what waits, and links to all other pages."""
        return _overview(recommender)

    app.include_router(_pages())
    app.include_router(_pages(), prefix="/{recommender}")
    return app


def _pages() -> APIRouter:
    """The pages of one recommender: of `default`, where the path names none."""
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


def _overview(recommender: str) -> HTMLResponse:
    """The champion, what waits, and links to all other pages."""
    from recloop.stages.status import overview

    return HTMLResponse(overview(_settings(recommender)))


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

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
from urllib.parse import unquote, urlparse

from fastapi import Depends, FastAPI, HTTPException, Request, Response
from fastapi.responses import FileResponse, HTMLResponse, PlainTextResponse

from recloop.errors import RecloopError
from recloop_airflow.links import PREFIX

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
        """The champion, what waits, and links to all other pages."""
        from recloop.stages import bookkeeping
        from recloop.stages.status import overview

        return HTMLResponse(overview(bookkeeping.current_settings()))

    @app.get("/gate/{update_id}")
    def gate_report(update_id: int) -> FileResponse:
        """The gate's report on one update, HTML."""
        from recloop.settings import Settings
        from recloop.stages import update_stages

        uri = update_stages.gate_report_uri(update_id) if 0 < update_id <= LARGEST else ""
        return _file(Settings.from_environment().artifacts, local_path(uri) if uri else None)

    @app.get("/shadow/{window}")
    def shadow_report(window: str) -> FileResponse:
        """What a full retraining would have given on one window, HTML."""
        from recloop.settings import Settings
        from recloop.stages import upkeep_stages

        uri = upkeep_stages.shadow_report_uri(_plain(window))
        return _file(Settings.from_environment().artifacts, local_path(uri) if uri else None)

    @app.get("/data-docs/{window}")
    def data_docs(window: str) -> FileResponse:
        """What validation found on one window, HTML."""
        from recloop.settings import Settings

        root = Settings.from_environment().data_docs
        return _file(root, root / f"{_plain(window)}.html")

    return app


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

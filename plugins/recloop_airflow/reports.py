"""The read-only pages under /recloop: gate reports, shadow reports and Data Docs.

Airflow leaves the apps of plugins open to everybody, so every route here asks for the right to see
plugins. Files are served from two folders only, whatever the path says.
"""

from __future__ import annotations

from pathlib import Path
from urllib.parse import unquote, urlparse

from fastapi import Depends, FastAPI, HTTPException
from fastapi.responses import FileResponse

from recloop_airflow.links import PREFIX

__all__ = ["PREFIX", "create_app"]

HEADERS = {"X-Content-Type-Options": "nosniff", "Cache-Control": "no-store"}


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

    @app.get("/gate/{update_id}")
    def gate_report(update_id: int) -> FileResponse:
        """The gate's report on one update, HTML."""
        from recloop import stages
        from recloop.settings import Settings

        uri = stages.gate_report_uri(update_id)
        return _file(Settings.from_environment().artifacts, local_path(uri) if uri else None)

    @app.get("/shadow/{window}")
    def shadow_report(window: str) -> FileResponse:
        """What a full retraining would have given on one window, HTML."""
        from recloop import upkeep
        from recloop.settings import Settings

        uri = upkeep.shadow_report_uri(window)
        return _file(Settings.from_environment().artifacts, local_path(uri) if uri else None)

    @app.get("/data-docs/{path:path}")
    def data_docs(path: str) -> FileResponse:
        """A page of Great Expectations' static site."""
        from recloop.settings import Settings

        root = Settings.from_environment().data_docs
        return _file(root, root / (path or "index.html"))

    return app


def local_path(uri: str) -> Path:
    """The file of a `file://` URI or a plain path."""
    parsed = urlparse(uri)
    return Path(unquote(parsed.path)) if parsed.scheme == "file" else Path(uri)


def _file(root: Path, path: Path | None) -> FileResponse:
    """`path`, if it is a file under `root` after following links; else 404, which tells nothing."""
    resolved = path.resolve() if path else root
    if not (resolved.is_relative_to(root.resolve()) and resolved.is_file()):
        raise HTTPException(404, "There is no such report; it may not have been written yet.")
    return FileResponse(resolved, headers=HEADERS)

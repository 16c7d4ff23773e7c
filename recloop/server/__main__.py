"""The server's own process: `python -m recloop.server HOST PORT WORKERS`; `recloop serve` starts it."""

from __future__ import annotations

import logging
import sys

import uvicorn
from fastapi import FastAPI

from recloop.server.api import create_app
from recloop.server.serve_file import read_serve
from recloop.settings import Settings

SWITCH = 0.0005
"""Seconds after which a thread gives way to another: a release that is being opened must not hold up
answers."""


def app() -> FastAPI:
    """The app of this process's settings, which name a database."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    sys.setswitchinterval(SWITCH)
    settings = Settings.from_environment()
    return create_app(settings, read_serve(settings))


def main(host: str, port: str, workers: str) -> None:
    """Serve until a signal comes; requests that are being answered are answered."""
    uvicorn.run(
        "recloop.server.__main__:app",
        factory=True,
        host=host,
        port=int(port),
        workers=int(workers),
        log_level="warning",
        timeout_graceful_shutdown=10,
    )


if __name__ == "__main__":
    main(*sys.argv[1:])

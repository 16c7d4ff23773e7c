"""`config/serve.toml`: what one key, one body and one request may cost."""

from __future__ import annotations

from pydantic import Field

from recloop.config.toml_file import Section, read_toml, to_model
from recloop.settings import Settings


class Limits(Section):
    """What a request is cut at."""

    requests_per_second: float = Field(default=500.0, gt=0)
    """Of one key, on the long run; what is more is answered with 429."""
    burst: int = Field(default=1000, ge=1)
    """How many may come at once after a quiet time."""
    body_bytes: int = Field(default=65_536, ge=256)
    """A larger body is answered with 413."""
    seconds: float = Field(default=2.0, gt=0)
    """An answer that takes longer is given up: 503."""
    most_items: int = Field(default=200, ge=1, le=1000)
    """Of one answer; who asks for more gets so many."""


class Impressions(Section):
    """What is kept of answers until it is written."""

    kept: bool = True
    """Whether answers are written down at all."""
    waiting: int = Field(default=10_000, ge=1)
    """Answers that wait to be written, at most; more are counted as lost."""


class Serve(Section):
    """The file."""

    limits: Limits = Limits()
    impressions: Impressions = Impressions()
    poll_seconds: float = Field(default=0.5, gt=0)
    """How often the ledger is asked for a new champion."""
    threads: int = Field(default=4, ge=1, le=64)
    """Requests that are taken at a time: one is computed, others may wait for the database; each has a
    connection."""


def read_serve(settings: Settings) -> Serve:
    """The file's content; without the file, the defaults.

    Raises:
        BadInput: it cannot be used; names the key and the remedy.
    """
    path = settings.config / "serve.toml"
    return to_model(Serve, read_toml(path), path) if path.exists() else Serve()

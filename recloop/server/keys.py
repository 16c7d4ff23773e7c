"""Keys of the HTTP server: who may call what, and how often.

    $RECLOOP_HOME/serve_keys.json     {"shop": {"sha256": "…", "scopes": ["recommend", "feedback"]}}

A key is shown once, when it is made; the file has its digest alone. Without any key the server listens
to its own machine only, and whoever reaches it may call everything.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import secrets
import threading
import time
from dataclasses import dataclass
from pathlib import Path

from recloop.errors import BadInput
from recloop.settings import Settings

SCOPES = ("recommend", "feedback", "read", "metrics")
"""recommend: ask for items; feedback: say what came of it; read: releases; metrics: /metrics."""
PREFIX = "rl_"


@dataclass(frozen=True)
class Key:
    """Who calls."""

    name: str
    scopes: frozenset[str]


ANYBODY = Key("anybody", frozenset(SCOPES))


def keys_file(settings: Settings) -> Path:
    """Where the digests are."""
    return settings.home / "serve_keys.json"


def make_key(settings: Settings, name: str, scopes: tuple[str, ...]) -> str:
    """A new key for a caller, in place of the one that it had; shown this once.

    Raises:
        BadInput: a scope is not known, or the name is empty.
    """
    if not name.strip():
        raise BadInput("`name` should say who will use the key. Received: an empty text.")
    strange = [scope for scope in scopes if scope not in SCOPES]
    if strange or not scopes:
        received = repr(strange[0]) if strange else "none"
        raise BadInput(f"`scope` should be of {', '.join(SCOPES)}. Received: {received}.")
    key = PREFIX + secrets.token_urlsafe(24)
    _write(
        settings, read_file(settings) | {name: {"sha256": _digest(key), "scopes": sorted(scopes)}}
    )
    return key


def drop_key(settings: Settings, name: str) -> None:
    """Take a caller's key away; running servers notice within a second.

    Raises:
        BadInput: there is none of that name.
    """
    known = read_file(settings)
    if name not in known:
        raise BadInput(
            f"there is no key {name!r}, but {', '.join(sorted(known)) or 'none at all'}."
        )
    _write(settings, {one: value for one, value in known.items() if one != name})


def read_file(settings: Settings) -> dict[str, dict[str, object]]:
    """Callers by name."""
    path = keys_file(settings)
    if not path.exists():
        return {}
    try:
        return dict(json.loads(path.read_text()))
    except (OSError, ValueError) as error:
        raise BadInput(f"{path} cannot be read: {error}. Make the keys anew.") from error


def _write(settings: Settings, callers: dict[str, dict[str, object]]) -> None:
    path = keys_file(settings)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(handle, "w") as file:
        json.dump(callers, file, indent=1)
    temporary.replace(path)


def _digest(key: str) -> str:
    return hashlib.sha256(key.encode()).hexdigest()


class Doorkeeper:
    """Tells callers by their keys, and counts their requests: a bucket of tokens for each.

    Attributes:
        open: whether there are no keys, so that everybody may do everything.
    """

    def __init__(self, settings: Settings, per_second: float, burst: int) -> None:
        self._settings, self._per_second, self._burst = settings, per_second, burst
        self._buckets: dict[str, tuple[float, float]] = {}
        self._lock = threading.Lock()
        self._read_at, self._changed = 0.0, -1.0
        self._callers: dict[str, Key] = {}
        self._refresh()

    @property
    def open(self) -> bool:
        return not self._callers

    def caller(self, key: str | None) -> Key | None:
        """Who has this key; None: nobody."""
        self._refresh()
        if self.open:
            return ANYBODY
        digest = _digest(key or "")
        for known, caller in self._callers.items():
            if hmac.compare_digest(known, digest):
                return caller
        return None

    def wait_of(self, caller: Key) -> float:
        """Seconds until the caller may ask again; 0: now, and it is counted."""
        now = time.monotonic()
        with self._lock:
            tokens, since = self._buckets.get(caller.name, (float(self._burst), now))
            tokens = min(self._burst, tokens + (now - since) * self._per_second)
            if tokens < 1.0:
                self._buckets[caller.name] = (tokens, now)
                return (1.0 - tokens) / self._per_second
            self._buckets[caller.name] = (tokens - 1.0, now)
            return 0.0

    def _refresh(self) -> None:
        """Reads the file again when it has changed, once a second at most."""
        if time.monotonic() - self._read_at < 1.0 and self._read_at:
            return
        self._read_at = time.monotonic()
        path = keys_file(self._settings)
        changed = path.stat().st_mtime_ns if path.exists() else 0.0
        if changed == self._changed:
            return
        callers = read_file(self._settings)
        self._callers = {
            str(value["sha256"]): Key(name, frozenset(value["scopes"]))  # type: ignore[call-overload]
            for name, value in callers.items()
        }
        self._changed = changed

"""Keys of the HTTP server: who may call what, and how often.

    $RECLOOP_HOME/serve_keys.json     {"shop": {"sha256": "…", "scopes": ["recommend", "feedback"]}}

A key is shown once, when it is made; the file has its digest alone. Without the file the server listens
to its own machine only, and whoever reaches it may call everything. With it, also an empty one, nobody
may do anything without a key: who takes the last key away does not open the door.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import logging
import os
import secrets
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from recloop.errors import BadInput
from recloop.settings import Settings

log = logging.getLogger("recloop.serve")
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
        callers = json.loads(path.read_text())
        for value in callers.values():
            bytes.fromhex(value["sha256"])
            frozenset(map(str, value["scopes"]))
        return dict(callers)
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise BadInput(
            f"{path} cannot be read: {type(error).__name__}: {error}. Remove it and make the keys anew "
            "with `recloop serve-key add NAME`."
        ) from error


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
        open: whether there is no file of keys, and was none since the start, so that everybody may do
            everything.
    """

    def __init__(
        self,
        settings: Settings,
        per_second: float,
        burst: int,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Args:
            clock: seconds, of any beginning.

        Raises:
            BadInput: the file of keys cannot be read.
        """
        self._settings, self._per_second, self._burst = settings, per_second, burst
        self._clock = clock
        self._buckets: dict[str, tuple[float, float]] = {}
        self._lock = threading.Lock()
        self._callers: dict[str, Key] = {}
        self.open = True
        self._read_at, self._changed = clock(), 0
        self._read()

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
        now = self._clock()
        with self._lock:
            tokens, since = self._buckets.get(caller.name, (float(self._burst), now))
            tokens = min(self._burst, tokens + (now - since) * self._per_second)
            if tokens < 1.0:
                self._buckets[caller.name] = (tokens, now)
                return (1.0 - tokens) / self._per_second
            self._buckets[caller.name] = (tokens - 1.0, now)
            return 0.0

    def _refresh(self) -> None:
        """Reads the file again when it has changed, once a second at most. One that cannot be read
        leaves the keys as they were."""
        if self._clock() - self._read_at < 1.0:
            return
        self._read_at = self._clock()
        try:
            self._read()
        except BadInput as error:
            log.error("the keys of before hold on: %s", error)

    def _read(self) -> None:
        try:
            changed = keys_file(self._settings).stat().st_mtime_ns
        except FileNotFoundError:
            changed = 0
        if changed == self._changed:
            return
        self._changed = changed  # also if it cannot be read: it is told once
        callers = read_file(self._settings)
        self._callers = {
            str(value["sha256"]): Key(name, frozenset(value["scopes"]))  # type: ignore[call-overload]
            for name, value in callers.items()
        }
        self.open = False

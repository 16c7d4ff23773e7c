"""Following the ledger: when the champion changes, the new release is opened, tested and warmed beside
the old one, and takes its place in one step. What cannot be served is refused, and said.

Belongs here: which release answers. Neighbours: `serving.py` opens one, `api.py` asks.
"""

from __future__ import annotations

import logging
import os
import socket
import threading
from dataclasses import dataclass, replace

from recloop.config.recommenders import recommenders, settings_of
from recloop.contracts import Release
from recloop.database.connection import Cursor
from recloop.errors import RecloopError
from recloop.ledger import releases, served
from recloop.server.connections import reading
from recloop.server.serving import Serving
from recloop.settings import Settings

log = logging.getLogger("recloop.serve")
AGAIN = 60
"""A refused release is tried again after so many looks: its export may have been mended."""


@dataclass(frozen=True)
class State:
    """What a recommender answers with.

    Attributes:
        serving: the release that answers; None: none yet.
        refused: the number of a champion that cannot be served, 0: none; and `reason`.
        away: why the ledger cannot be read; empty: it can.
    """

    serving: Serving | None = None
    refused: int = 0
    reason: str = ""
    away: str = ""


class Follower:
    """Keeps the newest champions of all recommenders open.

    Attributes:
        states: by recommender; each value is exchanged as a whole.
    """

    def __init__(self, settings: Settings, seconds: float) -> None:
        self._settings, self._seconds = settings, seconds
        self.states: dict[str, State] = {name: State() for name in recommenders(settings)}
        self._own = {name: settings_of(settings, name) for name in self.states}
        self._server = f"{socket.gethostname()}:{os.getpid()}"
        self._looks = 0
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="follower", daemon=True)

    def settings_of(self, name: str) -> Settings:
        """Of a recommender."""
        return self._own[name]

    def start(self) -> None:
        """Looks once, and then goes on beside the caller."""
        self.look()
        self._thread.start()

    def stop(self) -> None:
        """Ends following; what is open stays open."""
        self._stopping.set()
        self._thread.join(timeout=10)

    def _run(self) -> None:
        while not self._stopping.wait(self._seconds):
            self.look()

    def look(self) -> None:
        """Asks the ledger of every recommender once."""
        self._looks += 1
        for name, settings in self._own.items():
            try:
                with reading(settings.database_url) as cursor:
                    state = self._next(name, settings, cursor)
            except RecloopError as error:
                state = replace(self.states[name], away=str(error))
            except Exception as error:  # whatever it is, the release that answers goes on
                log.exception("following %s", name)
                state = replace(self.states[name], away=f"{type(error).__name__}: {error}")
            self.states[name] = state

    def _next(self, name: str, settings: Settings, cursor: Cursor) -> State:
        state = replace(self.states[name], away="")
        champion = releases.champion(cursor)
        if champion is None:
            return state
        now = state.serving
        if now is not None and _same(now.release, champion):
            return replace(state, serving=now.on_data_of(cursor), refused=0, reason="")
        if state.refused == champion.version and self._looks % AGAIN:
            return state if now is None else replace(state, serving=now.on_data_of(cursor))
        try:
            serving = Serving(settings, champion, cursor)
        except RecloopError as error:
            if state.refused != champion.version:
                served.note(cursor, self._server, champion.version, "refused", str(error))
                log.error("%s: release %d is refused: %s", name, champion.version, error)
            return replace(state, refused=champion.version, reason=str(error))
        served.note(cursor, self._server, champion.version, "served", "")
        log.info("%s: release %d answers", name, champion.version)
        return State(serving)


def _same(one: Release, other: Release) -> bool:
    return (one.version, one.uri) == (other.version, other.uri)

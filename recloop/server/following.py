"""Following the ledger: when the champion changes, the new release is opened, tested and warmed beside
the old one, and takes its place in one step. What cannot be served is refused, and said.

Belongs here: which release answers. Neighbours: `serving.py` opens one, `desk.py` asks.
"""

from __future__ import annotations

import logging
import os
import socket
import threading
from dataclasses import dataclass, replace
from functools import partial

import psycopg2

from recloop.config.recommenders import recommenders, settings_of
from recloop.contracts import Release
from recloop.database.connection import Cursor
from recloop.errors import RecloopError, ServiceAway
from recloop.ledger import releases, served
from recloop.server.connections import asked
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
        self._seconds = seconds
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
                asked(settings.database_url, partial(self._see, name), again=True)
            except RecloopError as error:
                self.states[name] = replace(self.states[name], away=str(error))
            except Exception as error:  # whatever it is, the release that answers goes on
                log.exception("following %s", name)
                away = f"{type(error).__name__}: {error}"
                self.states[name] = replace(self.states[name], away=away)

    def _see(self, name: str, cursor: Cursor) -> None:
        """Exchanges the state, if the ledger says something new, and then notes it there."""
        before = replace(self.states[name], away="")
        after = self._next(before, self._own[name], releases.champion(cursor), cursor)
        self.states[name] = after
        if after.refused and after.refused != before.refused:
            served.note(cursor, self._server, after.refused, "refused", after.reason)
            log.error("%s: release %d is refused: %s", name, after.refused, after.reason)
        now = after.serving
        if now and not (before.serving and _same(before.serving.release, now.release)):
            served.note(cursor, self._server, now.release.version, "served", "")
            log.info("%s: release %d answers", name, now.release.version)

    def _next(
        self, state: State, settings: Settings, champion: Release | None, cursor: Cursor
    ) -> State:
        now = state.serving
        renewed = state if now is None else replace(state, serving=now.on_data_of(cursor))
        if champion is None:
            return renewed
        if now is not None and _same(now.release, champion):
            return replace(renewed, refused=0, reason="")
        if state.refused == champion.version and self._looks % AGAIN:
            return renewed
        try:
            return State(Serving(settings, champion, cursor, renewed.serving))
        except (ServiceAway, psycopg2.Error):
            raise  # which says nothing of the release
        except RecloopError as error:
            reason = str(error)
        except Exception as error:  # a release must not be able to end the one that answers
            log.exception("release %d cannot be opened", champion.version)
            reason = (
                f"release {champion.version} cannot be opened: {type(error).__name__}: {error}. "
                "`recloop rollback` goes back to an earlier release."
            )
        return replace(renewed, refused=champion.version, reason=reason)


def _same(one: Release, other: Release) -> bool:
    return (one.version, one.uri) == (other.version, other.uri)

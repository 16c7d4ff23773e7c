"""The trigger that fires when new lines of behavior have arrived, or an update lost its holder.

It runs in the triggerer, which also serves all other triggers, so the look at the source happens in
a thread. It is a wake-up only: which windows to ingest is read again by the run that it starts.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

from airflow.triggers.base import BaseEventTrigger, TriggerEvent


class BehaviorArrival(BaseEventTrigger):
    """Fires when `stages` names windows with new lines, or of an abandoned update, that it did not name
    before.

    :param every: seconds between two looks
    :param recommenders: names of those that learn from the source
    """

    def __init__(self, every: float, recommenders: list[str]) -> None:
        super().__init__()
        self.every = every
        self.recommenders = recommenders

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Where the triggerer finds this class, and its arguments."""
        given = {"every": self.every, "recommenders": self.recommenders}
        return "recloop_airflow.arrival.BehaviorArrival", given

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Look, fire, sleep, for ever. A source that is away is no reason to stop looking."""
        told: list[str] = []
        while True:
            try:
                windows = await asyncio.to_thread(_look, self.recommenders)
            except Exception as error:
                self.log.warning("cannot look for arrivals, trying again: %s", error)
            else:
                if windows and windows != told:
                    yield TriggerEvent({"windows": windows})
                told = windows
            await asyncio.sleep(self.every)


def _look(recommenders: list[str]) -> list[str]:
    from recloop.stages import bookkeeping, ingest_stages, update_stages

    each = [bookkeeping.current_settings(name) for name in recommenders]
    left = [key for one in each for key in update_stages.abandoned(one)]
    return list(dict.fromkeys([*ingest_stages.arrivals(each[0]), *left]))

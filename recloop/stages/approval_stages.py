"""Stages of asking a person before a promotion: on which terms, and what the answer leads to.

Neighbours: `evaluation/gate.py` decides whether to ask; `plugins/recloop_airflow/approval.py` and the
command line ask.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from psycopg2.extensions import cursor as Cursor

from recloop.config.rules import load_gate_rules
from recloop.database.connection import asked, transaction
from recloop.ledger import updates
from recloop.ledger.verdicts import Answer, answer_of, note_answer
from recloop.settings import Settings
from recloop.stages.bookkeeping import RENEWAL, Json, current_settings, watched


def terms(settings: Settings | None = None) -> Json:
    """`patience_hours`, and `unanswered`: what nobody's answer within them means (approve, reject)."""
    rules = load_gate_rules(settings or current_settings()).approval
    return {"patience_hours": rules.patience_hours, "unanswered": rules.unanswered}


@contextmanager
def asking_here(update_id: int, holder: str, settings: Settings) -> Iterator[None]:
    """While this process asks, the lease lives as long as it does: not the days that an answer in
    Airflow may take, in which nobody could take over from a terminal that was closed."""
    lease = asked(settings.database_url, updates.take_over, update_id, holder)

    def renew(cursor: Cursor) -> None:
        updates.renew(cursor, lease)

    with watched(settings.database_url, renew, RENEWAL):
        asked(settings.database_url, renew)
        yield


def answer(
    update_id: int,
    holder: str,
    said: Answer,
    by: str,
    where: str,
    settings: Settings | None = None,
    why: str = "",
) -> Json:
    """Record what was said, by whom; "rejected" ends the update, whose windows stay pending.

    Args:
        said: `approved` or `rejected`.
        by: the person's name, or what stood in for one.
        where: `in Airflow`, `at the command line`.
        why: the person's reason, if one was given.

    Raises:
        LedgerConflict: the update has concluded, or does not wait for an answer.
    """
    settings = settings or current_settings()
    reason = f"{said} {where} by {by}" + (f": {why}" if why else "")
    done = {"update_id": update_id, "state": said, "reason": reason}
    with transaction(settings.database_url) as cursor:
        if answer_of(cursor, update_id) == ("rejected", said):  # a retry after a crash
            return done
        lease = updates.take_over(cursor, update_id, holder)
        note_answer(cursor, lease, said, by, why)
        if said == "rejected":
            updates.conclude(cursor, lease, "rejected", reason)
        else:  # the promotion follows at once; the days of patience are no longer needed
            updates.renew(cursor, lease)
    return done

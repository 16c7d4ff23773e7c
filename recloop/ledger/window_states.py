"""The states of windows: landed → refused or validated → featured.

Late events send a window from `featured` back to `validated`, so that its features are built again;
late lines without a new event do not. What is learnt of a window, and its training sets, are its parts
(see `parts.py`).
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

from psycopg2.extensions import cursor as Cursor

from recloop.calendar import Window
from recloop.contracts import ValidationReport
from recloop.database.connection import column, first, records
from recloop.errors import BadInput


def note_landed(cursor: Cursor, windows: Iterable[Window]) -> None:
    """Open a ledger row for each window that has none."""
    for window in windows:
        cursor.execute(
            "insert into ledger.window (window_key, starts, ends, state) values (%s, %s, %s, 'landed') "
            "on conflict (window_key) do nothing",
            (window.key, window.start, window.end),
        )


def note_accepted(cursor: Cursor, report: ValidationReport) -> None:
    """Record a passed validation. Counts add up over repeated ingestions of late lines."""
    cursor.execute(
        """
        update ledger.window w set
            state = case when %(accepted)s = 0 and w.state = 'featured' then w.state
                         else 'validated' end,
            lines = w.lines + %(lines)s,
            accepted = w.accepted + %(accepted)s,
            duplicates = w.duplicates + %(duplicates)s,
            quarantined = ledger.added_up(w.quarantined, %(quarantined)s),
            -- of what was accepted before kinds were counted, no kind is known
            kinds = case when w.accepted = 0 or w.kinds <> '{}'
                then ledger.added_up(w.kinds, %(kinds)s) else w.kinds end,
            data_hash = %(data_hash)s,
            validation = %(report)s,
            acceptance = coalesce(%(acceptance)s, w.acceptance),
            changed_at = now()
        where window_key = %(window)s
        """,
        {
            "window": report.window,
            "lines": report.lines,
            "accepted": report.accepted,
            "duplicates": report.duplicates,
            "quarantined": json.dumps(report.quarantined),
            "kinds": json.dumps(report.kinds),
            "data_hash": report.data_hash,
            "report": report.model_dump_json(),
            "acceptance": report.acceptance and report.acceptance.model_dump_json(),
        },
    )
    _must_touch_one(cursor, report.window)


def accepted(cursor: Cursor) -> int:
    """How many events all windows have."""
    return int(first(cursor, "select coalesce(sum(accepted), 0) from ledger.window"))


def note_left(cursor: Cursor, left: Mapping[str, int]) -> None:
    """So many lines of each window have left the quarantine, or changed the rule they are counted under.

    They are lines of the window again when it is validated.
    """
    for key, lines in left.items():
        cursor.execute(
            """
            update ledger.window w set lines = w.lines - %s, quarantined = (
                select coalesce(jsonb_object_agg(rule, n), '{}') from (
                    select rule, count(*) as n from behavior.quarantine q
                    where q.window_key = w.window_key group by rule
                ) counted
            ) where window_key = %s
            """,
            (lines, key),
        )


def forget_emptied(cursor: Cursor, keys: Iterable[str]) -> None:
    """Close those of these windows that no line is in any more, and the silent windows that had been
    opened only to reach them: their lines were dated anew.
    """
    cursor.execute(
        """
        with empty as (
            select window_key, starts from ledger.window w where state in ('landed', 'refused')
                and not exists (select from behavior.landing l where l.window_key = w.window_key)
                and not exists (select from behavior.quarantine q where q.window_key = w.window_key)
                and not exists (select from ledger.part p where p.window_key = w.window_key)
        ), whole as (
            select min(starts) as first, max(starts) as last from ledger.window
            where window_key not in (select window_key from empty)
        )
        delete from ledger.window w using empty, whole
        where w.window_key = empty.window_key and (w.window_key = any(%s)
            or whole.first is null or w.starts not between whole.first and whole.last)
        """,
        (list(keys),),
    )


def note_refused(cursor: Cursor, report: ValidationReport) -> None:
    """Record a refusal. The window's lines stay in `behavior.landing`, so nothing is lost."""
    cursor.execute(
        "update ledger.window set state = 'refused', validation = %s, changed_at = now() "
        "where window_key = %s",
        (report.model_dump_json(), report.window),
    )
    _must_touch_one(cursor, report.window)


def note_seconds(cursor: Cursor, window_key: str, stage: str, seconds: float) -> None:
    """Record a stage's wall seconds; the last run of the stage counts."""
    cursor.execute(
        "update ledger.window set seconds = seconds || jsonb_build_object(%s, %s::float8) "
        "where window_key = %s",
        (stage, round(seconds, 3), window_key),
    )


def state_of(cursor: Cursor, window_key: str) -> str | None:
    """`landed`, `refused`, `validated`, `featured`, or None for a window never seen."""
    sql = "select state from ledger.window where window_key = %s"
    state: str | None = first(cursor, sql, (window_key,))
    return state


def validation_of(cursor: Cursor, window_key: str) -> ValidationReport | None:
    """The window's last validation report."""
    report = first(
        cursor, "select validation from ledger.window where window_key = %s", (window_key,)
    )
    return ValidationReport.model_validate(report) if report else None


def refused(cursor: Cursor) -> list[ValidationReport]:
    """The last report of each window that waits for a person, oldest first."""
    sql = "select validation from ledger.window where state = 'refused' order by starts"
    return [ValidationReport.model_validate(report) for report in column(cursor, sql)]


def overruled(cursor: Cursor, keys: list[str]) -> dict[str, list[str]]:
    """Rule name to those of these windows that broke it and were accepted by a person."""
    cursor.execute(
        "select rule, array_agg(window_key) from ledger.window, "
        "jsonb_array_elements_text(acceptance -> 'rules') rule where window_key = any(%s) group by 1",
        (keys,),
    )
    return dict(cursor.fetchall())


def trailing(cursor: Cursor, before: Window, count: int) -> list[str]:
    """Keys of the last `count` accepted windows with events that end by `before.start`, newest first."""
    return column(
        cursor,
        "select window_key from ledger.window where ends <= %s and accepted > 0 "
        "and state in ('validated', 'featured') order by starts desc limit %s",
        (before.start, count),
    )


def all_windows(cursor: Cursor) -> list[dict[str, Any]]:
    """Every window's row, oldest first."""
    return records(
        cursor,
        "select window_key, starts, ends, state, lines, accepted, kinds, duplicates, quarantined, "
        "validation, acceptance, seconds from ledger.window order by starts",
    )


def _must_touch_one(cursor: Cursor, window_key: str) -> None:
    if cursor.rowcount != 1:
        raise BadInput(
            f"the ledger has no window {window_key!r} in the right state; "
            f"run `recloop ingest --window {window_key}` first."
        )


# What the policy measured on windows, by recommender, before anything learnt from the window.


def note_signals(cursor: Cursor, window_key: str, signals: dict[str, Any]) -> None:
    """Keep a window's signals; measured anew (a rollback, a person's wish), the newest stay."""
    cursor.execute(
        "insert into lineage.signals (window_key, signals) values (%s, %s) "
        "on conflict (recommender, window_key) do update set signals = excluded.signals",
        (window_key, json.dumps(signals)),
    )


def signals_before(cursor: Cursor, window_key: str, count: int) -> list[dict[str, Any]]:
    """The signals of the last `count` windows before this one that have any, oldest first."""
    newest = column(
        cursor,
        "select signals from ledger.signals join ledger.window using (window_key) where starts < "
        "(select starts from ledger.window where window_key = %s) order by starts desc limit %s",
        (window_key, count),
    )
    return newest[::-1]

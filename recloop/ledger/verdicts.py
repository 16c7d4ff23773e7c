"""What was said of updates and releases: a person's answer before a promotion, kept with the update, and
what a full retraining would have given (a shadow rebuild), one row per window and champion.
"""

from __future__ import annotations

from typing import Literal

from psycopg2.extensions import cursor as Cursor

from recloop.contracts import Lease, ShadowReport
from recloop.database.connection import column, first
from recloop.ledger.updates import _check_fence

Answer = Literal["approved", "rejected"]


def answer_of(cursor: Cursor, update_id: int) -> tuple[str, Answer | None]:
    """An update's state, and what was answered."""
    wanted = "select state, approval->>'answer' from ledger.update where update_id = %s"
    cursor.execute(wanted, (update_id,))
    row = cursor.fetchone()
    return (str(row[0]), row[1]) if row else ("unknown", None)


def note_answer(cursor: Cursor, lease: Lease, answer: Answer, by: str, why: str = "") -> None:
    """Record who said what, and why, on an update that waits for it; the last word counts.

    Raises:
        LeaseLost: another attempt took over, or the update is not waiting.
    """
    cursor.execute(
        "update ledger.update set approval = "
        "jsonb_build_object('answer', %s::text, 'by', %s::text, 'why', %s::text, 'at', now()) "
        "where update_id = %s and token = %s and state = 'evaluated'",
        (answer, by, why, lease.update_id, lease.token),
    )
    _check_fence(cursor, lease)


def note_shadow(cursor: Cursor, report: ShadowReport) -> None:
    """Record a comparison; the first one counts, as another would give the same."""
    cursor.execute(
        "insert into ledger.shadow (window_key, version, report) values (%s, %s, %s) "
        "on conflict do nothing",
        (report.window, report.version, report.model_dump_json()),
    )


def shadow_of(cursor: Cursor, window_key: str, version: int | None = None) -> ShadowReport | None:
    """The comparison on a window with a release; with None, the latest on that window."""
    report = first(
        cursor,
        "select report from ledger.shadow where window_key = %s and (%s is null or version = %s) "
        "order by made_at desc limit 1",
        (window_key, version, version),
    )
    return ShadowReport.model_validate(report) if report else None


def all_shadows(cursor: Cursor) -> list[ShadowReport]:
    """Every comparison, oldest window first."""
    found = column(cursor, "select report from ledger.shadow order by window_key, version")
    return [ShadowReport.model_validate(report) for report in found]


def newest_shadows(cursor: Cursor, count: int) -> list[ShadowReport]:
    """The last so many comparisons, newest first."""
    sql = "select report from ledger.shadow order by made_at desc limit %s"
    return [ShadowReport.model_validate(report) for report in column(cursor, sql, (count,))]


def scored_windows(cursor: Cursor, champion: int) -> list[tuple[str, int, float | None]]:
    """Windows of a release's lineage that were the target of an update, newest first: (key, the release
    that was champion until then, CPU seconds of the training that had made that release).

    That champion was scored on the window before anything learnt from it. Maintenance is no training:
    of a release that it made, the cost is not known here.
    """
    cursor.execute(
        """
        select u.target, u.parent_release,
            case when made.plan->>'decision' <> 'maintain' then made.cost_cpu_s end
        from ledger.trained t
        join ledger.update u on u.update_id = t.update_id and u.target = t.window_key
        join ledger.release parent on parent.version = u.parent_release
        join ledger.update made on made.update_id = parent.update_id
        where t.version = %s and u.parent_release is not null
        order by u.target desc
        """,
        (champion,),
    )
    return [(key, int(version), cost) for key, version, cost in cursor.fetchall()]

"""Shadow rebuilds: what a full retraining would have given, one row per window and champion."""

from __future__ import annotations

from psycopg2.extensions import cursor as Cursor

from recloop.contracts import ShadowReport


def note_shadow(cursor: Cursor, report: ShadowReport) -> None:
    """Record a comparison; the first one counts, as another would give the same."""
    cursor.execute(
        "insert into ledger.shadow (window_key, version, report) values (%s, %s, %s) "
        "on conflict do nothing",
        (report.window, report.version, report.model_dump_json()),
    )


def shadow_of(cursor: Cursor, window_key: str, version: int | None = None) -> ShadowReport | None:
    """The comparison on a window with a release; with None, the latest on that window."""
    cursor.execute(
        "select report from ledger.shadow where window_key = %s and (%s is null or version = %s) "
        "order by made_at desc limit 1",
        (window_key, version, version),
    )
    row = cursor.fetchone()
    return ShadowReport.model_validate(row[0]) if row else None


def all_shadows(cursor: Cursor) -> list[ShadowReport]:
    """Every comparison, oldest window first."""
    cursor.execute("select report from ledger.shadow order by window_key, version")
    return [ShadowReport.model_validate(row[0]) for row in cursor.fetchall()]


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

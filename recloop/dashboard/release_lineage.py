"""Releases, newest first, and how one came to be: its parents back to the training from scratch, what it
learnt itself, and when it was champion."""

from __future__ import annotations

from typing import Any

from psycopg2.extensions import cursor as Cursor

from recloop.database.connection import records
from recloop.errors import ReleaseMissing

Json = dict[str, Any]
PAGE = 100
"""Releases of a page."""
PARENTS = 25
"""Of a lineage, the newest so many are shown."""

RELEASES = """
select version, parent_version as parent, update_id, champion_from, thinned_at is not null as thinned,
    u.target, u.plan->>'decision' as decision, u.reason, u.cost_cpu_s, u.holder,
    (select count(*) from ledger.update_window c where c.update_id = r.update_id) as windows,
    exists (select from ledger.reign g where g.version = r.version and g.ended_at is null) as reigns
from ledger.release r join ledger.update u using (update_id)
where version < coalesce(%s, 9223372036854775807) order by version desc limit %s
"""

LINEAGE = """
with recursive line as (
    select version, parent_version, update_id, 1 as depth from ledger.release where version = %s
    union all
    select r.version, r.parent_version, r.update_id, depth + 1
    from ledger.release r join line l on r.version = l.parent_version where depth < %s
)
select line.version, line.parent_version as parent, u.target, u.plan->>'decision' as decision, u.reason,
    u.update_id, u.holder, u.approval, u.cost_cpu_s, u.gate_report is not null as judged,
    array(select c.window_key from ledger.update_window c where c.update_id = u.update_id
          order by 1 limit 200) as windows
from line join ledger.update u using (update_id) order by depth
"""


def read_releases(cursor: Cursor, before: int | None = None, limit: int = PAGE) -> list[Json]:
    """So many releases below version `before` (None: the newest), newest first."""
    return records(cursor, RELEASES, (before, limit))


def read_lineage(cursor: Cursor, version: int) -> Json:
    """`line`: the release and its parents, each with the windows that it learnt itself; `children`: what
    was trained from it; `reigns`: when it was champion, and why.

    Raises:
        ReleaseMissing: no such version.
    """
    line = records(cursor, LINEAGE, (version, PARENTS))
    if not line:
        raise ReleaseMissing(f"there is no release {version}.")
    children = records(
        cursor,
        "select version from ledger.release where parent_version = %s order by version limit 50",
        (version,),
    )
    reigns = records(
        cursor,
        "select began_at, ended_at, reason from ledger.reign where version = %s order by reign_id",
        (version,),
    )
    return {
        "version": version,
        "line": line,
        "children": [row["version"] for row in children],
        "reigns": reigns,
        "whole": line[-1]["parent"] is None,
    }


def of_run(cursor: Cursor, holder: str) -> list[Json]:
    """The updates that a run of Airflow made, newest first."""
    return records(
        cursor,
        "select update_id, target, state, reason, plan->>'decision' as decision, "
        "gate_report is not null as judged, version from ledger.update left join ledger.release "
        "using (update_id) where holder = %s order by update_id desc limit 5",
        (holder,),
    )

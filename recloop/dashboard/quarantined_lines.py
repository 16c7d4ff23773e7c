"""Lines that validation put aside, by the rule that they broke, each rule with a few of its newest."""

from __future__ import annotations

import json
from typing import Any

from psycopg2.extensions import cursor as Cursor

from recloop.database.connection import records

Json = dict[str, Any]
RULES, EXAMPLES, LONGEST = 20, 3, 400
"""Rules that are shown, lines of each, characters of a line."""

# From the windows' counts, not from the quarantine, which may have millions of lines.
COUNTS = """
select rule, sum(n::bigint)::bigint as lines, (array_agg(window_key order by starts desc))[1] as newest
from ledger.window, jsonb_each_text(quarantined) as counted(rule, n) where n <> '0'
group by rule order by 2 desc, 1 limit %s
"""

EXAMPLE = """
select coalesce(f.path, '') as file, q.line_no, q.line::text as line
from behavior.quarantine q left join behavior.source_file f using (file_id)
where q.window_key = %s and q.rule = %s order by q.file_id, q.line_no limit %s
"""

UNDATED = """
select rule, count(*) as lines from (
    select rule from behavior.quarantine where window_key is null limit 10000
) few group by rule order by 2 desc, 1
"""

UNDATED_EXAMPLE = EXAMPLE.replace("q.window_key = %s", "q.window_key is null")


def read_quarantine(cursor: Cursor) -> list[Json]:
    """`rule`, `lines`, the `newest` window with some, and `examples` (file, line_no, line), most lines
    first. Lines of no window are counted up to 10,000, for they are in no window's count."""
    found = records(cursor, COUNTS, (RULES,))
    for row in found:
        row["examples"] = _cut(records(cursor, EXAMPLE, (row["newest"], row["rule"], EXAMPLES)))
    for row in records(cursor, UNDATED):
        examples = _cut(records(cursor, UNDATED_EXAMPLE, (row["rule"], EXAMPLES)))
        found.append({**row, "newest": None, "examples": examples})
    return found


def _cut(lines: list[Json]) -> list[Json]:
    """A line as text, shortened."""
    for one in lines:
        text = json.dumps(json.loads(one["line"]), ensure_ascii=False)
        one["line"] = text if len(text) <= LONGEST else text[:LONGEST] + "…"
    return lines

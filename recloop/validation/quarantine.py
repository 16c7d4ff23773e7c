"""Telling people what was quarantined: the rule, how many lines, one of them, and the remedy.

Belongs here: reading `behavior.quarantine` for messages. Keep out: deciding (see `row_rules.py`,
`behavior/lines.py`) and moving lines (see `accepting.py`).
"""

from __future__ import annotations

import re
from datetime import datetime

from psycopg2.extensions import cursor as Cursor

from recloop.behavior import dating
from recloop.config.dataset import DatasetSpec
from recloop.config.limits import Limits
from recloop.contracts import Contract
from recloop.validation.row_rules import row_rules

LANDING_REMEDIES = {
    "malformed_line": "Give each line as many fields as [columns] has, and quote separators; a line of "
    "JSON is one object with no keys but those of [columns].",
    "excess_late_lines": "Too many late lines for an accepted window; check for a repeated delivery.",
}
"""Rules that are judged while reading, beside those of times (`behavior/dating.py`), or of late
lines."""


class Quarantined(Contract):
    """Lines that broke one rule."""

    rule: str
    lines: int
    example: str
    remedy: str

    def __str__(self) -> str:
        return f"{self.rule}: {self.lines:,} lines, for example {self.example}. {self.remedy}"


def quarantined_since(
    cursor: Cursor, moment: datetime | None, spec: DatasetSpec, limits: Limits
) -> list[Quarantined]:
    """What was quarantined since `moment` (aware, server's clock; None: ever), most lines first."""
    remedies = LANDING_REMEDIES | dating.remedies(spec)
    remedies |= {rule.name: rule.remedy for rule in row_rules(spec, limits)}
    cursor.execute(
        "select distinct on (q.rule) q.rule, count(*) over (partition by q.rule), "
        "'line ' || q.line_no || coalesce(' of ' || f.path, ''), q.line::text "
        "from behavior.quarantine q left join behavior.source_file f using (file_id) "
        "where quarantined_at >= coalesce(%s, '-infinity'::timestamptz) "
        "order by q.rule, q.file_id, q.line_no",
        (moment,),
    )
    return [
        Quarantined(
            rule=rule,
            lines=lines,
            example=f"{place}: {_short(line)}",
            remedy=remedies.get(rule, "See the line in behavior.quarantine."),
        )
        for rule, lines, place, line in sorted(cursor.fetchall(), key=lambda row: (-row[1], row[0]))
    ]


def undated_near(cursor: Cursor, window_key: str) -> dict[str, int]:
    """Lines by rule that have no usable time and lie beside lines of this window in their file.

    They are lines of no window; that they are lost counts in this one.
    """
    cursor.execute(
        "select rule, count(*) from behavior.quarantine join behavior.source_file using (file_id) "
        "where near_window = %s and window_key is null and state = 'landed' group by rule order by rule",
        (window_key,),
    )
    return {rule: int(count) for rule, count in cursor.fetchall()}


def _short(line: str, longest: int = 60, width: int = 700) -> str:
    """A line of JSON without the rest of long values, 309 digits of a number among them."""
    text = re.sub(rf'([^\s"]{{{longest}}})[^\s"]+', r"\1…", line)
    return text if len(text) <= width else text[: width - 1] + "…"

"""A level that lasts is the shop's new one: windows that were refused for the same, and are alike.

Belongs here: whether refused windows confirm each other. Keep out: accepting them (`window.py`).
"""

from __future__ import annotations

from datetime import UTC, datetime

from psycopg2.extensions import cursor as Cursor

from recloop.calendar import Window, counted
from recloop.config.dataset import load_dataset
from recloop.config.limits import Limits, WindowLimits, load_limits
from recloop.contracts import Acceptance, ValidationReport
from recloop.database.connection import asked, records
from recloop.settings import Settings
from recloop.validation.learnt import ROWS, RULES

RECLOOP = "recloop"
"""Who accepts them, in the ledger."""


def confirmed(settings: Settings, key: str) -> list[str]:
    """Refused windows that are the shop's new level, oldest first, `key` the last. None, if they are
    fewer than `learnt.confirm_after` in a row, refused for what no limit of the configuration forbids,
    or not alike."""
    spec = load_dataset(settings)
    limits = load_limits(settings, spec)
    window = spec.calendar.parse(key)
    return asked(settings.database_url, _confirmed, window, limits)


def word_for(keys: list[str]) -> Acceptance:
    """What the ledger keeps of windows that were accepted because they confirm each other."""
    reason = f"{counted(len(keys))} in a row, {keys[0]} to {keys[-1]}, are alike: the new level"
    return Acceptance(by=RECLOOP, reason=reason, at=datetime.now(UTC))


def _confirmed(cursor: Cursor, window: Window, limits: Limits) -> list[str]:
    count = limits.learnt.confirm_after
    rows = records(
        cursor,
        "select window_key, state, validation, statistics -> 'measures' as measures "
        "from ledger.window join behavior.window_statistics using (window_key) "
        "where starts <= %s and validation is not null order by starts desc limit %s",
        (window.start, count),
    )
    if not count or len(rows) < count or any(row["state"] != "refused" for row in rows):
        return []
    broken = set[str]()
    for row in rows:
        report = ValidationReport.model_validate(row["validation"])
        for rule in report.rules:
            if not rule.passed:
                if rule.name in WindowLimits.model_fields or limits.fixed.of(rule.name):
                    return []
                learnt = rule.name in RULES
                if not learnt and float(rule.value or 0) > limits.rows.share_of(rule.name):
                    return []
                broken.add(rule.name if learnt else ROWS + rule.name)
    for name in broken:
        found = [row["measures"].get(name) for row in rows]
        widths = [one[2] for one in found if one and one[2] is not None]
        values = [one[0] for one in found if one]
        if len(values) < count or not widths or max(values) - min(values) > max(widths):
            return []
    return [row["window_key"] for row in reversed(rows)]

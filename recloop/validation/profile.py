"""What validation has learnt of a shop: what is usual, and what the next window may be."""

from __future__ import annotations

from typing import Any

from psycopg2.extensions import cursor as Cursor

from recloop.config.dataset import load_dataset
from recloop.config.limits import load_limits
from recloop.contracts import ValidationReport
from recloop.database.connection import asked, column, first
from recloop.settings import Settings
from recloop.validation.learnt import ROWS, RULES, Measure, bands, natural, rule_of
from recloop.validation.statistics import measured_before

Json = dict[str, Any]


def profile(settings: Settings) -> Json:
    """What is usual of the next window, by the windows so far.

    Returns:
        `{"windows": accepted ones that are learnt from, "judged": all that were judged, "refused": those
        of them that still are, "rules": [{"rule", "meaning", "last", "usual", "low", "high" (None: no
        limit), "windows", "refused": windows whose last judgement broke it}]}`; no rules before there
        are enough windows.
    """
    return asked(settings.database_url, _profile, settings)


def _profile(cursor: Cursor, settings: Settings) -> Json:
    spec = load_dataset(settings)
    limits = load_limits(settings, spec)
    reports = column(
        cursor, "select validation from ledger.window where validation is not null order by starts"
    )
    judged = [ValidationReport.model_validate(report) for report in reports]
    broken = [rule.name for report in judged for rule in report.rules if not rule.passed]
    newest = first(cursor, "select max(ends) from ledger.window where state <> 'landed'")
    before = measured_before(cursor, spec.calendar.at(newest), spec, limits) if newest else []
    known = [one["past"] for one in before if one]
    last = {name: Measure(past.value, past.units) for one in known for name, past in one.items()}
    found = bands(
        last, [one and one["past"] for one in before], spec.calendar.cycles, limits.learnt
    )
    rows: list[Json] = []
    for name, band in found.items():
        rule, told = rule_of(name), name.removeprefix(ROWS)
        fixed = limits.fixed.of(name)
        low, high = fixed or (band.low, band.high)
        rows.append(
            {
                "rule": told,
                "meaning": rule.meaning or "lines that break this row rule, of all",
                "last": natural(rule, last[name].value),
                "usual": band.usual,
                "low": low,
                "high": high,
                "windows": band.windows,
                "refused": broken.count(told),
            }
        )
    order = {name: place for place, name in enumerate(RULES)}
    rows.sort(key=lambda row: order.get(row["rule"], len(order)))
    refused = sum(not report.passed for report in judged)
    return {"windows": len(known), "judged": len(judged), "refused": refused, "rules": rows}


def as_limits(rows: list[Json]) -> str:
    """What `[limits.fixed]` of a dataset file would be, to hold what is learnt now by hand."""
    lines = ["[limits.fixed]"]
    for row in rows:
        if row["rule"] in RULES:
            low = 0.0 if row["low"] is None else row["low"]
            high = 1e9 if row["high"] is None else row["high"]
            lines.append(f"{row['rule']} = [{low:.4g}, {high:.4g}]")
    return "\n".join(lines)

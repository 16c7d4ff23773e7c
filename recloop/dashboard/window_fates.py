"""What became of windows: landed, refused, waiting, learnt in release n; with their quarantined and late
lines, and the sentence of each decision.

Asked of one page of windows at a time, newest first.
"""

from __future__ import annotations

from typing import Any

from psycopg2.extensions import cursor as Cursor

from recloop.database.connection import first, records

Json = dict[str, Any]
PAGE = 100
"""Windows of a page."""
SIGNS = {
    "learnt": "✓",
    "waiting": "…",
    "refused": "✗",
    "landed": "↓",
    "empty": "∅",
}
"""A fate's sign, so that it is told by more than a colour."""

WINDOWS = """
select window_key, starts, ends, state, lines, accepted, kinds, duplicates, quarantined, acceptance,
    jsonb_path_query_array(validation, '$.rules[*] ? (@.passed == false)') as broken
from ledger.window where starts < coalesce(%s, 'infinity'::timestamptz)
order by starts desc limit %s
"""

# The parts of these windows, each with the release of the champion's lineage that learnt it.
PARTS = """
select p.window_key, p.number, p.accepted,
    (select made.version from ledger.reign r
        join ledger.trained t on t.version = r.version and t.window_key = p.part_key
        join ledger.release made on made.update_id = t.update_id
     where r.ended_at is null) as version
from ledger.part p where p.window_key = any(%s) and p.accepted > 0 order by p.number
"""

DECISIONS = """
select distinct on (u.target) u.target, u.update_id, u.state, u.reason, u.holder, u.approval,
    u.plan->>'decision' as decision, u.gate_report, u.cost_cpu_s, r.version
from ledger.update u left join ledger.release r using (update_id)
where u.target = any(%s) and u.state <> 'abandoned' and u.plan->>'decision' <> 'maintain'
order by u.target, u.update_id desc
"""


def read_windows(cursor: Cursor, before: str | None = None, limit: int = PAGE) -> list[Json]:
    """So many windows that start before the window `before` (None: the newest), newest first.

    Each has `kinds` (its events by type, most first, where several are learnt from), `fate` (a key of
    `SIGNS`), `told` (the fate in words), `why` (the sentence of the decision), `quarantined` and
    `late` lines, and the `update_id` and `holder` of the last decision on it.
    """
    starts = None
    if before:
        starts = first(cursor, "select starts from ledger.window where window_key = %s", (before,))
    rows = records(cursor, WINDOWS, (starts, limit))
    keys = [row["window_key"] for row in rows]
    parts: dict[str, list[Json]] = {}
    for part in records(cursor, PARTS, (keys,)):
        parts.setdefault(part["window_key"], []).append(part)
    decisions = {row["target"]: row for row in records(cursor, DECISIONS, (keys,))}
    return [_fate(row, parts.get(row["window_key"], []), decisions) for row in rows]


def count_windows(cursor: Cursor) -> dict[str, int]:
    """Windows by state."""
    cursor.execute("select state, count(*) from ledger.window group by state order by state")
    return {state: int(count) for state, count in cursor.fetchall()}


def answer_of(report: Json) -> str:
    """`passed`, `refused` or `deferred`, of a gate report as the ledger has it."""
    return "passed" if report["passed"] else "deferred" if report.get("deferred") else "refused"


def _fate(row: Json, parts: list[Json], decisions: dict[str, Json]) -> Json:
    own = [part for part in parts if part["number"] == 0]
    late = [part for part in parts if part["number"] > 0]
    version = own[0]["version"] if own else None
    decided = decisions.get(row["window_key"])
    fate = _kind(row, version)
    told = {
        "learnt": f"learnt in release {version}",
        "waiting": "waiting" if decided is None else f"waiting, {decided['state']}",
        "refused": "refused by validation",
        "landed": "landed, not validated yet",
        "empty": "no events",
    }[fate]
    return {
        **{name: row[name] for name in ("window_key", "starts", "lines", "accepted", "duplicates")},
        "kinds": dict(sorted(row["kinds"].items(), key=lambda one: (-one[1], one[0]))),
        "fate": fate,
        "sign": SIGNS[fate],
        "told": told,
        "version": version,
        "quarantined": sum(row["quarantined"].values()),
        "rules": row["quarantined"],
        "late": sum(part["accepted"] for part in late),
        "late_waiting": sum(part["accepted"] for part in late if part["version"] is None),
        "accepted_by": row["acceptance"],
        "why": _why(row, fate, decided),
        "decision": decided["decision"] if decided else "",
        "gate": answer_of(decided["gate_report"]) if decided and decided["gate_report"] else "",
        "update_id": decided["update_id"] if decided else None,
        "holder": decided["holder"] if decided else "",
    }


def _kind(row: Json, version: int | None) -> str:
    if row["state"] in ("refused", "landed"):
        return str(row["state"])
    if version is not None:
        return "learnt"
    return "waiting" if row["accepted"] else "empty"


def _why(row: Json, fate: str, decided: Json | None) -> str:
    """The sentence of the decision: of the update, or of validation."""
    said = []
    if fate == "refused":
        said += [rule["message"] or rule["name"] for rule in row["broken"] or ()]
    if row["acceptance"]:
        said.append(f"accepted by {row['acceptance']['by']}: {row['acceptance']['reason']}")
    if decided:
        said.append(decided["reason"])
    return "; ".join(said)

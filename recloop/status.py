"""What happened so far, read from the ledger: the rows that `recloop status` and the demo print."""

from __future__ import annotations

from typing import Any

from recloop.database.connection import transaction
from recloop.ledger import releases, updates, windows
from recloop.settings import Settings

Json = dict[str, Any]


def read_status(settings: Settings) -> Json:
    """Windows (oldest first) with the last update that covered each, the champion, what is pending."""
    with transaction(settings.database_url) as cursor:
        rows = windows.all_windows(cursor)
        made = updates.all_updates(cursor)
        champion = releases.champion(cursor)
        waiting = set(releases.pending(cursor))
    latest: dict[str, Json] = {}
    for update in made:
        if update["state"] == "abandoned":
            continue
        for key in [*update["windows"], update["target"]]:
            latest[key] = update
    return {
        "champion": champion.to_json() if champion else None,
        "pending": sorted(waiting),
        "windows": [_window(row, latest.get(row["window_key"]), waiting) for row in rows],
    }


def _window(row: Json, update: Json | None, pending: set[str]) -> Json:
    key = row["window_key"]
    validation = row["validation"] or {}
    broken = [rule for rule in validation.get("rules", ()) if not rule["passed"]]
    answer: Json = {
        "window": key,
        "state": row["state"],
        "events": row["accepted"],
        "lines": row["lines"],
        "quarantined": sum(row["quarantined"].values()),
        "duplicates": row["duplicates"],
        "pending": key in pending,
        "decision": "none",
        "reason": "; ".join(rule["message"] for rule in broken),
        "gate": None,
        "champion": None,
        "challenger": None,
        "prequential": {},
        "release": None,
        "seconds": dict(row["seconds"]),
    }
    if row["state"] == "refused":
        answer["decision"] = "refused"
    elif row["accepted"] == 0 and row["state"] in ("validated", "featured"):
        answer["reason"] = "no events in this window"
    if update is None:
        return answer
    answer["decision"] = update["plan"]["decision"]
    answer["outcome"] = update["state"]
    answer["reason"] = update["reason"]
    answer["release"] = update["version"]
    if update["target"] == key:
        report = update["gate_report"] or {}
        answer["gate"] = (
            {
                "passed": bool(report.get("passed", False)),
                "rules": [
                    {name: rule[name] for name in ("name", "value", "limit", "passed", "message")}
                    for rule in report.get("rules", ())
                ],
            }
            if report
            else None
        )
        for name in ("champion", "challenger"):
            if report.get(name):
                answer[name] = {
                    "recall@20": report[name]["recall"],
                    "ndcg@20": report[name]["ndcg"],
                }
        answer["prequential"] = update["plan"]["signals"]
        answer["seconds"].update(update["seconds"])
    return answer

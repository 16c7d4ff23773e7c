"""What happened so far, read from the ledger: rows of windows and releases, and counts of lines. What a
page shows of it is in `dashboard/`."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from recloop.behavior.source_files import refuse_another
from recloop.config.dataset import load_dataset
from recloop.contracts import GateReport, Metrics
from recloop.database.connection import transaction
from recloop.errors import CheckCrashed
from recloop.ledger import parts, pins, publications, releases, updates, verdicts, window_states
from recloop.settings import Settings
from recloop.stages.outlet_stages import told

Json = dict[str, Any]


def read_status(settings: Settings) -> Json:
    """Windows (oldest first) with the last update that was decided on each and their late events, the
    champion, what is pending, releases and rollbacks; how the champion was maintained, which rebuilds
    were refused, and what full retrainings would have given."""
    with transaction(settings.database_url) as cursor:
        rows = window_states.all_windows(cursor)
        made = updates.all_updates(cursor)
        champion = releases.champion(cursor)
        waiting = set(releases.pending(cursor))
        compared = verdicts.all_shadows(cursor)
        every_part = parts.all_parts(cursor)
        versions = releases.all_releases(cursor)
        rolled_back = releases.rollbacks(cursor)
        pinned = pins.open_pin(cursor)
        given = publications.all_published(cursor)
    late = [part for part in every_part if part["number"]]
    by_version = {update["version"]: update for update in made if update["version"]}
    learnt = {part["part_key"]: by_version.get(part["version"]) for part in every_part}
    own: dict[str, Json] = {}
    refused: list[Json] = []
    for update in made:
        if update["state"] == "abandoned" or update["plan"]["decision"] == "maintain":
            continue
        # The window's row stays what it was: that it was learnt, and how.
        failed = update["state"] in ("rejected", "deferred")
        in_vain = update["plan"]["decision"] == "rebuild" and failed
        if update["target"] in own and in_vain:
            refused.append(update)
        else:
            own[update["target"]] = update
    return {
        "champion": champion.to_json() if champion else None,
        "pinned": {**pinned, "at": _time(pinned["at"])} if pinned else None,
        "pending": sorted(waiting),
        "releases": [{**row, "champion_from": _time(row["champion_from"])} for row in versions],
        "rollbacks": [{**row, "at": _time(row["at"])} for row in rolled_back],
        "refused_rebuilds": [_beside(row) for row in refused],
        "maintained": [_beside(row) for row in made if row["plan"]["decision"] == "maintain"],
        "published": [(_time(one.finished_at), told(one.to_json())) for one in given],
        "shadows": [report.to_json() for report in compared],
        "windows": [
            _window(row, own.get(row["window_key"]), learnt.get(row["window_key"]), waiting)
            | {"late": [_late(part) for part in late if part["window_key"] == row["window_key"]]}
            for row in rows
        ],
    }


def _beside(update: Json) -> Json:
    """An update that is no window's row: maintenance, or a rebuild in vain."""
    return {name: update[name] for name in ("update_id", "state", "reason", "approval", "version")}


def _time(moment: datetime) -> str:
    return f"{moment.astimezone(UTC):%FT%TZ}"


def _late(part: Json) -> Json:
    """Events that came after their window was learnt: `accepted` (features are not written yet),
    `pending` (the next update learns from them), or `trained` in the champion's lineage."""
    state = "trained" if part["version"] else "pending" if part["ready"] else "accepted"
    return {
        "part": part["part_key"],
        "events": part["accepted"],
        "state": state,
        "release": part["version"],
    }


def _window(row: Json, update: Json | None, learnt: Json | None, pending: set[str]) -> Json:
    """A window with the last update that was decided on it, and the release of the champion's lineage
    that learnt from it."""
    key = row["window_key"]
    validation = row["validation"] or {}
    broken = [rule for rule in validation.get("rules", ()) if not rule["passed"]]
    answer: Json = {
        "window": key,
        "state": row["state"],
        "events": row["accepted"],
        "kinds": row["kinds"],
        "lines": row["lines"],
        "quarantined": sum(row["quarantined"].values()),
        "duplicates": row["duplicates"],
        "pending": key in pending,
        "decision": "none",
        "reason": "; ".join(rule["message"] for rule in broken),
        "acceptance": row["acceptance"],
        **dict.fromkeys(("gate", "champion", "challenger")),
        "prequential": {},
        "release": None,
        "seconds": dict(row["seconds"]),
    }
    if row["state"] == "refused":
        answer["decision"] = "refused"
    elif row["accepted"] == 0 and row["state"] in ("validated", "featured"):
        answer["reason"] = "no events in this window"
    if learnt is not None:
        answer["release"] = learnt["version"]
        if update is None:
            answer["decision"] = learnt["plan"]["decision"]
            answer["reason"] = f"learnt with window {learnt['target']}"
    if update is None:
        return answer
    answer |= {name: update["plan"][name] for name in ("decision", "decided_by")}
    answer |= {"outcome": update["state"], "approval": update["approval"]}
    answer["reason"] = update["reason"]
    if learnt is not None and learnt["target"] != key:
        answer["reason"] += f"; learnt later, with window {learnt['target']}"
    report = update["gate_report"]
    if report:
        answer["gate"] = {
            "passed": report["passed"],
            "answer": GateReport.model_validate(report).answer,
            "rules": [
                {name: rule[name] for name in ("name", "value", "limit", "passed", "message")}
                for rule in report["rules"]
            ],
        }
        for name in ("champion", "challenger"):
            if report[name]:
                values = Metrics.model_validate(report[name]).values
                order = [gap["name"] for gap in report["differences"]]  # jsonb keeps none of keys
                answer[name] = {one: values[one] for one in (*order, *values) if one in values}
    answer["prequential"] = update["plan"]["signals"]
    answer["seconds"].update(update["seconds"])
    return answer


COUNTS = """
select
    (select coalesce(sum(lines - superseded), 0) from behavior.source_file
        where state <> 'refused' and dataset = %(dataset)s),
    (select count(*) from behavior.event),
    (select coalesce(sum(duplicates), 0) from ledger.window),
    (select count(*) from behavior.landing join ledger.window using (window_key)
        where state = 'refused'),
    (select count(*) from behavior.landing left join ledger.window using (window_key)
        where state is distinct from 'refused')
"""


def count_lines(settings: Settings) -> dict[str, Any]:
    """`total`, `accepted`, `duplicates`, `quarantined` {rule: lines} and `pending`.

    Lines of refused windows are quarantined as `window_refused`. Lines of refused files, and of file
    versions that a newer one replaced before they were decided on, are in no count.

    Raises:
        BadInput: the home is of another dataset.
        CheckCrashed: they do not add up; the message has the numbers.
    """
    spec = load_dataset(settings)
    with transaction(settings.database_url) as cursor:
        cursor.execute("set transaction isolation level repeatable read")
        refuse_another(cursor, spec)
        cursor.execute(COUNTS, {"dataset": spec.name})
        total, accepted, duplicates, refused, pending = map(int, cursor.fetchone() or ())
        cursor.execute("select rule, count(*) from behavior.quarantine group by rule order by rule")
        quarantined = {rule: int(n) for rule, n in cursor.fetchall()}
    if refused:
        quarantined["window_refused"] = refused
    counts = {
        "total": total,
        "accepted": accepted,
        "duplicates": duplicates,
        "quarantined": quarantined,
        "pending": pending,
    }
    found = accepted + duplicates + sum(quarantined.values()) + pending
    if found != total:
        raise CheckCrashed(
            f"lines do not add up: {total} were read, {found} are accounted for: {counts}. "
            "Somebody changed tables of schema `behavior` or `ledger` by hand, or this is a bug."
        )
    return counts

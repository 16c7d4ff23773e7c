"""The page of a recommender as one file that needs nothing else: HTML, or Markdown by its suffix."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from recloop.dashboard.freshness import named
from recloop.dashboard.pages import read_page, recommender_page
from recloop.errors import BadInput
from recloop.page import ago, readable, write_page
from recloop.settings import Settings

Json = dict[str, Any]
MARKDOWN, HTML = (".md", ".markdown"), (".html", ".htm")


def write_report(settings: Settings, now: datetime, path: Path) -> Path:
    """Write the report; returns its path.

    Raises:
        BadInput: the suffix is of neither kind.
    """
    suffix = path.suffix.lower()
    if suffix not in MARKDOWN + HTML:
        raise BadInput(f"a report is a file ending in .html or .md. Received: {str(path)!r}.")
    if suffix in MARKDOWN:
        write_page(path, markdown(read_page(settings, now)))
    else:
        write_page(path, recommender_page(settings, now, up=None))
    return path


def markdown(found: Json) -> str:
    """What `read_page` found, as Markdown: the same sections, charts as tables."""
    sections = (_fresh, _quality, _drift, _cost, _gate, _windows, _releases, _quarantine)
    lines = [
        f"# {_plain(found['name'])}",
        "",
        f"As of {found['now'].astimezone(UTC):%F %H:%M} UTC.",
    ]
    for section in sections:
        lines += ["", *section(found)]
    return "\n".join(lines) + "\n"


def _fresh(found: Json) -> list[str]:
    fresh, now = found["fresh"], found["now"]
    champion, previous, live, pin = (fresh[n] for n in ("champion", "previous", "live", "pin"))
    said = [
        f"Champion: release {champion['version']}, for {ago(champion['began_at'], now)}; "
        f"{fresh['learnt']:,} windows and late parts learnt"
        if champion
        else "Champion: none yet",
        f"Newest event that it has learnt: {ago(fresh['newest_event'], now)} old",
        f"Waiting: {len(fresh['waiting']):,} windows, {fresh['events']:,} events "
        f"({named(fresh['waiting']) or 'none'}); with the next update: "
        f"{named(fresh['pending']) or 'none'}; refused: {named(fresh['refused']) or 'none'}",
        f"Challenger: update {live['update_id']} of window {live['target']}, {live['state']}"
        if live
        else "Challenger: none now",
        f"Previous: {'release ' + str(previous['version']) if previous else 'none'}",
        f"Next decision: {fresh['next']}",
    ]
    if pin:
        said.append(f"Pinned by {pin['by']}: {pin['reason']}")
    return ["## How fresh", "", *(f"- {_plain(one)}" for one in said)]


def _quality(found: Json) -> list[str]:
    quality = found["quality"]
    if not quality["metric"]:
        return ["## Quality over time", "", "Nothing was measured yet."]
    rows = [
        [
            row["window"],
            *(_between(row["values"][s], row["intervals"][s]) for s in found["systems"]),
            _between(row["gap"]["mean"], (row["gap"]["low"], row["gap"]["high"]))
            if row["gap"]
            else "–",
            row["decision"],
            row["state"],
        ]
        for row in reversed(quality["windows"])
    ]
    head = ["window", *found["systems"].values(), "challenger minus champion", "plan", "became"]
    said = (
        f"{quality['metric']} on each window before anything learnt from it, with 95 % intervals."
    )
    return ["## Quality over time", "", _plain(said), "", *_table(head, rows)]


def _drift(found: Json) -> list[str]:
    rows = [
        [row["window"], *(readable(row["drift"][sign]) for sign in found["drift"])]
        for row in reversed(found["quality"]["windows"])
    ]
    return ["## Drift", "", *_table(["window", *found["drift"]], rows)]


def _cost(found: Json) -> list[str]:
    cost = found["cost"]
    said = "No increment was trained yet."
    if cost["updates"]:
        said = (
            f"The newest {cost['updates']:,} increments took {cost['cpu_s']:.1f} CPU s, "
            f"{cost['mean']:.1f} each. "
        )
        full = cost["full"]
        said += (
            "What full retrainings would have cost is not known."
            if full is None
            else f"Full retrainings in their place would have cost about {full:.1f} CPU s."
        )
    return ["## Cost", "", said]


def _gate(found: Json) -> list[str]:
    report, errors = found["gate"]["report"], found["gate"]["errors"]
    if report is None:
        return ["## The gate", "", "The gate has judged nothing yet."]
    rows = [
        [
            rule["name"],
            readable(rule["value"]),
            rule["limit"],
            "holds" if rule["passed"] else "undecided" if rule.get("undecided") else "BROKEN",
            rule.get("message", ""),
        ]
        for rule in report["rules"]
    ]
    said = (
        f"Update {report['update_id']} on window {report['window']}: {report['answer']}. A challenger "
        f"worse by the margin ({100 * errors.margin:g} %) is promoted in at most "
        f"{100 * errors.wrongly_promoted:g} % of cases, one as good is refused in at most "
        f"{100 * errors.wrongly_refused:g} %."
    )
    head = ["rule", "value", "limit", "verdict", "what it says"]
    return ["## The gate", "", said, "", *_table(head, rows)]


def _windows(found: Json) -> list[str]:
    rows = [
        [
            row["window_key"], f"{row['sign']} {row['told']}", _events(row),
            readable(row["quarantined"]), readable(row["late"]), row["decision"] or "–",
            row["gate"] or "–", row["why"],
        ]
        for _, cells in found["months"]
        for row in reversed(cells)
    ]  # fmt: skip
    head = ["window", "fate", "events", "put aside", "late", "plan", "gate", "why"]
    return ["## Windows", "", *_table(head, rows)]


def _events(row: Json) -> str:
    """How many, and of each kind where there are several."""
    kinds = ", ".join(f"{readable(count)} {kind}" for kind, count in row["kinds"].items())
    return readable(row["accepted"]) + (f" ({kinds})" if kinds else "")


def _releases(found: Json) -> list[str]:
    rows = [
        [
            f"{row['version']}{' (champion)' if row['reigns'] else ''}", row["parent"] or "scratch",
            row["decision"], row["target"], readable(row["windows"]), readable(row["cost_cpu_s"]),
            row["reason"],
        ]
        for row in found["releases"]
    ]  # fmt: skip
    head = ["release", "from", "plan", "window", "learnt itself", "CPU s", "why"]
    return ["## Releases", "", *_table(head, rows)]


def _quarantine(found: Json) -> list[str]:
    rows = [
        [row["rule"], f"{row['lines']:,}", row["newest"] or "–", *_example(row["examples"])]
        for row in found["quarantine"]
    ]
    return ["## Quarantine", "", *_table(["rule", "lines", "last in window", "a line"], rows)]


def _example(examples: Sequence[Json]) -> list[str]:
    return [examples[0]["line"]] if examples else ["–"]


def _between(value: float | None, ends: tuple[float | None, float | None] | None) -> str:
    if ends is None or ends[0] is None or ends[1] is None:
        return readable(value)
    return f"{readable(value)} ({readable(ends[0])} to {readable(ends[1])})"


def _table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> list[str]:
    made = [f"| {' | '.join(_plain(cell) for cell in row)} |" for row in rows]
    if not made:
        return ["None yet."]
    return [f"| {' | '.join(head)} |", f"| {' | '.join('---' for _ in head)} |", *made]


def _plain(text: object) -> str:
    """Text that is nothing but text in Markdown: no tag, link, picture or cell of a stranger's."""
    return re.sub(r"([\\`*_\[\]<>|&#!~])", r"\\\1", " ".join(str(text).split()))

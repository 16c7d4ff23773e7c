"""The results of `benchmarks.detect` as tables of Markdown."""

from __future__ import annotations

from typing import Any

Json = dict[str, Any]


def tables(results: list[Json]) -> str:
    """False alarms of each stream; then, of each fault, after how many windows it was found."""
    lines = [
        "| stream | windows | false alarms | per 100 | by which rules | Great Expectations' |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for one in results:
        rules = sorted({rule for alarm in one["alarms"] for rule in alarm["rules"]})
        share = 100 * len(one["alarms"]) / one["windows"]
        lines.append(
            f"| {one['stream']} | {one['windows']} | {len(one['alarms'])} | {share:.1f} | "
            f"{', '.join(rules) or '–'} | {one['peer_alarms']} |"
        )
    planted = [entry for one in results for entry in one["planted"]]
    places = list(dict.fromkeys((entry["stream"], entry["window"]) for entry in planted))
    named = [f"{stream} {window}" for stream, window in places]
    lines += ["", f"| fault | share | {' | '.join(named)} | by | Great Expectations' |"]
    lines.append("| --- | --- |" + " --- |" * (len(places) + 2))
    for fault in dict.fromkeys(entry["fault"] for entry in planted):
        entries = {(e["stream"], e["window"]): e for e in planted if e["fault"] == fault}
        cells = [_cell(entries.get(place), "found_after") for place in places]
        peers = [_cell(entries.get(place), "peer_after") for place in places]
        rules = sorted({rule for e in entries.values() for rule in e["rules"]})
        share = next(iter(entries.values()))["share"]
        lines.append(
            f"| {fault} | {share} | {' | '.join(cells)} | {', '.join(rules[:4])} | "
            f"{' '.join(peers)} |"
        )
    return "\n".join(lines)


def _cell(entry: Json | None, key: str) -> str:
    """After how many windows; "no": not within three; nothing where the fault says nothing."""
    if entry is None:
        return " "
    return "no" if entry[key] is None else str(entry[key])

"""The pages as HTML, each made of what the other modules of this room read.

Links are relative, so that they are right wherever Airflow is served: `up` leads from a page to the
folder of all of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from itertools import groupby
from pathlib import Path
from typing import Any

from recloop.chart import Line, line_chart
from recloop.config.dag_ids import OF_DATASET, OF_RECOMMENDER, dag_id
from recloop.config.dataset import load_dataset
from recloop.config.recommenders import usable
from recloop.dashboard import quality_history as history
from recloop.dashboard import release_lineage, window_fates
from recloop.dashboard.freshness import asked_of_a_person, named, read_freshness
from recloop.dashboard.offered_actions import Form, offered_forms, run_of
from recloop.dashboard.quarantined_lines import read_quarantine
from recloop.dashboard.recommended import read_recommended
from recloop.database import embedded
from recloop.database.connection import asked, transaction
from recloop.errors import RecloopError
from recloop.ledger import verdicts
from recloop.page import FILTERS, template
from recloop.settings import DEFAULT, Settings, process_environment
from recloop.validation.judging import page_of

Json = dict[str, Any]
CELLS, ROWS, RELEASES = 84, 12, 10
"""Windows of the calendar, of the table below it, and releases, on the page of a recommender."""

FILTERS |= {
    "named": named,
    "run_of": run_of,
    "moment": lambda moment: f"{moment.astimezone(UTC):%F %H:%M} UTC",
}
HERE = Path(__file__).parent
INDEX, RECOMMENDER, LISTING, LINEAGE, RECOMMENDED = (
    template(HERE / f"{name}.html")
    for name in ("index", "recommender", "listing", "lineage", "recommended")
)


def index_page(settings: Settings, now: datetime, strange: str = "") -> str:
    """One card for each recommender.

    Args:
        settings: with the URL of a database, of no recommender or of any.
        strange: a DAG that the page was opened from and that is of no recommender.
    """
    return INDEX.render(cards=read_cards(settings, now), now=now, strange=strange)


def read_cards(settings: Settings, now: datetime) -> list[Json]:
    """Of each recommender, by name, how fresh it is; `error`, where that cannot be told."""
    found, wrong = usable(settings)
    cards = [_card(one, now) for one in found]
    cards += [{"recommender": name, "error": str(error)} for name, error in wrong.items()]
    return sorted(cards, key=lambda card: str(card["recommender"]))


def _card(settings: Settings, now: datetime) -> Json:
    card: Json = {
        "recommender": settings.recommender,
        "dataset": settings.dataset_name,
        "error": "",
    }
    try:
        card["family"] = load_dataset(settings).model.family
        if not embedded.exists(settings):
            embedded.make(settings)
        fresh = asked(settings.database_url, read_freshness, settings, now)
    except RecloopError as error:
        return card | {"error": str(error)}
    sign, state = _state(fresh)
    return {**card, **fresh, "sign": sign, "state": state}


def _state(fresh: Json) -> tuple[str, str]:
    if asked_of_a_person(fresh):
        return "?", "a challenger waits for a person's word"
    if fresh["refused"]:
        return "✗", "a window was refused and waits for a person"
    if fresh["pin"]:
        return "⚑", "pinned"
    if fresh["live"] and not fresh["live"]["lost"]:
        return "▶", "an update is under way"
    if fresh["champion"] is None:
        return "∅", "no champion yet"
    return ("…", "windows wait") if fresh["waiting"] else ("✓", "fresh")


def name_of(settings: Settings) -> str:
    """What a recommender is called on its pages and in their addresses."""
    return settings.recommender or DEFAULT


def read_page(settings: Settings, now: datetime, metric: str = "") -> Json:
    """All that the page of a recommender tells, in one transaction."""
    with transaction(settings.database_url) as cursor:
        cursor.execute("set transaction isolation level repeatable read, read only")
        windows = window_fates.read_windows(cursor, None, CELLS)
        found: Json = {
            "name": name_of(settings),
            "now": now,
            "fresh": read_freshness(cursor, settings, now),
            "quality": history.read_quality(cursor, metric),
            "cost": history.read_cost(cursor),
            "gate": history.read_gate(cursor, settings),
            "counts": window_fates.count_windows(cursor),
            "windows": windows[:ROWS],
            "releases": release_lineage.read_releases(cursor, None, RELEASES),
            "quarantine": read_quarantine(cursor),
            "shadows": verdicts.newest_shadows(cursor, RELEASES),
        }
    for row in windows:
        row["page"] = page_of(settings, row["window_key"]).exists()
    cells = windows[::-1]
    months = groupby(cells, key=lambda row: row["window_key"][:7])
    return found | {
        "months": [(month, list(rows)) for month, rows in months][::-1],
        "charts": draw(found["quality"]),
        "systems": history.SYSTEMS,
        "drift": history.DRIFT,
    }


def draw(quality: Json) -> Json:
    """The charts: `quality`, `gaps` and `drift`; empty where there is nothing to draw."""
    rows, metric = quality["windows"], quality["metric"]
    labels = [row["window"] for row in rows]
    lines = [
        Line(
            name,
            [row["values"][key] for row in rows],
            [row["intervals"][key] for row in rows] if key == "champion" else (),
        )
        for key, name in history.SYSTEMS.items()
    ]
    judged = [row for row in rows if row["gap"]]
    gaps = Line(
        "challenger minus champion",
        [row["gap"]["mean"] for row in judged],
        [_ends(row["gap"]) for row in judged],
    )
    drift = [
        Line(name.replace("_", " "), [row["drift"][name] for row in rows])
        for name in ("popularity_drift", "feature_drift", "new_users", "new_items")
    ]
    return {
        "quality": line_chart(f"{metric} by window", labels, lines) if metric else "",
        "gaps": line_chart("gain of challengers", [row["window"] for row in judged], [gaps]),
        "drift": line_chart("drift by window", labels, drift),
    }


def _ends(gap: Json) -> tuple[float, float] | None:
    return None if gap["low"] is None or gap["high"] is None else (gap["low"], gap["high"])


def forms_of(settings: Settings, now: datetime) -> list[Form]:
    """What may be done now."""
    with transaction(settings.database_url) as cursor:
        fresh = read_freshness(cursor, settings, now)
        return offered_forms(fresh, release_lineage.read_releases(cursor, None, 2 * RELEASES))


def recommender_page(
    settings: Settings,
    now: datetime,
    metric: str = "",
    may: Sequence[str] = (),
    csrf: str = "",
    run: str = "",
    up: str | None = "../",
    **more: Any,
) -> str:
    """The page of a recommender, in `<folder>/<name>/`.

    Args:
        may: actions that the reader may do; forms of others are not shown.
        csrf: the token that goes with each form.
        run: `<dag> <run>`, from which the page was opened.
        up: from the page to the folder of all pages.
        more: `said`, and `said_run`: what the last action led to.
    """
    found = read_page(settings, now, metric)
    offered = forms_of(settings, now) if may else []
    return RECOMMENDER.render(
        **found,
        **more,
        up=up,
        mlflow=mlflow_address(),
        forms=[form for form in offered if form.action in may],
        csrf=csrf,
        of_run=asked(settings.database_url, release_lineage.of_run, run) if run else (),
        dags=[dag_id(settings, name) for name in sorted((*OF_DATASET, *OF_RECOMMENDER))],
    )


def mlflow_address() -> str:
    """Where people see MLflow, if this process's `MLFLOW_TRACKING_URI` is an address of a server."""
    address = process_environment().get("MLFLOW_TRACKING_URI", "")
    return address if address.startswith(("http://", "https://")) else ""


def windows_page(settings: Settings, before: str | None) -> str:
    """All windows, a page at a time."""
    rows = asked(settings.database_url, window_fates.read_windows, before, window_fates.PAGE + 1)
    older = rows[window_fates.PAGE - 1]["window_key"] if len(rows) > window_fates.PAGE else None
    return LISTING.render(
        name=name_of(settings), what="windows", windows=rows[: window_fates.PAGE], up="../",
        older=older, before=before,
    )  # fmt: skip


def releases_page(settings: Settings, before: int | None) -> str:
    """All releases, a page at a time."""
    size = release_lineage.PAGE
    rows = asked(settings.database_url, release_lineage.read_releases, before, size + 1)
    older = rows[size - 1]["version"] if len(rows) > size else None
    return LISTING.render(
        name=name_of(settings), what="releases", releases=rows[:size], up="../", older=older,
        before=before,
    )  # fmt: skip


def lineage_page(settings: Settings, version: int) -> str:
    """How a release came to be."""
    found = asked(settings.database_url, release_lineage.read_lineage, version)
    return LINEAGE.render(name=name_of(settings), lineage=found, up="../../")


def recommended_page(settings: Settings, user: str, now: datetime) -> str:
    """What a user is shown, now and by the release before."""
    fresh = asked(settings.database_url, read_freshness, settings, now)
    releases = [one["version"] for one in (fresh["champion"], fresh["previous"]) if one]
    answers = read_recommended(settings, user, releases)
    return RECOMMENDED.render(name=name_of(settings), user=user, answers=answers, up="../")

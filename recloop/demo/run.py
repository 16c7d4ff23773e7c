"""What `make demo` does, in order. Running it again repeats nothing that the ledger has."""

from __future__ import annotations

import json
import time
from datetime import UTC
from pathlib import Path
from typing import Any

from recloop.calendar import Window
from recloop.cli import output
from recloop.cli.behavior import ingest_with_progress
from recloop.cli.loop import run_update
from recloop.cli.output import console, progress_bar, say
from recloop.config.dag_ids import dag_id
from recloop.config.dataset import DatasetSpec, load_dataset
from recloop.config.rules import read_schedule
from recloop.database.connection import column, first, transaction
from recloop.demo.demo_page import write_demo_page
from recloop.demo.demo_report import make_report
from recloop.errors import BadInput, RecloopError
from recloop.ledger import releases, updates
from recloop.release.recommend import recommend
from recloop.settings import Settings
from recloop.stages import update_stages

Json = dict[str, Any]
CUSTOMERS = 3
DAGS = ("ingest_behavior", "incremental_update")
PATIENCE = 600.0
"""Seconds without any progress of the scheduled runs before the demonstration gives up."""


def run_demo(settings: Settings, weeks: int) -> Json:
    """Warm-up in this process, then `weeks` windows through a real Airflow scheduler; the report.

    Raises:
        RecloopError: a stage failed; what is done stays done, and running it again goes on from there.
    """
    began = time.monotonic()
    spec = load_dataset(settings)
    folder = settings.home / "demo"
    folder.mkdir(parents=True, exist_ok=True)
    say(f"1/4 reading {spec.name} and validating the warm-up")
    warm_up, following = _windows(settings, spec, weeks)
    ingest_with_progress(settings, through=warm_up[-1].key)
    say(f"2/4 training on {len(warm_up)} windows up to {warm_up[-1].key}")
    _train_warm_up(settings)
    before = _recommendations_before(settings, folder)
    say(f"3/4 Airflow runs {following[0].key} to {following[-1].key}")
    _run_through_airflow(settings, following)
    say("4/4 report")
    keys = [window.key for window in following]
    report = make_report(settings, keys)
    report["recommendations"] = {
        "before": before,
        "after": [recommend(settings, answer["user_id"]).to_json() for answer in before],
    }
    report["wall_seconds"] = round(time.monotonic() - began, 1)
    path = folder / "report.json"
    path.write_text(json.dumps(report, indent=2))
    chart = write_demo_page(report, folder / "report.html")
    _show(report, before)
    console.print(f"report: {path}\nchart:  {chart}\nopen the UI with: make up", highlight=False)
    return report


def _windows(
    settings: Settings, spec: DatasetSpec, weeks: int
) -> tuple[list[Window], list[Window]]:
    """The warm-up windows and those that follow."""
    from recloop.behavior.landing import land

    with progress_bar() as bar:
        task = bar.add_task("reading lines", total=None)
        land(settings, progress=lambda done, total: bar.update(task, completed=done, total=total))
    with transaction(settings.database_url) as cursor:
        cursor.execute("select min(starts), max(ends) from ledger.window")
        first, last = cursor.fetchone() or (None, None)
    if first is None or last is None:
        raise BadInput(f"the source of {spec.name} has no lines with a usable timestamp.")
    every = spec.calendar.between(first.astimezone(UTC), last.astimezone(UTC))
    following = every[spec.window.warm_up : spec.window.warm_up + weeks]
    if not following:
        raise BadInput(
            f"{spec.name} has {len(every)} windows, and its warm-up takes {spec.window.warm_up}; "
            "lower [window] warm_up in the dataset file."
        )
    return every[: spec.window.warm_up], following


def _train_warm_up(settings: Settings) -> None:
    with transaction(settings.database_url) as cursor:
        champion = releases.champion(cursor)
    if champion is not None:
        say(f"    release {champion.version} is champion already; nothing to train")
        return
    result = run_update(settings, None, "auto")
    if result["outcome"] != "promoted":
        raise RecloopError(
            f"the warm-up's model was not promoted: {result['plan']['reason']}; gate: "
            f"{(result['gate'] or {}).get('uri', 'not reached')}"
        )


def _recommendations_before(settings: Settings, folder: Path) -> list[Json]:
    """What the warm-up's model recommends; kept, because a second run finds a newer champion."""
    path = folder / "before.json"
    if not path.exists():
        with transaction(settings.database_url) as cursor:
            users = column(
                cursor,
                "select a.user_id from behavior.event e join behavior.account a using (user_key) "
                "group by 1 order by count(distinct e.item_key) desc, 1 limit %s",
                (CUSTOMERS,),
            )
        answers = [recommend(settings, user).to_json() for user in users]
        partial = path.with_suffix(".partial")
        partial.write_text(json.dumps(answers, indent=2))
        partial.replace(path)
    kept: list[Json] = json.loads(path.read_text())
    return kept


def _run_through_airflow(settings: Settings, following: list[Window]) -> None:
    from recloop.runtime import airflow_process

    keys = [window.key for window in following]
    if not _waiting(settings, keys):
        say("    the ledger has all of them; nothing to run")
        return
    client = airflow_process.start(settings)
    say(f"    Airflow answers at {client.url}")
    dags = [dag_id(settings, name) for name in DAGS]
    for one in dags:
        client.pause(one, paused=False)
    try:
        between = read_schedule(settings).partitions(keys[0], keys[-1])
        client.backfill(dags[0], *between, reprocess="failed")
    except BadInput as error:
        if "already a running backfill" not in str(error):
            raise
        say("    going on with the backfill that an earlier run began")
    try:
        with progress_bar() as bar:
            task = bar.add_task("windows decided", total=len(keys))
            moved, last = time.monotonic(), ""
            while waiting := _waiting(settings, keys):
                bar.update(task, completed=len(keys) - len(waiting))
                now = _fingerprint(settings)
                if now != last:
                    moved, last = time.monotonic(), now
                if time.monotonic() - moved > PATIENCE:
                    raise RecloopError(
                        f"nothing moved for {PATIENCE:.0f} s; still waiting for {', '.join(waiting)}. "
                        f"Airflow's logs are in {settings.home / 'logs'}; run it again to go on."
                    )
                undecided = update_stages.undecided
                if client.backfill_finished(dags[0]) and not undecided(settings):
                    client.wait_until_idle(dags, PATIENCE)
                    if _waiting(settings, keys) == waiting and not undecided(settings):
                        break  # what still waits has failed; the report says which
                time.sleep(1)
            client.wait_until_idle(dags, PATIENCE)
    finally:
        say("    stopping Airflow")
        airflow_process.stop(settings)


def _waiting(settings: Settings, keys: list[str]) -> list[str]:
    """Windows of `keys` that are neither decided on, refused, nor empty."""
    undecided = update_stages.undecided(settings)
    with transaction(settings.database_url) as cursor:
        ingested = column(
            cursor,
            "select window_key from ledger.window where window_key = any(%s) "
            "and state in ('featured', 'refused')",
            (keys,),
        )
        live = column(cursor, "select target from ledger.update where state in %s", (updates.LIVE,))
    return [key for key in keys if key not in ingested or key in undecided or key in live]


def _fingerprint(settings: Settings) -> str:
    with transaction(settings.database_url) as cursor:
        return str(
            first(
                cursor,
                "select md5(string_agg(w::text, '')) from (select window_key, state, seconds::text "
                "from ledger.window union all select update_id::text, state, seconds::text "
                "from ledger.update order by 1, 2, 3) w",
            )
        )


def _show(report: Json, before: list[Json]) -> None:
    console.print(output.windows_table(report["windows"], "Weeks run through Airflow"))
    for row in report["windows"]:
        say(f"{row['window']}: {row['decision']}: {row['reason']}")
    console.print(output.lines_table(report["lines"]))
    summary = report["summary"]
    console.print(output.systems_table(summary))
    for name, difference in summary.items():
        if name.startswith("champion_minus_"):
            console.print(
                f"  {name.replace('_', ' '):<36} recall@20 {difference['recall@20']:+z.4f} "
                f"[{difference['low']:+z.4f}, {difference['high']:+z.4f}]  NDCG@20 "
                f"{difference['ndcg@20']:+z.4f} "
                f"[{difference['ndcg_low']:+z.4f}, {difference['ndcg_high']:+z.4f}]",
                highlight=False,
            )
    for earlier, later in zip(before, report["recommendations"]["after"], strict=True):
        user = earlier["user_id"]
        before_title = f"customer {user}, before (release {earlier['release']})"
        titled = {"title": before_title}, {"title": f"after (release {later['release']})"}
        console.print(output.recommendations_table([earlier | titled[0], later | titled[1]]))

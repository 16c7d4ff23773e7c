"""
### What would a full retraining have given?

**choose** takes the newest window on which the champion of then was scored before anything learnt from
it → **retrain** learns everything before that window from scratch, is scored on the same users, and
records the difference with its interval and both costs (see *Shadow report* on the task, and `recloop
status`).

Promotes nothing and blocks nobody: it is a measurement of what increments lose, the *incremental gap*.
It costs as much as a rebuild, so it runs once a month as shipped (`[schedules]` in
`config/update.toml`). A window that was compared before is not compared again.
"""

from __future__ import annotations

from typing import Any

from airflow.sdk import DAG, get_current_context, task
from recloop_airflow.links import ShadowReportLink, linked
from recloop_airflow.notes import note, noted
from recloop_airflow.waking import leave_out
from recloop_fleet import DEFAULT_ARGS, RECOMMENDERS, Recommender
from recloop_params import asked
from recloop_params import window as window_field

from recloop.errors import BadInput


def add(one: Recommender) -> None:
    """A recommender's DAG."""
    with DAG(
        one.dag_id("shadow_rebuild"),
        doc_md=__doc__,
        schedule=one.by_the_clock("shadow_rebuild"),
        start_date=one.schedule.start,
        catchup=False,
        max_active_runs=1,
        default_args=DEFAULT_ARGS,
        tags=one.tags("upkeep"),
        params={
            "window": window_field(
                one.schedule, "Compare on this window of the champion's lineage. Empty: the newest."
            ),
        },
    ):

        @task
        @noted
        def choose() -> Any:
            from recloop.stages import upkeep_stages

            window = asked()["window"]
            chosen = upkeep_stages.plan_shadow(window)
            if window and chosen["version"] is None:
                raise BadInput(
                    f"window {window} was asked for, and not compared: {chosen['reason']}"
                )
            if chosen["window"] is None:
                note(chosen["reason"])
                leave_out(get_current_context(), ["retrain"], chosen, chosen["reason"])
            return chosen

        @task(**one.gpu)
        @noted
        def retrain(chosen: Any) -> Any:
            from recloop.stages import upkeep_stages

            report = upkeep_stages.shadow(chosen["window"])
            note(f"window {report['window']}: {report['summary']}")
            return report

        linked(retrain(choose()), ShadowReportLink())


for each in RECOMMENDERS:
    add(each)

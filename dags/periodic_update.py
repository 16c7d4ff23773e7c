"""
### Update the recommender by the clock

Whatever has come since the last decision is learnt in one increment, at the hour that `[schedules]` in
`config/update.toml` gives (Mondays, 04:30 UTC, as shipped). The tasks are those of
`incremental_update`; only the policy is another: the clock has decided *when*, so everything that
waits is learnt, also what an earlier policy skipped. Windows that the gate or a person refused are
learnt with the next new one, not again by themselves.

Beside `incremental_update` on every window there is nothing left to do, and the run says so. To update
by the clock only, pause that DAG, or choose the policy `never` for it.
"""

from __future__ import annotations

from typing import Any

from airflow.sdk import DAG, task
from recloop_airflow.notes import noted
from recloop_fleet import DEFAULT_ARGS, RECOMMENDERS, Recommender
from recloop_params import approval, asked, dry_run, holder, reason, strategy
from recloop_update import carry_out, planned


def add(one: Recommender) -> None:
    """A recommender's DAG."""
    with DAG(
        one.dag_id("periodic_update"),
        doc_md=__doc__,
        schedule=one.by_the_clock("periodic_update"),
        start_date=one.schedule.start,
        catchup=False,
        max_active_runs=1,
        default_args=DEFAULT_ARGS,
        tags=one.tags("update"),
        params={
            "approval": approval(),
            "dry_run": dry_run(),
            "reason": reason("periodic update"),
            "strategy": strategy("How", '{"recipe": {"epochs": 2}}'),
        },
    ):

        @task
        @noted
        def plan() -> Any:
            from recloop.stages import upkeep_stages

            form = asked()
            options = {name: form[name] for name in ("reason", "strategy")}
            made = upkeep_stages.plan_due(
                holder(), bool(form["approval"]), bool(form["dry_run"]), options
            )
            return planned(made)

        carry_out(one, plan(), shards=True)


for each in RECOMMENDERS:
    add(each)

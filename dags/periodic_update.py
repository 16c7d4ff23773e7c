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

from airflow.sdk import DAG, Param, task
from recloop_fleet import DEFAULT_ARGS, HOLDER, SCHEDULE, by_the_clock
from recloop_update import carry_out, planned

with DAG(
    "periodic_update",
    doc_md=__doc__,
    schedule=by_the_clock("periodic_update"),
    start_date=SCHEDULE.start,
    catchup=False,
    max_active_runs=1,
    default_args=DEFAULT_ARGS,
    render_template_as_native_obj=True,
    tags=["recloop", "update"],
    params={
        "approval": Param(False, type="boolean", title="Ask a person before promotion"),
        "dry_run": Param(False, type="boolean", title="Dry run: plan only, change nothing"),
        "reason": Param("periodic update", type="string", title="Reason"),
        "strategy": Param(
            None,
            type=["null", "object"],
            section="Training",
            title="How",
            description_md=(
                'The tables of a plan file, as JSON: `{"recipe": {"epochs": 2}}`. '
                "`recloop/update/strategy.py` lists them."
            ),
        ),
    },
) as dag:

    @task
    def plan(approval: Any, dry_run: Any, options: Any, holder: str) -> Any:
        from recloop import upkeep

        return planned(upkeep.plan_due(holder, approval, dry_run, options))

    options = {"reason": "{{ params.reason }}", "strategy": "{{ params.strategy }}"}
    made = plan("{{ params.approval }}", "{{ params.dry_run }}", options, HOLDER)
    carry_out(made, shards=True)

"""
### Rebuild the recommender from scratch

Once a month (`[schedules]` in `config/update.toml`), so that what increments accumulate (rows of items
long gone, drift of the embedding space) does not grow for ever; a policy may ask for a rebuild in
between, and `shadow_rebuild` measures whether it would have helped. The same tasks as
`incremental_update`, with the plan fixed: all windows up to the one in the form are learnt from
nothing, and the gate holds the result against the champion.
"""

from __future__ import annotations

from airflow.sdk import DAG
from recloop_fleet import DEFAULT_ARGS, SCHEDULE, by_the_clock
from recloop_params import approval, dry_run, reason, window
from recloop_update import carry_out, plan

with DAG(
    "full_rebuild",
    doc_md=__doc__,
    schedule=by_the_clock("full_rebuild"),
    start_date=SCHEDULE.start,
    catchup=False,
    max_active_runs=1,
    default_args=DEFAULT_ARGS,
    tags=["recloop", "update"],
    params={
        "window": window("Learn up to and including this window. Empty: all validated ones."),
        "approval": approval(),
        "dry_run": dry_run(),
        "reason": reason("periodic rebuild"),
    },
) as dag:
    carry_out(plan("rebuild"))

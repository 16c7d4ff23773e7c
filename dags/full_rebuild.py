"""
### Rebuild the recommender from scratch

Once a month (`[schedules]` in `config/update.toml`), so that what increments accumulate (rows of items
long gone, drift of the embedding space) does not grow for ever; a policy may ask for a rebuild in
between, and `shadow_rebuild` measures whether it would have helped. The same tasks as
`incremental_update`, with the plan fixed: all windows up to the one in the form are learnt from
nothing, and the gate holds the result against the champion.
"""

from __future__ import annotations

from airflow.sdk import DAG, Param
from recloop_fleet import DEFAULT_ARGS, SCHEDULE, by_the_clock
from recloop_update import update_tasks

with DAG(
    "full_rebuild",
    doc_md=__doc__,
    schedule=by_the_clock("full_rebuild"),
    start_date=SCHEDULE.start,
    catchup=False,
    max_active_runs=1,
    default_args=DEFAULT_ARGS,
    render_template_as_native_obj=True,
    tags=["recloop", "update"],
    params={
        "window": Param(
            None,
            type=["null", "string"],
            format="date",
            title="Window",
            description_md="Learn up to and including this window. Empty: all validated ones.",
        ),
        "approval": Param(False, type="boolean", title="Ask a person before promotion"),
        "dry_run": Param(False, type="boolean", title="Dry run: plan only, change nothing"),
        "reason": Param("periodic rebuild", type="string", title="Reason"),
    },
) as dag:
    update_tasks(
        requested="rebuild",
        approval="{{ params.approval }}",
        dry_run="{{ params.dry_run }}",
        options={"reason": "{{ params.reason }}"},
    )

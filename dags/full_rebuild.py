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
from recloop_fleet import DEFAULT_ARGS, RECOMMENDERS, Recommender
from recloop_params import approval, dry_run, reason, window
from recloop_update import carry_out, plan


def add(one: Recommender) -> None:
    """A recommender's DAG."""
    with DAG(
        one.dag_id("full_rebuild"),
        doc_md=__doc__,
        schedule=one.by_the_clock("full_rebuild"),
        start_date=one.schedule.start,
        catchup=False,
        max_active_runs=1,
        default_args=DEFAULT_ARGS,
        tags=one.tags("update"),
        params={
            "window": window(
                one.schedule, "Learn up to and including this window. Empty: all validated ones."
            ),
            "approval": approval(),
            "dry_run": dry_run(),
            "reason": reason("periodic rebuild"),
        },
    ):
        carry_out(one, plan("rebuild"))


for each in RECOMMENDERS:
    add(each)

"""
### Put an earlier release back

The champion moves to the release given, or to the one before; the windows learned since wait for a
decision again, and are learnt with the next new one, not by themselves. A release whose files
`maintain_models` has deleted cannot come back; the error names those that can. Also on the command
line: `recloop rollback`.
"""

from __future__ import annotations

from typing import Any

from airflow.sdk import DAG, Param, chain, task
from recloop_airflow.notes import note, noted
from recloop_fleet import DEFAULT_ARGS, RECOMMENDERS, Recommender
from recloop_params import asked
from recloop_update import publication


def add(one: Recommender) -> None:
    """A recommender's DAG."""
    with DAG(
        one.dag_id("rollback_release"),
        doc_md=__doc__,
        schedule=None,
        max_active_runs=1,
        default_args=DEFAULT_ARGS,
        tags=one.tags("release"),
        params={
            "version": Param(
                None,
                type=["null", "integer"],
                minimum=1,
                title="Version",
                description_md="Empty: the release before the champion.",
            ),
            "reason": Param(
                type="string", minLength=3, title="Reason", description_md="For the ledger."
            ),
        },
    ):

        @task
        @noted
        def roll_back() -> dict[str, Any]:
            from recloop.stages import update_stages

            form = asked()
            release = update_stages.roll_back(form["version"], form["reason"])
            note(f"release {release['version']} is champion again: {form['reason']}")
            return release

        chain(roll_back(), publication(one))


for each in RECOMMENDERS:
    add(each)

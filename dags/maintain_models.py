"""
### Keep models and disks small

**plan → train → evaluate → approve → promote**, if the form asks for it: the champion is pruned,
packed, taught to a student of half its size, or loses the rows of ids long unseen. It has to pass the
same gate as any challenger, against the champion, and becomes a release of the same lineage → **thin**
deletes files and model versions of releases that neither the champion, nor a rollback within
`keep_releases`, nor a delta checkpoint, nor an update in progress needs, and answers of `recloop serve`
older than `keep_impressions_days` → **refresh_docs** writes Data Docs anew.

By the clock (monthly, `[schedules]` in `config/update.toml`) only the last two run. A run that was
killed is repeated: what was marked is deleted then.
"""

from __future__ import annotations

from typing import Any

from airflow.sdk import DAG, Param, TriggerRule, task
from airflow.sdk.exceptions import AirflowSkipException
from recloop_airflow.links import DataDocsLink, linked
from recloop_airflow.notes import note, noted
from recloop_fleet import DEFAULT_ARGS, RECOMMENDERS, Recommender
from recloop_params import MAINTENANCE, approval, asked, choice, dry_run, holder, reason
from recloop_update import carry_out, planned


def add(one: Recommender) -> None:
    """A recommender's DAG."""
    with DAG(
        one.dag_id("maintain_models"),
        doc_md=__doc__,
        schedule=one.by_the_clock("maintain_models", history_too=True),
        start_date=one.schedule.start,
        catchup=False,
        max_active_runs=1,
        default_args=DEFAULT_ARGS,
        tags=one.tags("upkeep"),
        params={
            "maintain": choice(
                "Leave the model as it is",
                {name: MAINTENANCE[name] for name in one.offered.maintenance},
                title="Maintain the champion",
            ),
            "expire_after_days": Param(
                None,
                type=["null", "integer"],
                minimum=1,
                title="Expire ids",
                description_md="Users and items without an event for so many days lose their rows.",
            ),
            "keep_releases": Param(
                None,
                type=["null", "integer"],
                minimum=2,
                title="Releases to keep",
                description_md="Empty: as `config/update.toml` says.",
            ),
            "approval": approval(),
            "dry_run": dry_run(),
            "reason": reason(),
        },
    ):

        @task
        @noted
        def plan() -> Any:
            from recloop.stages import upkeep_stages

            form = asked()
            made = upkeep_stages.plan_maintenance(
                form["maintain"],
                form["expire_after_days"],
                holder(),
                bool(form["approval"]),
                bool(form["dry_run"]),
                form["reason"],
            )
            return planned(made)

        @task(trigger_rule=TriggerRule.NONE_FAILED)
        @noted
        def thin() -> Any:
            from recloop.stages import upkeep_stages

            form = asked()
            if form["dry_run"]:
                raise AirflowSkipException("a dry run deletes nothing")
            done = upkeep_stages.thin(form["keep_releases"])
            thinned = ", ".join(map(str, done["thinned"])) or "none"
            note(f"thinned releases: {thinned}; old impressions deleted: {done['impressions']:,}")
            return done

        @task(trigger_rule=TriggerRule.NONE_FAILED)
        @noted
        def refresh_docs() -> Any:
            from recloop.stages import upkeep_stages

            return upkeep_stages.refresh_docs()

        carry_out(one, plan(), thin(), linked(refresh_docs(), DataDocsLink()))


for each in RECOMMENDERS:
    add(each)

"""
### Publish everybody's recommendations

**publish** puts the champion's list of every user, one for strangers (user `''`), and the items similar
to each item into tables of the database: `published.recommendation` and `published.similar_item`; or
into a file or a table of your own, if the form says so. Readers see all of one release, or all of the
one before. Only users whose list can have changed are computed anew; the ledger keeps what was done.

Runs when a release was promoted or rolled back and no window waits (the next release would replace it at
once), every day at the hour of `[schedules]` in `config/update.toml` (06:30 UTC, as shipped), because
ages move, and from this form. Whoever wants no tables pauses it. Also on the command line:
`recloop recommend --all`.
"""

from __future__ import annotations

from typing import Any

from airflow.sdk import DAG, Param, task
from recloop_airflow.notes import note, noted
from recloop_fleet import DEFAULT_ARGS, RECOMMENDERS, Recommender
from recloop_params import asked


def add(one: Recommender) -> None:
    """A recommender's DAG."""
    with DAG(
        one.dag_id("publish_recommendations"),
        doc_md=__doc__,
        schedule=one.by_the_clock("publish_recommendations"),
        start_date=one.schedule.start,
        catchup=False,
        max_active_runs=1,
        default_args=DEFAULT_ARGS,
        tags=one.tags("release"),
        params={
            "active_days": Param(
                None,
                type=["null", "integer"],
                minimum=1,
                maximum=1000,
                title="Who: active in so many days",
                description_md="Users with an event in the last days of the log. Empty: all.",
            ),
            "k": Param(20, type="integer", minimum=1, maximum=1000, title="Items for each"),
            "include_known": Param(
                False,
                type=["null", "boolean"],
                title="Also what users chose before",
            ),
            "filters": Param(
                None,
                type=["null", "object"],
                title="Only items with these attributes",
                description_md='JSON: `{"price": {"below": 10}}`; tests: equals, in, below, above.',
            ),
            "out": Param(
                None,
                type=["null", "string"],
                title="Where to",
                description_md=(
                    "Empty: the tables in the schema `published`. Else a table (`shop.picks`), or a "
                    "file: `/data/picks.parquet`, `s3://bucket/picks.csv`."
                ),
            ),
        },
    ):

        @task
        @noted
        def publish() -> Any:
            from recloop.stages import outlet_stages

            form = asked()
            made = outlet_stages.publish_if_there_is_a_champion(
                form["k"],
                form["filters"],
                form["active_days"],
                form["out"] or "",
                bool(form["include_known"]),
            )
            note(made["told"] if made else "there is no champion yet, so nothing to publish")
            return made

        publish()


for each in RECOMMENDERS:
    add(each)

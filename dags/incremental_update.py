"""
### Update the recommender

**plan** reads the ledger and decides: skip, increment or rebuild → **train** the challenger on the
GPU queue → **evaluate** it against the champion on events that neither has seen; the gate refuses or
lets pass (see *Gate report* on the task) → **approve**, if a person is wanted → **promote** →
**carry_on** with the next window, if one waits.

With *Shards*, the middle is **split** → **train_shard**, one for each shard, and **merge** beside them:
it waits no longer than the plan's bound for those that died or hang, and learns their events itself.

Runs when a window has been validated; the event only wakes it, the ledger says which window is next,
and the policy of `config/update.toml`, or the one in the form, what becomes of it. Started by hand,
it takes what the form says. A run with nothing to do ends as a success whose remaining tasks are
skipped; `plan` returns the reason.
"""

from __future__ import annotations

from airflow.sdk import DAG, Param, PartitionedAssetTimetable
from recloop_fleet import DEFAULT_ARGS, RECOMMENDERS, Recommender
from recloop_params import MAINTENANCE, SCOPES, approval, choice, dry_run, reason, strategy, window
from recloop_update import carry_out, plan


def add(one: Recommender) -> None:
    """A recommender's DAG."""
    with DAG(
        one.dag_id("incremental_update"),
        doc_md=__doc__,
        schedule=PartitionedAssetTimetable(assets=one.window),
        max_active_runs=1,
        default_args=DEFAULT_ARGS,
        tags=one.tags("update"),
        params={
            "window": window(
                one.schedule, "Where the window begins. Empty: the oldest that waits."
            ),
            "plan": Param(
                "auto",
                enum=["auto", "skip", "increment", "rebuild"],
                values_display={
                    "auto": "Let the policy decide",
                    "skip": "Skip: keep the champion",
                    "increment": "Increment: learn from the new windows",
                    "rebuild": "Rebuild from scratch",
                },
                title="Plan",
            ),
            "policy": choice(
                "As config/update.toml says",
                {
                    "every-window": "Every window",
                    "every-n-windows": "Every n windows",
                    "volume": "When enough events wait",
                    "never": "Never",
                    "adaptive": "Adaptive: by what updates brought so far",
                },
                title="Policy",
                description_md="Who decides, if the plan above leaves it open.",
            ),
            "approval": approval(),
            "dry_run": dry_run(),
            "reason": reason(),
            "epochs": Param(
                None,
                type=["null", "integer"],
                minimum=1,
                maximum=100,
                section="Training",
                title="Epochs",
                description_md="Empty: as the recipe says.",
            ),
            "scope": choice(
                "As the policy says: usually everything",
                {name: SCOPES[name] for name in one.offered.scopes},
                section="Training",
                title="Scope",
                description_md="What may change; all else stays bit-identical.",
            ),
            "replay": choice(
                "As the policy says: usually none",
                {
                    "none": "None",
                    "uniform": "Uniform: each past example as likely",
                    "recency": "Recency: the younger, the likelier",
                    "herding": "Herding: those that stand for the others",
                },
                section="Training",
                title="Replay",
                description_md="Which past examples are seen again, one for four new ones.",
            ),
            "maintain": choice(
                "Nothing",
                {name: MAINTENANCE[name] for name in one.offered.maintenance},
                section="Training",
                title="Maintain",
                description_md="What is done to the challenger before it is judged.",
            ),
            "shards": Param(
                None,
                type=["null", "integer"],
                minimum=1,
                maximum=64,
                section="Training",
                title="Shards",
                description_md="Split an increment's events by user; train so many shards side by side.",
            ),
            "strategy": strategy(
                "Everything else",
                '{"recipe": {"optimizer": "adam", "champion_decay": 0.01}, "ids": {"start": "mean"}, '
                '"average_releases": 3}',
            ),
        },
    ):
        carry_out(one, plan(), shards=True)


for each in RECOMMENDERS:
    add(each)

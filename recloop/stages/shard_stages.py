"""Stages of an increment whose events are trained in shards, side by side; plain JSON in and out.

    split → train_shard, of each shard on a worker of its own
          → merge, at the same time: waits for the shards, no longer than the plan's bound

`merge` asks the ledger what has been reported, and nobody else: a worker that died, hangs, or still
waits for a slot delays it by no more than the bound, after which it learns the shard's events itself.
What such a worker reports later is discarded: its fencing token is no longer the current one.

Neighbour: `update_stages.py`, the stages before and after.
"""

from __future__ import annotations

import logging

from recloop.config.rules import load_update_rules
from recloop.database.connection import asked, transaction
from recloop.ledger import shards, updates
from recloop.settings import Settings
from recloop.stages.bookkeeping import (
    HERE,
    Json,
    Progress,
    both,
    current_settings,
    leased,
    shard_held,
)

log = logging.getLogger("recloop")


def is_sharded(made: Json) -> bool:
    """Whether an update is trained in shards and merged, by its plan as JSON. One with deltas of silos
    is, be it with one shard of its own."""
    strategy = made["strategy"]
    return bool(made["decision"] == "increment" and (strategy["shards"] > 1 or strategy["silos"]))


def train(
    update_id: int, holder: str, settings: Settings | None = None, progress: Progress = None
) -> Json:
    """All shards in this process, one after the other, then the merge (Candidate)."""
    settings = settings or current_settings()
    opened = split(update_id, holder, settings)
    with leased(settings, update_id, holder, "shards") as (_, check):
        for work in opened:
            train_shard(update_id, work["shard"], settings, both(check, progress))
    return merge(update_id, holder, settings, progress)


def split(update_id: int, holder: str = HERE, settings: Settings | None = None) -> list[Json]:
    """Open the shards of an update: what `train_shard` is given, one each. A retry opens them anew."""
    settings = settings or current_settings()
    with (
        leased(settings, update_id, holder, "split") as (lease, _),
        transaction(settings.database_url) as cursor,
    ):
        updates.note_training(cursor, lease)
        plan = updates.plan_of(cursor, update_id)
        count = plan.strategy.shards if plan.decision == "increment" else 1
        shards.open_shards(cursor, lease, count)
    return [{"update_id": update_id, "shard": number} for number in range(count)]


def train_shard(
    update_id: int,
    shard: int,
    settings: Settings | None = None,
    progress: Progress = None,
    worker: bool = False,
) -> Json:
    """Train one shard of an update from the champion (ShardReport).

    Args:
        worker: this process does nothing else, and is ended if it hangs and its shard is taken over.

    Raises:
        LeaseLost: the merge took the shard over, or another try began it: there is nothing to do.
    """
    from recloop.training.material import read_assignment
    from recloop.training.sharding import learn_shard

    settings = settings or current_settings()
    rules = load_update_rules(settings)
    with shard_held(settings, update_id, shard, worker) as (token, check):
        with transaction(settings.database_url) as cursor:
            if token is None:
                known = shards.shards_of(cursor, update_id)[shard].report
                assert known is not None
                return known.to_json()
            work = read_assignment(cursor, update_id)
        report = learn_shard(settings, work, update_id, shard, token, rules, both(check, progress))
        asked(settings.database_url, shards.report_shard, report, token)
    log.info(
        "shard %s: %s examples in %.1f CPU s", shard, f"{report.examples:,}", report.cpu_seconds
    )
    return report.to_json()


def merge(
    update_id: int, holder: str = HERE, settings: Settings | None = None, progress: Progress = None
) -> Json:
    """Wait for the shards, no longer than the plan's bound, and merge them (Candidate)."""
    from recloop.silos.joining import learned_of_silos
    from recloop.training.sharding import discard_parts, gather_shards, merge_shards

    settings = settings or current_settings()
    rules = load_update_rules(settings)
    with leased(settings, update_id, holder, "merge") as (lease, check):
        work, reports, missing = gather_shards(settings, lease, check, learned_of_silos)
        candidate = merge_shards(
            settings, lease, work, reports, missing, rules, both(check, progress)
        )
        asked(settings.database_url, updates.note_candidate, lease, candidate)
    discard_parts(settings, update_id)
    log.info("merged %s shards, learnt %s here: %s", len(reports), len(missing), missing)
    return candidate.to_json()

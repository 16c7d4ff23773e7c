"""An increment in shards: each worker learns its users' events, the merge makes one model of them.

Every worker, and the merge, starts from the champion grown for *all* of the plan's events, so that
rows agree; that is a function of the plan and the champion, so nothing has to be handed around but
what was learned. A shard's part lies under `artifacts/shards`, one folder per attempt.

Belongs here: which events are a shard's, learning them, waiting, merging. Keep out: fencing tokens
(`recloop.ledger.shards`), the arithmetic (`models.merging.merging`).
"""

from __future__ import annotations

import logging
import shutil
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from models.data.events import Events
from models.recommenders.family import Recommender
from recloop.config.dataset import load_dataset
from recloop.config.rules import UpdateRules
from recloop.contracts import Candidate, Lease, Release, ShardReport
from recloop.database.connection import transaction
from recloop.ledger import releases, shards
from recloop.settings import Settings
from recloop.training.candidate import Cost, finish_candidate
from recloop.training.fitting import Progress, Recipes
from recloop.training.material import (
    Assignment,
    Material,
    read_assignment,
    read_material,
    warm_start,
)
from recloop.training.recommender import family_of

if TYPE_CHECKING:
    from models.merging.changes import Changes

log = logging.getLogger("recloop")
POLL_SECONDS = 0.5
SMALLER = 4
"""The most by which a shard's batches are smaller."""


@dataclass(frozen=True, eq=False)
class Learned:
    """What a shard or a silo learned, as the merge takes it.

    Attributes:
        part: what it changed.
        discount: of its staleness, 1 for none.
        cost: what it took; nothing, where a silo paid for it.
    """

    part: Changes
    discount: float
    cost: Cost


LearnedElsewhere = Callable[[Assignment, Sequence[Release]], list[Learned]]
"""What others than the shards learned for an update, from one of these releases."""


def shard_batch(batch_size: int, shards: int) -> int:
    """Events per step of one shard of so many: smaller by their number, so that each takes as many
    steps as one process would; by no more than `SMALLER`, or steps would be all overhead."""
    return max(2, round(batch_size / min(shards, SMALLER)))


def shard_numbers(user_keys: np.ndarray, count: int) -> np.ndarray:
    """int64 [n]: the shard of each user, the same in every process and for as long as the key lives.

    The finaliser of SplitMix64 (Steele, Lea and Flood, OOPSLA 2014), because keys are counted up and
    their remainders would follow whatever pattern their users came in.
    """
    mixed = np.asarray(user_keys, np.int64).astype(np.uint64)
    mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    mixed ^= mixed >> np.uint64(31)
    return (mixed % np.uint64(count)).astype(np.int64)


def shard_of(examples: Events, number: int, count: int) -> Events:
    """The events of one shard's users."""
    owners = shard_numbers(examples.user_keys, count)
    return examples.where(owners[examples.query] == number)


def learn_shard(
    settings: Settings,
    work: Assignment,
    update_id: int,
    number: int,
    token: int,
    rules: UpdateRules,
    progress: Progress,
) -> ShardReport:
    """Learn one shard's events, starting from the champion, and put what changed on disk.

    Raises:
        LeaseLost: from `progress`: the shard is somebody else's.
        models.errors.NonFiniteWeights: the loss exploded.
    """
    from models.merging import changes

    champion = work.champion
    assert champion is not None
    began = time.process_time()
    material = read_material(work, rules, load_dataset(settings).calendar)
    own = shard_of(material.seen, number, work.plan.strategy.shards)
    uri, examples = "", 0
    if len(own.item_keys):
        model, recipes = _grown(settings, work, material)
        marks = changes.marks_of(model.states)
        examples = _learn_own(model, recipes, material, number, progress)
        if examples:
            part = changes.changes_of(model.states, marks, model.touched(own))
            folder = settings.artifacts / "shards" / f"{update_id}-{number}-{token}"
            shutil.rmtree(folder, ignore_errors=True)
            changes.save(part, folder, {"release": champion.version, "shard": number})
            uri = str(folder)
    return ShardReport(
        update_id=update_id,
        number=number,
        uri=uri,
        parent_release=champion.version,
        examples=examples,
        cpu_seconds=round(time.process_time() - began, 3),
    )


def gather_shards(
    settings: Settings, lease: Lease, check: Callable[[], None], of_silos: LearnedElsewhere
) -> tuple[Assignment, list[Learned], list[int]]:
    """Wait until all shards have reported, or the plan's bound has passed since they were opened.

    From then on the shards that have not reported, or that reported what can't be used, are the
    caller's: whatever their workers report later is discarded.

    Returns:
        What the update learns from, what was learned, and the numbers of the shards to learn.

    Raises:
        LeaseLost: another attempt took the update over.
    """
    with transaction(settings.database_url) as cursor:
        wait = read_assignment(cursor, lease.update_id).plan.strategy.shard_wait
    while True:
        check()
        with transaction(settings.database_url) as cursor:
            found = shards.shards_of(cursor, lease.update_id)
            done = all(shard.state == "reported" for shard in found)
            if done or any(shard.age >= wait for shard in found):
                missing = shards.take_shards(cursor, lease)
                work = read_assignment(cursor, lease.update_id)
                bound = work.plan.strategy.shard_staleness
                known = releases.lineage(cursor, work.champion, bound + 1)
                found = shards.shards_of(cursor, lease.update_id)
                break
        time.sleep(POLL_SECONDS)
    if missing:
        log.warning("shards %s have not reported in %.0f s: learnt here", missing, wait)
    states = family_of(settings).states
    learned, unusable = _load([s.report for s in found if s.report], known, states)
    if unusable:
        with transaction(settings.database_url) as cursor:
            missing = shards.take_shards(cursor, lease, tuple(unusable))
    return work, learned + of_silos(work, known), missing


def merge_shards(
    settings: Settings,
    lease: Lease,
    work: Assignment,
    learned: Sequence[Learned],
    missing: Sequence[int],
    rules: UpdateRules,
    progress: Progress,
) -> Candidate:
    """The challenger: the champion with what the shards learned, and then the events of those that
    are missing.

    Raises:
        models.errors.NonFiniteWeights: the loss exploded.
        models.errors.BadTrainingData: no shard had anything to learn from.
    """
    from models.errors import BadTrainingData
    from models.merging import changes

    began = time.process_time()
    material = read_material(work, rules, load_dataset(settings).calendar)
    model, recipes = _grown(settings, work, material)
    discounts = [one.discount for one in learned]
    changes.merge(model.states, [one.part for one in learned], model.merging, discounts)
    examples = sum(one.cost.examples for one in learned)
    for number in missing:
        examples += _learn_own(model, recipes, material, number, progress)
    if not examples:
        raise BadTrainingData(
            "no shard had an event that can be learnt from; learn a later window too."
        )
    model.remember_events(material.seen, recipes.increment().recipe)
    elsewhere = sum(one.cost.cpu_seconds for one in learned)
    cost = Cost(examples, time.process_time() - began + elsewhere)
    return finish_candidate(settings, lease, work, material, model, cost)


def discard_parts(settings: Settings, update_id: int) -> None:
    """Deletes what the shards of a merged update wrote. A merge that is repeated learns them itself."""
    for folder in (settings.artifacts / "shards").glob(f"{update_id}-*"):
        shutil.rmtree(folder, ignore_errors=True)


def _load(
    reports: Sequence[ShardReport], known: Sequence[Release], states: Sequence[str]
) -> tuple[list[Learned], list[int]]:
    """What can be merged, and the numbers of those that can't: too stale, or damaged.

    Args:
        known: releases that a shard may have been trained from, the champion last.
        states: names of the model's.
    """
    from models.errors import RestoreError
    from models.merging import changes
    from models.merging.merging import discount

    versions = [release.version for release in known][::-1]
    learned: list[Learned] = []
    unusable: list[int] = []
    for report in reports:
        if not report.uri:
            continue
        try:
            old = versions.index(report.parent_release)  # type: ignore[arg-type]
            part, _ = changes.restore(Path(report.uri), states)
            cost = Cost(report.examples, report.cpu_seconds)
            learned.append(Learned(part, discount(old, len(versions) - 1), cost))
        except (ValueError, RestoreError) as error:
            log.warning("shard %s can't be merged: %s", report.number, error)
            unusable.append(report.number)
    return learned, unusable


def _grown(settings: Settings, work: Assignment, material: Material) -> tuple[Recommender, Recipes]:
    """The champion with room for all of the plan's events, and the plan's recipes."""
    recipes = Recipes(family_of(settings), work.plan, settings.seed)
    model = warm_start(work, recipes)
    model.make_room(material.seen, recipes.ids())
    return model, recipes


def _learn_own(
    model: Recommender, recipes: Recipes, material: Material, number: int, progress: Progress
) -> int:
    """Learn one shard's events, if any can be learnt from; how many examples that were."""
    from models.errors import BadTrainingData

    count = recipes.plan.strategy.shards
    own, judged = (shard_of(events, number, count) for events in (material.seen, material.held_out))
    if not len(own.item_keys):
        return 0
    try:
        return model.learn(own, _recipes_of(recipes, number).increment(), progress, judged).examples
    except (
        BadTrainingData
    ) as error:  # sessions of one click, items that wait: other shards have more
        log.info("shard %s has nothing to learn from: %s", number, error)
        return 0


def _recipes_of(recipes: Recipes, number: int) -> Recipes:
    """A shard's: smaller batches, random numbers of its own."""
    asked = recipes.plan.strategy
    size = asked.recipe.get("batch_size", recipes.family.increment.batch_size)
    recipe = {**asked.recipe, "batch_size": shard_batch(size, asked.shards)}
    strategy = asked.model_copy(update={"recipe": recipe})
    plan = recipes.plan.model_copy(update={"strategy": strategy})
    return replace(recipes, plan=plan, purpose=f"/shard {number}")

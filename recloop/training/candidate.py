"""Making a challenger: warm start from the champion (or from nothing), learn, save.

The newest slice of the target window is held out from training, for the gate; `top_up` learns from
it after the gate has passed. Everything is seeded, so that on CPU the same events give the same
weights.
"""

from __future__ import annotations

import hashlib
import shutil
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from models.recommenders.family import Recommender
from recloop.config.dataset import load_dataset
from recloop.config.rules import UpdateRules
from recloop.contracts import Candidate, Lease, Release, TrainingSet, UpdatePlan
from recloop.errors import BadData
from recloop.features.examples import read_examples
from recloop.features.heldout import cut_holdout
from recloop.settings import Settings
from recloop.training.fitting import Progress, Recipes, learn, rebuild, seed_of
from recloop.training.material import (
    BEGINNING,
    FOREVER,
    Assignment,
    Material,
    read_material,
    warm_start,
)
from recloop.training.recommender import CHECKPOINT, family_of, new_model, restore_model


def train_candidate(
    settings: Settings, lease: Lease, assignment: Assignment, rules: UpdateRules, progress: Progress
) -> Candidate:
    """Train the challenger that the plan asks for and save it under `artifacts/candidates`.

    Args:
        progress: called between steps; what it raises stops training.

    Raises:
        BadData: there is nothing to learn from.
        models.errors.RestoreError: the champion's checkpoint is damaged.
        models.errors.NonFiniteWeights: the loss exploded.
    """
    plan, seed = assignment.plan, settings.seed
    material = read_material(assignment, rules, load_dataset(settings).calendar)
    recipes = Recipes(family_of(settings), plan, seed)
    if plan.decision == "increment":
        recommender = warm_start(assignment, recipes)
        report = learn(recommender, material.seen, recipes, progress, material.held_out)
    else:
        recommender = new_model(settings, seed_of(seed, "create"), material.seen)
        days = timedelta(days=rules.rebuild.recent_days)
        report = rebuild(recommender, material.seen, material.end, days, recipes, progress)
    cost = Cost(report.examples, report.cpu_seconds)
    return finish_candidate(settings, lease, assignment, material, recommender, cost)


@dataclass(frozen=True)
class Cost:
    """What training took: events looked at, each time counted, and CPU seconds."""

    examples: int
    cpu_seconds: float


def finish_candidate(
    settings: Settings,
    lease: Lease,
    assignment: Assignment,
    material: Material,
    recommender: Recommender,
    cost: Cost,
) -> Candidate:
    """What a plan asks for after learning (averaging, maintenance), then save it."""
    plan, champion = assignment.plan, assignment.champion
    if assignment.averaged:
        folders = [Path(release.uri) / CHECKPOINT for release in assignment.averaged]
        recommender = recommender.averaged(folders)
    recommender = recommender.maintained(plan.strategy.maintain, material.seen.queries())
    # Where the champion's rows are, only those that moved are written (`models.storage.delta`).
    warm = plan.decision == "increment" and champion is not None
    base = Path(champion.uri) / CHECKPOINT if champion is not None and warm else None
    folder = _save(settings, lease, recommender, base)
    return _candidate(lease, plan, folder, material.cut, cost)


def _save(settings: Settings, lease: Lease, model: Recommender, base: Path | None = None) -> Path:
    """One folder per attempt: an orphan of an earlier attempt writes beside it, never into it."""
    folder = settings.artifacts / "candidates" / f"{lease.update_id}-{lease.token}"
    shutil.rmtree(folder, ignore_errors=True)
    model.save(folder / CHECKPOINT, base=base)
    return folder


def _candidate(
    lease: Lease, plan: UpdatePlan, folder: Path, cut: datetime, cost: Cost
) -> Candidate:
    return Candidate(
        update_id=lease.update_id,
        uri=str(folder),
        parent_release=plan.parent_release,
        windows=plan.windows,
        holdout_from=cut,
        examples=cost.examples,
        cpu_seconds=round(cost.cpu_seconds, 3),
        sha256=hash_folder(folder),
    )


def top_up(
    settings: Settings,
    plan: UpdatePlan,
    candidate: Candidate,
    target: Sequence[TrainingSet],
    progress: Progress,
) -> Recommender:
    """The candidate, after it has also learnt from the slice of `target` that it was judged on."""
    recommender = restore_model(candidate.uri)
    held_out = read_examples(target).between(candidate.holdout_from, FOREVER)
    recipes = Recipes(family_of(settings), plan, settings.seed, "/top-up")
    learn(recommender, held_out, recipes, progress)
    # Learning leaves the grid of a packed table; it is put back, not maintained anew.
    return recommender.maintained("none", held_out.queries())


def hash_folder(folder: Path) -> str:
    """sha256 over the names and bytes of a folder's files, in order of name."""
    digest = hashlib.sha256()
    for path in sorted(p for p in folder.rglob("*") if p.is_file()):
        digest.update(str(path.relative_to(folder)).encode())
        digest.update(path.read_bytes())
    return digest.hexdigest()


def maintain_champion(
    settings: Settings,
    lease: Lease,
    plan: UpdatePlan,
    target: Sequence[TrainingSet],
    champion: Release,
    rules: UpdateRules,
) -> Candidate:
    """The champion after the plan's maintenance, which makes it smaller, saved under
    `artifacts/candidates`: a challenger that has learnt nothing new. It goes through the same gate as
    any other, on the newest window that the champion has learnt. Both have seen those events, so that
    the comparison asks one thing: what did becoming smaller cost?

    Args:
        target: of the newest window that the champion has learnt; a student is taught on its
            queries, and its newest slice will judge.

    Raises:
        BadData: the window has no events to judge by.
        models.errors.RestoreError: the champion's checkpoint is damaged.
    """
    began = time.process_time()
    examples = read_examples(target)
    if not len(examples.item_keys):
        raise BadData(
            f"window {plan.target} has no events to judge a maintained model by; maintain the "
            "champion after it has learnt a window that has."
        )
    share, calendar = rules.holdout.of(len(examples.times)), load_dataset(settings).calendar
    cut = cut_holdout(examples.times, share, calendar)
    model = restore_model(champion.uri)
    days = plan.strategy.ids.get("expire_after_days")
    if days:
        newest = examples.times.max().astype("datetime64[D]").astype(int)
        model.expire(int(newest) - int(days))
    model = model.maintained(plan.strategy.maintain, examples.between(BEGINNING, cut).queries())
    folder = _save(settings, lease, model)  # whole: nearly every row is another one
    return _candidate(lease, plan, folder, cut, Cost(0, time.process_time() - began))

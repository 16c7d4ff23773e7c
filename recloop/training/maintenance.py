"""Making the champion smaller: a plan of its own, a challenger that has learnt nothing new.

The maintained champion goes through the same gate as any challenger, against the champion, on the
newest window that it has learnt. Both have seen those events, so that the comparison asks one thing:
what did becoming smaller cost?

Neighbour: `Recommender.maintained`, which does it to a model in memory.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Sequence

from recloop.config.rules import UpdateRules
from recloop.contracts import Candidate, Lease, Release, TrainingSet, UpdatePlan
from recloop.errors import BadData
from recloop.features.examples import read_examples
from recloop.features.heldout import cut_holdout
from recloop.settings import Settings
from recloop.training.candidate import candidate_folder, hash_folder
from recloop.training.material import BEGINNING
from recloop.training.recommender import CHECKPOINT, restore_model


def maintain_champion(
    settings: Settings,
    lease: Lease,
    plan: UpdatePlan,
    target: Sequence[TrainingSet],
    champion: Release,
    rules: UpdateRules,
) -> Candidate:
    """The champion after the plan's maintenance, saved under `artifacts/candidates`.

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
    cut = cut_holdout(examples.times, rules.holdout.share)
    taught = examples.between(BEGINNING, cut)
    model = restore_model(champion.uri)
    days = plan.strategy.ids.get("expire_after_days")
    if days:
        newest = examples.times.max().astype("datetime64[D]").astype(int)
        model.expire(int(newest) - int(days))
    model = model.maintained(plan.strategy.maintain, taught.queries())
    folder = candidate_folder(settings, lease)
    shutil.rmtree(folder, ignore_errors=True)
    model.save(folder / CHECKPOINT)  # whole: nearly every row is another one
    return Candidate(
        update_id=lease.update_id,
        uri=str(folder),
        parent_release=plan.parent_release,
        windows=(),
        holdout_from=cut,
        examples=0,
        cpu_seconds=round(time.process_time() - began, 3),
        sha256=hash_folder(folder),
    )

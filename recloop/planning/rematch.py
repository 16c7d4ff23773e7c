"""Which events judge a rebuild: always some that neither it nor its opponent has learnt.

    the newest window that the rebuild covers is pending   its newest events, against the champion
    the champion has learnt that window                    those that were held out of the champion's
                                                           last update, against what that update had
                                                           trained before it learnt them, too (a rematch)
    what that update had trained is gone from disk         the newest window that waits and can judge,
                                                           against the champion
    nothing waits                                          there is no such event: the next window's has

After the gate, the rebuild learns the events that judged it, like every challenger ([holdout] top_up).

Belongs here: the choice. Keep out: the training (`training/material.py`), the comparison
(`evaluation/challenge.py`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from psycopg2.extensions import cursor as Cursor

from recloop.calendar import whole
from recloop.contracts import Release, UpdatePlan
from recloop.errors import LedgerConflict
from recloop.ledger import parts, releases, updates
from recloop.planning.targets import Doubt, NoPlan
from recloop.training.recommender import CHECKPOINT


@dataclass(frozen=True)
class Lesson:
    """The update from which the champion last learnt events.

    Attributes:
        update_id: its id.
        version: the release that it became.
        judged_on: parts whose newest events judged it.
        intact: whether its candidate, which has not learnt these events, is still on disk.
    """

    update_id: int
    version: int
    judged_on: tuple[str, ...]
    intact: bool


def last_lesson(cursor: Cursor, champion: Release) -> Lesson:
    """The champion's last lesson, as the ledger and the disk have it."""
    release = releases.last_lesson(cursor, champion)
    plan = updates.plan_of(cursor, release.update_id)
    try:
        uri = updates.candidate_of(cursor, release.update_id).uri
    except LedgerConflict:
        uri = ""
    return Lesson(
        update_id=release.update_id,
        version=release.version,
        judged_on=tuple(one.window for one in parts.target_sets(cursor, plan)),
        intact=bool(uri) and is_intact(Path(uri)),
    )


def is_intact(folder: Path) -> bool:
    """Whether a candidate's checkpoint and all that it is based on are on disk."""
    from models.errors import RestoreError
    from models.storage.archive import MANIFEST, chain

    manifests = sorted((folder / CHECKPOINT).rglob(MANIFEST))
    try:
        for manifest in manifests:
            chain(manifest.parent)
    except RestoreError:
        return False
    return bool(manifests)


def opponent_of(cursor: Cursor, plan: UpdatePlan) -> str | None:
    """Folder of what the plan's challenger is held against; None: there is no champion yet."""
    if plan.rematch is not None:
        return updates.candidate_of(cursor, plan.rematch).uri
    champion = releases.champion(cursor)
    return champion.uri if champion else None


def judged_fairly(
    plan: UpdatePlan,
    champion: Release,
    lesson: Lesson,
    pending: Sequence[str],
    doubt: Doubt,
) -> UpdatePlan | NoPlan:
    """A rebuild's plan with the events that judge it, or why there are none. See the module.

    Args:
        pending: parts that the champion has not learnt.
        doubt: why a window's pending parts cannot judge.
    """
    if plan.target in pending:
        unseen = tuple(key for key in plan.windows if whole(key) == plan.target and key in pending)
        return plan.model_copy(update={"judged_on": unseen})
    if lesson.intact:
        first = whole(lesson.judged_on[0])
        unseen = tuple(
            key
            for key in plan.windows
            if key in lesson.judged_on or (key in pending and whole(key) >= first)
        )
        said = (
            f"the champion has learnt window {plan.target}, so the events that were held out of "
            f"update {lesson.update_id} judge, against release {lesson.version} as it was before it "
            "learnt them"
        )
        return _saying(plan, said, judged_on=unseen, rematch=lesson.update_id)
    for key in dict.fromkeys(whole(key) for key in reversed(pending)):
        unseen = tuple(part for part in plan.windows if whole(part) == key and part in pending)
        if unseen and not doubt(key):
            said = f"window {key} judges, which the champion has not learnt"
            return _saying(plan, said, judged_on=unseen)
    return NoPlan(
        "not ready",
        f"release {champion.version} has learnt window {plan.target}, and what update "
        f"{lesson.update_id} had trained before it learnt the newest events is no longer on disk, so "
        "that no events are left to judge a rebuild by: it waits for the next window",
    )


def _saying(plan: UpdatePlan, said: str, **changes: object) -> UpdatePlan:
    return plan.model_copy(update={"reason": f"{plan.reason}; {said}", **changes})

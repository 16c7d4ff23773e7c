"""Which window an update is about: the newest that it covers, whose newest events judge it; and which
events judge a rebuild.

A late part is covered by the update of a later window. With nothing else pending, a person may have an
update of late parts alone: then the newest share of the newest of them judges, which the champion has
not learnt from either. Too small a part waits.

Belongs here: the choice, from what the ledger lists. Keep out: what is done (`policy.py`), the training
(`training/material.py`), the comparison (`evaluation/challenge.py`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from psycopg2.extensions import cursor as Cursor

from recloop.calendar import WindowCalendar, whole
from recloop.contracts import Release, TrainingSet, UpdatePlan
from recloop.errors import LedgerConflict
from recloop.features.examples import read_examples
from recloop.features.heldout import cut_holdout
from recloop.ledger import parts, releases, updates
from recloop.training.recommender import CHECKPOINT

Doubt = Callable[[str], str]
"""Why a window cannot judge an update; empty when it can."""
Because = Literal["nothing to do", "not ready", "refused", "busy", "pinned"]
"""Of an update that was not made: whether all is as it should be; or something must come first; or
validation refused the window; or another run is at work; or a person has pinned the champion. The
command line has an exit code for each; a pin is as it should be."""


@dataclass(frozen=True)
class NoPlan:
    """Why there is no plan, in one sentence and by its kind."""

    because: Because
    reason: str


def next_target(
    requested: str,
    ready: Sequence[str],
    undecided: Sequence[str],
    pending: Sequence[str],
    doubt: Doubt,
) -> str | NoPlan:
    """The window that the next update is about, or why there is none.

    Args:
        requested: `rebuild` means from scratch, `auto` leaves decided windows and late parts alone.
        ready, pending: parts, oldest window first. undecided: whole windows.
    """
    if requested == "rebuild":
        if ready:
            return whole(ready[-1])
        return NoPlan("not ready", "no window has events to learn from; run `recloop ingest` first")
    if undecided:
        return undecided[0]
    if requested == "auto" or not pending:
        waiting = f"; {', '.join(pending)} wait for the next window" if pending else ""
        return NoPlan("nothing to do", f"no window waits for a decision{waiting}")
    reasons = []
    for key in dict.fromkeys(whole(key) for key in reversed(pending)):
        reasons.append(doubt(key))
        if not reasons[-1]:
            return key
    return NoPlan("not ready", reasons[0])


def why_not_late(
    requested: str, target: str, pending: Sequence[str], doubt: Doubt
) -> NoPlan | None:
    """Why an update of the window may not begin now, of which only late parts are pending, if so."""
    if target in pending or target not in map(whole, pending) or requested in ("rebuild", "skip"):
        return None
    if requested == "auto":
        return NoPlan(
            "nothing to do",
            f"only late events of window {target} are pending: the next window's update learns from "
            "them; ask for `increment` to have it now",
        )
    reason = doubt(target)
    return NoPlan("not ready", reason) if reason else None


def doubts(
    pending: Sequence[str],
    sets: Mapping[str, TrainingSet],
    share: float,
    users: int,
    calendar: WindowCalendar | None = None,
) -> Doubt:
    """Tells of a window whether its pending parts can judge: always if it is pending itself, and if
    `users` users at least have events in the newest `share` of its late parts, with some before.
    """

    def doubt(target: str) -> str:
        if target in pending:
            return ""
        late = read_examples([sets[key] for key in pending if whole(key) == target])
        judges = 0
        if len(late.times):
            begun = cut_holdout(late.times, share, calendar)
            cut = np.datetime64(begun.replace(tzinfo=None), "us")
            held_out = late.times >= cut
            judges = len(np.unique(late.user_keys[late.query[held_out]]))
            if judges >= users and not held_out.all():
                return ""
        return (
            f"only late events of window {target} are pending, and {judges} users in the newest "
            f"{100 * share:g}% of them are too few to judge by (the gate wants {users}): the next "
            "window's update learns from them"
        )

    return doubt


# Which events judge a rebuild: always some that neither it nor its opponent has learnt.


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
    plan: UpdatePlan, champion: Release, lesson: Lesson, pending: Sequence[str], doubt: Doubt
) -> UpdatePlan | NoPlan:
    """A rebuild's plan with the events that judge it, which neither it nor its opponent has learnt, or
    why there are none.

        the newest window that it covers is pending   its newest events, against the champion
        the champion has learnt that window           those held out of the champion's last update,
                                                      against what that update had trained before it
                                                      learnt them, too (a rematch)
        what that update had trained is gone          the newest window that waits and can judge,
                                                      against the champion
        nothing waits                                 none; the next window will have some

    After the gate, the rebuild learns the events that judged it, as all do ([holdout] top_up).

    Args:
        pending: parts that the champion has not learnt.
        doubt: why a window's pending parts cannot judge.
    """
    if plan.target in pending:
        unseen = tuple(key for key in plan.windows if whole(key) == plan.target and key in pending)
        return plan.model_copy(update={"judged_on": unseen})
    if lesson.intact:
        first = whole(lesson.judged_on[0])
        since = {*lesson.judged_on, *(key for key in pending if whole(key) >= first)}
        unseen = tuple(key for key in plan.windows if key in since)
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

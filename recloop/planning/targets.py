"""Which window an update is about: the newest that it covers, whose newest events judge it.

A late part is covered by the update of a later window. With nothing else pending, a person may have an
update of late parts alone: then the newest share of the newest of them judges, which the champion has
not learnt from either. Too small a part waits.

Belongs here: the choice, from what the ledger lists. Keep out: what is done (`policy.py`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from recloop.calendar import whole
from recloop.contracts import TrainingSet
from recloop.features.examples import read_examples
from recloop.features.heldout import cut_holdout

Doubt = Callable[[str], str]
"""Why a window cannot judge an update; empty when it can."""
Because = Literal["nothing to do", "not ready", "refused", "busy"]
"""Of an update that was not made: whether all is as it should be; or something must come first; or
validation refused the window; or another run is at work. The command line has an exit code for each."""


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
    pending: Sequence[str], sets: Mapping[str, TrainingSet], share: float, users: int
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
            cut = np.datetime64(cut_holdout(late.times, share).replace(tzinfo=None), "us")
            held_out = late.times >= cut
            judges = len(np.unique(late.user_keys[late.query[held_out]]))
            if judges >= users and not held_out.all():
                return ""
        return (
            f"only late events of window {target} are pending, and {judges} users in the newest "
            f"{share:.0%} of them are too few to judge by (the gate wants {users}): the next window's "
            "update learns from them"
        )

    return doubt

"""What an update learns from: its plan's windows, the champion, and their events.

Belongs here: reading. Keep out: learning (`fitting.py`), saving what was learned (`candidate.py`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import numpy as np
from psycopg2.extensions import cursor as Cursor

from models.data.events import Events
from models.recommenders.family import Recommender
from recloop.calendar import WindowCalendar, counted
from recloop.config.rules import UpdateRules
from recloop.contracts import Release, TrainingSet, UpdatePlan
from recloop.errors import BadData
from recloop.features.examples import read_examples
from recloop.features.heldout import cut_holdout
from recloop.ledger import parts, releases, updates
from recloop.ledger.deletions import with_files
from recloop.training.fitting import Recipes
from recloop.training.recommender import restore_model

BEGINNING, FOREVER = datetime(1970, 1, 1, tzinfo=UTC), datetime(9999, 1, 1, tzinfo=UTC)
REMEMBERED_WINDOWS = 8
"""Windows of the champion that a plan with replay looks back on when the model remembers nothing."""


@dataclass(frozen=True)
class Assignment:
    """What the ledger says an update learns from.

    Attributes:
        plan: of the update.
        training_sets: of the plan's windows, oldest first.
        target: those that its newest events are held out of.
        champion: the reigning release; where an increment starts from.
        averaged: earlier releases that the challenger's weights are averaged with.
        earlier: the champion's latest windows, if the plan has replay: the memory of a model that has
            none starts from them.
        cut: where the held-out events begin, if an earlier update's judge again (`UpdatePlan.rematch`).
    """

    plan: UpdatePlan
    training_sets: Sequence[TrainingSet]
    target: Sequence[TrainingSet]
    champion: Release | None
    averaged: Sequence[Release]
    earlier: Sequence[TrainingSet]
    cut: datetime | None = None


def read_assignment(cursor: Cursor, update_id: int) -> Assignment:
    """What the ledger says now."""
    plan = updates.plan_of(cursor, update_id)
    champion = releases.champion(cursor)
    increment = plan.decision == "increment"
    others = plan.strategy.average_releases - 1 if increment else 0
    replays = increment and "replay" in plan.strategy.recipe
    known = champion.windows[-REMEMBERED_WINDOWS:] if champion and replays else ()
    return Assignment(
        plan=plan,
        training_sets=[parts.training_set_of(cursor, key) for key in plan.windows],
        target=parts.target_sets(cursor, plan),
        champion=champion,
        averaged=with_files(cursor, releases.lineage(cursor, champion, others)),
        earlier=[parts.training_set_of(cursor, key) for key in known],
        cut=None
        if plan.rematch is None
        else updates.candidate_of(cursor, plan.rematch).holdout_from,
    )


@dataclass(frozen=True, eq=False)
class Material:
    """The events of an update: those to learn from; the newest, from `cut` on, which judge."""

    seen: Events
    held_out: Events
    cut: datetime

    @property
    def end(self) -> datetime:
        """When what is to be learnt ends: at the cut, or after the newest event of later windows."""
        newest = int(self.seen.times.max().astype("datetime64[us]").astype(np.int64))
        return max(self.cut, BEGINNING + timedelta(microseconds=newest + 1))


def read_material(
    assignment: Assignment, rules: UpdateRules, calendar: WindowCalendar | None = None
) -> Material:
    """The events of an update's windows.

    Raises:
        BadData: there is nothing to learn from, or nothing to judge by.
    """
    plan, sets = assignment.plan, assignment.training_sets
    target = read_examples(assignment.target)
    if not len(target.item_keys):
        raise BadData(
            f"window {plan.target} has no events to learn from or to judge by; "
            "plan the update on a window that has."
        )
    share = rules.holdout.of(len(target.times))
    cut = assignment.cut or cut_holdout(target.times, share, calendar)
    judging = {one.window for one in assignment.target}

    def learnt(one: TrainingSet, events: Events) -> Events:
        # Later windows that the opponent has learnt, too, are learnt; of those that judge, nothing is.
        return events.where(~events.since(cut)) if one.window in judging else events

    seen = read_examples(sets, learnt)
    if not len(seen.item_keys):
        raise BadData(
            f"no event of the {counted(len(plan.windows))} up to {plan.target} lies before "
            f"{cut:%Y-%m-%d %H:%M} UTC, where the held-out slice begins; lower [holdout] share in "
            "config/update.toml or take a longer window."
        )
    return Material(seen, target.between(cut, FOREVER), cut)


def warm_start(assignment: Assignment, recipes: Recipes) -> Recommender:
    """The champion, ready to learn an increment; with a memory, if the plan has replay.

    Raises:
        models.errors.RestoreError: its checkpoint is damaged.
    """
    assert assignment.champion is not None
    recommender = restore_model(assignment.champion.uri)
    if assignment.earlier and not recommender.remembers:
        earlier = read_examples(assignment.earlier)
        recommender.remember_events(earlier, recipes.increment().recipe)
    return recommender

"""Learning from events: recipes of a plan, room for new ids, an increment, a training from scratch.

Belongs here: what is done to a model in memory. Keep out: which events are held out, files and
leases (`candidate.py`). Everything is seeded, so that on CPU the same events give the same weights.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from models.data.events import Events
from models.ids.starts import NewIds
from models.learning.recipes import Recipe, Training, TrainingProgress, TrainingReport
from models.recommenders.family import Family, Recommender
from recloop.contracts import UpdatePlan

Progress = Callable[[TrainingProgress], None]


@dataclass(frozen=True)
class Recipes:
    """A plan's recipes: its family's defaults, with the plan's overrides.

    Attributes:
        seed: the settings'.
        purpose: names a training's own random numbers, where an update has several.
    """

    family: Family
    plan: UpdatePlan
    seed: int
    purpose: str = ""

    def increment(self) -> Training:
        """Of an increment; the ranker rests if the plan says so."""
        ranker = self._ranker(self.family.ranker) if self.plan.strategy.rank else None
        return Training(self._recipe(self.family.increment), ranker)

    def rebuild(self) -> Training:
        """Of a training from scratch."""
        recent = replace(self, purpose="/recent")
        return Training(
            self._recipe(self.family.rebuild),
            self._ranker(self.family.ranker_rebuild),
            recent._recipe(self.family.increment),
        )

    def ids(self) -> NewIds:
        """How ids come and go."""
        return NewIds(**self.plan.strategy.ids)

    def _recipe(self, base: Recipe) -> Recipe:
        return replace(base, **self.plan.strategy.recipe, seed=self._seed())

    def _ranker(self, base: Recipe | None) -> Recipe | None:
        return base and replace(base, **self.plan.strategy.ranker, seed=self._seed())

    def _seed(self) -> int:
        return seed_of(self.seed, self.plan.target + self.purpose)


def seed_of(seed: int, window: str) -> int:
    """A seed for one window's update, so that a replay draws the same numbers."""
    return int.from_bytes(hashlib.sha256(f"{seed}/{window}".encode()).digest()[:3], "big")


def learn(
    model: Recommender,
    events: Events,
    recipes: Recipes,
    progress: Progress,
    held_out: Events | None = None,
) -> TrainingReport:
    """Make room for what is new, then an increment on these events; what was learned is remembered.

    Args:
        held_out: what early stopping looks at, if the recipe has `patience`.
    """
    model.make_room(events, recipes.ids())
    training = recipes.increment()
    report = model.learn(events, training, progress, held_out)
    model.remember_events(events, training.recipe)
    return report


def rebuild(
    model: Recommender,
    seen: Events,
    end: datetime,
    recent: timedelta,
    recipes: Recipes,
    progress: Progress,
) -> TrainingReport:
    """Learn from scratch; what is recent may be learned once more, after the rest."""
    model.make_room(seen, recipes.ids())
    training = recipes.rebuild()
    report = model.learn_from_nothing(seen, end, recent, training, progress)
    model.remember_events(seen, training.recent or training.recipe)
    return report

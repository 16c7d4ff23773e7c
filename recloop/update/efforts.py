"""How hard an increment learns: names for multiples of the default recipe, so that they mean the same
for every model. Neighbour: `adaptive.py` chooses one."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from models.learning.recipes import INCREMENT, Recipe

EFFORTS: dict[str, tuple[float, float]] = {
    "light": (2 / 3, 4 / 3),
    "standard": (1.0, 1.0),
    "deep": (2.0, 1.0),
    "gentle": (1.0, 0.5),
}
"""Epochs and learning rate, as multiples of the default increment's."""
LIGHT_SCOPE = "ids"
"""What ids have of their own; the words and weights that they share change little in a day."""
GENTLE_REPLAY = {"replay": "uniform", "replay_share": 0.25}
"""After a refusal: half the rate, and one past example for four new ones."""


def recipe_of(effort: str, base: Recipe = INCREMENT) -> dict[str, Any]:
    """An effort as overrides of the base recipe; empty for "standard"."""
    epochs, rate = EFFORTS[effort]
    wanted = replace(
        base,
        epochs=max(1, round(base.epochs * epochs)),
        learning_rate=round(base.learning_rate * rate, 6),
        scope=LIGHT_SCOPE if effort == "light" and base.scope == "everything" else base.scope,
    )
    changes = {
        name: getattr(wanted, name)
        for name in ("epochs", "learning_rate", "scope")
        if getattr(wanted, name) != getattr(base, name)
    }
    return changes | (GENTLE_REPLAY if effort == "gentle" else {})


def effort_of(recipe: dict[str, Any], base: Recipe = INCREMENT) -> str:
    """The effort that a plan's overrides are, or "custom"."""
    return next((name for name in EFFORTS if recipe_of(name, base) == recipe), "custom")

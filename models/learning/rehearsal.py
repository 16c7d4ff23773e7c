"""Rehearsal: what an update takes from the past, and what it leaves to the next one.

    report = learn(state, batches, recipe, batches_of)               # after growing
    remember(state, examples, recipe, vectors_of, day, batches_of)    # after learning

Belongs here: the memory as part of a state. Keep out: which examples are kept
(`models.learning.memory`), what a family's examples are (`models.two_tower.tower_recommender` is
the two-tower's).

The memory is in `state.extra` under `memory/`, so that it is saved, restored and released with the
model whose past it is. Beside the examples it has `memory/known_items` (int64, the items that the
model had learned when it last remembered): what grew later has nothing to teach.

An empty memory is no error: the first update after a rebuild that kept none has nothing to
rehearse, and must pass for there ever to be a memory. It is said in a warning, and
`TrainingReport.rehearsed` is 0.
"""

import dataclasses
import logging
from collections.abc import Callable

import numpy as np

from models.data.checks import Float32Array, Int64Array
from models.learning import memory
from models.learning.batch_source import BatchSource
from models.learning.distillation import adaptive_weight
from models.learning.memory import Examples, Memory
from models.learning.penalties import consolidate, fisher, known_fisher
from models.learning.recipes import ProgressCallback, Recipe, TrainingReport
from models.learning.training import Past, fit
from models.tables.state import ModelState

log = logging.getLogger(__name__)
KNOWN_ITEMS = f"{memory.PREFIX}known_items"
BatchesOf = Callable[[ModelState, Examples, Recipe], BatchSource]
VectorsOf = Callable[[ModelState, Examples], Float32Array]


def learn(
    state: ModelState,
    batches: BatchSource,
    recipe: Recipe,
    batches_of: BatchesOf,
    progress: ProgressCallback | None = None,
    validate: Callable[[], float] | None = None,
) -> TrainingReport:
    """`training.fit`, with what the recipe takes from the past. Call `remember` afterwards."""
    past = past_of(state, recipe, len(batches), batches_of)
    return fit(state, batches, recipe, progress, past, validate)


def remembered(state: ModelState) -> Examples:
    """The past examples whose item the model still knows; {} if it remembers none."""
    kept = _memory_of(state)
    return kept.examples if kept else {}


def remember(
    state: ModelState,
    examples: Examples,
    recipe: Recipe,
    vectors_of: VectorsOf,
    day: "float | np.ndarray",
    batches_of: BatchesOf,
) -> int:
    """Offers an update's examples to the model's memory, in place.

    A recipe without replay leaves the memory as it is; if it has `ewc`, the model keeps the
    examples' Fisher information instead of them (`models.learning.penalties.consolidate`).

    Args:
        state: after it has learned from them: herding compares what it makes of them now.
        examples: in keys, oldest first. Those without weight or with an unknown item are left out.
        recipe: `replay`, `memory_size`, `memory_half_life` and `seed`.
        vectors_of: what the model sees in examples.
        day: float64 scalar or [n], when they happened, in days since a day that stays the same.
        batches_of: makes a batches of examples.

    Returns:
        How many examples the memory has now.
    """
    sound = _known(state, examples["item_keys"])
    if "weights" in examples:
        sound = sound & (examples["weights"] > 0)
    if recipe.replay == "none":
        if recipe.ewc and sound.any():
            plain = _undisturbed(recipe)
            batches = batches_of(state, memory.take(examples, sound), plain)
            consolidate(state, batches, recipe.batch_size, recipe.seed)
        return 0
    days = np.broadcast_to(np.asarray(day, np.float64), sound.shape)[sound]
    kept = memory.update(
        _memory_of(state),
        examples if sound.all() else memory.take(examples, sound),
        kind=recipe.replay,
        capacity=recipe.memory_size,
        days=days,
        half_life=recipe.memory_half_life,
        seed=recipe.seed,
        vectors_of=lambda pool: vectors_of(state, pool),
    )
    forget(state)
    state.extra |= kept.to_arrays() | {KNOWN_ITEMS: np.array(state.items.keys)}
    return len(kept)


def forget(state: ModelState) -> None:
    """Empties the memory."""
    for name in [name for name in state.extra if name.startswith(memory.PREFIX)]:
        del state.extra[name]


def past_of(state: ModelState, recipe: Recipe, new_count: int, batches_of: BatchesOf) -> Past:
    """What `training.fit` shall take from the past, by the recipe.

    With `ewc`, the Fisher information is measured on past examples, on no more of them than there
    are new ones; without replay, it is what `remember` kept.

    Args:
        state: the champion, grown for the new examples and not yet trained on them.
        recipe: which parts of the past count, and how much.
        new_count: how many examples the update has.
        batches_of: makes a batches of past examples, of the kind of the new ones'.
    """
    if recipe.replay == "none":
        return Past(fisher=known_fisher(state) if recipe.ewc else None)
    examples = remembered(state)
    if len(examples.get("item_keys", ())) == 0:
        log.warning(
            "The recipe asks for %s replay, and the model remembers no example: this update "
            "learns from new examples alone, and the next one has a memory.",
            recipe.replay,
        )
        return Past()
    batches = batches_of(state, examples, recipe)
    learned = state.items.rows(state.extra[KNOWN_ITEMS])
    known = np.zeros(len(state.items) + 1, bool)
    known[learned] = True
    known[0] = False
    weight = 0.0
    if recipe.distillation:
        # A family without a row per item has no new ones: one of one.
        old, items = (int(known.sum()), len(state.items)) if len(state.items) else (1, 1)
        weight = adaptive_weight(recipe.distillation, old, items, len(batches), new_count)
    rehearses = recipe.replay_share > 0 or recipe.distillation > 0
    information = None
    if recipe.ewc:
        information = fisher(
            state,
            batches_of(state, examples, _undisturbed(recipe)),
            recipe.batch_size,
            recipe.seed,
            max(1, new_count // recipe.batch_size),
        )
    return Past(
        batches=batches if rehearses else None, fisher=information, distillation=weight, known=known
    )


def _memory_of(state: ModelState) -> Memory | None:
    """The state's memory, without the examples whose item has expired."""
    kept = Memory.of(state.extra)
    if kept is None:
        return None
    known = _known(state, kept.examples["item_keys"])
    return kept if known.all() else kept.take(known)


def _known(state: ModelState, item_keys: Int64Array) -> np.ndarray:
    """Which examples the model can learn from: bool [n]. All, where it has no row per item."""
    if "items" not in state.network.keyed.values():
        return np.ones(len(item_keys), bool)
    return state.items.rows(item_keys) > 0


def _undisturbed(recipe: Recipe) -> Recipe:
    """The recipe without dropout: what a weight matters to, nothing hidden."""
    return dataclasses.replace(recipe, dropout=0.0, user_dropout=0.0)

"""A silo's round: learn its own windows from an offer, keep what is its users', write what may leave.

The silo is an ordinary recloop home with its own database; its events are ingested, validated and
featured as anywhere. What it learned of its users stays in `artifacts/silo/<delta>`, where the next
round finds it, beside `rounds.json`, which says what each round taught. A round whose delta the
offer's lineage has not merged is as if it had not been: its windows are taught again.
"""

from __future__ import annotations

import json
import logging
import math
import shutil
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from recloop.calendar import whole
from recloop.contracts import Strategy, UpdatePlan
from recloop.database.connection import Lock, transaction
from recloop.errors import BadData
from recloop.features.examples import read_examples
from recloop.features.featuring import catch_up
from recloop.ledger import parts
from recloop.settings import Settings
from recloop.silos import privacy
from recloop.silos.offer import Offer, renamed, renaming
from recloop.silos.silo_delta import write_delta
from recloop.training.fitting import Recipes
from recloop.training.recommender import CHECKPOINT, family_of, restore_model

if TYPE_CHECKING:
    from models.merging.changes import Changes
    from models.recommenders.family import Recommender

Json = dict[str, Any]
log = logging.getLogger("recloop")
DELTA = 1e-5
"""The delta of the (epsilon, delta) that a round reports."""


def train_silo(
    settings: Settings,
    offer: Offer,
    out: Path,
    clip: float = 0.0,
    noise: float = 0.0,
    strategy: Strategy | None = None,
    rng: np.random.Generator | None = None,
    progress: Callable[[Any], None] | None = None,
) -> Json:
    """Learn what the offer's lineage has not learned from this silo yet, and write the delta to `out`.

    Args:
        clip, noise: see `privacy`; 0 is off.
        strategy: recipes, as in a plan file.
        rng: of the noise; None: unpredictable, as it should be.

    Returns:
        `delta` (its name), `release`, `windows`, `examples`, `norm` (of the change, before clipping),
        `epsilon` (of all this silo's rounds so far, at delta 1e-5; None: nothing is promised, because
        one had no noise, or next to none).

    Raises:
        BadInput: noise without clip.
        BadData: no window waits.
        models.errors.RestoreError: the offer's model cannot be used.
    """
    from models.merging import changes

    privacy.check(clip, noise)
    home = settings.artifacts / "silo"
    rounds = _read_rounds(home)
    merged = [one for one in rounds if one["delta"] in offer.merged]
    taught = {key for one in merged for key in one["windows"]}
    catch_up(settings)
    with transaction(settings.database_url) as cursor:
        windows = tuple(key for key in parts.ready(cursor) if key not in taught)
        sets = [parts.training_set_of(cursor, key) for key in windows]
        names = renaming(cursor, offer.items)
        if not windows:
            none = "this silo has no window that the offer does not know; ingest the next first."
            raise BadData(none)
        # What comes later for these windows is taught as a part of its own, in a later round.
        parts.close(cursor, windows)
    examples = renamed(read_examples(sets), names)
    plan = UpdatePlan(
        decision="increment",
        target=whole(windows[-1]),
        windows=windows,
        parent_release=offer.release,
        strategy=strategy or Strategy(),
        reason="a silo's round",
    )
    model = restore_model(offer.folder)
    offered = np.array(model.item_keys)
    if merged:
        _bring_users_back(model, home / merged[-1]["delta"])
    recipes = Recipes(family_of(settings), plan, settings.seed, "/silo")
    model.make_room(examples, recipes.ids())
    marks = changes.marks_of(model.states)
    report = model.learn(examples, recipes.increment(), progress)
    part = changes.changes_of(model.states, marks, model.touched(examples))
    unsent = out.with_name(f".{out.name}.unsent")
    name = write_delta(
        model, part, offered, unsent, offer.release, clip, noise, rng or privacy.unpredictable()
    )
    model.save(home / name / CHECKPOINT)
    at = f"{datetime.now(UTC):%FT%TZ}"
    this = {"delta": name, "windows": list(windows), "noise": noise, "at": at}
    # Noted before it can leave: a delta that was merged, and of which the silo knew nothing, would be
    # learnt again and missing from epsilon.
    rounds = _note_round(settings, home, this)
    shutil.rmtree(out, ignore_errors=True)
    unsent.replace(out)
    # What left counts, be it merged or not.
    spent = privacy.epsilon([one["noise"] for one in rounds], DELTA)
    return {
        "delta": name,
        "release": offer.release,
        "windows": list(windows),
        "examples": report.examples,
        "norm": round(privacy.norm_of(_public(model, part)), 6),
        "epsilon": spent if math.isfinite(spent) else None,
    }


def _public(model: Recommender, part: Changes) -> dict[str, np.ndarray]:
    """The changes that could leave, by stage and table."""
    return {
        f"{stage}/{name}": array
        for stage, state in model.states.items()
        for name, array in part[stage].tables.items()
        if state.network.keyed.get(name) != "users"
    }


def _bring_users_back(model: Recommender, kept: Path) -> None:
    """The rows that this silo's users had after a round, if the model is still of one make."""
    from models.errors import RestoreError
    from models.merging.changes import take_users_from

    try:
        before = restore_model(kept).states
        for name, state in model.states.items():
            if "users" in state.network.keyed.values():
                take_users_from(state, before[name])
    except (RestoreError, ValueError) as error:
        log.warning("this silo's users are learned anew: %s", error)


def _note_round(settings: Settings, home: Path, this: Json) -> list[Json]:
    """Adds a round to those noted, one process at a time; returns all."""
    with transaction(settings.database_url) as cursor:
        cursor.execute("select pg_advisory_xact_lock(%s)", (Lock.SILO,))
        rounds = [*_read_rounds(home), this]
        whole_file = home / "rounds.json.new"
        whole_file.write_text(json.dumps(rounds, indent=1) + "\n", encoding="utf-8")
        whole_file.replace(home / "rounds.json")
    return rounds


def _read_rounds(home: Path) -> list[Json]:
    path = home / "rounds.json"
    return list(json.loads(path.read_text(encoding="utf-8"))) if path.exists() else []

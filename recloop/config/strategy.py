"""How an update is done, beyond its kind: what a plan file or a form may ask for, checked.

    plan = "increment"        # auto, skip, increment, rebuild
    policy = "volume"         # with `auto`: whom to ask instead of `[policy] name` in config/update.toml
    reason = "try replay"     # kept in the ledger
    approval = false          # ask a person before promotion
    rank = true               # false: the ranker rests, an increment teaches the towers alone
    average_releases = 1      # average the challenger's weights with those of so many releases
    maintain = "none"         # none, prune, float16, int8, float32, student: done to the challenger
    shards = 1                # 1 to 64: an increment's events, split by user, are trained side by side
    shard_wait = 600          # seconds until the merge takes over a shard that has not reported
    shard_staleness = 0       # versions that a shard's release may be behind the parent

    [recipe]                  # any field of models.learning.recipes.Recipe
    scope = "touched"
    [ranker]                  # of a second stage: the same fields
    epochs = 2
    [ids]                     # any field of models.learning.recipes.NewIds
    start = "cooccurrence"

What the dataset's family lacks (a second stage, a head, shards) is refused.

Belongs here: names and types. Keep out: the decision (`planning/policy.py`), doing it
(`training/candidate.py`).
"""

from __future__ import annotations

import difflib
import math
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

from models.ids.starts import NewIds
from models.learning.recipes import RANK, SCOPES, Recipe
from models.recommenders.family import Family
from recloop.config.toml_file import read_toml
from recloop.contracts import Strategy
from recloop.errors import BadInput

Json = dict[str, Any]
REPLAY_SHARE = 0.25
MOST_SHARDS = 64
LONGEST_WAIT = 86_400
RATES = {"adagrad": 0.05, "adam": 0.01, "momentum": 0.01, "rmsprop": 0.003, "sgd": 0.05}
"""Learning rates of a recipe that names another optimizer than its family's, and no rate: one of Adam's
steps is about one rate, and that of Adagrad would be far too large."""
UNSCALED, CLIP = ("momentum", "sgd"), 5.0
"""Optimizers whose steps are as long as the gradient, and the length at which it is cut, too, where no
rate is named: on a network that multiplies features a few batches would end in NaN."""
RECIPE_FIELDS = tuple(f.name for f in fields(Recipe) if f.name != "seed")
ID_FIELDS = tuple(f.name for f in fields(NewIds))
REHEARSAL = ("replay", "replay_share", "distillation", "ewc", "patience")
SECTIONS = ("recipe", "ranker", "ids")
MOST = {
    "epochs": 1000,
    "learning_rate": 10,
    "batch_size": 1_000_000,
    "memory_size": 100_000_000,
    "expire_after_days": 36_525,
}
MOST_OTHERWISE = 1_000_000_000
"""The largest numbers that a plan may ask for: beyond these a training would not end, or not begin."""
TOP = ("rank", "average_releases", "maintain", "shards", "shard_wait", "shard_staleness", "silos")
REQUEST_KEYS = ("plan", "policy", "reason", "approval")


def read_plan_file(path: Path, family: Family) -> tuple[Json, Json]:
    """A plan file: what is asked for (`REQUEST_KEYS`), and the options of `strategy_of`.

    Raises:
        BadInput: no such file, not TOML, an unknown key or a value that cannot be used.
    """
    content = read_toml(path)
    request = {key: content.pop(key) for key in REQUEST_KEYS if key in content}
    kinds = {"plan": str, "policy": str, "reason": str, "approval": bool}
    for key, value in request.items():
        if not isinstance(value, kinds[key]):
            raise BadInput(
                f"{path}: `{key}` should be a {kinds[key].__name__}. Received: {value!r}."
            )
    try:
        for key in content:
            if key not in (known := (*SECTIONS, *TOP, *RECIPE_FIELDS)):
                _unknown(key, (*REQUEST_KEYS, *known))
        strategy_of(content, family)
    except BadInput as error:
        raise BadInput(f"{path}: {error}") from error
    return request, content


def strategy_of(options: Json, family: Family) -> Strategy:
    """The strategy that these options ask for; fields of a recipe may stand outside `recipe`.

    Args:
        family: what the dataset file names: only what it has can be asked for.

    Raises:
        BadInput: an option is unknown, or its value cannot be used; says which and the remedy.
    """
    given: dict[str, Json] = {section: {} for section in SECTIONS}
    top: Json = {}
    for key, value in options.items():
        if value in (None, ""):
            continue
        if key in SECTIONS:
            if not isinstance(value, dict):
                raise BadInput(f"`{key}` should be a table of its own. Received: {value!r}.")
            given[key] |= {k: v for k, v in value.items() if v not in (None, "")}
        elif key in RECIPE_FIELDS:
            given["recipe"][key] = value
        elif key in TOP:
            top[key] = value
        else:
            _unknown(key, (*SECTIONS, *TOP, *RECIPE_FIELDS))
    for section, known in (
        ("recipe", RECIPE_FIELDS),
        ("ranker", RECIPE_FIELDS),
        ("ids", ID_FIELDS),
    ):
        for key in given[section]:
            if key not in known:
                _unknown(f"{section}.{key}", tuple(f"{section}.{name}" for name in known))
    _complete(given["recipe"], family.increment)
    _complete(given["ranker"], family.ranker or RANK)
    _trainable(family, given)
    if any(given["ranker"].get(name) for name in REHEARSAL):
        raise BadInput(
            "the ranker does not rehearse, so [ranker] takes none of "
            f"{', '.join(REHEARSAL)}. Give them under [recipe], for the towers."
        )
    given["recipe"] = _checked(Recipe, family.increment, given["recipe"], "recipe")
    given["ranker"] = _checked(Recipe, family.ranker or RANK, given["ranker"], "ranker")
    given["ids"] = _checked(NewIds, NewIds(), given["ids"], "ids")
    whole = {
        name: _whole(top, name, least, most, default)
        for name, least, most, default in (
            ("average_releases", 1, 20, 1),
            ("shards", 1, MOST_SHARDS, 1),
            ("shard_staleness", 0, 20, 0),
        )
    }
    wait = top.get("shard_wait", Strategy().shard_wait)
    if isinstance(wait, bool) or not isinstance(wait, int | float) or not 0 <= wait <= LONGEST_WAIT:
        raise BadInput(
            f"`shard_wait` should be seconds, from 0 to {LONGEST_WAIT}. Received: {wait!r}."
        )
    rank = top.get("rank", True)
    if not isinstance(rank, bool):
        raise BadInput(f"`rank` should be true or false. Received: {rank!r}.")
    maintain = top.get("maintain", "none")
    kinds = ("none", *family.maintenance)
    if maintain not in kinds:
        raise BadInput(
            f"`maintain` of family {family.name} should be one of {', '.join(kinds)}. "
            f"Received: {maintain!r}."
        )
    silos = top.get("silos", ())
    if not isinstance(silos, list | tuple) or not all(isinstance(one, str) for one in silos):
        raise BadInput(f"`silos` should be folders of deltas. Received: {silos!r}.")
    for name, wanted, has in (
        ("shards", whole["shards"] > 1, family.shards),
        ("silos", bool(silos), family.silos),
        ("second stage that could rest (`rank`)", not rank, family.ranker is not None),
    ):
        if wanted and not has:
            raise BadInput(f"family {family.name} has no {name}; leave it out.")
    return Strategy(
        recipe=given["recipe"],
        ranker=given["ranker"],
        ids=given["ids"],
        rank=rank,
        average_releases=whole["average_releases"],
        maintain=maintain,
        shards=whole["shards"],
        shard_wait=float(wait),
        shard_staleness=whole["shard_staleness"],
        silos=tuple(silos),
    )


def _trainable(family: Family, given: dict[str, Json]) -> None:
    """What this family has nothing of is refused here, not by the training task."""
    if given["ranker"] and family.ranker is None:
        raise BadInput(f"family {family.name} has no second stage; leave [ranker] out.")
    known = {"recipe": family.scopes, "ranker": family.ranker_scopes}
    for section, scopes in known.items():
        scope = given[section].get("scope")
        if scope not in SCOPES or scope in scopes:
            continue  # an unknown name is told by the recipe itself
        elsewhere = [f" [{other}] has it." for other, has in known.items() if scope in has]
        raise BadInput(
            f"`{section}.scope` = {scope!r} would train nothing: what [{section}] trains of family "
            f"{family.name} has no such part. Choose one of {', '.join(scopes)}.{''.join(elsewhere)}"
        )
    ids = [name for name in given["ids"] if name not in family.ids]
    if ids:
        raise BadInput(
            f"`ids.{ids[0]}` does nothing in family {family.name}, which takes "
            f"{', '.join(family.ids)}; leave it out."
        )


def _whole(top: Json, name: str, least: int, most: int, default: int) -> int:
    value = top.get(name, default)
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if not number or not least <= value <= most or value != int(value):
        raise BadInput(f"`{name}` should be from {least} to {most}. Received: {value!r}.")
    return int(value)


def _complete(recipe: Json, base: Recipe) -> None:
    """What goes without saying: replay alone means one past example for four new ones; EWC, which
    needs past examples to know what they need, keeps a uniform sample of them."""
    named = recipe.get("optimizer", base.optimizer)
    if named != base.optimizer and str(named) in RATES and "learning_rate" not in recipe:
        recipe["learning_rate"] = RATES[recipe["optimizer"]]
        if named in UNSCALED and "clip_norm" not in recipe:
            recipe["clip_norm"] = CLIP
    if recipe.get("ewc") and recipe.get("replay", "none") == "none":
        recipe["replay"] = "uniform"
    used = any(recipe.get(name) for name in ("replay_share", "distillation", "ewc"))
    if recipe.get("replay", "none") != "none" and not used:
        recipe["replay_share"] = REPLAY_SHARE


def _is_number(value: Any) -> bool:
    """Of NaN and infinity, false; of whole numbers that no float can hold, true."""
    if isinstance(value, float):
        return math.isfinite(value)
    return isinstance(value, int) and not isinstance(value, bool)


def _checked(kind: type, base: Any, values: Json, section: str) -> Json:
    """The values, of the right types and within their bounds."""
    wanted = {f.name: type(getattr(base, f.name)) for f in fields(kind)}
    checked: Json = {}
    for key, value in values.items():
        right = wanted[key]
        if right in (int, float) and not _is_number(value):
            raise BadInput(f"`{section}.{key}` should be a number. Received: {value!r}.")
        most = MOST.get(key, MOST_OTHERWISE)
        if right in (int, float) and abs(value) > most:
            raise BadInput(
                f"`{section}.{key}` should be at most {most:,}. Received: {str(value)[:40]}."
            )
        if right is int and value != int(value):
            raise BadInput(f"`{section}.{key}` should be a whole number. Received: {value!r}.")
        if right in (str, bool) and not isinstance(value, right):
            raise BadInput(f"`{section}.{key}` should be a {right.__name__}. Received: {value!r}.")
        checked[key] = right(value)
    try:
        replace(base, **checked)
    except ValueError as error:
        raise BadInput(f"[{section}] cannot be used: {error}") from error
    return checked


def _unknown(key: str, known: tuple[str, ...]) -> None:
    close = difflib.get_close_matches(key, known, 1)
    hint = f"did you mean `{close[0]}`?" if close else f"known are {', '.join(known)}."
    raise BadInput(f"option `{key}` is not known; {hint}")

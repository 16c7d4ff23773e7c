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
"""

from __future__ import annotations

import difflib
import math
from dataclasses import fields, replace
from pathlib import Path
from typing import Annotated, Any

from pydantic import BeforeValidator, Field, StrictBool, ValidationError

from models.ids.starts import NewIds
from models.learning.recipes import RANK, SCOPES, Recipe
from models.recommenders.family import Family
from recloop.config.toml_file import Section, read_toml
from recloop.contracts import Strategy
from recloop.errors import BadInput

Json = dict[str, Any]
REPLAY_SHARE = 0.25
RATES = {"adagrad": 0.05, "adam": 0.01, "momentum": 0.01, "rmsprop": 0.003, "sgd": 0.05}
"""Learning rates of a recipe that names another optimizer than its family's, and no rate: one of Adam's
steps is about one rate, and that of Adagrad would be far too large."""
UNSCALED, CLIP = ("momentum", "sgd"), 5.0
"""Optimizers whose steps are as long as the gradient, and the length at which it is cut, too, where no
rate is named: on a network that multiplies features a few batches would end in NaN."""
RECIPE_FIELDS = tuple(f.name for f in fields(Recipe) if f.name != "seed")
ID_FIELDS = tuple(f.name for f in fields(NewIds))
SECTIONS = {"recipe": RECIPE_FIELDS, "ranker": RECIPE_FIELDS, "ids": ID_FIELDS}
DROPOUTS = ("dropout", "user_dropout")
REHEARSAL = ("replay", "replay_share", "distillation", "ewc", "patience")
MOST = {
    "epochs": 1000,
    "learning_rate": 10,
    "batch_size": 1_000_000,
    "memory_size": 100_000_000,
    "expire_after_days": 36_525,
}
MOST_OTHERWISE = 1_000_000_000
"""The largest numbers that a plan may ask for: beyond these a training would not end, or not begin."""
REQUEST_KEYS = {"plan": str, "policy": str, "reason": str, "approval": bool}


def _number(value: Any) -> Any:
    """Pydantic would take `true` and `"3"` for numbers, too. A whole one may be beyond any float."""
    finite = math.isfinite(value) if isinstance(value, float) else isinstance(value, int)
    if isinstance(value, bool) or not finite:
        raise ValueError("no number")
    return value


Number = BeforeValidator(_number)


class Top(Section):
    """What stands outside the tables. A description says what the option should be."""

    average_releases: Annotated[int, Number] = Field(1, ge=1, le=20, description="from 1 to 20")
    shards: Annotated[int, Number] = Field(1, ge=1, le=64, description="from 1 to 64")
    shard_staleness: Annotated[int, Number] = Field(0, ge=0, le=20, description="from 0 to 20")
    shard_wait: Annotated[float, Number] = Field(
        Strategy().shard_wait, ge=0, le=86_400, description="seconds, from 0 to 86400"
    )
    rank: StrictBool = Field(True, description="true or false")
    maintain: Any = "none"
    silos: tuple[str, ...] = Field((), description="folders of deltas")


KNOWN = (*SECTIONS, *Top.model_fields, *RECIPE_FIELDS)


def read_plan_file(path: Path, family: Family) -> tuple[Json, Json]:
    """A plan file: what is asked for (`REQUEST_KEYS`), and the options of `strategy_of`.

    Raises:
        BadInput: no such file, not TOML, an unknown key or a value that cannot be used.
    """
    content = read_toml(path)
    request = {key: content.pop(key) for key in REQUEST_KEYS if key in content}
    for key, value in request.items():
        if not isinstance(value, kind := REQUEST_KEYS[key]):
            raise BadInput(f"{path}: `{key}` should be a {kind.__name__}. Received: {value!r}.")
    try:
        for key in content:
            _check_known(key, KNOWN, (*REQUEST_KEYS, *KNOWN))
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
        _check_known(key, KNOWN)
        if key in SECTIONS:
            if not isinstance(value, dict):
                raise BadInput(f"`{key}` should be a table of its own. Received: {value!r}.")
            given[key] |= {k: v for k, v in value.items() if v not in (None, "")}
        else:
            (given["recipe"] if key in RECIPE_FIELDS else top)[key] = value
    for section, names in SECTIONS.items():
        for key in given[section]:
            _check_known(f"{section}.{key}", tuple(f"{section}.{name}" for name in names))
    ranker = family.ranker or RANK
    _complete(given["recipe"], family.increment)
    _complete(given["ranker"], ranker)
    _check_trainable(family, given)
    if any(given["ranker"].get(name) for name in REHEARSAL):
        raise BadInput(
            "the ranker does not rehearse, so [ranker] takes none of "
            f"{', '.join(REHEARSAL)}. Give them under [recipe], for the towers."
        )
    tables: dict[str, Any] = {
        section: _checked(base, given[section], section)
        for section, base in (("recipe", family.increment), ("ranker", ranker), ("ids", NewIds()))
    }
    try:
        asked = Top.model_validate(top)
    except ValidationError as error:
        wrong = str(error.errors()[0]["loc"][0])
        should = Top.model_fields[wrong].description
        raise BadInput(f"`{wrong}` should be {should}. Received: {top[wrong]!r}.") from None
    kinds = ("none", *family.maintenance)
    if asked.maintain not in kinds:
        raise BadInput(
            f"`maintain` of family {family.name} should be one of {', '.join(kinds)}. "
            f"Received: {asked.maintain!r}."
        )
    for name, wanted, has in (
        ("shards", asked.shards > 1, family.shards),
        ("silos", bool(asked.silos), family.silos),
        ("second stage that could rest (`rank`)", not asked.rank, family.ranker is not None),
    ):
        if wanted and not has:
            raise BadInput(f"family {family.name} has no {name}; leave it out.")
    return Strategy(**tables, **asked.model_dump())


def _check_trainable(family: Family, given: dict[str, Json]) -> None:
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
    idle = {
        "recipe": [name for name in family.idle if given["recipe"].get(name)],
        "ranker": [name for name in DROPOUTS if given["ranker"].get(name)],
        "ids": [name for name in given["ids"] if name not in family.ids],
    }
    for section, names in idle.items():
        if names:
            raise BadInput(
                f"`{section}.{names[0]}` does nothing in family {family.name}; leave it out."
            )


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


def _checked(base: Any, values: Json, section: str) -> Json:
    """The values, of the types of `base`'s fields and within their bounds."""
    checked: Json = {}
    for key, value in values.items():
        right, most = type(getattr(base, key)), MOST.get(key, MOST_OTHERWISE)
        should, told = "", repr(value)
        try:
            if right in (str, bool):
                should = "" if isinstance(value, right) else f"a {right.__name__}"
            elif abs(_number(value)) > most:
                should, told = f"at most {most:,}", str(value)[:40]
            elif right is int and value != int(value):
                should = "a whole number"
        except ValueError:
            should = "a number"
        if should:
            raise BadInput(f"`{section}.{key}` should be {should}. Received: {told}.")
        checked[key] = right(value)
    try:
        replace(base, **checked)
    except ValueError as error:
        raise BadInput(f"[{section}] cannot be used: {error}") from error
    return checked


def _check_known(key: str, known: tuple[str, ...], told: tuple[str, ...] = ()) -> None:
    if key not in known:
        close = difflib.get_close_matches(key, told or known, 1)
        hint = f"did you mean `{close[0]}`?" if close else f"known are {', '.join(told or known)}."
        raise BadInput(f"option `{key}` is not known; {hint}")

"""Plan files: `recloop update --plan plan.toml`. Each key has a value that it may have, or one that it
may not; what is accepted must be what was written, and be planned without an error that is none of
recloop's.
"""

from __future__ import annotations

import math
import random
from collections.abc import Iterator, Sequence
from typing import Any

from recloop.errors import RecloopError
from tests.fuzz import world
from tests.fuzz.cases import Outcome, chance, of_error, raw_error
from tests.fuzz.toml_text import written

NO_NUMBERS: tuple[Any, ...] = ("two", True, [1], {"a": 1}, math.nan, math.inf, -math.inf, "", "1e3")
GOOD: dict[str, tuple[Any, ...]] = {
    "epochs": (1, 2, 5, 20),
    "batch_size": (2, 16, 512, 4096),
    "learning_rate": (0.001, 0.05, 0.5),
    "dropout": (0.0, 0.2, 0.9),
    "user_dropout": (0.0, 0.5),
    "clip_norm": (0.0, 1.5),
    "weight_decay": (0.0, 1e-4),
    "champion_decay": (0.0, 0.01),
    "patience": (0, 2),
    "memory_size": (10, 30_000),
    "memory_half_life": (1.0, 28.0),
    "distillation_temperature": (0.5, 1.0, 4.0),
    "shuffle": ("events", "baskets", "none"),
    "optimizer": ("adagrad", "adam", "momentum", "rmsprop", "sgd"),
    "scope": ("everything", "embeddings", "ids", "users", "items", "touched"),
}
BAD: dict[str, tuple[Any, ...]] = {
    "epochs": (0, -1, 1.5, 99_999_999_999, 10**30, 10**400, *NO_NUMBERS[:-2]),
    "batch_size": (0, 1, -5, 999_999_999, 2.5, *NO_NUMBERS[:-2]),
    "learning_rate": (0, -0.1, 1e300, *NO_NUMBERS[:-2]),
    "dropout": (1, 1.5, -0.1, *NO_NUMBERS[:-2]),
    "user_dropout": (1.0, -1, *NO_NUMBERS[:-2]),
    "clip_norm": (-1, *NO_NUMBERS[:-2]),
    "weight_decay": (-1e-9, *NO_NUMBERS[:-2]),
    "champion_decay": (-0.5, *NO_NUMBERS[:-2]),
    "patience": (-1, 0.5, *NO_NUMBERS[:-2]),
    "memory_size": (0, -1, *NO_NUMBERS[:-2]),
    "memory_half_life": (0, -3.0, *NO_NUMBERS[:-2]),
    "distillation_temperature": (0, -1, *NO_NUMBERS[:-2]),
    "shuffle": ("random", 3, True, ["events"]),
    "optimizer": ("adamw", 1, ["adam"], {"name": "adam"}),
    "scope": ("all", 7, False),
}
TOP_GOOD: dict[str, tuple[Any, ...]] = {
    "average_releases": (1, 3, 20),
    "shards": (1, 4, 64),
    "shard_wait": (0, 60, 86_400),
    "shard_staleness": (0, 5),
    "rank": (True, False),
    "maintain": ("none", "prune", "float16", "int8", "float32", "student"),
}
TOP_BAD: dict[str, tuple[Any, ...]] = {
    "average_releases": (0, -1, 21, 1.5, "3", True),
    "shards": (0, 65, 2.5, "4", True, 10**20),
    "shard_wait": (-1, 86_401, "long", True, math.nan),
    "shard_staleness": (-1, 21, 0.5),
    "rank": ("yes", 1, [True]),
    "maintain": ("tidy", 8, True),
    "silos": ("north", 3, [1, 2]),
}
REQUEST_GOOD: dict[str, tuple[Any, ...]] = {
    "plan": ("auto", "skip", "increment", "rebuild"),
    "policy": ("every-window", "every-n-windows", "volume", "never", "adaptive"),
    "reason": ("try replay", "123", "{{ 7 * 7 }}", "None", "\x1b[2J", "x" * 500),
    "approval": (True, False),
}
REQUEST_BAD: dict[str, tuple[Any, ...]] = {
    "plan": ("deep", 3, True, ["auto"]),
    "policy": ("sometimes", 4, ["never"]),
    "reason": (123, True, ["x"], 4711.0),
    "approval": ("yes", 1, "false"),
}
IDS_GOOD: dict[str, tuple[Any, ...]] = {
    "start": ("content", "cooccurrence", "mean"),
    "minimum_events": (1, 3),
    "expire_after_days": (0, 180),
}
IDS_BAD: dict[str, tuple[Any, ...]] = {
    "start": ("random", 2),
    "minimum_events": (-1, "few", 1.5),
    "expire_after_days": (-1, "never", math.inf),
}
NOT_RANKED = ("patience", "dropout", "user_dropout")
"""Of a recipe, what a ranker does nothing with."""
UNKNOWN = ("epoch", "learningrate", "rankers", "seed", "__class__", "", "plan.plan", "é", "scope ")


def document(dice: random.Random) -> tuple[dict[str, Any], bool]:
    """What a plan file says, and whether it may."""
    made: dict[str, Any] = {}
    fine = True
    bad_at = dice.randrange(12)  # of half of the files no key, of the others one or two

    def put(where: dict[str, Any], good: dict[str, Any], bad: dict[str, Any], count: int) -> None:
        nonlocal fine
        for name in dice.sample(sorted(bad), min(count, len(bad))):
            wrong = name not in good or dice.randrange(12) == bad_at
            fine = fine and not wrong
            where[name] = dice.choice((bad if wrong else good)[name])

    put(made, REQUEST_GOOD, REQUEST_BAD, dice.randrange(3))
    put(made, TOP_GOOD, {k: v for k, v in TOP_BAD.items() if k != "silos"}, dice.randrange(3))
    if dice.random() < 0.05:
        made["silos"], fine = dice.choice(TOP_BAD["silos"]), False
    for section in ("recipe", "ranker"):
        if dice.random() < 0.6:
            made[section] = {}
            names = GOOD if section == "recipe" else GOOD | {"scope": ("everything", "head")}
            names = {n: v for n, v in names.items() if section == "recipe" or n not in NOT_RANKED}
            put(made[section], names, {n: BAD[n] for n in names}, dice.randrange(5))
    if dice.random() < 0.3:
        made["ids"] = {}
        put(made["ids"], IDS_GOOD, IDS_BAD, dice.randrange(3))
    if dice.random() < 0.1:
        where = dice.choice([made, *(value for value in made.values() if isinstance(value, dict))])
        where[f'"{dice.choice(UNKNOWN)}"'], fine = 1, False
    if dice.random() < 0.05:
        made[dice.choice(("recipe", "ids"))], fine = dice.choice((3, "x", [1], True)), False
    return made, fine


class Plans:
    """See the module."""

    name, share, batch = "plan", 0.15, 250

    def __init__(self, where: world.World) -> None:
        self._world = where

    def tried(self, seed: int, numbers: Sequence[int]) -> Iterator[Outcome]:
        settings = self._world.settings(world.toml())
        for number in numbers:
            dice = chance(seed, self.name, number)
            made, fine = document(dice)
            raw, intact = written(made, dice, 0.1)
            path = self._world.folder / "plan.toml"
            path.write_bytes(raw)
            fate, problem = "accepted", ""
            try:
                self._plan(settings, path, made if intact else None)
            except RecloopError as error:
                fate, problem = "refused", of_error(error)
                if intact and fine and not problem:
                    problem = f"refused, though nothing is wrong with it: {error}"
            except Wrong as error:
                problem = str(error)
            except Exception as error:
                problem = raw_error(error)
            if fate == "accepted" and intact and not fine and not problem:
                problem = "accepted, though a value of it cannot be used"
            fate = "fault" if problem else fate
            yield Outcome(self.name, number, fate, problem, raw.decode(errors="backslashreplace"))  # type: ignore[arg-type]

    def _plan(self, settings: Any, path: Any, meant: dict[str, Any] | None) -> None:
        from models.retrieve_and_rank.two_stage_config import FAMILY
        from recloop.config.strategy import read_plan_file, strategy_of
        from recloop.stages import update_stages

        request, options = read_plan_file(path, FAMILY)
        strategy = strategy_of(options, FAMILY).model_dump()
        for section in ("recipe", "ranker", "ids"):
            for name, value in (meant or {}).get(section, {}).items():
                if value != "" and strategy[section].get(name) != value:
                    raise Wrong(
                        f"{section}.{name} = {value!r} became {strategy[section].get(name)!r}"
                    )
        asked = options | {name: request.get(name, "") for name in ("reason", "policy")}
        update_stages.plan(None, request.get("plan", "auto"), "fuzz", False, True, asked, settings)


class Wrong(Exception):
    """What was accepted is not what was written."""

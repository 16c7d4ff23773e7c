"""Plan files and forms: what they may ask for, and what is said when they ask for something else."""

from __future__ import annotations

from dataclasses import fields
from functools import partial
from pathlib import Path

import pytest

from models.learning.recipes import Recipe
from models.recommenders.family import family_named
from models.retrieve_and_rank.two_stage_config import FAMILY
from recloop.config import strategy
from recloop.contracts import Strategy, UpdatePlan
from recloop.errors import BadInput

strategy_of = partial(strategy.strategy_of, family=FAMILY)
read_plan_file = partial(strategy.read_plan_file, family=FAMILY)

PLAN = """
plan = "increment"
reason = "try replay"
average_releases = 3
rank = false
maintain = "int8"
[recipe]
scope = "touched"
epochs = 2
learning_rate = 1
[ranker]
optimizer = "adam"
[ids]
start = "mean"
expire_after_days = 180
"""


def written(folder: Path, text: str) -> Path:
    path = folder / "plan.toml"
    path.write_text(text)
    return path


def test_a_plan_file_says_what_is_asked_for_and_how(tmp_path: Path) -> None:
    request, options = read_plan_file(written(tmp_path, PLAN))
    assert request == {"plan": "increment", "reason": "try replay"}
    assert strategy_of(options) == Strategy(
        recipe={"scope": "touched", "epochs": 2, "learning_rate": 1.0},
        ranker={"optimizer": "adam", "learning_rate": 0.01},
        ids={"start": "mean", "expire_after_days": 180},
        average_releases=3,
        rank=False,
        maintain="int8",
    )


def test_every_field_of_a_recipe_can_be_asked_for() -> None:
    values = {f.name: getattr(Recipe(1, 0.1, 16), f.name) for f in fields(Recipe)}
    del values["seed"]
    assert strategy_of({"recipe": values}).recipe == values


def test_a_forms_fields_stand_outside_and_empty_ones_count_as_absent() -> None:
    options = {"epochs": 4, "scope": "", "recipe": {"dropout": None, "epochs": 2}, "ids": None}
    assert strategy_of({**options}) == Strategy(recipe={"epochs": 2})
    assert strategy_of({"epochs": 4, "maintain": None}) == Strategy(recipe={"epochs": 4})
    shards = {"shards": 4, "shard_wait": 90, "shard_staleness": 1, "silos": ["/delta"]}
    assert strategy_of(shards) == Strategy(**shards)
    assert (Strategy().shards, Strategy().silos) == (1, ())


def test_naming_a_kind_of_replay_is_enough() -> None:
    assert strategy_of({"replay": "herding"}).recipe == {"replay": "herding", "replay_share": 0.25}
    asked = {"replay": "herding", "distillation": 0.5}
    assert strategy_of(asked).recipe == asked
    assert strategy_of({"optimizer": "adam"}).recipe["learning_rate"] == 0.01
    rate = {"optimizer": "adam", "learning_rate": 0.2}
    assert strategy_of(rate).recipe == rate
    assert strategy_of({"recipe": {"ewc": 2}}).recipe == {"replay": "uniform", "ewc": 2.0}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"epoch": 3}, "option `epoch` is not known; did you mean `epochs`"),
        ({"recipe": {"scop": "users"}}, r"`recipe.scop` is not known; did you mean `recipe.scope`"),
        (
            {"recipe": {"scope": "rows"}},
            r"\[recipe\] .*`scope` should be one of everything, .*'rows'",
        ),
        ({"recipe": {"epochs": "two"}}, r"`recipe.epochs` should be a number. Received: 'two'"),
        ({"recipe": {"epochs": 2.5}}, "whole number. Received: 2.5"),
        ({"recipe": {"epochs": True}}, "should be a number. Received: True"),
        ({"recipe": {"learning_rate": float("nan")}}, "should be a number. Received: nan"),
        (
            {"recipe": {"optimizer": {"name": "adam"}}},
            "should be a str. Received: {'name': 'adam'}",
        ),
        ({"recipe": {"replay_share": 0.5}}, "give both or none"),
        ({"ranker": {"replay": "herding"}}, r"the ranker does not rehearse.* under \[recipe\]"),
        (
            {"epochs": 99_999_999_999},
            r"`recipe.epochs` should be at most 1,000. Received: 99999999999",
        ),
        (
            {"ranker": {"batch_size": 999_999_999}},
            "`ranker.batch_size` should be at most 1,000,000",
        ),
        ({"learning_rate": 1e30}, "at most 10"),
        ({"recipe": {"clip_norm": 10**400}}, "at most 1,000,000,000. Received: 1000"),
        ({"recipe": {"optimizer": ["adam"]}}, "`recipe.optimizer` should be a str"),
        ({"ids": {"expire_after_days": 10**7}}, "at most 36,525"),
        ({"recipe": 3}, "`recipe` should be a table of its own. Received: 3"),
        (
            {"ids": {"start": "random"}},
            r"\[ids\] .*content, cooccurrence, mean. Received: 'random'",
        ),
        ({"average_releases": 0}, "from 1 to 20. Received: 0"),
        ({"rank": "no"}, "`rank` should be true or false. Received: 'no'"),
        ({"shards": 0}, "`shards` should be from 1 to 64. Received: 0"),
        ({"shards": 65}, "from 1 to 64. Received: 65"),
        ({"shards": float("nan")}, "from 1 to 64. Received: nan"),
        ({"shard_wait": -1}, "seconds, from 0 to 86400. Received: -1"),
        ({"shard_wait": float("inf")}, "Received: inf"),
        ({"shard_staleness": 21}, "from 0 to 20. Received: 21"),
        ({"silos": "delta"}, "should be folders of deltas. Received: 'delta'"),
        ({"maintain": "int4"}, "none, prune, float16, int8, float32, student. Received: 'int4'"),
    ],
)
def test_what_cannot_be_used_is_named(options: dict[str, object], message: str) -> None:
    with pytest.raises(BadInput, match=message):
        strategy_of(options)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("plan = 3", "`plan` should be a str. Received: 3"),
        ("[recipe]\nepochz = 1", r"plan.toml: option `recipe.epochz`"),
        ("plan = ", "not valid TOML"),
    ],
)
def test_a_faulty_plan_file_is_named(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(BadInput, match=message):
        read_plan_file(written(tmp_path, text))


def test_a_plan_carries_its_strategy_through_json() -> None:
    plan = UpdatePlan(
        decision="increment",
        target="2011-06-06",
        windows=("2011-06-06",),
        parent_release=1,
        strategy=strategy_of({"recipe": {"scope": "items"}, "average_releases": 2}),
        reason="",
    )
    assert UpdatePlan.model_validate(plan.to_json()) == plan


def test_a_misspelt_request_in_a_plan_file_is_told_with_the_right_name(tmp_path: Path) -> None:
    path = tmp_path / "plan.toml"
    path.write_text('polcy = "never"\n')
    with pytest.raises(BadInput, match=r"plan.toml: option `polcy` .* did you mean `policy`"):
        read_plan_file(path)


@pytest.mark.parametrize(
    ("family", "options", "named"),
    [
        ("ratings", {"dropout": 0.2}, "recipe.dropout"),
        ("sessions", {"recipe": {"user_dropout": 0.2}}, "recipe.user_dropout"),
        ("click_through", {"recipe": {"dropout": 0.1}}, "recipe.dropout"),
        ("retrieve_and_rank", {"ranker": {"user_dropout": 0.1}}, "ranker.user_dropout"),
    ],
)
def test_what_a_family_does_nothing_with_is_refused(
    family: str, options: dict[str, object], named: str
) -> None:
    with pytest.raises(BadInput, match=f"`{named}` does nothing in family {family}"):
        strategy.strategy_of(options, family_named(family))
    zero = {"recipe": {"dropout": 0.0, "user_dropout": 0.0}}
    assert strategy.strategy_of(zero, family_named(family)).recipe == zero["recipe"]

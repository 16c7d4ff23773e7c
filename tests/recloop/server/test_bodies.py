"""Bodies: what they take, and that their own examples are such."""

from __future__ import annotations

import json
from typing import Any

import pytest
from pydantic import ValidationError

from recloop.server import bodies

MODELS = (bodies.Recommend, bodies.Similar, bodies.Told)


@pytest.mark.parametrize("model", MODELS)
def test_examples_can_be_used(model: type[bodies.Body]) -> None:
    extra = model.model_config["json_schema_extra"]
    assert isinstance(extra, dict)
    examples: Any = extra["examples"]
    assert examples
    for example in examples:
        model.model_validate_json(json.dumps(example))


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ('{"users": "1"}', ("users",)),
        ('{"count": "3"}', ("count",)),
        ('{"count": 0}', ("count",)),
        ('{"count": 1001}', ("count",)),
        ('{"count": true}', ("count",)),
        ('{"count": 2.5}', ("count",)),
        ('{"count": 1e400}', ("count",)),
        ('{"user": ""}', ("user",)),
        ('{"user": 17850}', ("user",)),
        (json.dumps({"user": "x" * 513}), ("user",)),
        ('{"session": ["a", ""]}', ("session", 1)),
        (json.dumps({"session": ["a"] * 201}), ("session",)),
        ('{"filter": {"price": {}}}', ("filter", "price")),
        ('{"filter": {"price": 3}}', ("filter", "price")),
        ('{"filter": {"price": {"below": "3"}}}', ("filter", "price", "below")),
        ('{"filter": {"price": {"below": NaN}}}', ("filter", "price", "below")),
        ('{"filter": {"price": {"below": 1e999}}}', ("filter", "price", "below")),
        ('{"filter": {"price": {"under": 3}}}', ("filter", "price", "under")),
        ('{"filter": {"kind": {"in": "cup"}}}', ("filter", "kind", "in")),
    ],
)
def test_what_cannot_be_used_is_named(text: str, place: tuple[str | int, ...]) -> None:
    with pytest.raises(ValidationError) as told:
        bodies.Recommend.model_validate_json(text)
    assert place in [error["loc"][: len(place)] for error in told.value.errors()]


def test_the_longest_that_may_be() -> None:
    ids = ["x" * 512] * 200
    asked = bodies.Recommend(user=ids[0], session=ids, history=ids, count=1000)
    assert len(asked.session) == 200
    assert bodies.Recommend.model_validate_json('{"count": 5.0}').count == 5


@pytest.mark.parametrize("id_", ["4e6f1b9c", "4E6F1B9C-6a0e-4c39-9d0b-0b6f4d1f7a55", "' or 1=1"])
def test_feedback_is_about_a_request(id_: str) -> None:
    with pytest.raises(ValidationError):
        bodies.Told(request_id=id_, item="1", kind="click")

"""The OpenAPI document against the server: random requests by it, all checks of schemathesis."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from schemathesis import GenerationMode

from recloop.server.api import create_app
from recloop.server.serve_file import Serve
from recloop.settings import Settings

pytestmark = pytest.mark.slow
EXAMPLES = 25
"""Of each operation."""


def of_the_shop(case: Any) -> Any:
    """The document cannot say which attributes the items of a shop have, nor which items and
    recommenders there are: what is asked for is made to be there now and then."""
    body = case.body
    if isinstance(body, dict):
        tests = body.get("filter")
        if isinstance(tests, dict):
            names = ("Description", "item_id", "name")
            body["filter"] = dict(zip(names, tests.values(), strict=False))
        if isinstance(body.get("item"), str) and len(body["item"]) % 2:
            body["item"] = "20003"
        if isinstance(body.get("recommender"), str) and len(body["recommender"]) < 20:
            body["recommender"] = ""
    return case


@pytest.mark.parametrize("mode", [GenerationMode.POSITIVE, GenerationMode.NEGATIVE])
def test_the_server_is_as_its_document_says(mode: GenerationMode, shop: Settings) -> None:
    """Requests that the document allows, and such that it does not."""
    serve = Serve.model_validate({"limits": {"requests_per_second": 1e6, "burst": 10**6}})
    schema = schemathesis.openapi.from_asgi("/openapi.json", create_app(shop, serve))
    asked: Counter[str] = Counter()
    for found in schema.get_all_operations():
        operation = found.ok()
        strategy = operation.as_strategy(generation_mode=mode)
        if mode is GenerationMode.POSITIVE:
            strategy = strategy.map(of_the_shop)
        if mode is GenerationMode.NEGATIVE and not operation.definition.raw.get("requestBody"):
            continue  # nothing is given that could be wrong

        @settings(max_examples=EXAMPLES, suppress_health_check=list(HealthCheck), derandomize=True)
        @given(case=strategy)
        def holds(case: Any) -> None:
            asked[case.path] += 1
            case.call_and_validate()

        holds()
    bodies = {"/v1/recommend", "/v1/similar", "/v1/feedback"}
    assert bodies <= asked.keys()
    assert min(asked[path] for path in bodies) >= EXAMPLES // 2
    if mode is GenerationMode.POSITIVE:
        assert asked.keys() == set(schema.raw_schema["paths"])

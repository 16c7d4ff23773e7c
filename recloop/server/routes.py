"""A route that reads its body by the body's model, and nothing else.

FastAPI's own way from bytes to a model costs as much as the half of an answer. This one asks who calls
before it reads a byte; the OpenAPI document stays FastAPI's.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, get_type_hints

from fastapi import Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from pydantic import BaseModel, ValidationError

from recloop.server.refusals import Refused

JSON = "application/json"
PATIENCE = 10.0
"""Seconds in which a body has to arrive."""


class BodyRoute(APIRoute):
    """Its endpoint takes one body and gives a `Response`; its dependencies take the request alone."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        hints = get_type_hints(self.endpoint)
        hints.pop("return", None)
        (model,) = hints.values()
        return _handler(model, [one.dependency for one in self.dependencies], self.endpoint)


def _handler(
    model: type[BaseModel],
    checks: list[Callable[[Request], Awaitable[None]]] | list[Any],
    endpoint: Callable[[Any], Awaitable[Response]],
) -> Callable[[Request], Coroutine[Any, Any, Response]]:
    async def handle(request: Request) -> Response:
        for check in checks:
            await check(request)
        kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        if kind != JSON:
            raise Refused(415, "content-type", kind, f"should be {JSON}")
        try:
            async with asyncio.timeout(PATIENCE):
                body = await request.body()
            asked = model.model_validate_json(body)
        except TimeoutError:
            raise Refused(408, "", None, f"the body should come within {PATIENCE:g} s") from None
        except ValidationError as error:
            raise RequestValidationError(error.errors(include_url=False)) from error
        return await endpoint(asked)

    return handle

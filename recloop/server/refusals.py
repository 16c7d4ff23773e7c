"""What is not answered: keys, scopes, sizes, rates, and bodies that cannot be used.

Every refusal is `{"errors": [{"field", "value", "message"}]}`. Belongs here: what stands before a route.
"""

from __future__ import annotations

import json
import re
from collections.abc import Awaitable, Callable
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from recloop.errors import ServiceAway
from recloop.server.keys import Doorkeeper
from recloop.server.metrics import Metrics

LONGEST = 200
"""Characters of a value that a refusal repeats."""


class Refused(Exception):
    """Why a request is not answered."""

    def __init__(
        self,
        status: int,
        field: str,
        value: Any,
        message: str,
        headers: dict[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.status, self.headers = status, headers or {}
        self.errors = [{"field": field, "value": value, "message": message}]

    @classmethod
    def of_input(cls, error: Exception) -> Refused:
        """Of a message of recloop's, which names its field in backquotes."""
        named = re.match(r"`([\w.]+)`", str(error))
        return cls(422, named[1] if named else "", None, str(error))


def needs(scope: str) -> Callable[[Request], Awaitable[None]]:
    """A dependency: the caller has the scope, and has not asked too often."""

    async def checked(request: Request) -> None:
        door: Doorkeeper = request.app.state.door
        given = request.headers.get("authorization", "")
        key = given.removeprefix("Bearer ").strip() or request.headers.get("x-api-key")
        caller = door.caller(key)
        if caller is None:
            message = "give a key: `Authorization: Bearer rl_…`; `recloop serve-key add` makes one"
            raise Refused(401, "authorization", None, message, {"WWW-Authenticate": "Bearer"})
        if scope not in caller.scopes:
            message = f"the key of {caller.name!r} lacks the scope {scope!r}"
            raise Refused(403, "authorization", None, message)
        wait = door.wait_of(caller)
        if wait:
            message = f"too many requests; come back in {wait:.2f} s"
            raise Refused(429, "", None, message, {"Retry-After": str(max(1, round(wait)))})

    return checked


def install(app: FastAPI, body_bytes: int, metrics: Metrics) -> None:
    """Sizes and refusals of an app."""
    app.add_middleware(_Sized, most=body_bytes, metrics=metrics)

    @app.exception_handler(Refused)
    async def refused(_: Request, error: Refused) -> Response:
        return _answer(error.status, error.errors, error.headers)

    @app.exception_handler(RequestValidationError)
    async def unusable(_: Request, error: RequestValidationError) -> Response:
        told = [
            {
                "field": ".".join(
                    str(part) for part in one["loc"] if part not in ("body", "query")
                ),
                "value": one.get("input"),
                "message": one["msg"],
            }
            for one in error.errors()
        ]
        broken = any(one["type"] == "json_invalid" for one in error.errors())
        return _answer(400 if broken else 422, told)

    @app.exception_handler(ServiceAway)
    async def away(_: Request, error: ServiceAway) -> Response:
        return _answer(503, [{"field": "", "value": None, "message": str(error)}])

    @app.exception_handler(HTTPException)
    async def other(_: Request, error: HTTPException) -> Response:
        told = [{"field": "", "value": None, "message": str(error.detail)}]
        return _answer(error.status_code, told, dict(error.headers or {}))


def _answer(
    status: int, errors: list[dict[str, Any]], headers: dict[str, str] | None = None
) -> Response:
    for one in errors:
        text = json.dumps(one["value"], default=str)
        if len(text) > LONGEST:
            one["value"] = text[:LONGEST] + "…"
    body = json.dumps({"errors": errors}, default=str)
    return Response(body, status, headers, media_type="application/json")


class _Sized:
    """Refuses bodies that are too large, before they are read whole; counts requests by status."""

    def __init__(self, app: ASGIApp, most: int, metrics: Metrics) -> None:
        self._app, self._most, self._metrics = app, most, metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        read, over = 0, False
        headers = dict(scope["headers"])

        async def counted() -> Message:
            nonlocal read, over
            message = await receive()
            read += len(message.get("body", b""))
            if read > self._most:
                over = True
                raise Refused(413, "", None, self._told)
            return message

        async def noted(message: Message) -> None:
            if message["type"] == "http.response.start":
                route = scope.get("route")  # not the path, of which strangers make any number
                path = getattr(route, "path", "other")
                self._metrics.requests.labels(path, str(message["status"])).inc()
            await send(message)

        said = headers.get(b"content-length", b"0")
        if said.isdigit() and int(said) > self._most:
            answer = _answer(413, [{"field": "", "value": int(said), "message": self._told}])
            await answer(scope, receive, noted)
            return
        await self._app(scope, counted, noted)

    @property
    def _told(self) -> str:
        return f"the body should be of at most {self._most:,} bytes"

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
        named = re.match(r"`([^`]{1,200})`", str(error))
        return cls(422, named[1] if named else "", None, str(error))


def needs(scope: str) -> Callable[[Request], Awaitable[None]]:
    """A dependency: the caller has the scope, and has not asked too often."""

    async def checked(request: Request) -> None:
        door: Doorkeeper = request.app.state.door
        kind, _, given = request.headers.get("authorization", "").partition(" ")
        key = given.strip() if kind.lower() == "bearer" else request.headers.get("x-api-key")
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
        broken = any(one["type"] == "json_invalid" for one in error.errors())
        return _answer(400 if broken else 422, [_told(one) for one in error.errors()])

    @app.exception_handler(ServiceAway)
    async def away(_: Request, error: ServiceAway) -> Response:
        return _answer(503, [{"field": "", "value": None, "message": str(error)}])

    @app.exception_handler(Exception)
    async def crashed(_: Request, error: Exception) -> Response:
        message = f"the server made a mistake ({type(error).__name__}); its log says more"
        return _answer(500, [{"field": "", "value": None, "message": message}])

    @app.exception_handler(HTTPException)
    async def other(_: Request, error: HTTPException) -> Response:
        told = [{"field": "", "value": None, "message": str(error.detail)}]
        return _answer(error.status_code, told, dict(error.headers or {}))


def _told(error: Any) -> dict[str, Any]:
    """One of pydantic's errors as ours."""
    place = ".".join(str(part) for part in error["loc"] if part not in ("body", "query"))
    if error["type"] == "json_invalid":
        return {"field": "", "value": None, "message": f"the body should be JSON: {error['msg']}"}
    message = error["msg"].removeprefix("Value error, ")
    if error["type"] == "extra_forbidden":
        message = "is no field here; /openapi.json says which there are"
    return {"field": place, "value": error.get("input"), "message": message}


def _answer(
    status: int, errors: list[dict[str, Any]], headers: dict[str, str] | None = None
) -> Response:
    told = [one | {"value": _short(one["value"])} for one in errors]
    return Response(json.dumps({"errors": told}), status, headers, media_type="application/json")


def _short(value: Any) -> Any:
    """A value as JSON has it; the beginning of its text, if that is long."""
    try:
        text = json.dumps(value, default=str, allow_nan=False)
    except (ValueError, RecursionError):
        return str(value)[:LONGEST]
    return json.loads(text) if len(text) <= LONGEST else text[:LONGEST] + "…"


class _Sized:
    """Refuses bodies that are too large, before they are read whole; counts requests by status."""

    def __init__(self, app: ASGIApp, most: int, metrics: Metrics) -> None:
        self._app, self._most, self._metrics = app, most, metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        read = 0

        async def counted() -> Message:
            nonlocal read
            message = await receive()
            read += len(message.get("body", b""))
            if read > self._most:
                raise Refused(413, "", None, self._told)
            return message

        async def noted(message: Message) -> None:
            if message["type"] == "http.response.start":
                route = scope.get("route")  # not the path, of which strangers make any number
                path = getattr(route, "path", "other")
                self._metrics.requests.labels(path, str(message["status"])).inc()
            await send(message)

        said = dict(scope["headers"]).get(b"content-length", b"0")
        if said.isdigit() and int(said[:20]) > self._most:
            value = int(said[:20])
            answer = _answer(413, [{"field": "", "value": value, "message": self._told}])
            await answer(scope, receive, noted)
            return
        await self._app(scope, counted, noted)

    @property
    def _told(self) -> str:
        return f"the body should be of at most {self._most:,} bytes"

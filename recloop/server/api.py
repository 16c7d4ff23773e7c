"""Routes of the HTTP server. Every answer that is none says which field, which value, and the remedy."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from typing import Annotated, Any

from fastapi import APIRouter, Depends, FastAPI, Query, Request, Response
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from models.errors import NoItemVectors
from recloop import __version__
from recloop.errors import BadInput
from recloop.server import bodies
from recloop.server.desk import Desk
from recloop.server.following import Follower
from recloop.server.impressions import Recorder
from recloop.server.keys import Doorkeeper
from recloop.server.metrics import Metrics
from recloop.server.refusals import Refused, install, needs
from recloop.server.routes import BodyRoute
from recloop.server.serve_file import Serve
from recloop.settings import Settings

Json = dict[str, Any]
WHY = {
    400: "the body is no JSON",
    401: "no key, or one that is not known",
    403: "the key may not do this",
    404: "there is no such recommender, or no such item",
    408: "the body did not come in time",
    413: "the body is too large",
    415: "the body is not said to be application/json",
    422: "a field cannot be used",
    429: "too many requests; `Retry-After` says when to come back",
    503: "no release answers yet, an answer took too long, or the database is away",
}
ERRORS: dict[int | str, Any] = {
    code: {"model": bodies.Error, "description": what} for code, what in WHY.items()
}
OF_READING: dict[int | str, Any] = {code: ERRORS[code] for code in (401, 403, 404, 422, 429, 503)}

OF_METRICS: dict[int | str, Any] = {
    200: {"content": {CONTENT_TYPE_LATEST: {}}},
    **{code: ERRORS[code] for code in (401, 403, 429)},
}


def create_app(settings: Settings, serve: Serve) -> FastAPI:
    """The server, of all recommenders of the settings."""
    follower = Follower(settings, serve.poll_seconds)
    recorder = Recorder(serve.impressions.waiting)
    metrics = Metrics(follower, recorder)
    desk = Desk(serve, follower, recorder, metrics)
    pool = ThreadPoolExecutor(serve.threads, "answer")

    @asynccontextmanager
    async def running(_: FastAPI) -> AsyncIterator[None]:
        await asyncio.get_running_loop().run_in_executor(None, follower.start)
        recorder.start()
        yield
        follower.stop()
        recorder.stop()
        pool.shutdown(wait=False)

    app = FastAPI(
        title="recloop",
        version=__version__,
        summary="Recommendations of the champions that recloop keeps fresh.",
        docs_url=None,  # their pages come from other hosts
        redoc_url=None,
        lifespan=running,
    )
    app.state.door = Doorkeeper(settings, serve.limits.requests_per_second, serve.limits.burst)
    app.state.follower, app.state.recorder, app.state.metrics = follower, recorder, metrics
    install(app, serve.limits.body_bytes, metrics)

    async def carried_out(work: Callable[..., Json], *given: Any) -> Response:
        """Work done by a thread, in time."""
        began = time.perf_counter()
        loop = asyncio.get_running_loop()
        try:
            body = await asyncio.wait_for(
                loop.run_in_executor(pool, work, *given), serve.limits.seconds
            )
        except TimeoutError:
            seconds = serve.limits.seconds
            raise Refused(
                503, "", None, f"no answer within {seconds:g} s; ask again, or for less"
            ) from None
        except (BadInput, NoItemVectors) as error:
            raise Refused.of_input(error) from error
        metrics.seconds.labels(work.__name__).observe(time.perf_counter() - began)
        return Response(json.dumps(body), media_type="application/json")

    asking = APIRouter(route_class=BodyRoute)

    @asking.post(
        "/v1/recommend",
        response_model=bodies.Recommended,
        responses=ERRORS,
        dependencies=[Depends(needs("recommend"))],
    )
    async def _recommend(asked: bodies.Recommend) -> Response:
        """The best items for a user, after a session, or for a stranger."""
        return await carried_out(desk.recommend, asked)

    @asking.post(
        "/v1/similar",
        response_model=bodies.SimilarItems,
        responses=ERRORS,
        dependencies=[Depends(needs("recommend"))],
    )
    async def _similar(asked: bodies.Similar) -> Response:
        """The items most like one."""
        return await carried_out(desk.similar, asked)

    @asking.post(
        "/v1/feedback",
        response_model=bodies.Kept,
        responses=ERRORS,
        dependencies=[Depends(needs("feedback"))],
    )
    async def _feedback(told: bodies.Told) -> Response:
        """What a user did with an item that an answer showed; it comes back as behavior."""
        return await carried_out(desk.feedback, told)

    app.include_router(asking)

    @app.get(
        "/v1/releases",
        response_model=bodies.Releases,
        responses=OF_READING,
        dependencies=[Depends(needs("read"))],
    )
    async def _releases(recommender: Annotated[str, Query(max_length=40)] = "") -> Response:
        """All releases of a recommender, newest first."""
        return await carried_out(desk.releases, recommender)

    @app.get("/health/live", response_model=bodies.Live)
    async def live() -> Json:
        """The process answers."""
        return {"live": True}

    @app.get(
        "/health/ready",
        response_model=bodies.Ready,
        responses={503: {"model": bodies.Ready, "description": "a recommender has no release yet"}},
    )
    async def ready() -> Response:
        """Whether every recommender is answered for, by which release, and what was refused."""
        told = desk.health()
        status = 200 if told["ready"] else 503
        return Response(json.dumps(told), status, media_type="application/json")

    @app.get(
        "/metrics",
        response_class=Response,
        responses=OF_METRICS,
        dependencies=[Depends(needs("metrics"))],
    )
    async def _metrics(request: Request) -> Response:  # noqa: ARG001
        """Prometheus' text."""
        return Response(generate_latest(metrics.registry), media_type=CONTENT_TYPE_LATEST)

    return app

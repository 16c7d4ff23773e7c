"""Routes of the HTTP server. Every answer that is none says which field, which value, and the remedy."""

from __future__ import annotations

import asyncio
import json
import time
import uuid
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Annotated, Any

from fastapi import Depends, FastAPI, Query, Request, Response
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from models.errors import NoItemVectors
from recloop import __version__
from recloop.errors import BadInput, ServiceAway
from recloop.server import bodies
from recloop.server.connections import reading
from recloop.server.following import Follower, State
from recloop.server.impressions import Feedback, Impression, Recorder
from recloop.server.keys import Doorkeeper
from recloop.server.limits import Serve
from recloop.server.metrics import Metrics
from recloop.server.refusals import Refused, install, needs
from recloop.server.serving import Asked, Serving
from recloop.settings import Settings

Json = dict[str, Any]
ERRORS: dict[int | str, Any] = {
    code: {"model": bodies.Error, "description": what}
    for code, what in (
        (400, "the body is no JSON"),
        (401, "no key, or one that is not known"),
        (403, "the key may not do this"),
        (404, "there is no such recommender"),
        (413, "the body is too large"),
        (422, "a field cannot be used"),
        (429, "too many requests; `Retry-After` says when to come back"),
        (503, "no release answers yet, or an answer took too long"),
    )
}


def create_app(settings: Settings, serve: Serve) -> FastAPI:
    """The server, of all recommenders of the settings."""
    follower = Follower(settings, serve.poll_seconds)
    recorder = Recorder(serve.impressions.waiting)
    metrics = Metrics(follower, recorder)
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

    def recommend(asked: bodies.Recommend) -> Json:
        serving = _serving(follower, asked.recommender)
        wanted = Asked(
            session=(*asked.history, *asked.session),
            count=min(asked.count, serve.limits.most_items),
            filter=asked.filter,
            items=None if asked.items is None else tuple(asked.items),
            exclude=tuple(asked.exclude),
            include_known=asked.include_known,
            explain=asked.explain,
        )
        degraded, url = "", serving.settings.database_url
        try:
            with reading(url) as cursor:
                person = serving.person(cursor, asked.user or "")
        except ServiceAway:
            person = serving.stranger
            degraded = "the database is away: what is known of the user was not read"
        answer = serving.answer(person, wanted)
        request_id = str(uuid.uuid4())
        if serve.impressions.kept:
            recorder.note(
                Impression(
                    url,
                    request_id,
                    serving.release.version,
                    datetime.now(UTC),
                    asked.user or "",
                    tuple(answer.keys.tolist()),
                    None if degraded else person.moment,
                    person.features,
                )
            )
        body = {"request_id": request_id, **answer.body}
        return body | {"degraded": degraded} if degraded else body

    def similar(asked: bodies.Similar) -> Json:
        serving = _serving(follower, asked.recommender)
        count = min(asked.count, serve.limits.most_items)
        wanted = Asked(count=count, filter=asked.filter, exclude=tuple(asked.exclude))
        return {"request_id": str(uuid.uuid4()), **serving.similar(asked.item, wanted)}

    def feedback(told: bodies.Told) -> Json:
        serving = _serving(follower, told.recommender)
        if serving.kinds and told.kind not in serving.kinds:
            known = ", ".join(serving.kinds)
            raise Refused(422, "kind", told.kind, f"should be one of {known}, those of [feedback]")
        url, now = serving.settings.database_url, datetime.now(UTC)
        recorder.note(Feedback(url, told.request_id, told.item, told.kind, now))
        return {"request_id": told.request_id, "kept": True}

    def releases(recommender: str) -> Json:
        from recloop.ledger import releases as ledger

        name, state = _state(follower, recommender)
        with reading(follower.settings_of(name).database_url) as cursor:
            rows, champion = ledger.all_releases(cursor), ledger.champion(cursor)
        return {
            "recommender": name,
            "answering": state.serving.release.version if state.serving else None,
            "releases": [
                {
                    "release": row["version"],
                    "parent": row["parent"],
                    "decision": row["decision"],
                    "learnt_windows": row["windows"],
                    "champion_from": row["champion_from"].isoformat(),
                    "champion": champion is not None and champion.version == row["version"],
                    "thinned": row["thinned"],
                }
                for row in reversed(rows)
            ],
        }

    @app.post(
        "/v1/recommend",
        response_model=bodies.Recommended,
        responses=ERRORS,
        dependencies=[Depends(needs("recommend"))],
    )
    async def _recommend(asked: bodies.Recommend) -> Response:
        """The best items for a user, after a session, or for a stranger."""
        return await carried_out(recommend, asked)

    @app.post(
        "/v1/similar",
        response_model=bodies.SimilarItems,
        responses=ERRORS,
        dependencies=[Depends(needs("recommend"))],
    )
    async def _similar(asked: bodies.Similar) -> Response:
        """The items most like one."""
        return await carried_out(similar, asked)

    @app.post(
        "/v1/feedback",
        response_model=bodies.Kept,
        responses=ERRORS,
        dependencies=[Depends(needs("feedback"))],
    )
    async def _feedback(told: bodies.Told) -> Response:
        """What a user did with an item that an answer showed; it comes back as behavior."""
        return await carried_out(feedback, told)

    @app.get(
        "/v1/releases",
        response_model=bodies.Releases,
        responses={code: ERRORS[code] for code in (401, 403, 404, 422, 429, 503)},
        dependencies=[Depends(needs("read"))],
    )
    async def _releases(recommender: Annotated[str, Query(max_length=40)] = "") -> Response:
        """All releases of a recommender, newest first."""
        return await carried_out(releases, recommender)

    @app.get("/health/live")
    async def live() -> Json:
        """The process answers."""
        return {"live": True}

    @app.get("/health/ready", responses={503: {"description": "a recommender has no release yet"}})
    async def ready(response: Response) -> Json:
        """Whether every recommender is answered for, by which release, and what was refused."""
        told = {name: _health(state) for name, state in follower.states.items()}
        fine = all(one["release"] is not None for one in told.values())
        response.status_code = 200 if fine else 503
        return {"ready": fine, "recommenders": told}

    @app.get(
        "/metrics",
        response_class=Response,
        responses={200: {"content": {CONTENT_TYPE_LATEST: {}}}, 401: ERRORS[401], 403: ERRORS[403]},
        dependencies=[Depends(needs("metrics"))],
    )
    async def _metrics(request: Request) -> Response:  # noqa: ARG001
        """Prometheus' text."""
        return Response(generate_latest(metrics.registry), media_type=CONTENT_TYPE_LATEST)

    return app


def _state(follower: Follower, recommender: str) -> tuple[str, State]:
    states = follower.states
    if not recommender and len(states) == 1:
        recommender = next(iter(states))
    if recommender not in states:
        known = ", ".join(states)
        raise Refused(404, "recommender", recommender, f"should be one of {known}")
    return recommender, states[recommender]


def _serving(follower: Follower, recommender: str) -> Serving:
    name, state = _state(follower, recommender)
    if state.serving is None:
        why = state.reason or state.away or "it has no champion yet"
        raise Refused(503, "recommender", name, f"no release answers: {why}")
    return state.serving


def _health(state: State) -> Json:
    told: Json = {"release": state.serving.release.version if state.serving else None}
    if state.refused:
        told |= {"refused": state.refused, "reason": state.reason}
    if state.away:
        told["away"] = state.away
    return told

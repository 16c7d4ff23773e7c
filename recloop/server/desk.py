"""What a request is answered with: a request's body in, an answer's body out.

Runs in the server's threads. Belongs here: which release is asked, what is known of who asks, and what
is noted of the answer. Keep out: HTTP (`api.py`), and what an answer is (`serving.py`).
"""

from __future__ import annotations

import threading
import uuid
from datetime import UTC, datetime
from typing import Any

from recloop.behavior.records import storable
from recloop.config.dataset import load_dataset
from recloop.errors import ServiceAway
from recloop.ledger import releases as ledger
from recloop.server import bodies
from recloop.server.connections import asked as ask
from recloop.server.following import Follower, State
from recloop.server.impressions import Feedback, Impression, Recorder
from recloop.server.metrics import Metrics
from recloop.server.people import Person
from recloop.server.refusals import Refused
from recloop.server.serve_file import Serve
from recloop.server.serving import Asked, Serving

Json = dict[str, Any]


class Desk:
    """Answers requests from what the follower holds."""

    def __init__(
        self, serve: Serve, follower: Follower, recorder: Recorder, metrics: Metrics
    ) -> None:
        self._serve, self._follower = serve, follower
        self._recorder, self._metrics = recorder, metrics
        # Threads that compute side by side mostly wait for each other's interpreter lock, and wake each
        # other up for it: on two cores that costs 40 % of all answers. Databases are waited for by many.
        self._computing = threading.Lock()

    def recommend(self, asked: bodies.Recommend) -> Json:
        """Items for a user, after a session, or for a stranger.

        Raises:
            Refused: no such recommender, or none that answers yet.
            BadInput: a filter cannot be used.
        """
        serving = self._serving(asked.recommender)
        user = asked.user or ""
        person, degraded = self._person(serving, user)
        wanted = Asked(
            session=(*asked.history, *asked.session),
            count=min(asked.count, self._serve.limits.most_items),
            filter=filter_of(asked.filter),
            items=None if asked.items is None else tuple(asked.items),
            exclude=tuple(asked.exclude),
            include_known=asked.include_known,
            explain=asked.explain,
        )
        with self._computing:
            answer = serving.answer(person, wanted)
        request_id = str(uuid.uuid4())
        if self._serve.impressions.kept:
            self._recorder.note(
                Impression(
                    serving.settings.database_url,
                    request_id,
                    serving.release.version,
                    datetime.now(UTC),
                    serving.user(user),
                    tuple(answer.keys.tolist()),
                    None if degraded else person.moment,
                    person.features,
                )
            )
        body = {"request_id": request_id, **answer.body}
        return body | {"degraded": degraded} if degraded else body

    def _person(self, serving: Serving, user: str) -> tuple[Person, str]:
        """Who asks, and why less is known than could be."""
        known = serving.known(user) if user else serving.stranger
        if known is not None:
            return known, ""
        url = serving.settings.database_url
        try:
            return ask(url, lambda cursor: serving.person(cursor, user)), ""
        except ServiceAway:
            self._metrics.degraded.inc()
            why = "the database is away: what is known of the user was not read"
            return serving.stranger, why

    def similar(self, asked: bodies.Similar) -> Json:
        """Items most like one.

        Raises:
            Refused: no such recommender, none that answers yet, or an item that the release lacks.
            BadInput: a filter cannot be used, or the family has no vectors of items.
        """
        serving = self._serving(asked.recommender)
        count = min(asked.count, self._serve.limits.most_items)
        wanted = Asked(count=count, filter=filter_of(asked.filter), exclude=tuple(asked.exclude))
        with self._computing:
            found = serving.similar(asked.item, wanted)
        if found is None:
            message = f"should be an item that release {serving.release.version} knows"
            raise Refused(404, "item", asked.item, message)
        return {"request_id": str(uuid.uuid4()), **found}

    def feedback(self, told: bodies.Told) -> Json:
        """Notes what a user did with an item. Told again, it changes nothing.

        Raises:
            Refused: no such recommender, a kind that the dataset file does not name, or there is no room
                for more until the database is back.
        """
        name, _ = self._state(told.recommender)
        settings = self._follower.settings_of(name)
        spec, url, now = load_dataset(settings), settings.database_url, datetime.now(UTC)
        kinds = spec.feedback.kinds if spec.feedback else {}
        if kinds and told.kind not in kinds:
            message = f"should be one of {', '.join(kinds)}: the kinds of [feedback]"
            raise Refused(422, "kind", told.kind, message)
        item = storable(spec.ids.normal(told.item))
        if not self._recorder.note(Feedback(url, told.request_id, item, told.kind, now)):
            message = "too much waits to be written; come back when the database is"
            raise Refused(503, "", None, message, {"Retry-After": "5"})
        return {"request_id": told.request_id, "kept": True}

    def releases(self, recommender: str) -> Json:
        """All releases of a recommender, newest first.

        Raises:
            Refused: no such recommender.
            ServiceAway: the database is away.
        """
        name, state = self._state(recommender)
        url = self._follower.settings_of(name).database_url
        rows, champion = ask(url, lambda c: (ledger.all_releases(c), ledger.champion(c)))
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

    def health(self) -> Json:
        """Whether every recommender is answered for, by which release, and what was refused."""
        told = {name: _health(state) for name, state in self._follower.states.items()}
        fine = all(one["release"] is not None for one in told.values())
        return {"ready": fine, "recommenders": told}

    def _state(self, recommender: str) -> tuple[str, State]:
        states = self._follower.states
        if not recommender and len(states) == 1:
            recommender = next(iter(states))
        if recommender not in states:
            known = ", ".join(states)
            raise Refused(404, "recommender", recommender, f"should be one of {known}")
        return recommender, states[recommender]

    def _serving(self, recommender: str) -> Serving:
        name, state = self._state(recommender)
        if state.serving is None:
            why = state.reason or state.away or "it has no champion yet"
            raise Refused(503, "recommender", name, f"no release answers: {why}")
        return state.serving


def filter_of(tests: dict[str, bodies.Tests]) -> Json:
    """A request's filter as `recloop.release.filters` takes it."""
    return {name: one.model_dump(by_alias=True, exclude_unset=True) for name, one in tests.items()}


def _health(state: State) -> Json:
    told: Json = {"release": state.serving.release.version if state.serving else None}
    if state.refused:
        told |= {"refused": state.refused, "reason": state.reason}
    if state.away:
        told["away"] = state.away
    return told

"""What a user is shown now, and was shown by the release before."""

from __future__ import annotations

from typing import Any

from recloop.errors import RecloopError
from recloop.settings import Settings

Json = dict[str, Any]
COUNT = 10


def read_recommended(settings: Settings, user: str, versions: list[int]) -> list[Json]:
    """Of each release: `release` and its `items`, or `error`, why it cannot answer."""
    return [_asked(settings, user, version) for version in versions]


def _asked(settings: Settings, user: str, version: int) -> Json:
    from recloop.release.recommend import recommend

    try:
        found = recommend(settings, user, COUNT, version).to_json()
    except RecloopError as error:
        return {"release": version, "items": [], "error": str(error), "known_user": True}
    return {**found, "error": ""}

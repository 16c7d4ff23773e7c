"""All recommenders at a glance: what each learns from, its champion, and what waits."""

from __future__ import annotations

from recloop.config.dataset import load_dataset
from recloop.config.recommenders import usable
from recloop.database import embedded
from recloop.database.connection import transaction
from recloop.errors import RecloopError
from recloop.ledger import releases, window_states
from recloop.settings import Settings
from recloop.stages import update_stages
from recloop.stages.bookkeeping import Json


def read_fleet(settings: Settings) -> list[Json]:
    """Of each recommender, by name: `recommender`, `dataset`, `family`, the `champion`'s version and how
    many windows it has learnt (`learnt`), what is `waiting` for a decision and `refused` by validation;
    and `error`, where its file cannot be used or its database is away.

    Args:
        settings: with the URL of a database, of no recommender or of any.
    """
    found, wrong = usable(settings)
    rows = [_row(one) for one in found]
    rows += [_nothing(name) | {"error": str(error)} for name, error in wrong.items()]
    return sorted(rows, key=lambda row: str(row["recommender"]))


def _nothing(name: str) -> Json:
    names = ("dataset", "family", "champion", "error")
    return {"recommender": name, **dict.fromkeys(names), "learnt": 0, "waiting": [], "refused": []}


def _row(settings: Settings) -> Json:
    row = _nothing(settings.recommender) | {"dataset": settings.dataset_name}
    try:
        row["family"] = load_dataset(settings).model.family
        if not embedded.exists(settings):
            embedded.make(settings)
        with transaction(settings.database_url) as cursor:
            champion = releases.champion(cursor)
            row["refused"] = [report.window for report in window_states.refused(cursor)]
        row["waiting"] = update_stages.undecided(settings)
    except RecloopError as error:
        return row | {"error": str(error)}
    if champion is not None:
        row |= {"champion": champion.version, "learnt": len(champion.windows)}
    return row

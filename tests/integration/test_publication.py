"""Tables of recommendations are what `recommend` says, item for item, whole, and brought up to date."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from recloop.database.connection import transaction
from recloop.errors import BadInput, UpdateInProgress
from recloop.ledger import releases
from recloop.outlets import publication
from recloop.outlets.publication import Wanted, publish_recommendations
from recloop.release.answering import opened
from recloop.release.filters import filters_of
from recloop.release.recommend import recommend
from recloop.settings import Settings

ROWS = "select user_id, item_id, score, reason, rank, release, recommender from {} order by 1, rank"


def rows_of(settings: Settings, statement: str = ROWS, table: str = "published.recommendation"):
    with transaction(settings.database_url) as cursor:
        cursor.execute(statement.format(table))
        return cursor.fetchall()


def by_user(rows: list[tuple[Any, ...]]) -> dict[str, list[tuple[str, float]]]:
    found: dict[str, list[tuple[str, float]]] = {}
    for user, item, score, _, rank, *_ in rows:
        found.setdefault(user, []).append((item, round(float(np.float32(score)), 4)))
        assert rank == len(found[user])
    return found


def test_every_list_is_that_of_recommend_and_strangers_have_one(prepared: Settings) -> None:
    told: list[tuple[int, int]] = []
    made = publish_recommendations(prepared, Wanted(k=10), lambda *done: told.append(done))
    rows = rows_of(prepared)
    assert {row[5:] for row in rows} == {(made.release, "default")}
    lists = by_user(rows)
    assert made.rows == len(rows)
    assert (made.users, made.computed) == (len(lists) - 1, len(lists) - 1)
    assert told[-1] == (made.users, made.users)
    for user in [*sorted(lists)[1:60:3], ""]:
        answer = recommend(prepared, user or "nobody ever saw me", 10)
        assert lists[user] == [(item.item_id, item.score) for item in answer.items]
    assert {row[3] for row in rows} == {
        "together",
        "popular",
        "retrieval",
    }  # own is not shown again
    again = publish_recommendations(prepared, Wanted(k=10, include_known=True))
    assert again.why == "moved since: include_known"
    assert "own" in {row[3] for row in rows_of(prepared)}
    some = sorted(lists)[7]
    answer = recommend(prepared, some, 10, include_known=True)
    shown = by_user(rows_of(prepared))[some]
    assert shown == [(item.item_id, item.score) for item in answer.items]


def test_similar_items_are_the_nearest_of_the_releases_vectors(prepared: Settings) -> None:
    made = publish_recommendations(prepared, Wanted(k=3))
    similar = rows_of(
        prepared, "select item_id, rank, similar_item_id, score from published.similar_item"
    )
    assert made.similar_rows == len(similar)
    with transaction(prepared.database_url) as cursor:
        champion = releases.champion(cursor)
        cursor.execute("select item_id, item_key from behavior.item")
        keys = dict(cursor.fetchall())
    assert champion
    answerer = opened(champion).answerer
    assert len(similar) == 3 * len(answerer.items)
    vectors = np.asarray(answerer.arrays["item_vectors"], np.float64)[1:, :-1]
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    item = answerer.items.keys[100]
    name = next(one for one, key in keys.items() if key == item)
    cosines = vectors @ vectors[100]
    cosines[100] = -np.inf
    best = np.argsort(-cosines)[:3]
    found = sorted((rank, keys[other], score) for one, rank, other, score in similar if one == name)
    assert [key for _, key, _ in found] == answerer.items.keys[best].tolist()
    assert [score for *_, score in found] == pytest.approx(cosines[best], abs=1e-5)


def test_a_filter_and_days_of_activity_say_what_and_who(prepared: Settings) -> None:
    cheap = filters_of({"UnitPrice": {"below": 2}}) if has_price(prepared) else ()
    name = rows_of(prepared, "select item_id from behavior.item order by 1 limit 3")
    only = filters_of({"item_id": {"in": [item for (item,) in name]}})
    made = publish_recommendations(prepared, Wanted(filters=only or cheap, active_days=7))
    rows = rows_of(prepared)
    assert {row[1] for row in rows} <= {item for (item,) in name}
    active = rows_of(
        prepared,
        "select distinct user_id from behavior.event join behavior.account using (user_key) "
        "where event_timestamp >= (select date_trunc('day', max(event_timestamp)) from "
        "behavior.event) - interval '6 days'",
    )
    assert made.users == len(active)
    assert {row[0] for row in rows} <= {"", *(user for (user,) in active)}
    with pytest.raises(BadInput, match="is no attribute"):
        publish_recommendations(prepared, Wanted(filters=filters_of({"colour": {"equals": "red"}})))
    for wrong in ({"k": 0}, {"k": 1001}, {"active_days": 0}):
        with pytest.raises(BadInput, match="from 1 to 1000"):
            Wanted(**wrong)


def has_price(settings: Settings) -> bool:
    return bool(
        rows_of(settings, "select 1 from behavior.item_version where attributes ? 'UnitPrice'")
    )


def test_one_at_a_time(prepared: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(publication, "PATIENCE", 0.2)
    with publication._alone(prepared), pytest.raises(UpdateInProgress, match="try again later"):
        publish_recommendations(prepared, Wanted())
    home_page = prepared.model_copy(update={"recommender": "home_page"})
    with publication._alone(prepared), publication._alone(home_page):
        pass

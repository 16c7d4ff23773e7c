"""The join by index says what Feast's own join says, and its cost follows what is asked."""

from __future__ import annotations

import pyarrow as pa
import pytest
from feast.infra.offline_stores.contrib.postgres_offline_store import postgres

from recloop.config.learnable import Meaning
from recloop.database.connection import transaction
from recloop.features.daily import build_features
from recloop.features.store import feature_store, join_by_index, point_in_time_join
from recloop.settings import Settings
from tests.recloop.features.oracle import WEEKS, at, random_events, store_events, store_items

pytestmark = pytest.mark.slow

USERS = """
    select user_key, at + user_key * interval '37 minutes' as event_timestamp
    from generate_series(1, 9) user_key, generate_series('{start}'::timestamptz - interval '2 days',
        '{start}'::timestamptz + interval '40 days', interval '19 hours') at
"""
MOMENT = "'{start}'::timestamptz + interval '8 days'"
SERVICES = {
    "training_users": USERS,
    "training_items": USERS.replace("user_key", "item_key"),
    "candidate_items": f"""
        select item_key, {MOMENT} as event_timestamp from generate_series(1, 12) item_key
        union all select 3, {MOMENT}
    """,
}


@pytest.fixture
def built(settings: Settings, shop: Meaning) -> Settings:
    store_items(settings.database_url, [(n, at(n), f"ITEM {n}") for n in range(1, 9)])
    store_events(settings.database_url, random_events(41, days=21))
    for week in WEEKS[:3]:
        build_features(settings, week, shop)
    return settings


@pytest.mark.parametrize("service", SERVICES)
def test_it_says_what_feasts_own_join_says(
    built: Settings, service: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    entities = SERVICES[service].format(start=WEEKS[0])
    ours = rows_of(point_in_time_join(built, entities, service))
    monkeypatch.setattr(postgres, "MULTIPLE_FEATURE_VIEW_POINT_IN_TIME_JOIN", join_by_index())
    theirs = rows_of(point_in_time_join(built, entities, service))
    assert len(ours) > 10
    assert sum(value is not None for row in ours for value in row) > 3 * len(ours)
    assert ours == theirs


def rows_of(table: pa.Table) -> list[tuple[object, ...]]:
    names = sorted(table.column_names)
    rows = zip(*(table[name].to_pylist() for name in names), strict=True)
    return sorted(rows, key=repr)


def test_what_never_expires_is_looked_up_row_by_row(built: Settings) -> None:
    """However many rows an entity has had: no scan of the table."""
    entities = "select 3::bigint as user_key, now() as event_timestamp"
    store = feature_store(built)
    job = store.get_historical_features(
        entity_df=entities,
        features=store.get_feature_service("training_users"),
        full_feature_names=True,
    )
    with transaction(built.database_url) as cursor:
        cursor.execute(
            "insert into features.user_items select (more).* from features.user_items u, "
            "generate_series(1, 300) n, jsonb_populate_record(u, jsonb_build_object("
            "'user_key', user_key + 1000 * n)) more"
        )
        cursor.execute("analyze features.user_items")
        cursor.execute(f"explain {job.to_sql()}")
        plan = "\n".join(line for (line,) in cursor.fetchall())
    assert "using user_items_pkey" in plan
    assert "Seq Scan on user_items" not in plan

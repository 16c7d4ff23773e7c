"""Feast's store as recloop opens it: the plan of its point-in-time join."""

from __future__ import annotations

from recloop.database.connection import transaction
from recloop.features.store import feature_store, point_in_time_join
from recloop.settings import Settings

ITEMS = 5000
STATISTICS = """
    insert into features.item_statistics select day, item, 1, 1, 1, 1, 0, null
    from generate_series(1, %s) item,
        generate_series('2024-01-01'::timestamptz, '2024-01-08', '1 day') day
"""
CONTENT = """
    insert into features.item_content select item, '2024-01-01', 'a name', '{1, 2}', '2024-01-01'
    from generate_series(1, %s) item
"""
ENTITIES = """
    select item_key, event_timestamp from features.item_statistics
    where event_timestamp = '2024-01-08'
"""


def test_the_join_of_items_loops_over_nothing_but_one_index(settings: Settings) -> None:
    from feast.infra.utils.postgres.connection_utils import _get_conn

    with transaction(settings.database_url) as cursor:
        cursor.execute(STATISTICS, (ITEMS,))
        cursor.execute(CONTENT, (ITEMS,))
        cursor.execute("analyze features.item_statistics; analyze features.item_content")
    assert point_in_time_join(settings, ENTITIES, "training_items").num_rows == ITEMS
    store = feature_store(settings)
    job = store.get_historical_features(
        entity_df=ENTITIES,
        features=store.get_feature_service("training_items"),
        full_feature_names=True,
    )
    with _get_conn(store.config.offline_store) as connection:
        plan = "\n".join(row[0] for row in connection.execute(f"explain {job.to_sql()}"))
    # What never expires is looked up; what does is joined at once, as feature_store.yaml sees to.
    assert plan.count("Nested Loop") == 1
    assert "using item_content_pkey" in plan
    assert "Seq Scan on item_content" not in plan

"""What a feature is, for Feast: entities, sources, views, services, in this order.

Belongs here: names, types and time-to-live. Keep out: how a value is computed (the `.sql` files of
`recloop/features/`), and anything that is not Feast: `feast apply` executes this file.

Statistics are dense daily rows, so they expire after a day: no row means zero. Histories and
content change only with events, so their rows are sparse and never expire.
"""

from datetime import timedelta

from feast import Entity, FeatureService, FeatureView, Field, ValueType
from feast.infra.offline_stores.contrib.postgres_offline_store.postgres_source import (
    PostgreSQLSource,
)
from feast.types import Array, Float64, Int64, String, UnixTimestamp

NEWEST_EVENT = Field(
    name="newest_event_at",
    dtype=UnixTimestamp,
    description="newest event that the row reflects; the leak guard compares it with the query",
)

# ── entities ─────────────────────────────────────────────────────────────────────────────────────
user = Entity(name="user", join_keys=["user_key"], value_type=ValueType.INT64)
item = Entity(name="item", join_keys=["item_key"], value_type=ValueType.INT64)


# ── sources: one table each in the schema `features` ─────────────────────────────────────────────
def table(name: str) -> PostgreSQLSource:
    return PostgreSQLSource(
        name=f"{name}_table", table=f"features.{name}", timestamp_field="event_timestamp"
    )


# ── views ────────────────────────────────────────────────────────────────────────────────────────
user_statistics = FeatureView(
    name="user_statistics",
    entities=[user],
    ttl=timedelta(days=1),
    source=table("user_statistics"),
    schema=[
        Field(name="user_key", dtype=Int64),
        Field(name="purchases_7d", dtype=Int64),
        Field(name="purchases_28d", dtype=Int64),
        Field(name="spend_28d", dtype=Float64, description="sum of value * price"),
        Field(name="distinct_items_28d", dtype=Int64),
        Field(name="cancels_28d", dtype=Int64),
        NEWEST_EVENT,
    ],
)

item_statistics = FeatureView(
    name="item_statistics",
    entities=[item],
    ttl=timedelta(days=1),
    source=table("item_statistics"),
    schema=[
        Field(name="item_key", dtype=Int64),
        Field(name="purchases_7d", dtype=Int64),
        Field(name="purchases_28d", dtype=Int64),
        Field(name="buyers_28d", dtype=Int64),
        Field(name="price", dtype=Float64, description="median price of 28 days"),
        Field(name="cancels_28d", dtype=Int64),
        Field(
            name="kinds_28d",
            dtype=Array(Int64),
            description="events of each kind in `learn_from`, where there are several; else empty",
        ),
        NEWEST_EVENT,
    ],
)

user_history = FeatureView(
    name="user_history",
    entities=[user],
    ttl=timedelta(0),
    source=table("user_history"),
    schema=[
        Field(name="user_key", dtype=Int64),
        Field(name="history", dtype=Array(Int64), description="item keys, most recent first"),
        NEWEST_EVENT,
    ],
)

user_items = FeatureView(
    name="user_items",
    entities=[user],
    ttl=timedelta(0),
    source=table("user_items"),
    schema=[
        Field(name="user_key", dtype=Int64),
        Field(name="items", dtype=Array(Int64), description="item keys, latest purchased first"),
        Field(name="purchases", dtype=Array(Int64), description="events of each item"),
        Field(name="days", dtype=Array(Int64), description="days on which it was purchased"),
        Field(name="first_day", dtype=Array(Int64), description="the first, since 1970-01-01"),
        Field(name="last_day", dtype=Array(Int64), description="the last"),
        Field(name="decayed_28d", dtype=Array(Float64), description="sum of exp(-age / 28 days)"),
        Field(name="decayed_112d", dtype=Array(Float64), description="sum of exp(-age / 112 days)"),
        Field(name="all_purchases", dtype=Int64, description="events of all items"),
        Field(name="all_days", dtype=Int64, description="days with any purchase"),
        Field(
            name="kinds",
            dtype=Array(Int64),
            description="events of each item by kind, item by item, where there are several kinds",
        ),
        Field(name="all_kinds", dtype=Array(Int64), description="events of all items by kind"),
        NEWEST_EVENT,
    ],
)

item_content = FeatureView(
    name="item_content",
    entities=[item],
    ttl=timedelta(0),
    source=table("item_content"),
    schema=[
        Field(name="item_key", dtype=Int64),
        Field(name="name", dtype=String),
        Field(name="words", dtype=Array(Int64), description="hashed word ids, 1 to 4095"),
        NEWEST_EVENT,
    ],
)

# ── services: what training and serving ask for, by entity ───────────────────────────────────────
USER_STATISTICS = [
    "purchases_7d",
    "purchases_28d",
    "spend_28d",
    "distinct_items_28d",
    "cancels_28d",
]
ITEM_STATISTICS = [
    "purchases_7d",
    "purchases_28d",
    "buyers_28d",
    "price",
    "cancels_28d",
    "kinds_28d",
]

training_users = FeatureService(
    name="training_users", features=[user_statistics, user_history, user_items]
)
training_items = FeatureService(name="training_items", features=[item_statistics, item_content])
candidate_items = FeatureService(name="candidate_items", features=[item_statistics])
serving_users = FeatureService(
    name="serving_users",
    features=[user_statistics[USER_STATISTICS], user_history[["history"]], user_items],
)
serving_items = FeatureService(
    name="serving_items",
    features=[
        item_statistics[ITEM_STATISTICS],
        item_content[["name", "words"]],
    ],
)

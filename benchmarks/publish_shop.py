"""A shop without a shop: a log, features and a release of any size, made without reading or training.

Every user has chosen `OWN` items over twelve weeks. Tables hold what ingestion would have written, of
feature rows the newest of each user. The release is one of the default family whose weights are random.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from models.cooccurrence.pair_memory import PairMemory
from models.data.queries import Items, ItemStatistics, OwnItems, Queries
from models.recommenders.family import Widths
from models.retrieve_and_rank.two_stage_config import RetrieveAndRankConfig
from models.retrieve_and_rank.two_stage_learner import TwoStageLearner
from recloop.database.connection import Cursor, transaction
from recloop.database.schema import ensure_event_partitions
from recloop.features.daily import HISTORY_LENGTH
from recloop.features.ranker_inputs import ITEM_STATISTICS, STATISTICS
from recloop.release.promotion import SAVED_MODEL
from recloop.settings import Settings

OWN = 20
START, END = datetime(2024, 1, 1, tzinfo=UTC), datetime(2024, 3, 25, tzinfo=UTC)
LAST, LAST_STARTS = "2024-03-18", datetime(2024, 3, 18, tzinfo=UTC)
DAYS = 84
NEIGHBOURS = 64
FILE = """
name = "publish"
[source]
kind = "folder"
[columns]
user = "text"
item = "text"
time = "time"
[event]
user_id = "user"
item_id = "item"
timestamp = "time"
"""
WINDOWS = """
insert into ledger.window (window_key, starts, ends, state)
select to_char(day, 'YYYY-MM-DD'), day, day + interval '7 days', 'featured'
from generate_series(%(start)s::timestamptz, %(last)s, '7 days') day;
insert into ledger.part (part_key, window_key, number)
select window_key, window_key, 0 from ledger.window;
insert into features.built_window select window_key, starts, ends from ledger.window;
insert into behavior.account (user_id, first_seen)
select 'user ' || n, %(start)s from generate_series(1, %(users)s) n order by n;
insert into behavior.item (item_id, first_seen)
select 'item ' || n, %(start)s from generate_series(1, %(items)s) n order by n
"""
EVENTS = """
insert into behavior.event (event_id, event_timestamp, user_key, item_key, event_type, window_key,
    file_id, line_no)
select gen_random_uuid(), at, u, 1 + (u * 7919::bigint + j * (%(items)s / %(own)s)
        + (u * j * 31) %% (%(items)s / %(own)s)) %% %(items)s,
    'event', to_char(date_trunc('week', at), 'YYYY-MM-DD'), 1, 1
from generate_series(%(first)s, %(users)s, %(step)s) u, generate_series(%(from)s, %(own)s) j,
    lateral (select %(start)s::timestamptz + make_interval(days =>
        ((u * 13 + j * 29) %% %(days)s)::int, mins => ((u + j * 7) %% 1440)::int) as at) as moment
"""
COUNTED = """
update ledger.part p set accepted = (select count(*) from behavior.event e
    where e.window_key = p.window_key);
insert into lineage.training_set (part_key, featured, training_set)
select part_key, accepted, '{}' from ledger.part
on conflict (recommender, part_key) do update set featured = excluded.featured
"""
FEATURES = """
delete from features.user_items where user_key %% %(step)s = %(rest)s;
delete from features.user_history where user_key %% %(step)s = %(rest)s;
delete from features.user_statistics where user_key %% %(step)s = %(rest)s;
create temporary table own on commit drop as
select user_key, item_key, count(*) n, min(day) first_day, max(day) last_day,
    sum(exp((day - last - 1) / 28.0)) d28, sum(exp((day - last - 1) / 112.0)) d112,
    last, min(at) as at
from (select user_key, item_key, event_timestamp as at,
        event_timestamp::date - date '1970-01-01' as day,
        max(event_timestamp::date - date '1970-01-01') over (partition by user_key) as last
    from behavior.event where user_key %% %(step)s = %(rest)s) as event
group by user_key, item_key, last;
insert into features.user_items
select user_key, (date '1970-01-01' + last + 1)::timestamptz,
    array_agg(item_key order by last_day desc, item_key),
    array_agg(n order by last_day desc, item_key), array_agg(n order by last_day desc, item_key),
    array_agg(first_day::bigint order by last_day desc, item_key),
    array_agg(last_day::bigint order by last_day desc, item_key),
    array_agg(d28 order by last_day desc, item_key), array_agg(d112 order by last_day desc, item_key),
    sum(n), count(distinct last_day), max(at)
from own group by user_key, last;
insert into features.user_history
select user_key, event_timestamp, items[1:%(width)s], newest_event_at from features.user_items
where user_key %% %(step)s = %(rest)s;
insert into features.user_statistics
select %(end)s, user_key, count(*), count(*), sum(n) * 3.5, count(*), 0, max(at)
from own group by user_key;
analyze features.user_items; analyze features.user_history; analyze features.user_statistics
"""
RELEASE = """
insert into lineage.update (target, state, holder, token, lease_until, plan, reason)
values (%(key)s, 'promoted', 'a benchmark', 1, now(), '{"decision": "rebuild"}', 'made up');
insert into lineage.release (update_id, uri) select update_id, %(uri)s from lineage.update;
insert into lineage.reign (version, reason) select version, 'made up' from lineage.release
"""


@dataclass(frozen=True)
class Shop:
    """How large it is."""

    users: int
    items: int


def make(settings: Settings, shop: Shop) -> None:
    """Log, features and a champion, in an empty database."""
    (settings.home / "publish.toml").write_text(FILE)
    folder = settings.artifacts / "releases" / "1-1" / SAVED_MODEL
    release(folder, shop)
    with transaction(settings.database_url) as cursor:
        ensure_event_partitions(cursor, START, END)
        given = {"users": shop.users, "items": shop.items, "start": START, "last": LAST_STARTS}
        cursor.execute(WINDOWS, given)
        _choose(cursor, shop, 1, 0)
        cursor.execute(RELEASE, {"key": LAST, "uri": str(folder.parent)})
    with transaction(settings.database_url) as cursor:
        cursor.execute("analyze")


def _choose(cursor: Cursor, shop: Shop, step: int, rest: int, first: int = 1) -> None:
    """Users whose number leaves `rest` choose items number `first` to `OWN`; their features follow."""
    given = {
        **{"users": shop.users, "items": shop.items, "own": OWN, "start": START, "end": END},
        **{"days": DAYS, "step": step, "rest": rest, "first": rest or step, "from": first},
        "width": HISTORY_LENGTH,
    }
    cursor.execute(EVENTS, given)
    cursor.execute(COUNTED)
    cursor.execute(FEATURES, given)


def come_again(settings: Settings, shop: Shop, share: float) -> int:
    """This share of the users chooses once more, late in a window whose features are there; they are
    written anew. Returns how many."""
    step = round(1 / share)
    with transaction(settings.database_url) as cursor:
        cursor.execute(
            "insert into ledger.part (part_key, window_key, number) values (%s, %s, 1)",
            (f"{LAST}+1", LAST),
        )
        cursor.execute(
            "insert into behavior.event (event_id, event_timestamp, user_key, item_key, event_type, "
            "window_key, part, file_id, line_no) select gen_random_uuid(), %s, u, "
            "1 + (u * 104729::bigint) %% %s, 'event', %s, 1, 1, 1 "
            "from generate_series(7, %s, %s) u",
            (LAST_STARTS, shop.items, LAST, shop.users, step),
        )
        cursor.execute(
            COUNTED.replace("e.window_key = p.window_key", "e.part = p.number and "
                            "e.window_key = p.window_key")
        )  # fmt: skip
        cursor.execute(FEATURES, {"step": step, "rest": 7, "width": HISTORY_LENGTH, "end": END})
    return len(range(7, shop.users + 1, step))


def release(folder: Path, shop: Shop) -> None:
    """An export of the default family that knows all users and items."""
    random = np.random.default_rng(0)
    widths = Widths(HISTORY_LENGTH, len(STATISTICS), len(ITEM_STATISTICS), 1)
    model = TwoStageLearner.new(RetrieveAndRankConfig(), widths, 1)
    keys = np.arange(1, shop.items + 1)
    model.add_ids(np.arange(1, shop.users + 1), Items(keys, np.zeros((shop.items, 8), np.int32)))
    for state in model.states.values():
        for table in state.network.tables.values():
            table.assign(random.normal(0, 0.3, table.numpy().shape).astype(np.float32))
        state.steps = 5
    neighbours = np.zeros((shop.items + 1, NEIGHBOURS), np.int32)
    gaps = random.integers(1, max(2, shop.items // (NEIGHBOURS + 6)), (shop.items, NEIGHBOURS))
    neighbours[1:] = (keys[:, None] + gaps.cumsum(axis=1)) % shop.items + 1
    weights = random.random(neighbours.shape).astype(np.float32)
    counts = np.full((shop.items + 1, 4), 20, np.float32)
    memory = PairMemory(neighbours, weights, counts, np.array([19000.0, 19000.0]))
    model.towers.extra |= memory.to_arrays()
    popular = np.abs(random.normal(size=(1, shop.items, len(ITEM_STATISTICS)))).astype(np.float32)
    nobody = Queries(
        np.ones(1, np.int64),
        np.zeros((1, HISTORY_LENGTH), np.int64),
        np.zeros((1, len(STATISTICS)), np.float32),
        OwnItems.none(1),
        ItemStatistics(keys, popular),
    )
    folder.parent.mkdir(parents=True)
    model.export(folder, nobody)

"""Statistics of every active item at the start of some days: what a ranker knows of candidates.

Belongs here: the join, for a training set's days and for a release's. Keep out: their form as arrays
(see `ranker_inputs.py`).
"""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

import numpy as np

from models.data.queries import ItemStatistics
from recloop.database.connection import Cursor, transaction
from recloop.features.leak_guard import check_not_newer
from recloop.features.ranker_inputs import ITEM_STATISTICS, item_statistics, schemas
from recloop.features.store import point_in_time_join
from recloop.settings import Settings

if TYPE_CHECKING:
    import pyarrow as pa

MICROS_PER_DAY = 86_400_000_000


def join_item_days(settings: Settings, cursor: Cursor, days: str) -> pa.Table:
    """The table `item_days` of a training set, by day and item.

    An item without a row on a day had no event in the 28 days before: its statistics are zero.

    Args:
        days: SQL, a query for the moments (UTC midnights).

    Raises:
        BadData: a joined row knows of the day or later.
        ServiceAway: the database was lost.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    entities = (
        f"select item_key, event_timestamp from features.item_statistics "
        f"where event_timestamp in ({days})"
    )
    cursor.execute(f"select exists ({entities})")
    if cursor.fetchone() == (False,):  # Feast cannot join nothing
        return schemas()["item_days"].empty_table()
    joined = point_in_time_join(settings, entities, "candidate_items")
    joined = joined.sort_by([("event_timestamp", "ascending"), ("item_key", "ascending")])
    check_not_newer(joined, "event_timestamp", ["item_statistics__newest_event_at"])
    micros = pc.cast(joined["event_timestamp"].cast(pa.timestamp("us", tz="UTC")), pa.int64())
    columns = {
        "day": pc.divide(micros, MICROS_PER_DAY),
        "item_key": joined["item_key"],
        **{name: joined[f"item_statistics__{name}"] for name in ITEM_STATISTICS},
    }
    return pa.table(columns).cast(schemas()["item_days"])


def item_snapshot(settings: Settings, moment: datetime) -> ItemStatistics:
    """The statistics of active items at one UTC midnight, scaled: one moment."""
    from recloop.database.embedded import database_of

    with transaction(database_of(settings)) as cursor:
        literal = cursor.mogrify("select %s::timestamptz", (moment,)).decode()
        table = join_item_days(settings, cursor, literal)
    day = np.array([int(moment.timestamp()) // 86_400])
    return item_statistics(table, day)[1]

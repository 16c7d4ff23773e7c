"""Item content: an item's name, and its words as hashed ids.

Words are hashed in Python, not in SQL: lower-casing and letters depend on a database's locale, and
the same text must give the same ids on every server.
"""

from __future__ import annotations

import hashlib
import re
from datetime import datetime, timedelta

from recloop.database.connection import Cursor, copy_rows
from recloop.features.meaning import Meaning

WORD_BUCKETS = 4096
"""Word ids are 1 to `WORD_BUCKETS - 1`; 0 is padding."""
MAX_WORDS = 16
_WORD = re.compile(r"\w+")


def word_ids(text: str) -> list[int]:
    """Ids of the first `MAX_WORDS` distinct words, in their order. Case does not matter.

    >>> word_ids("Red RETROSPOT red mug") == word_ids("red retrospot mug")
    True
    """
    words = dict.fromkeys(_WORD.findall(text.casefold()))
    ids = dict.fromkeys(_word_id(word) for word in words)
    return list(ids)[:MAX_WORDS]


def insert_item_content(cursor: Cursor, start: datetime, end: datetime, meaning: Meaning) -> int:
    """Write the content that became known in `[start, end)` (UTC midnights). Returns the row count.

    A version is stamped with the midnight after its `valid_from`: on the day itself some of its
    queries came before it. Of several versions in one day the last counts.
    """
    day = timedelta(days=1)
    cursor.execute(
        "delete from features.item_content where event_timestamp > %s and event_timestamp <= %s",
        (start, end),
    )
    cursor.execute(
        """
        select distinct on (item_key, stamp)
            item_key, date_trunc('day', valid_from, 'UTC') + interval '24 hours' as stamp,
            item.item_id, item.name, attributes, valid_from
        from behavior.item_version join behavior.item using (item_key)
        where valid_from >= %s and valid_from < %s
        order by item_key, stamp, valid_from desc
        """,
        (start, end),
    )
    rows = []
    for item_key, stamp, item_id, item_name, attributes, valid_from in cursor.fetchall():
        assert valid_from < stamp <= valid_from + day
        text = " ".join(str(attributes[key]) for key in meaning.text if attributes.get(key))
        name = (attributes.get(meaning.name) if meaning.name else item_name) or item_name or item_id
        words = ",".join(map(str, word_ids(text)))
        rows.append(
            (item_key, stamp.isoformat(), str(name), f"{{{words}}}", valid_from.isoformat())
        )
    columns = ["item_key", "event_timestamp", "name", "words", "newest_event_at"]
    copy_rows(cursor, "features.item_content", columns, rows)
    return len(rows)


def _word_id(word: str) -> int:
    digest = hashlib.md5(word.encode(), usedforsecurity=False).digest()
    return 1 + int.from_bytes(digest[:8], "big") % (WORD_BUCKETS - 1)

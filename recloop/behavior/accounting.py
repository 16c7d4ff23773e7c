"""Counting lines: every line read is accepted, a duplicate, quarantined by rule, or pending."""

from __future__ import annotations

from typing import Any

from recloop.behavior.dataset import load_dataset
from recloop.database.connection import transaction
from recloop.errors import CheckCrashed
from recloop.settings import Settings

COUNTS = """
select
    (select coalesce(sum(lines - superseded), 0) from behavior.source_file
        where state <> 'refused' and dataset = %(dataset)s),
    (select count(*) from behavior.event),
    (select coalesce(sum(duplicates), 0) from ledger.window),
    (select count(*) from behavior.landing join ledger.window using (window_key)
        where state = 'refused'),
    (select count(*) from behavior.landing left join ledger.window using (window_key)
        where state is distinct from 'refused')
"""


def count_lines(settings: Settings) -> dict[str, Any]:
    """`total`, `accepted`, `duplicates`, `quarantined` {rule: lines} and `pending`.

    Lines of refused windows are quarantined as `window_refused`. Lines of refused files, and of file
    versions that a newer one replaced before they were decided on, are in no count.

    Raises:
        CheckCrashed: they do not add up; the message has the numbers.
    """
    with transaction(settings.database_url) as cursor:
        cursor.execute("set transaction isolation level repeatable read")
        cursor.execute(COUNTS, {"dataset": load_dataset(settings).name})
        total, accepted, duplicates, refused, pending = map(int, cursor.fetchone() or ())
        cursor.execute("select rule, count(*) from behavior.quarantine group by rule order by rule")
        quarantined = {rule: int(n) for rule, n in cursor.fetchall()}
    if refused:
        quarantined["window_refused"] = refused
    counts = {
        "total": total,
        "accepted": accepted,
        "duplicates": duplicates,
        "quarantined": quarantined,
        "pending": pending,
    }
    found = accepted + duplicates + sum(quarantined.values()) + pending
    if found != total:
        raise CheckCrashed(
            f"lines do not add up: {total} were read, {found} are accounted for: {counts}. "
            "Somebody changed tables of schema `behavior` or `ledger` by hand, or this is a bug."
        )
    return counts

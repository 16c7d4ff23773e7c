"""What must hold of any database after an ingest, by SQL and arithmetic of its own."""

from __future__ import annotations

import math
import unicodedata
from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from recloop.database.connection import transaction

LARGEST, SMALLEST = 1e18, 1e-30
"""Magnitudes beyond which a square or a sum of float32 numbers is infinite, or nothing."""
LONGEST_ID = 2_704
"""Bytes that an index of PostgreSQL takes."""
NOBODY = {"", "nan", "null", "none", "n/a", "na", "<na>", "undefined", "nat", "#n/a", "nil"}
INVISIBLE = "\u200b\u200e\u200f\ufeff\u2060\u00ad"
EARLIEST, LATEST = datetime(1980, 1, 1, tzinfo=UTC), timedelta(days=1)


@dataclass
class Books:
    """What the database says of the lines that were read."""

    events: dict[tuple[int, int], dict[str, Any]] = field(default_factory=dict)
    """By (file, line)."""
    quarantined: dict[tuple[int, int], str] = field(default_factory=dict)
    """(file, line) to rule."""
    landed: set[tuple[int, int]] = field(default_factory=set)
    duplicates: int = 0
    lines: int = 0


def read_books(url: str) -> Books:
    """Everything that is known of lines."""
    books = Books()
    with transaction(url) as cursor:
        cursor.execute(
            "select file_id, line_no, user_id, item_id, event_timestamp, value, price, window_key, "
            "event_id, event_type from behavior.event e join behavior.account using (user_key) "
            "join behavior.item using (item_key)"
        )
        names = [column.name for column in cursor.description or ()]
        for row in cursor.fetchall():
            one = dict(zip(names, row, strict=True))
            books.events[one["file_id"], one["line_no"]] = one
        cursor.execute("select file_id, line_no, rule from behavior.quarantine")
        books.quarantined = {(f, n): rule for f, n, rule in cursor.fetchall()}
        cursor.execute("select file_id, line_no from behavior.landing")
        books.landed = set(cursor.fetchall())
        cursor.execute("select coalesce(sum(duplicates), 0) from ledger.window")
        books.duplicates = int((cursor.fetchone() or (0,))[0])
        cursor.execute(
            "select coalesce(sum(lines - superseded), 0) from behavior.source_file "
            "where state <> 'refused'"
        )
        books.lines = int((cursor.fetchone() or (0,))[0])
    return books


def faults_of(
    url: str, expected_lines: int | None = None, now: datetime | None = None
) -> list[str]:
    """Everything that is wrong with the books, in words; nothing, if they add up.

    Args:
        expected_lines: how many lines the input has; None: unknown.
    """
    books = read_books(url)
    found = []
    accounted = len(books.events) + len(books.quarantined) + len(books.landed) + books.duplicates
    if accounted != books.lines:
        found.append(
            f"{books.lines} lines were read, {accounted} are accounted for: {len(books.events)} "
            f"accepted, {books.duplicates} duplicates, {len(books.quarantined)} quarantined, "
            f"{len(books.landed)} pending"
        )
    if expected_lines is not None and books.lines not in (0, expected_lines):
        found.append(f"the input has {expected_lines} lines, {books.lines} were read")
    both = books.events.keys() & (books.quarantined.keys() | books.landed)
    both |= books.quarantined.keys() & books.landed
    if both:
        found.append(f"lines {sorted(both)[:3]} have two fates")
    found += _of_windows(url)
    now = now or datetime.now(UTC)
    for place, event in books.events.items():
        wrong = wrong_with(event, now)
        if wrong:
            found.append(f"line {place[1]} was accepted: {wrong}")
    return found


def _of_windows(url: str) -> list[str]:
    """Each event in one window and one part, whose sums are right."""
    checks = {
        "events outside their window": "select count(*) from behavior.event e left join ledger.window w "
        "using (window_key) where w.window_key is null or e.event_timestamp < w.starts "
        "or e.event_timestamp >= w.ends",
        "windows whose count is not that of their events": "select count(*) from ledger.window w where "
        "accepted <> (select count(*) from behavior.event e where e.window_key = w.window_key)",
        "parts whose count is not that of their events": "select count(*) from ledger.part p where "
        "accepted <> (select count(*) from behavior.event e where e.window_key = p.window_key "
        "and e.part = p.number)",
        "events of one id in two places": "select count(*) - count(distinct event_id) "
        "from behavior.event",
        "events without an account or item": "select count(*) from behavior.event e where not exists "
        "(select from behavior.account a where a.user_key = e.user_key) or not exists "
        "(select from behavior.item i where i.item_key = e.item_key)",
        "window keys that are no dates": "select count(*) from ledger.window where window_key !~ "
        "'^[0-9]{4}-[0-9]{2}-[0-9]{2}$'",
        "feature rows that are not finite": "select count(*) from features.user_statistics where "
        "spend_28d = 'NaN' or abs(spend_28d) = 'Infinity'",
    }
    found = []
    with transaction(url) as cursor:
        for name, statement in checks.items():
            cursor.execute(statement)
            (count,) = cursor.fetchone() or (0,)
            if count:
                found.append(f"{count} {name}")
    return found


def wrong_with(event: dict[str, Any], now: datetime) -> str:
    """Why an event should not have been accepted as it is; empty if nothing is wrong."""
    for who in ("user_id", "item_id"):
        text = event[who]
        if text.strip().lower() in NOBODY:
            return f"{who} {text!r} is nobody"
        if text != text.strip() or any(c in INVISIBLE for c in text[:1] + text[-1:]):
            return f"{who} {text!r} has white space or invisible characters around it"
        if unicodedata.normalize("NFC", text) != text:
            return f"{who} {text!r} is not in Unicode's form NFC"
        if "\0" in text or "\ufffd" in text or len(text.encode()) > LONGEST_ID:
            return f"{who} {text[:80]!r} cannot be an id"
    for name in ("value", "price"):
        number = event[name]
        if number is None:
            continue
        if not math.isfinite(number) or abs(number) > LARGEST or 0 < abs(number) < SMALLEST:
            return f"{name} {number!r} cannot be summed and squared"
    moment = event["event_timestamp"]
    if not EARLIEST <= moment <= now + LATEST:
        return f"time {moment} is not plausible"
    return ""


def fates(books: Books) -> Counter[str]:
    """How many lines have which fate."""
    return Counter(
        accepted=len(books.events),
        quarantined=len(books.quarantined),
        pending=len(books.landed),
        duplicate=books.duplicates,
    )

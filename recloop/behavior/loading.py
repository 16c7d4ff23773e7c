"""From parsed lines to `behavior.landing`, the quarantine and the ledger's windows.

Neighbours: `landing.py` and `table.py` read files and tables and call this, `lines.py` parses.
"""

from __future__ import annotations

import itertools
import logging
from collections.abc import Callable, Iterator
from datetime import datetime

from psycopg2.extensions import cursor as Cursor

from recloop.behavior.lines import LANDING_COLUMNS, Parsed, as_csv, chunk_times, parse_lines
from recloop.behavior.records import Chunk
from recloop.calendar import Window
from recloop.config.dataset import DatasetSpec
from recloop.database.connection import copy_csv, copy_rows
from recloop.ledger.window_states import note_landed

log = logging.getLogger(__name__)


Progress = Callable[[int, int | None], None]
"""Called with bytes (files) or lines (tables) done, and how many there are if that is known."""


LONGEST_SILENCE = 60
"""Windows without a line that are opened between two windows with lines; a longer gap is not."""


def parse_chunks(
    chunks: Iterator[Chunk], spec: DatasetSpec, as_of: datetime
) -> Iterator[tuple[Chunk, Parsed]]:
    """Parse each chunk; if the file is in the order of time, with its neighbours in view."""
    if not spec.event.ordered:
        for chunk in chunks:
            yield chunk, parse_lines(chunk, chunk_times(chunk, spec), spec, as_of)
        return
    from recloop.behavior.times import NEIGHBOURS, misplaced

    current = next(chunks, None)
    if current is None:
        return
    times = chunk_times(current, spec)
    past = times.iloc[:0]
    while current is not None:
        following = next(chunks, None)
        following_times = chunk_times(following, spec) if following else times.iloc[:0]
        wrong = misplaced(past, times, following_times.iloc[:NEIGHBOURS])
        yield current, parse_lines(current, times, spec, as_of, wrong)
        past, times, current = times.iloc[-NEIGHBOURS:], following_times, following


def copy_parsed(cursor: Cursor, file_id: int, parsed: Parsed) -> None:
    """Load a chunk into `behavior.landing`, and its windowless lines into the quarantine."""
    if parsed.rows:
        copy_csv(cursor, "behavior.landing", LANDING_COLUMNS, as_csv(file_id, parsed.rows))
    if parsed.rejected:
        copy_rows(
            cursor,
            "behavior.quarantine",
            ("file_id", "line_no", "event_id", "rule", "rules", "line", "near_window", "due"),
            [
                (file_id, n, id_, rule, f"{{{rule}}}", *more)
                for n, id_, rule, *more in parsed.rejected
            ],
        )


def open_windows(cursor: Cursor, spec: DatasetSpec, keys: set[str]) -> None:
    """Tell the ledger of windows with new lines, and of silent ones between windows with lines.

    A silent window has to be judged too: it may be a week of holidays or a feed that broke.
    """
    if not keys:
        return
    note_landed(cursor, map(spec.calendar.parse, sorted(keys)))
    cursor.execute(
        "update ledger.window set state = 'landed' where state = 'refused' and window_key = any(%s)",
        (sorted(keys),),
    )
    cursor.execute("select window_key, starts, ends from ledger.window order by starts")
    known = [Window(key=key, start=start, end=end) for key, start, end in cursor.fetchall()]
    silent: list[Window] = []
    for earlier, later in itertools.pairwise(known):
        gap = spec.calendar.between(earlier.end, later.start) if earlier.end < later.start else []
        if len(gap) <= LONGEST_SILENCE:
            silent += gap
        else:
            log.warning("no lines between %s and %s; windows not opened", earlier.key, later.key)
    note_landed(cursor, silent)

"""Loading: chunks of a file in the order of time, windows that are opened, lines put aside."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest

from recloop.behavior.lines import Parsed
from recloop.behavior.loading import copy_parsed, open_windows, parse_chunks
from recloop.behavior.records import Chunk
from recloop.config.dataset import DatasetSpec
from tests.recloop.behavior.small_shop import NAMES, small_spec

NOW = datetime(2012, 1, 1, tzinfo=UTC)
START = datetime(2011, 1, 3, tzinfo=UTC)


def ordered() -> DatasetSpec:
    said = small_spec().model_dump()
    return DatasetSpec.model_validate(said | {"event": said["event"] | {"ordered": True}})


def chunks(times: list[datetime], size: int) -> Iterator[Chunk]:
    for low in range(0, len(times), size):
        part = [time.isoformat() for time in times[low : low + size]]
        columns = {name: part if name == "ts" else ["x"] * len(part) for name in NAMES}
        yield Chunk(range(low + 1, low + 1 + len(part)), columns)


@pytest.mark.parametrize("size", [1, 7, 10, 1000])
def test_a_line_out_of_order_is_found_however_the_file_is_cut(size: int) -> None:
    """Line 10, the last of a chunk of 10, jumps a month ahead; line 30 lies behind, which is late."""
    times = [START + timedelta(hours=n) for n in range(60)]
    times[9] += timedelta(days=30)
    times[29] -= timedelta(days=2)
    found = list(parse_chunks(chunks(times, size), ordered(), NOW))
    assert sum(chunk.lines for chunk, _ in found) == 60
    rejected = [line for _, parsed in found for line in parsed.rejected]
    assert [(line[0], line[2]) for line in rejected] == [(10, "misplaced_timestamp")]
    assert sum(len(parsed.rows) for _, parsed in found) == 59
    assert list(parse_chunks(iter([]), ordered(), NOW)) == []


def test_in_a_file_without_an_order_no_line_is_out_of_it() -> None:
    times = [START + timedelta(days=n % 2 * 30) for n in range(60)]
    found = list(parse_chunks(chunks(times, 20), small_spec(), NOW))
    assert [parsed.rejected for _, parsed in found] == [[], [], []]


@pytest.mark.parametrize(("weeks", "opened"), [(61, 62), (62, 2)])
def test_sixty_silent_windows_are_opened_and_a_longer_silence_is_told(
    cursor, caplog: pytest.LogCaptureFixture, weeks: int, opened: int
) -> None:
    keys = {f"{START:%Y-%m-%d}", f"{START + timedelta(weeks=weeks):%Y-%m-%d}"}
    open_windows(cursor, small_spec(), set())
    cursor.execute("select count(*) from ledger.window")
    assert cursor.fetchone() == (0,)
    open_windows(cursor, small_spec(), keys)
    cursor.execute("select count(*) from ledger.window where state = 'landed'")
    assert cursor.fetchone() == (opened,)
    assert ("no lines between 2011-01-03 and 2012-03-12" in caplog.text) == (opened == 2)


def test_new_lines_wake_a_refused_window_and_leave_the_others_alone(cursor) -> None:
    keys = ["2011-01-03", "2011-01-10", "2011-01-17"]
    open_windows(cursor, small_spec(), set(keys))
    cursor.execute("update ledger.window set state = 'refused' where window_key < '2011-01-17'")
    cursor.execute("update ledger.window set state = 'featured' where window_key = '2011-01-17'")
    open_windows(cursor, small_spec(), {"2011-01-03", "2011-01-17"})
    cursor.execute("select state from ledger.window order by starts")
    assert cursor.fetchall() == [("landed",), ("refused",), ("featured",)]


def test_a_line_put_aside_keeps_what_is_known_of_it_and_null_for_the_rest(cursor) -> None:
    event, due = "0" * 31 + "1", "2013-01-01 00:00:00+00:00"
    rejected = [
        (1, None, "malformed_line", '{"text": "a,\\"b\\""}', None, None),
        (2, event, "future_timestamp", "{}", "2011-01-03", due),
    ]
    copy_parsed(cursor, 5, Parsed(rejected=rejected))
    copy_parsed(cursor, 6, Parsed())
    cursor.execute(
        "select line_no, event_id::text, rules, line ->> 'text', near_window, due, window_key "
        "from behavior.quarantine where file_id = 5 order by 1"
    )
    moment = datetime(2013, 1, 1, tzinfo=UTC)
    assert cursor.fetchall() == [
        (1, None, ["malformed_line"], 'a,"b"', None, None, None),
        (2, f"{'0' * 8}-0000-0000-0000-{'0' * 11}1", ["future_timestamp"], None, "2011-01-03",
         moment, None),
    ]  # fmt: skip
    cursor.execute("select count(*) from behavior.quarantine")
    assert cursor.fetchone() == (2,)

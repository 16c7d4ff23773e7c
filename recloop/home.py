"""The folder under which everything that recloop writes lies: private, and worked on by one at a time.

Belongs here: who may read the folder, and its locks. Keep out: what lies in it.
"""

from __future__ import annotations

import fcntl
import os
import stat
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from recloop.errors import BadInput

UMASK = 0o077
"""Of every process that recloop starts: training sets hold customers' keys, logs what they did."""
OWN = ("airflow", "postgres", "artifacts")
"""Folders by which a home is known; the access to any other folder is left to its owner."""


def keep_private() -> None:
    """From here on, what this process and its children create is their user's alone."""
    os.umask(UMASK)


def make_private(home: Path) -> None:
    """Make the folder; close one to other users that an earlier version left open.

    Raises:
        BadInput: the folder cannot be written.
    """
    try:
        home.mkdir(mode=0o700, parents=True, exist_ok=True)
        found = home.stat()
        others = found.st_mode & (UMASK & ~stat.S_IXGRP)  # root's PostgreSQL passes as the group
        if others and found.st_uid == os.geteuid() and any((home / n).is_dir() for n in OWN):
            home.chmod(stat.S_IMODE(found.st_mode) & ~others)
    except OSError as error:
        raise _unusable(home, error) from error


@contextmanager
def locked(home: Path, name: str, busy: Callable[[], None] = lambda: None) -> Iterator[None]:
    """Hold the home's lock `name`; call `busy` if somebody else holds it for a second, then wait.

    The operating system lets the lock go when its holder ends, however it ends.

    Raises:
        BadInput: the folder cannot be written.
    """
    with _lock_file(home, name) as file:
        deadline = time.monotonic() + 1  # the supervisor holds it for a moment at each look
        while not (taken := _taken(file)) and time.monotonic() < deadline:
            time.sleep(0.05)
        if not taken:
            busy()
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


@contextmanager
def locked_if_free(home: Path, name: str) -> Iterator[bool]:
    """Hold the lock if nobody does; yields whether it is held."""
    with _lock_file(home, name) as file:
        yield _taken(file)


@contextmanager
def _lock_file(home: Path, name: str) -> Iterator[int]:
    make_private(home)
    try:
        file = os.open(home / f".{name}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise _unusable(home, error) from error
    try:
        yield file
    finally:
        os.close(file)


def _taken(file: int) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _unusable(home: Path, error: OSError) -> BadInput:
    return BadInput(
        f"RECLOOP_HOME = {str(home)!r} cannot be written: {error.strerror}. Name a folder that this "
        "user may write, or make room there."
    )

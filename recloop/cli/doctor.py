"""`recloop doctor`: each check looks at one thing that can be missing or mis-set.

A check never changes anything and never starts a server.
"""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable
from contextlib import suppress
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path
from typing import Literal

from recloop.behavior.source_files import refuse_another
from recloop.calendar import counted
from recloop.config.dag_ids import shared
from recloop.config.recommenders import recommenders, settings_of, usable
from recloop.config.rules import load_gate_rules, load_update_rules
from recloop.contracts import Contract
from recloop.database import embedded
from recloop.database.connection import asked, column, first, redacted, transaction
from recloop.errors import RecloopError, ServiceAway
from recloop.ledger import publications, releases
from recloop.project import laying_out
from recloop.settings import DEFAULT, PROJECT, Settings

FREE_BYTES = 2 * 1024**3


class Finding(Contract):
    """What one check found."""

    name: str
    state: Literal["ok", "warning", "failed"]
    detail: str
    remedy: str = ""


def examine() -> list[Finding]:
    """Run all checks, in order, those of a recommender for each of them; one that raises is a finding
    itself."""
    try:
        given = Settings.from_environment()
        fleet, wrong = usable(given)
        if given.recommender:
            fleet = [settings_of(given, given.recommender)]
        elif list(wrong) == [DEFAULT]:  # its checks say what is wrong
            fleet, wrong = [given], {}
    except RecloopError as error:
        return [Finding(name="settings", state="failed", detail=str(error), remedy="correct it")]
    findings = [_looked(check, given) for check in BEFORE]
    findings += [
        _failed(f"recommender {name}", str(why), "correct it") for name, why in wrong.items()
    ]
    for one in fleet:
        of = "" if len(fleet) == 1 else f"{one.recommender}: "
        for found in [_looked(check, one) for check in OF_RECOMMENDER]:
            findings.append(found.model_copy(update={"name": of + found.name}))
    return findings + [_looked(check, given) for check in AFTER]


def _looked(check: Check, settings: Settings) -> Finding:
    name = check.__name__.strip("_").replace("_", " ")
    try:
        return check(settings)
    except RecloopError as error:
        return _failed(name, f"{type(error).__name__}: {error}", "see the message")
    except Exception as error:
        return _failed(name, f"the check crashed: {error!r}", "report this")


def _project(settings: Settings) -> Finding:
    if settings.project == laying_out.PACKED:
        said = "none here, so DAGs and rules are those of the package"
        return _warning("project", said, "recloop init shop, then cd shop; or set RECLOOP_PROJECT")
    return _ok("project", str(settings.project))


def _python(settings: Settings) -> Finding:
    version = ".".join(map(str, sys.version_info[:3]))
    if not (3, 11) <= sys.version_info[:2] <= (3, 13):
        remedy = "use Python 3.11, 3.12 or 3.13: rm -r .venv && make install"
        return _failed("python", version, remedy)
    return _ok("python", version)


def _packages(settings: Settings) -> Finding:
    wrong = []
    remedy = "make install" if laying_out.in_checkout() else "pip install --force-reinstall recloop"
    pins = PROJECT / "requirements.txt"
    given = pins.read_text().splitlines() if pins.exists() else metadata.requires("recloop") or []
    for line in given:
        name, separator, pinned = line.split(";")[0].strip().partition("==")
        if not separator or line.startswith((" ", "#")):
            continue
        try:
            found = metadata.version(name.partition("[")[0])
        except metadata.PackageNotFoundError:
            found = "missing"
        if found != pinned:
            wrong.append(f"{name} {found}, pinned {pinned}")
    if wrong:
        return _failed("packages", "; ".join(wrong[:5]), remedy)
    return _ok("packages", "as pinned")


def _bytecode(settings: Settings) -> Finding:
    spec = find_spec("tensorflow")  # finds the package without importing it
    if spec and spec.origin and Path(spec.origin).with_name("__pycache__").exists():
        return _ok("bytecode", "compiled")
    slow = "libraries are not compiled, so every task starts slowly"
    return _warning("bytecode", slow, "make install")


def _database(settings: Settings) -> Finding:
    url = _url(settings)
    if not _answers(settings):
        return _ok("database", f"embedded, in {settings.home / 'postgres'}; not running now")
    if not _runs(settings):
        return _warning("database", f"{redacted(url)} is not made yet", "any command makes it")
    version = asked(url, first, "select version()")
    if asked(url, first, "select to_regclass('ledger.window')") is None:
        return _warning("database", f"{redacted(url)} has no tables yet", "any command makes them")
    return _ok("database", version.split(" on ")[0])


def _placed(settings: Settings) -> Settings:
    base = settings.given or settings
    return settings.at(base.database_url or embedded.address(settings.home))


def _url(settings: Settings) -> str:
    return _placed(settings).database_url


def _answers(settings: Settings) -> bool:
    return bool(settings.database_url) or embedded.running_pid(settings.home) is not None


def _runs(settings: Settings) -> bool:
    """Whether the database can be asked: its server runs, and somebody has made it."""
    return _answers(settings) and embedded.exists(_placed(settings))


def _dataset(settings: Settings) -> Finding:
    from recloop.config.dataset import load_dataset

    spec = load_dataset(settings)
    if settings.data is not None and not settings.data.exists():
        missing = f"RECLOOP_DATA = {settings.data} does not exist"
        return _failed("dataset", missing, "correct the path")
    if _runs(settings):
        with transaction(_url(settings)) as cursor:
            if first(cursor, "select to_regclass('behavior.source_file')"):
                refuse_another(cursor, spec)
    return _ok(
        "dataset", f"{spec.name}, one window each {spec.calendar.told}, {spec.calendar.zone.key}"
    )


def _rule_files(settings: Settings) -> Finding:
    from recloop.config.dataset import load_dataset
    from recloop.config.limits import load_limits

    load_update_rules(settings)
    load_gate_rules(settings)
    load_limits(settings, load_dataset(settings))
    return _ok("rule files", f"validation.toml, update.toml, gate.toml in {settings.config}")


def _disk(settings: Settings) -> Finding:
    home = settings.home
    there = next(path for path in (home, *home.parents) if os.path.exists(path))
    if not there.is_dir() or not os.access(there, os.W_OK | os.X_OK):
        wrong = (
            f"RECLOOP_HOME = {str(home)!r} cannot be written: {there} is no folder, or not yours"
        )
        return _failed("disk", wrong, "set RECLOOP_HOME to a folder that this user may write")
    free = shutil.disk_usage(there).free
    detail = f"{free / 1024**3:.1f} GiB free under {home}"
    if free < FREE_BYTES:
        return _failed("disk", detail, "free some, or set RECLOOP_HOME to a larger disk")
    return _ok("disk", detail)


def _airflow(settings: Settings) -> Finding:
    from recloop.runtime import airflow_process

    if not airflow_process.read_state(settings)["processes"]:
        return _ok("airflow", "not running; `recloop up` starts it")
    log = airflow_process.log_file(settings, "supervisor")
    try:
        wrong = airflow_process.complaints(settings)
    except ServiceAway as error:
        return _failed("airflow", f"its database is away: {error}", f"`recloop up`; see {log}")
    if wrong and all(complaint.kind == "starting" for complaint in wrong):
        return _warning("airflow", "; ".join(map(str, wrong)), f"wait; {log.parent} has its logs")
    if wrong:
        said = "; ".join(map(str, wrong))
        return _failed("airflow", said, f"`recloop up` starts it again; {log} says what was tried")
    client = airflow_process.connect(settings)
    errors = client.import_errors()
    if errors:
        name, trace = next(iter(errors.items()))
        return _failed("airflow", f"{name} cannot be imported: {trace.splitlines()[-1]}", "mend it")
    return _ok("airflow", f"running at {client.url}")


def _champion(settings: Settings) -> Finding:
    if not _runs(settings):
        return _ok("champion", "unknown while the embedded database is not running")
    with transaction(_url(settings)) as cursor:
        there = first(cursor, "select to_regclass('ledger.reign')")
        champion = releases.champion(cursor) if there else None
        known = first(cursor, "select to_regclass('ledger.publication')")
        given = publications.all_published(cursor)[-1:] if known else []
    if champion is None:
        return _warning("champion", "none yet", "recloop ingest, then recloop update")
    if not Path(champion.uri).is_dir():
        gone = f"release {champion.version}'s files are not at {champion.uri}"
        return _failed("champion", gone, "restore that folder, or `recloop rollback`")
    told = [f"; release {one.release}'s lists at {one.target}" for one in given]
    learnt = counted(len(champion.windows))
    return _ok("champion", "".join([f"release {champion.version}, {learnt} learnt", *told]))


def _lineages(settings: Settings) -> Finding:
    """Whether the ledgers know recommenders that have no file, as after one was renamed."""
    known: set[str] = set()
    for dataset in shared(usable(settings)[0]):
        with suppress(ServiceAway):  # which the check of the database says
            if _runs(dataset.keeper):
                with transaction(_url(dataset.keeper)) as cursor:
                    if first(cursor, "select to_regclass('lineage.update')"):
                        known.update(
                            column(cursor, "select distinct recommender from lineage.update")
                        )
    left = ", ".join(sorted(known - set(recommenders(settings))))
    if left:
        folder = settings.config / "recommenders"
        return _warning(
            "lineages",
            f"the ledger has what {left} has learnt, and no file in {folder} has that name",
            "rename the file back, or leave it: the others are not touched by it",
        )
    return _ok("lineages", "each has its recommender")


def _gpu(settings: Settings) -> Finding:
    used = "present: training uses it, with mixed precision"
    return _ok("gpu", used if Path("/dev/nvidia0").exists() else "none: training runs on the CPU")


def _family(settings: Settings) -> Finding:
    from recloop.config.dataset import load_dataset
    from recloop.config.learnable import meaning_of
    from recloop.features.fit import data_fit

    dataset = load_dataset(settings)
    family = dataset.model.known_family
    alike = "; it learns each event alike, whatever `event.learn_from` weighs"
    alike = alike if dataset.weighs_in_vain else ""
    without_data = _ok("family", f"{family.name}: {family.summary}{alike}")
    if not _runs(settings):
        return without_data
    with transaction(_url(settings)) as cursor:
        if not first(cursor, "select to_regclass('behavior.event')"):
            return without_data
        found = data_fit(cursor, family, meaning_of(settings))
    if found.suits:
        return _ok("family", found.detail + alike)
    return _warning("family", found.detail + alike, found.remedy)


def _online_store(settings: Settings) -> Finding:
    """Whether servers that read Feast's online store are told what the tables say."""
    from recloop.config.learnable import meaning_of

    none, meaning = _ok("online store", "nothing is in it"), meaning_of(settings)
    if not meaning.features or not _runs(settings):
        return none
    with transaction(_url(settings)) as cursor:
        there = first(cursor, "select to_regclass('features.applied')")
        if not there or not first(cursor, "select exists (select from features.applied)"):
            return none
    from recloop.features.online_skew import online_skew

    found = online_skew(_placed(settings), meaning)
    if not found.users:
        return none
    if found.differ:
        wrong = f"{found.differ} of the {found.users} users looked at differ from the tables: "
        remedy = "start the DAG `ingest_behavior` with the newest window: it is filled again"
        return _warning("online store", wrong + found.example, remedy)
    return _ok("online store", f"the latest {found.users} users are as in the tables")


Check = Callable[[Settings], Finding]
BEFORE: tuple[Check, ...] = (_project, _python, _packages, _bytecode, _disk)
OF_RECOMMENDER: tuple[Check, ...] = (
    _dataset,
    _rule_files,
    _database,
    _family,
    _champion,
    _online_store,
)
AFTER: tuple[Check, ...] = (_lineages, _airflow, _gpu)


def _ok(name: str, detail: str) -> Finding:
    return Finding(name=name, state="ok", detail=detail)


def _warning(name: str, detail: str, remedy: str) -> Finding:
    return Finding(name=name, state="warning", detail=detail, remedy=remedy)


def _failed(name: str, detail: str, remedy: str) -> Finding:
    return Finding(name=name, state="failed", detail=detail, remedy=remedy)

"""Reading what is new in the source into `behavior.landing`: one transaction per file.

Belongs here: which files are new, changed or refused, and what the ledger learns of it. Keep out:
formats (`sources.py`, `lines.py`), tables (`table.py`), judging windows (`validation/`).
"""

from __future__ import annotations

import json
import os
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path

from psycopg2.extensions import cursor as Cursor

from recloop.behavior import source_files
from recloop.behavior.dating import UNDATED, refuse_undated
from recloop.behavior.download import file_sha256, locate
from recloop.behavior.loading import Progress, copy_parsed, log, open_windows, parse_chunks
from recloop.behavior.source_files import refusal, written_out
from recloop.behavior.sources import files_of, read_file
from recloop.config.dataset import DatasetSpec, load_dataset
from recloop.contracts import LandingReport
from recloop.database.connection import Lock, transaction
from recloop.errors import SourceRefused
from recloop.settings import Settings


def land(
    settings: Settings,
    window: str | None = None,
    progress: Progress | None = None,
    as_of: datetime | None = None,
) -> LandingReport:
    """Read what the source has and the database has not. Repeating it changes nothing.

    Args:
        window: of a table, the window to read (None: all since the newest line). Files are always
            read whole, because what they hold is known only then.
        as_of: aware; later timestamps are quarantined. None: this moment.

    Raises:
        BadInput: the dataset file, or what it points at, cannot be used.
        SourceRefused: the source's only file was refused, now or before.
        ServiceAway: the database, or the package registry, cannot be reached.
    """
    spec = load_dataset(settings)
    as_of = as_of or datetime.now(UTC)
    with transaction(settings.database_url) as cursor:
        source_files.refuse_another(cursor, spec)
        known = source_files.known_files(cursor, spec.name)
    if spec.source.kind == "table":
        from recloop.behavior.table import land_table

        return land_table(settings, spec, window, progress, as_of)
    located = locate(settings, spec)
    reports = []
    for path in files_of(spec, located):
        name = source_files.name_of(path, located)
        try:
            if not known.read(name, path.stat()):
                reports.append(_land_one(settings, spec, path, name, progress, as_of))
        except OSError as error:
            reports.append(_unreadable(spec, path, name, error))
    refused = tuple(reason for report in reports for reason in report.refused)
    if refused and spec.source.kind == "file":
        raise SourceRefused(refused[0])
    for reason in refused:
        log.warning("%s", reason)
    return LandingReport(
        lines=sum(report.lines for report in reports),
        windows=tuple(sorted({key for report in reports for key in report.windows})),
        files=tuple(name for report in reports for name in report.files),
        refused=refused,
    )


def _land_one(
    settings: Settings,
    spec: DatasetSpec,
    path: Path,
    name: str,
    progress: Progress | None,
    as_of: datetime,
) -> LandingReport:
    nothing = LandingReport(lines=0, windows=())
    before, sha256 = path.stat(), ""
    try:
        with transaction(settings.database_url) as cursor:
            cursor.execute("select pg_advisory_xact_lock(%s)", (Lock.LAND,))
            before = path.stat()
            current = source_files.current(cursor, spec.name, name, before)
            if current and current[1]:
                return nothing
            sha256 = file_sha256(path)
            if source_files.known(cursor, spec, name, sha256):
                source_files.touch(cursor, spec.name, name, before)
                return nothing
            _warn_of_other_copy(settings, spec, path, sha256)
            if current:
                source_files.supersede(cursor, current[0])
            file_id = source_files.begin(cursor, spec.name, name, sha256, before)
            lines, keys = _copy_file(cursor, spec, path, file_id, progress, as_of)
            if _changed(path, before):
                raise _StillWritten
            source_files.finish(cursor, file_id, lines, spec.reading)
            open_windows(cursor, spec, keys)
    except (SourceRefused, _StillWritten) as error:
        if isinstance(error, _StillWritten) or _changed(path, before):
            log.warning("%s is still being written; it will be read when it is complete", name)
            return nothing
        with transaction(settings.database_url) as cursor:
            source_files.refuse(cursor, spec.name, name, sha256, before, str(error))
        return LandingReport(lines=0, windows=(), refused=(str(error),))
    return LandingReport(lines=lines, windows=tuple(sorted(keys)), files=(name,))


class _StillWritten(Exception):
    """The file changed while it was read; the transaction is rolled back."""


def _changed(path: Path, before: os.stat_result) -> bool:
    after = path.stat()
    return (after.st_size, after.st_mtime_ns) != (before.st_size, before.st_mtime_ns)


def _unreadable(spec: DatasetSpec, path: Path, name: str, error: OSError) -> LandingReport:
    """What is told of a file that the system does not let us read; it is tried again each time."""
    if isinstance(error, FileNotFoundError) and spec.source.kind == "folder":
        log.warning("%s went away before it was read", name)
        return LandingReport(lines=0, windows=())
    problem = f"it cannot be read ({error.strerror or error}). Correct that and land it again"
    refused = str(refusal("unreadable_file", path, problem))
    return LandingReport(lines=0, windows=(), refused=(refused,))


def _copy_file(
    cursor: Cursor,
    spec: DatasetSpec,
    path: Path,
    file_id: int,
    progress: Progress | None,
    as_of: datetime,
) -> tuple[int, set[str]]:
    lines, keys, size = 0, set[str](), path.stat().st_size
    undated, example = Counter[str](), ""
    for chunk, parsed in parse_chunks(read_file(path, spec), spec, as_of):
        copy_parsed(cursor, file_id, parsed)
        undated.update(rejected[2] for rejected in parsed.rejected)
        example = example or next((r[3] for r in parsed.rejected if r[2] in UNDATED), "")
        lines += chunk.lines
        keys |= parsed.windows
        if progress:
            progress(chunk.position, size)
    refuse_undated(path, spec, undated, lines, example)
    return lines, keys


def _warn_of_other_copy(settings: Settings, spec: DatasetSpec, path: Path, sha256: str) -> None:
    if settings.data is not None and spec.source.sha256 not in (None, sha256):
        log.warning(
            "%s has sha256 %s, not that of dataset %s (%s); it is read as your own copy",
            written_out(str(path)), sha256, spec.name, json.dumps(spec.source.sha256),
        )  # fmt: skip

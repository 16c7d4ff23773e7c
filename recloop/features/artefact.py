"""A training set on disk: four Parquet files and a manifest, named by their content.

Belongs here: writing so that equal content gives equal bytes and a reader never sees half a set,
and checking that what is read is what was written. Keep out: what the columns mean (see
`training_set.py`, `examples.py`).
"""

from __future__ import annotations

import hashlib
import json
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from recloop.calendar import whole
from recloop.contracts import TrainingSet
from recloop.errors import BadData

if TYPE_CHECKING:
    import pyarrow as pa

MANIFEST = "manifest.json"
TABLES = ("queries", "interactions", "items", "item_days")


def write_training_set(
    folder: Path, window_key: str, tables: Mapping[str, pa.Table]
) -> TrainingSet:
    """Write the tables of `ranker_inputs.py` under `folder/<part of a window>/<hash>/`.

    The set appears by one rename. The same tables give the same bytes, hash and folder, so writing
    them again changes nothing.
    """
    import pyarrow.parquet as pq

    parent = folder / window_key
    parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(prefix=".writing-", dir=parent))
    try:
        for name in TABLES:
            pq.write_table(tables[name], temporary / f"{name}.parquet", compression="zstd")
        hashes = {name: _sha256(temporary / f"{name}.parquet") for name in TABLES}
        rows = {name: tables[name].num_rows for name in TABLES}
        manifest = {"window": window_key, "rows": rows, "sha256": hashes}
        (temporary / MANIFEST).write_text(json.dumps(manifest, indent=2, sort_keys=True) + "\n")
        sha256 = _combined(hashes)
        target = parent / sha256[:16]
        if target.exists() and _broken_file(target, sha256) is not None:
            shutil.rmtree(target)
        if not target.exists():
            temporary.rename(target)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    counts = {name: rows[name] for name in ("queries", "interactions", "items")}
    return TrainingSet(window=window_key, uri=str(target), sha256=sha256, **counts)


def read_training_set(training_set: TrainingSet) -> dict[str, pa.Table]:
    """The tables of a training set, after checking every file's hash.

    Raises:
        BadData: a file is missing or was altered.
    """
    import pyarrow.parquet as pq

    folder = Path(training_set.uri)
    broken = _broken_file(folder, training_set.sha256)
    if broken is not None:
        raise BadData(
            f"the training set of window {training_set.window} is not what was written: {broken}. "
            f"Build it again: `recloop ingest --window {whole(training_set.window)}`."
        )
    return {name: pq.read_table(folder / f"{name}.parquet") for name in TABLES}


def is_intact(training_set: TrainingSet) -> bool:
    """Whether the files are what was written."""
    return _broken_file(Path(training_set.uri), training_set.sha256) is None


def _broken_file(folder: Path, sha256: str) -> str | None:
    """What is wrong with a set on disk, in words; None when nothing is."""
    hashes = {}
    for name in TABLES:
        path = folder / f"{name}.parquet"
        if not path.is_file():
            return f"{path} is missing"
        hashes[name] = _sha256(path)
    if _combined(hashes) == sha256:
        return None
    return f"the files in {folder} have the hash {_combined(hashes)}, recorded is {sha256}"


def _combined(hashes: Mapping[str, str]) -> str:
    return hashlib.sha256("".join(hashes[name] for name in TABLES).encode()).hexdigest()


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()

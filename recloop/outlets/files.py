"""Recommendations as files: Parquet or CSV, in a folder or in an object store.

A file is written beside its place, or in a temporary folder, and moved when it is whole. What a killed
run left beside it goes with the next one. Similar items are a file of their own, `NAME.similar.parquet`.
"""

from __future__ import annotations

import shutil
import tempfile
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import pyarrow as pa

from recloop.database.connection import Cursor
from recloop.errors import BadInput, ServiceAway
from recloop.outlets.tables import LISTS, SIMILAR

SUFFIXES = (".parquet", ".csv")
WHOLE = ("s3", "s3a", "gs", "gcs", "abfs", "abfss", "az", "adl", "oss", "oci", "memory")
"""Stores that show an object only when all of it is there; elsewhere one is moved into its place."""
Row = tuple[str, int, str, float, str]


def is_file(out: str) -> bool:
    """Whether `out` names a file."""
    return out.endswith(SUFFIXES)


@dataclass
class Files:
    """A file of lists, and one of similar items beside it; always written as a whole.

    Attributes:
        target: a path, or a URL that fsspec knows.
    """

    target: str
    recommender: str
    _release: int = 0
    _open: dict[str, Any] = field(default_factory=dict)

    @cached_property
    def _remote(self) -> bool:
        return "://" in self.target and not self.target.startswith(("file://", "local://"))

    def place(self, kind: str) -> str:
        """Where the file of this kind is."""
        local = self.target if self._remote else self.target.partition("://")[2] or self.target
        if kind == LISTS:
            return local
        suffix = local[local.rindex(".") :]
        return f"{local.removesuffix(suffix)}.similar{suffix}"

    @cached_property
    def _folder(self) -> Path:
        """Where both are written: on the file system on which they are moved, if that can be."""
        if self._remote:
            return Path(tempfile.mkdtemp(prefix="recloop-"))
        place = Path(self.place(LISTS))
        folder = place.parent / f".{place.name}.{self.recommender}.writing"
        try:
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir(parents=True)
        except OSError as error:
            raise BadInput(
                f"`out` should be in a folder that can be written. Received: {self.target} ({error})."
            ) from error
        return folder

    def stands(self, cursor: Cursor) -> bool:  # noqa: ARG002
        """A file is never changed in place."""
        return False

    def check(self, cursor: Cursor, ours: bool) -> None:
        """Whoever names a file means to replace it."""

    def begin(self, cursor: Cursor, release: int) -> None:  # noqa: ARG002
        """Nothing is open yet."""
        self._release = release

    def add(self, cursor: Cursor, kind: str, rows: pa.Table, anew: bool) -> None:  # noqa: ARG002
        """Append rows, with the recommender and the release before them."""
        count = len(rows)
        rows = rows.add_column(0, "release", pa.repeat(pa.scalar(self._release, pa.int64()), count))
        rows = rows.add_column(0, "recommender", pa.repeat(pa.scalar(self.recommender), count))
        if kind not in self._open:
            self._open[kind] = _writer(self._written(kind), rows.schema)
        self._open[kind].write_table(rows)

    def take_away(self, cursor: Cursor, user_ids: list[str]) -> list[Row]:  # noqa: ARG002
        """A file is never changed in place."""
        raise AssertionError

    def swap(self, cursor: Cursor) -> None:  # noqa: ARG002
        """Move both to their places.

        Raises:
            ServiceAway: the store refused.
        """
        for writer in self._open.values():
            writer.close()
        for kind in (SIMILAR, LISTS):
            if kind in self._open:
                self._move(self._written(kind), self.place(kind))

    def close(self) -> None:
        """Nothing is left beside."""
        if "_folder" in vars(self):
            shutil.rmtree(self._folder, ignore_errors=True)

    def _written(self, kind: str) -> Path:
        return self._folder / Path(self.place(kind)).name

    def _move(self, written: Path, place: str) -> None:
        if not self._remote:
            written.replace(place)
            return
        try:
            system, path = _store(place)
            if place.partition("://")[0] in WHOLE:
                system.put_file(str(written), path)
            else:
                system.put_file(str(written), f"{path}.writing")
                system.mv(f"{path}.writing", path)
        except ImportError as error:
            raise BadInput(f"`out` = {place!r} needs a package of fsspec's: {error}.") from error
        except (OSError, ValueError) as error:
            raise ServiceAway(f"{place} could not be written: {error}. Publish again.") from error


def _store(place: str) -> tuple[Any, str]:
    """What fsspec knows of the address; of an object store whose package is not installed, what Arrow
    does: s3 and gs, with the credentials, the region and the endpoint that the environment names."""
    import fsspec

    try:
        return fsspec.core.url_to_fs(place)  # type: ignore[no-any-return]
    except ImportError:
        from fsspec.implementations.arrow import ArrowFSWrapper
        from pyarrow import fs

        if not place.startswith(("s3://", "gs://")):
            raise
        system, path = fs.FileSystem.from_uri(place)
        return ArrowFSWrapper(system), path


def _writer(path: Path, schema: pa.Schema) -> Any:
    if path.suffix == ".csv":
        from pyarrow import csv

        return csv.CSVWriter(path, schema)
    from pyarrow import parquet

    return parquet.ParquetWriter(path, schema, compression="zstd")

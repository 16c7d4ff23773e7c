"""A MovieLens ratings file as arrays, oldest first.

Belongs here: the three forms that GroupLens publishes. Keep out: labels and periods
(`ctr_protocol`), what is known of users and items (`ctr_features`).

    ratings.csv   userId,movieId,rating,timestamp, with that header   (latest, 20M, 25M, 32M)
    ratings.dat   user::movie::rating::timestamp                      (1M, 10M)
    u.data        user, movie, rating, timestamp, by tabs             (100K)
"""

from __future__ import annotations

import io
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from recloop.errors import BadInput

COLUMNS = ("userId", "movieId", "rating", "timestamp")
FORMS = (
    "a header userId,movieId,rating,timestamp and commas (ratings.csv), :: between four columns "
    "(ratings.dat), or tabs between four columns (u.data)"
)


@dataclass(frozen=True, eq=False)
class RatingLog:
    """N ratings, oldest first; in the order of the file within equal times.

    Attributes:
        user_keys, item_keys: int64 [N], positive, as in the file.
        ratings: float32 [N].
        times: int64 [N], seconds since 1970-01-01 UTC.
    """

    user_keys: np.ndarray
    item_keys: np.ndarray
    ratings: np.ndarray
    times: np.ndarray

    def __len__(self) -> int:
        return len(self.times)

    def between(self, start: int | None, end: int | None) -> RatingLog:
        """Those with start <= time < end (seconds; None: no bound)."""
        low = 0 if start is None else int(np.searchsorted(self.times, start))
        high = len(self) if end is None else int(np.searchsorted(self.times, end))
        return self._part(slice(low, max(high, low)))

    def first(self, count: int) -> RatingLog:
        """The oldest so many."""
        return self._part(slice(count))

    def _part(self, part: slice) -> RatingLog:
        return RatingLog(
            self.user_keys[part], self.item_keys[part], self.ratings[part], self.times[part]
        )


def read_ratings(path: Path) -> RatingLog:
    """The file's ratings.

    Raises:
        BadInput: there is no such file, it has another form, or a value that can't be one.
    """
    if not path.is_file():
        raise BadInput(
            f"no ratings file at {path}; give the path of a MovieLens ratings.csv, ratings.dat or "
            "u.data that you downloaded, not its folder or its zip."
        )
    with path.open("rb") as file:
        first = file.readline(4096).decode("utf-8", errors="replace").strip("\ufeff\r\n")
    table = _parse(path, first)
    columns = {name: table.column(name).to_numpy() for name in COLUMNS}
    if not len(table):
        raise BadInput(f"{path} has no ratings. Download it again.")
    for name in ("userId", "movieId"):
        if columns[name].min() < 1:
            line = int(columns[name].argmin()) + 1
            raise BadInput(
                f"{path}: `{name}` should be positive. Received: {columns[name].min()} in rating "
                f"{line}. Download the file again, or drop such lines."
            )
    order = np.argsort(columns["timestamp"], kind="stable")
    return RatingLog(
        columns["userId"][order],
        columns["movieId"][order],
        columns["rating"].astype(np.float32)[order],
        columns["timestamp"][order],
    )


def _parse(path: Path, first: str):  # type: ignore[no-untyped-def]
    """The four columns as a pyarrow Table."""
    import pyarrow as pa
    from pyarrow import csv

    if "::" in first and first.count("::") == 3:
        # The parser takes one character: to it, :: has an empty column between.
        delimiter, names = ":", [part for n in COLUMNS for part in (n, f"_{n}")][:-1]
    elif first.count("\t") == 3:
        delimiter, names = "\t", list(COLUMNS)
    elif [name.strip().strip('"') for name in first.split(",")] == list(COLUMNS):
        delimiter, names = ",", None
    else:
        raise BadInput(
            f"{path} doesn't look like MovieLens ratings: its first line is {first[:80]!r}. It "
            f"should have {FORMS}."
        )
    types = {"userId": pa.int64(), "movieId": pa.int64(), "rating": pa.float32()}
    try:
        return csv.read_csv(
            path,
            read_options=csv.ReadOptions(column_names=names),
            parse_options=csv.ParseOptions(delimiter=delimiter),
            convert_options=csv.ConvertOptions(
                column_types=types | {"timestamp": pa.int64()},
                include_columns=list(COLUMNS),
                null_values=[],
            ),
        )
    except (pa.ArrowInvalid, OSError) as error:
        reason = io.StringIO(str(error)).readline().strip()
        raise BadInput(
            f"{path} can't be read as ratings: {reason}. It should have {FORMS}; download it again."
        ) from error

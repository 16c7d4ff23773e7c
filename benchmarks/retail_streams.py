"""Streams beside the datasets of `config/`, for `benchmarks.retail --stream`.

    ml_1m          MovieLens-1M by week, every rating a positive: 26 weeks are learnt, 8 tested
    marketplace    a marketplace's events of all kinds by day: 4 days are learnt, 6 tested

Neighbours: `detect_streams` has their lines, `reading` makes a log of them.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Literal, NamedTuple

import pandas as pd

from benchmarks.detect_streams import STREAMS, Stream
from benchmarks.reading import keep_dataset
from recloop.errors import BadInput
from recloop.settings import PROJECT

CATEGORIES = ("top", "category", "brand")


class Cut(NamedTuple):
    """How a stream is cut: a window's length, how many are learnt at once, and how many are tested
    (None: all that the data fills)."""

    length: Literal["day", "week"]
    warm_up: int
    windows: int | None


CUTS = {"ml_1m": Cut("week", 26, 8), "marketplace": Cut("day", 4, 6)}


def keep_stream(name: str, data: Path, cache: Path) -> tuple[Path, Cut]:
    """The stream as a log in `cache`, and how it is cut.

    Args:
        data: the folder that holds `marketplace/`.

    Raises:
        BadInput: there is no such stream, or its data are not there.
    """
    if name not in CUTS:
        raise BadInput(f"stream {name!r} is not known; choose from {', '.join(CUTS)}.")
    stream = STREAMS[name](PROJECT / "var" / "cache", data)
    if name == "marketplace":
        stream = _with_texts(stream, data / "marketplace" / "items.tsv")
    with TemporaryDirectory() as folder:
        lines = Path(folder) / "lines"
        lines.mkdir()
        for key, frame in stream.windows.items():
            frame.to_csv(lines / f"{key}.csv", index=False)
        dataset = Path(folder) / "dataset.toml"
        dataset.write_text(stream.dataset(), encoding="utf-8")
        path = keep_dataset(dataset, lines, datetime.now(UTC), cache)
    return path, CUTS[name]


def _with_texts(stream: Stream, path: Path) -> Stream:
    """Each line with its item's categories and brand as words."""
    names = ["item", *CATEGORIES, "price"]
    items = pd.read_csv(path, sep="\t", names=names, dtype=str).set_index("item")
    text = pd.Series("", items.index)
    for column in CATEGORIES:
        text += column + items[column].fillna("none") + " "
    windows = {
        key: lines.assign(text=lines["item"].map(text).fillna(""))
        for key, lines in stream.windows.items()
    }
    return replace(stream, windows=windows)

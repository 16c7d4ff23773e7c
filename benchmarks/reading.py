"""An events file to an `EventLog`, through a dataset TOML and recloop's own reader.

Belongs here: which lines count. All that the TOML learns from (`event.learn_from`) do, copies of a
line included, whatever row rules say: published numbers on these files use no row rules. Lines
without a user, an item or a time inside `[period]` do not. Keep out: windows (`retail_protocol`).
"""

from __future__ import annotations

import hashlib
import json
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmarks.events import EventLog, Events, in_order

if TYPE_CHECKING:
    from recloop.config.dataset import DatasetSpec

FORM = 1
"""Raised when what is read from a file, or how it is stored, changes."""


def read_dataset(
    dataset: Path, data: Path | None, as_of: datetime, cache: Path | None = None
) -> EventLog:
    """The events of a dataset that are learnt from.

    Args:
        dataset: a dataset TOML.
        data: a copy of its file or folder; None: the source that the TOML names.
        as_of: aware; later lines are left out.
        cache: folder in which a log once read is kept (see `keep_dataset`).

    Raises:
        BadInput: the TOML or its source cannot be used, is a table, or has no line to learn from.
        SourceRefused: the source does not look as the TOML declares.
        ServiceAway: the package registry cannot be reached.
    """
    if cache is not None:
        return EventLog.load(keep_dataset(dataset, data, as_of, cache))
    return _read(*_located(dataset, data), as_of)


def keep_dataset(dataset: Path, data: Path | None, as_of: datetime, cache: Path) -> Path:
    """The file in `cache` that holds the log of a dataset, named by the hash of all it is made of.

    Arguments and errors are those of `read_dataset`.
    """
    from recloop.behavior.download import file_sha256

    files, spec = _located(dataset, data)
    parts = [str(FORM), dataset.read_text(encoding="utf-8"), *map(file_sha256, files)]
    digest = hashlib.sha256("\x1f".join(parts).encode()).hexdigest()
    kept = cache / f"{digest[:24]}.npz"
    if not kept.is_file():
        cache.mkdir(parents=True, exist_ok=True)
        _read(files, spec, as_of).save(kept)
    return kept


def _located(dataset: Path, data: Path | None) -> tuple[list[Path], DatasetSpec]:
    from recloop.behavior.download import locate
    from recloop.behavior.sources import files_of
    from recloop.config.dataset import load_dataset
    from recloop.errors import BadInput
    from recloop.settings import Settings

    given = {"dataset": str(dataset.resolve()), "data": data and data.resolve()}
    settings = Settings.from_environment().model_copy(update=given)
    spec = load_dataset(settings)
    if spec.source.kind == "table":
        raise BadInput(
            f"dataset {spec.name!r} is a table, and benchmarks read files; export it to CSV or "
            "Parquet and write a dataset file of kind 'file'."
        )
    return files_of(spec, locate(settings, spec)), spec


def _read(files: list[Path], spec: DatasetSpec, as_of: datetime) -> EventLog:
    from recloop.behavior.loading import parse_chunks
    from recloop.behavior.sources import read_file
    from recloop.errors import BadInput
    from recloop.features.daily import MAX_WORDS, word_ids

    users, items, texts = _Codes(), _Codes(), _Codes()
    texts.of("")
    columns: list[list[Any]] = [[], [], [], [], [], []]
    text_of: dict[str, int] = {}
    for path in files:
        for _, parsed in parse_chunks(read_file(path, spec), spec, as_of):
            for row in parsed.rows:
                user, item, kind, time, value, price, _, attributes = row[4:12]
                if not _is_learnt_from(spec, user, item, kind, value):
                    continue
                if attributes not in text_of:
                    text_of[attributes] = texts.of(_text(attributes, spec.item_attributes.text))
                event = (users.of(user), items.of(item), time[:-3], value, price)
                for column, entry in zip(columns, (*event, text_of[attributes]), strict=True):
                    column.append(entry)
    if not columns[0]:
        raise BadInput(
            f"dataset {spec.name!r} has no line that is learnt from in {len(files)} file(s); check "
            "[event.learn_from], [[event.type_when]] and [period] of its TOML."
        )
    words = np.zeros((len(texts.known), MAX_WORDS), np.int32)
    for row_of, text in enumerate(texts.known):
        ids = word_ids(text)
        words[row_of, : len(ids)] = ids
    events = Events(
        user_keys=np.array(columns[0], np.int64),
        item_keys=np.array(columns[1], np.int64),
        times=np.array(columns[2], "datetime64[us]"),
        values=_numbers(columns[3]),
        prices=_numbers(columns[4]),
    )
    return in_order(EventLog(events, np.array(columns[5], np.int32), list(texts.known), words))


class _Codes:
    """Numbers of texts, in the order in which they come."""

    def __init__(self) -> None:
        self.known: dict[str, int] = {}

    def of(self, text: str) -> int:
        return self.known.setdefault(text, len(self.known))


def _is_learnt_from(spec: DatasetSpec, user: str, item: str, kind: str, value: str) -> bool:
    from recloop.database.connection import NULL

    positives = spec.event.positives
    if NULL in (user, item) or kind not in positives.types:
        return False
    least = positives.minimum_value
    return least is None or (value != NULL and float(value) >= least)


def _text(attributes: str, names: tuple[str, ...]) -> str:
    """The item's text as `recloop.features.daily` makes it of its attributes."""
    from recloop.database.connection import NULL

    if not names or attributes == NULL:
        return ""
    known = json.loads(attributes)
    return " ".join(str(known[name]) for name in names if known.get(name))


def _numbers(texts: list[str]) -> np.ndarray:
    from recloop.database.connection import NULL

    return np.array([np.nan if text == NULL else float(text) for text in texts], np.float32)

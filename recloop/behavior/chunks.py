"""What every form of source becomes: columns of text, some thousand lines at a time."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas

SURROGATE_OR_NUL = re.compile("[\0\ud800-\udfff]")
TOLERATED_SHARE = 0.01
"""Malformed lines beyond this share, and beyond `TOLERATED_LINES`, refuse the file."""
TOLERATED_LINES = 3


@dataclass
class Chunk:
    """Columns of the same length `n`, as text; empty text is a missing value."""

    numbers: Sequence[int]
    """Data line of each row, 1 = first."""
    columns: dict[str, list[str]]
    times: pandas.Series | None = None
    """The timestamp column, when the source has real timestamps rather than text."""
    malformed: list[tuple[int, str]] = field(default_factory=list)
    """(data line, text) of lines that have no columns."""
    undecodable: bool = False
    """Some text here holds bytes that are no text (as lone surrogates), or NUL."""
    position: int = 0
    """Bytes of the file read so far."""

    @property
    def lines(self) -> int:
        return len(self.numbers) + len(self.malformed)


def has_undecodable(text: str) -> bool:
    """Whether `text` came from bytes that are not of its encoding, or holds a NUL."""
    if "\0" in text:
        return True
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return True
    return False


def storable(text: str) -> str:
    """What PostgreSQL can store: U+FFFD for NUL and for bytes that are not of the encoding."""
    return SURROGATE_OR_NUL.sub("\ufffd", text)


def any_undecodable(columns: dict[str, list[str]]) -> bool:
    """Whether a text of any column is such."""
    return any(has_undecodable("".join(texts)) for texts in columns.values())


def tolerated(total: int) -> float:
    """How many of a file's lines may be malformed; those are quarantined."""
    return max(TOLERATED_LINES, TOLERATED_SHARE * total)

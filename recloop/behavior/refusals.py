"""Refusing a whole file or table: the sentence that says which rule, what was found, and the remedy.

Belongs here: the form of these sentences, and columns that are not as declared. Keep out: reading (see
`sources.py`), remembering refusals (see `source_files.py`).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from recloop.behavior.dataset import DatasetSpec
from recloop.errors import SourceRefused

UNSHOWABLE = re.compile("[\0-\x1f\x7f-\x9f\ud800-\udfff]")
"""Control characters, and (as lone surrogates) bytes of a file's name that are not UTF-8."""


def written_out(name: str) -> str:
    r"""A file's name as PostgreSQL and a terminal can take it: bytes that are no text as `\xe9`."""
    return UNSHOWABLE.sub(lambda found: f"\\x{ord(found[0]) & 0xFF:02x}", name)


def refusal(rule: str, path: Path | str, problem: str) -> SourceRefused:
    """The error of a refused source: rule, source, value, remedy."""
    name = written_out(path.name if isinstance(path, Path) else path)
    return SourceRefused(f"{rule}: {name} is refused, {problem}. None of its lines were taken.")


def in_short(error: Exception) -> str:
    """A library's message as a part of our sentence."""
    first = (str(error).strip() or type(error).__name__).splitlines()[0]
    return written_out(first)[:200].rstrip(". ")


def check_columns(found: Sequence[str], spec: DatasetSpec, path: Path | str) -> None:
    """Every declared column and no other, in any order.

    Raises:
        SourceRefused: `schema`, naming the column.
    """
    declared = list(spec.columns)
    repeated = sorted({name for name in found if found.count(name) > 1})
    extra = [name for name in found if name not in spec.columns]
    missing = [name for name in declared if name not in found]
    problems = []
    if repeated:
        problems.append(f"column {repeated[0]!r} appears twice. Remove one")
    if extra:
        problems.append(undeclared(extra, spec))
    if missing:
        names = ", ".join(map(repr, missing[:5]))
        problems.append(
            f"it lacks {len(missing)} declared column(s) {names}; found are "
            f"{', '.join(map(repr, found[:12]))}. Deliver them, or correct [columns] and "
            "source.delimiter of the dataset file"
        )
    if problems:
        raise refusal("schema", path, "; ".join(problems))


def undeclared(names: Sequence[str], spec: DatasetSpec) -> str:
    """What is wrong with columns that the dataset file does not list."""
    shown = ", ".join(map(repr, names[:5]))
    return (
        f"it has {len(names)} undeclared column(s) {shown}. Remove them from the source, or "
        f'list them under [columns] of dataset {spec.name!r} (type "ignore" if unused)'
    )

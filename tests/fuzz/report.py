"""The table by kind, and what repeats each fault."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

from tests.fuzz.cases import FATES, Outcome

SHOWN = 25
"""Faults that are told; the file has all of them."""


def table(outcomes: Iterable[Outcome]) -> str:
    """Lines of text: a row for each kind, and their sum."""
    counts = Counter((one.kind, one.fate) for one in outcomes)
    kinds = list(dict.fromkeys(kind for kind, _ in counts))
    header = ("kind", "tried", *FATES)
    rows = [[kind, *(counts[kind, fate] for fate in FATES)] for kind in kinds]
    rows.append(["all", *(sum(counts[kind, fate] for kind in kinds) for fate in FATES)])
    text = [[str(one) for one in (name, sum(numbers), *numbers)] for name, *numbers in rows]  # type: ignore[arg-type]
    widths = [max(map(len, column)) for column in zip(header, *text, strict=True)]
    return "\n".join(
        "  ".join(
            cell.ljust(width) if place == 0 else cell.rjust(width)
            for place, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        for row in (header, *text)
    )


def told(faults: Sequence[Outcome], seed: int) -> str:
    """What went wrong, and the command that does it again."""
    return "\n".join(
        f"{one.kind}:{one.number}  {one.problem}\n    make fuzz SEED={seed} ONLY={one.kind}:{one.number}"
        f"\n    {one.shown[:600]}"
        for one in faults
    )


def write(path: Path, outcomes: Sequence[Outcome], seed: int, seconds: float) -> Path:
    """The whole report."""
    faults = [one for one in outcomes if one.fate == "fault"]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(
        f"seed {seed}, {len(outcomes)} inputs, {seconds:.0f} s\n\n{table(outcomes)}\n\n"
        f"{told(faults, seed)}\n",
        encoding="utf-8",
        errors="backslashreplace",
    )
    return path

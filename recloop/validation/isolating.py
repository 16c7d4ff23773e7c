"""Finding the lines on which the database cannot compute a check, so that they block no window.

A trial carries out all that a validation does to a set of lines in SQL, and is rolled back. Belongs
here: the search. Keep out: what is tried (`window.py`), the quarantine (`checking.py`, `accepting.py`).
"""

from __future__ import annotations

from collections.abc import Callable

from psycopg2 import DataError, errors

Line = tuple[int, int]
"""(file_id, line_no)"""
Trial = Callable[[list[Line]], str | None]
"""What the database says about these lines; None: all can be computed."""

OF_THE_DATA = (
    DataError,
    errors.ProgramLimitExceeded,
    errors.NotNullViolation,
    errors.CheckViolation,
)
"""Errors of the database that values cause: overflow, division by zero, too long for an index …"""
MOST = 100
"""Lines that are looked for in one window. With more, the check is at fault, not some odd lines."""


class TooMany(Exception):
    """The check fails on more than `MOST` lines, or without any."""


def uncheckable(lines: list[Line], trial: Trial) -> dict[Line, str]:
    """The lines without which the trial of all others succeeds, each with what the database says of it.

    Lines that fail by themselves are found by halving; lines that fail only together (two values
    whose sum is too large), by the shortest beginning of `lines` that fails: its last line goes.

    Raises:
        TooMany: see there.
    """
    if trial([]) is not None:
        raise TooMany
    found: dict[Line, str] = {}

    def note(line: Line, why: str) -> None:
        found[line] = why
        if len(found) > MOST:
            raise TooMany

    def halve(part: list[Line]) -> None:
        why = trial(part)
        if why is None:
            return
        if len(part) == 1:
            note(part[0], why)
            return
        halve(part[: len(part) // 2])
        halve(part[len(part) // 2 :])

    halve(lines)
    rest = [line for line in lines if line not in found]
    while (why := trial(rest)) is not None:
        low, high = 0, len(rest)  # rest[:low] can be computed, rest[:high] cannot
        while high - low > 1:
            middle = (low + high) // 2
            said = trial(rest[:middle])
            if said is None:
                low = middle
            else:
                high, why = middle, said
        note(rest.pop(high - 1), why)
    return found

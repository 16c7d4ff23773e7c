"""What a kind of input is, and what may become of an input."""

from __future__ import annotations

import random
import traceback
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

Fate = Literal["accepted", "refused", "quarantined", "fault"]
FATES: tuple[Fate, ...] = ("accepted", "refused", "quarantined", "fault")
LONGEST_MESSAGE = 4000
"""Characters of an error's message; more is no sentence."""


@dataclass(frozen=True)
class Outcome:
    """What became of one input.

    Attributes:
        problem: of a fault, what should not have happened.
        shown: of a fault, the input, as small as it was found.
    """

    kind: str
    number: int
    fate: Fate
    problem: str = ""
    shown: str = ""


class Kind(Protocol):
    """A kind of input."""

    name: str
    share: float
    """Of all inputs."""
    batch: int
    """How many inputs one call of `tried` takes at best."""

    def tried(self, seed: int, numbers: Sequence[int]) -> Iterator[Outcome]:
        """One outcome for each number, in any order."""
        ...


def chance(seed: int, kind: str, number: int) -> random.Random:
    """The only source of randomness of an input."""
    return random.Random(f"{seed}/{kind}/{number}")


def of_error(error: BaseException) -> str:
    """What is wrong with an error itself; empty if it is one of recloop's, in a sentence or few.

    A `CheckCrashed` says that a check could not be carried out: no input may be able to do that.
    """
    name, text = type(error).__name__, str(error)
    module = type(error).__module__
    if not module.startswith(("recloop.", "models.")) or name == "CheckCrashed":
        return f"{module}.{name}: {text[:600]}"
    if not text.strip() or "Traceback" in text or len(text) > LONGEST_MESSAGE:
        return f"{name} with no message of a sentence: {text[:600]!r}"
    if any(ord(character) < 32 and character not in "\n\t" for character in text):
        return f"{name} with control characters in its message: {text[:600]!r}"
    return ""


def raw_error(error: BaseException) -> str:
    """An error that is none of recloop's, in a line: what, where, and its message."""
    ours = [f for f in traceback.extract_tb(error.__traceback__) if ".venv" not in f.filename]
    where = " < ".join(f"{Path(f.filename).name}:{f.lineno}" for f in reversed(ours[-3:]))
    return f"{type(error).__name__} at {where}: {str(error)[:400]}"

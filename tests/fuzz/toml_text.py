"""Documents of keys and values as TOML, and what may be wrong with the text itself."""

from __future__ import annotations

import random
from typing import Any

from tests.recloop.behavior.datasets import as_toml

BREAKS = (
    b"\x00",
    b"\xff\xfe",
    b"[[[",
    b'"',
    b"= =",
    b"\n[window]\n[window]\n",
    b"\r",
    b"\xc3\x28",
    b"'''",
)


def written(document: dict[str, Any], dice: random.Random, broken: float) -> tuple[bytes, bool]:
    """The document's bytes; with the chance `broken` not TOML any more. And whether it is."""
    raw = as_toml(document).encode("utf-8", "surrogatepass")
    if dice.random() >= broken:
        return raw, True
    at = dice.randrange(len(raw) + 1)
    form = dice.randrange(3)
    if form == 0:
        return raw[:at], False  # perhaps it is still TOML: nobody knows
    if form == 1:
        return raw[:at] + dice.choice(BREAKS) + raw[at:], False
    return bytes(dice.randrange(256) for _ in range(dice.randrange(200))), False

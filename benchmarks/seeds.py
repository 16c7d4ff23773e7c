"""`--seeds`, as every benchmark takes it."""

from __future__ import annotations

from recloop.errors import BadInput


def seeds_of(text: str) -> list[int]:
    """The numbers of a list like `0,1,2`, each once, in order.

    Raises:
        BadInput: there is none, or one is not a whole number from 0 on.
    """
    parts = [part.strip() for part in text.split(",") if part.strip()]
    if not parts or not all(part.isascii() and part.isdigit() for part in parts):
        raise BadInput(f"`seeds` should be like 0,1,2. Received: {text!r}.")
    return list(dict.fromkeys(map(int, parts)))

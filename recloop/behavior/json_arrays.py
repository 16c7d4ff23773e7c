"""A JSON array of objects as lines, one object each, however it is laid out.

Belongs here: where an object begins and ends. Keep out: what it says (`json_lines.py`).
"""

from __future__ import annotations

import io
import json
import re
from collections.abc import Iterator

OF_OBJECTS = re.compile(r"\ufeff?\s*\[\s*\{")
"""How such an array begins."""
BLOCK = 1 << 20
"""Characters that are read at a time."""
LARGEST = 4 << 20
"""Characters in which an object ends, or is taken for broken."""
_BETWEEN = re.compile(r"[\s,]*")
_NEXT = re.compile(r"\}\s*,\s*(?=\{)")
_DECODER = json.JSONDecoder()


def is_array(start: bytes, encoding: str) -> bool:
    """Whether a file that begins so is one."""
    return OF_OBJECTS.match(start.decode(encoding, "replace")) is not None


def objects_in(text: io.TextIOBase) -> Iterator[str]:
    """See `objects_of`."""
    return objects_of(iter(lambda: text.read(BLOCK), ""))


def objects_of(blocks: Iterator[str]) -> Iterator[str]:
    """The text of each object; of one that is broken, the text up to where the next begins.

    Args:
        blocks: the array's text in pieces, cut anywhere.
    """
    text = next(blocks, "")
    at = text.find("[") + 1
    while True:
        at = _BETWEEN.match(text, at).end()  # type: ignore[union-attr]  # it matches nothing, too
        if text.startswith("]", at):
            return
        end = _end(text, at)
        if end is None and len(text) - at < LARGEST:
            more = next(blocks, None)
            if more is not None:
                text, at = text[at:] + more, 0
                continue
        if end is None:
            following = _NEXT.search(text, at)
            if following is None:
                yield text[at:] or "the array has no end"
                text, at = next(blocks, "]"), 0
                continue
            end = following.end()
        yield text[at:end].rstrip(", \t\r\n")
        at = end


def _end(text: str, at: int) -> int | None:
    """Where what begins there ends; None: it does not."""
    try:
        return _DECODER.raw_decode(text, at)[1]
    except (ValueError, RecursionError):
        return None

"""What reaches the terminal is text: item names, ids, rules and paths of strangers steer nothing.

A terminal obeys what it is sent: `ESC ]0;` renames its window, `ESC ]8;;` makes a link, some sequences
answer into the shell, and a right-to-left override turns `gpj.exe` round. All of recloop's output, error
messages, logs and tracebacks included, goes through here, where such characters are shown as
`\\x1b` and the like. JSON is not touched: `json.dumps` writes them as escapes by itself.

Keep out: what is said (see `output.py`).
"""

from __future__ import annotations

import logging
import re
import sys
import traceback
from collections.abc import Iterable
from types import TracebackType
from typing import Any

from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment
from rich.text import Text

STEERING = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f"  # C0 but for tab and newline, DEL, C1
    "\u00ad\u061c\u180e\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb"
    "\U000e0000-\U000e007f"  # direction, invisible letters, tags
    "\ud800-\udfff]"  # bytes of a file's name that are no text, which cannot be printed
)
LOG_FORMAT = "%(levelname)s %(name)s: %(message)s"


def escaped(text: str) -> str:
    """`text` with everything that would steer a terminal written as an escape, such as `\\x1b`."""
    return STEERING.sub(_name, text)


def _name(found: re.Match[str]) -> str:
    number = ord(found[0])
    if number < 0x100:
        return f"\\x{number:02x}"
    return f"\\u{number:04x}" if number < 0x10000 else f"\\U{number:08x}"


class Screen(Console):
    """A Rich console that escapes. Markup is off: "[holdout]" is no style.

    Strings are escaped before they are laid out, so that columns keep their widths; whatever else
    holds text, when it is rendered.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__(markup=False, emoji=False, **options)

    def render_str(self, text: str, **options: Any) -> Text:
        """Escape a string, then make it a `Text`."""
        return super().render_str(escaped(text), **options)

    def render(
        self, renderable: RenderableType, options: ConsoleOptions | None = None
    ) -> Iterable[Segment]:
        """Escape what is about to be written. Rich's own control segments are kept."""
        for segment in super().render(renderable, options):
            yield segment if segment.control else Segment(escaped(segment.text), segment.style)


class EscapedLog(logging.Formatter):
    """Escapes the finished line, its traceback included."""

    def format(self, record: logging.LogRecord) -> str:
        """The line."""
        return escaped(super().format(record))


def guard() -> None:
    """Let this process's logs and tracebacks be escaped, too, and print what its encoding lacks."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")
    for handler in logging.getLogger().handlers:
        handler.setFormatter(EscapedLog(LOG_FORMAT))
    sys.excepthook = _tell


def _tell(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    sys.stderr.write(escaped("".join(traceback.format_exception(kind, error, trace))))

"""Pages of Markdown as blocks: what each fence holds, and what a console shows."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

FENCE = re.compile(r"^```(\w*)([^\n]*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
NOT_RUN = re.compile(r"<!-- not run: (.+?) -->\s*\Z")
EXPECTED = re.compile(r"# exit code (\d+)$")
ANSI = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")


@dataclass(frozen=True)
class Block:
    """A fence: its language, its title, its text, and why it is not run, if it is not."""

    kind: str
    title: str
    text: str
    why_not: str


@dataclass(frozen=True)
class Command:
    """What is typed, what the page shows of its output, and how it ends."""

    typed: str
    shown: tuple[str, ...]

    @property
    def code(self) -> int:
        """The exit code that the page tells."""
        found = EXPECTED.search(self.typed)
        return int(found[1]) if found else 0


def blocks_of(path: Path) -> list[Block]:
    """The fences of a page, in order."""
    text = path.read_text(encoding="utf-8")
    found = []
    for fence in FENCE.finditer(text):
        title = re.search(r'title="(.*?)"', fence[2])
        why = NOT_RUN.search(text[: fence.start()])
        found.append(Block(fence[1], title[1] if title else "", fence[3], why[1] if why else ""))
    return found


def commands_of(block: Block) -> list[Command]:
    """The commands of a console, each with the output below it."""
    found: list[tuple[str, list[str]]] = []
    for line in block.text.splitlines():
        if line.startswith("$ "):
            found.append((line.removeprefix("$ "), []))
        elif found:
            found[-1][1].append(line)
        else:
            raise ValueError(f"a console block begins with its first command, not with {line!r}")
    return [Command(typed, tuple(shown)) for typed, shown in found]


def missing(shown: tuple[str, ...], printed: str) -> str:
    """The first part of what a page shows that was not printed, in order; empty: all of it was.

    Numbers and white space (lines may be wrapped elsewhere) count alike; `…` is anything.
    """
    text, at = _bare(printed), 0
    for part in [part for line in shown for part in line.split("…")]:
        wanted = _bare(part)
        found = text.find(wanted, at)
        if found < 0:
            return part
        at = found + len(wanted)
    return ""


def _bare(text: str) -> str:
    """The text without colours, frames of tables, its numbers and the kinds of its white space."""
    plain = re.sub(r"[━│┃┏┓┗┛┡┩╇┳┻├┤└┘─┴┬┼]", " ", ANSI.sub("", text))
    return re.sub(r"\s+", " ", re.sub(r"\d[\d.,]*", "#", plain)).strip()

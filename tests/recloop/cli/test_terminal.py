"""Nothing that a feed, a path or a rule says steers the terminal."""

from __future__ import annotations

import io
import json
import logging
import re
from collections.abc import Callable
from typing import Any

import pytest
from rich.text import Text

from recloop.cli import output
from recloop.cli.output import EscapedLog, Screen, escaped, recommendations_table, windows_table

ATTACKS = {
    "clears the screen": "\x1b[2J",
    "renames the window": "\x1b]0;mine\x07",
    "a link": "\x1b]8;;http://evil.example\x1b\\click\x1b]8;;\x1b\\",
    "C1": "\x9b2J",
    "overwrites the line": "safe\rgone",
    "backspaces": "abc\x08\x08\x08xyz",
    "NUL": "a\x00b",
    "override": "\u202egpj.exe",
    "isolates": "\u2066x\u2069\u200f",
    "invisible": "Ad\u200bmin\ufeff",
    "tags": "flag\U000e0041\U000e007f",
    "line separator": "one\u2028two",
    "no text": "caf\udce9.csv",
}
HARMLESS = "Crème brûlée, 日本語, עברית, नमस्ते, 👩‍👩‍👧 [holdout] \\n {x} :smile:"
STEERS = re.compile(
    r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\u200e\u200f\ud800-\udfff]"
)


def shown(*printed: Any, styled: bool = False, method: str = "print") -> str:
    """What a console writes into a pipe; `styled`: to a terminal with colours."""
    stream = io.StringIO()
    console = Screen(file=stream, width=200, force_terminal=styled)
    getattr(console, method)(*printed)
    return stream.getvalue()


def answer(name: str) -> dict[str, Any]:
    return {
        "title": None,
        "user_id": name,
        "release": 1,
        "items": [{"name": name, "item_id": name}],
    }


def window(name: str) -> dict[str, Any]:
    return {
        "window": name, "events": 1, "quarantined": 0, "decision": name, "pending": False,
        "gate": None, "release": None, "champion": None, "challenger": None, "seconds": {name: 1.0},
        "late": [], "kinds": {},
    }  # fmt: skip


WAYS: dict[str, Callable[[str], Any]] = {
    "a line": lambda text: text,
    "a styled text": lambda text: Text.assemble(("BadInput", "bold red"), f": {text}"),
    "recommendations": lambda text: recommendations_table([answer(text)]),
    "status": lambda text: windows_table([window(text)], title=text),
}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("attack", ATTACKS)
def test_what_a_stranger_wrote_is_shown_and_not_obeyed(attack: str, way: str) -> None:
    told = shown(WAYS[way](ATTACKS[attack]))
    assert not STEERS.search(told), repr(told)
    if way != "a styled text":  # from which Rich has taken some of them away by itself
        assert re.search(r"\\(x|u|U000)[0-9a-f]{2,}", told), "it is seen that something was there"


def test_names_in_any_script_are_left_as_they_are() -> None:
    assert escaped(HARMLESS) == HARMLESS
    assert HARMLESS in shown(HARMLESS)
    assert shown("one\n\ttwo").split() == ["one", "two"]


def test_columns_keep_their_widths() -> None:
    plain, attacked = (
        shown(recommendations_table([answer(name)])).splitlines() for name in ("x" * 8, "\x1b" * 2)
    )
    assert len({len(line) for line in attacked if line}) == 1
    assert len(plain) == len(attacked)


def test_riches_own_colours_still_reach_a_terminal() -> None:
    told = shown(Text("fine", "bold red"), styled=True)
    assert "\x1b[1;31mfine" in told
    assert "\\x1b" not in told


def test_errors_and_messages_go_the_same_way(capsys: pytest.CaptureFixture[str]) -> None:
    for stream in (output.console, output.messages):
        assert isinstance(stream, Screen)
    stream = io.StringIO()
    screen = Screen(file=stream, width=200)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(output, "messages", screen)
        output.fail(ValueError("no item \x1b[2J\r"))
        output.say("path \x1b]0;x\x07")
        with output.progress_bar() as bar:
            bar.add_task("window \x1b[2J")
    assert "\x1b" not in stream.getvalue()
    assert "ValueError: no item \\x1b[2J\\x0d\n" in stream.getvalue()
    output.print_json({"name": "\x1b[2J\u202e"})
    assert json.loads(capsys.readouterr().out) == {"name": "\x1b[2J\u202e"}


def test_logs_and_tracebacks_are_escaped(capsys: pytest.CaptureFixture[str]) -> None:
    record = logging.LogRecord("r", 30, "", 0, "item %s", ("\x1b[2J",), None)
    assert EscapedLog(output.LOG_FORMAT).format(record) == "WARNING r: item \\x1b[2J"
    error = RuntimeError("item \x1b[2J")
    output._tell(RuntimeError, error, None)
    assert capsys.readouterr().err == "RuntimeError: item \\x1b[2J\n"


def test_without_a_terminal_progress_is_lines_from_time_to_time(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with output.progress_bar() as bar:
        task = bar.add_task("training, rebuild", total=None)
        bar.update(task, completed=1, total=4000)
        monkeypatch.setattr(output, "SECONDS", 0)
        bar.update(task, completed=1200, total=4000)
    with output.progress_bar(lines=False) as bar:
        bar.update(bar.add_task("silent", total=2), completed=1)
    assert capsys.readouterr().err.strip() == "training, rebuild: 1,200 of 4,000"

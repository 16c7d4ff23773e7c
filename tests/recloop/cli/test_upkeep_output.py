"""What the command line says of upkeep, and whom it asks."""

from __future__ import annotations

from typing import Any

import pytest
import typer

from recloop.cli import loop
from recloop.cli.output import upkeep_lines

GATE = {"ask": "the difference is small", "uri": "/report.html"}


class Terminal:
    """Stands in for standard input."""

    def __init__(self, there: bool) -> None:
        self.there = there

    def isatty(self) -> bool:
        return self.there


@pytest.mark.parametrize(
    ("there", "says", "wanted", "expected"),
    [
        (True, True, False, "approved"),
        (True, False, False, "rejected"),
        (False, True, False, "rejected"),  # a rule asks, and nobody is there
        (False, True, True, "approved"),  # --approve, the answer piped in
    ],
)
def test_a_rules_question_needs_somebody_at_the_terminal(
    monkeypatch: pytest.MonkeyPatch, there: bool, says: bool, wanted: bool, expected: str
) -> None:
    asked: list[str] = []

    def confirm(text: str) -> bool:
        asked.append(text)
        return says

    monkeypatch.setattr(loop.sys, "stdin", Terminal(there))
    monkeypatch.setattr(typer, "confirm", confirm)
    monkeypatch.setattr(typer, "prompt", lambda *_, **__: "")
    assert loop._ask(GATE, wanted) == (expected, "")
    assert all("the difference is small" in text for text in asked)
    assert bool(asked) is (there or wanted)


def test_somebody_at_the_terminal_is_asked_why_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(typer, "prompt", lambda text, **_: " popular items vanished ")
    for there, agrees, expected in (
        (True, False, ("rejected", "popular items vanished")),
        (True, True, ("approved", "")),
        (False, False, ("rejected", "")),
    ):
        monkeypatch.setattr(loop.sys, "stdin", Terminal(there))
        monkeypatch.setattr(typer, "confirm", lambda _, says=agrees: says)
        assert loop._ask(GATE, True) == expected


def test_a_question_that_is_left_is_answered_by_no(monkeypatch: pytest.MonkeyPatch) -> None:
    def leave(*_: object, **__: object) -> None:
        raise typer.Abort

    monkeypatch.setattr(loop.sys, "stdin", Terminal(True))
    monkeypatch.setattr(typer, "confirm", leave)
    assert loop._ask(GATE, True) == ("rejected", "the question was left without an answer")
    monkeypatch.setattr(typer, "confirm", lambda _: False)
    monkeypatch.setattr(typer, "prompt", leave)
    assert loop._ask(GATE, True) == ("rejected", "")


def test_upkeep_is_told_in_sentences() -> None:
    approval = {"answer": "approved", "by": "vera", "at": "2026-01-01"}
    maintained = {
        "update_id": 8,
        "state": "promoted",
        "reason": "maintain release 5: int8",
        "approval": {**approval, "answer": "rejected", "why": "popular items vanished"},
        "version": 6,
    }
    status: dict[str, Any] = {
        "windows": [{"window": "2011-06-06", "approval": approval}, {"window": "2011-06-13"}],
        "maintained": [maintained],
        "shadows": [{"summary": "older"}, {"summary": "newest"}],
    }
    assert upkeep_lines(status) == [
        "maintenance, promoted: maintain release 5: int8",
        "2011-06-06: approved by vera",
        "update 8: rejected by vera: popular items vanished",
        "shadow rebuild: newest",
    ]
    assert upkeep_lines({"windows": [], "maintained": [], "shadows": []}) == []

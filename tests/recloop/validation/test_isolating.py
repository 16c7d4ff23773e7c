"""One odd line never blocks its window: it is found, quarantined by name, and the window goes on."""

from __future__ import annotations

import random

import pytest

from recloop.behavior.landing import land
from recloop.errors import CheckCrashed
from recloop.validation import checking, window
from recloop.validation.checking import MOST, TooMany, uncheckable
from recloop.validation.row_rules import RowRule, row_rules
from recloop.validation.window import validate_window
from tests.recloop.validation.test_again import NOW, Shop, lines, shop  # noqa: F401

ALL = [(1, n) for n in range(1, 301)]


@pytest.mark.parametrize("seed", range(5))
def test_exactly_the_lines_that_fail_are_found(seed: int) -> None:
    odd = set(random.Random(seed).sample(ALL, seed * 3))
    trials = []

    def trial(part):
        trials.append(len(part))
        return "no" if odd & set(part) else None

    assert uncheckable(ALL, trial).keys() == odd
    assert len(trials) <= 3 + 2 * len(odd) * 10  # 2 ** 9 > 300


def test_of_lines_that_fail_only_together_one_goes() -> None:
    found = uncheckable(ALL, lambda part: "sum" if {(1, 7), (1, 200)} <= set(part) else None)
    assert found == {(1, 200): "sum"}


def test_a_check_that_fails_without_lines_or_on_very_many_is_at_fault_itself() -> None:
    with pytest.raises(TooMany):
        uncheckable(ALL, lambda _: "syntax")
    with pytest.raises(TooMany):
        uncheckable(ALL, lambda part: "null" if len(part) else None)
    assert len(ALL) > MOST


@pytest.fixture
def fragile(monkeypatch: pytest.MonkeyPatch) -> None:
    """A row rule that divides by zero where an item is called `i7` (two bytes)."""
    rule = RowRule("fragile", "1 / (ascii(substr(item_id, 2)) - ascii('7')) > 9", "", "")
    monkeypatch.setattr(checking, "row_rules", lambda *a: [rule, *row_rules(*a)])
    monkeypatch.setattr(window, "row_rules", lambda *a: [rule, *row_rules(*a)])


@pytest.mark.usefixtures("fragile")
def test_a_line_that_a_rule_cannot_be_computed_on_is_quarantined_by_name(shop: Shop) -> None:  # noqa: F811
    shop.deliver("a.csv", lines(60, days=1))
    shop.ingest()
    odd = [n for n in range(60) if n % 11 == 7]
    assert shop.quarantined() == {"uncheckable_line": len(odd)}
    assert shop.events() == 60 - len(odd)
    told = shop.rows("select line_no, line ->> 'why', line ->> 'item_id' from behavior.quarantine")
    assert sorted(told) == [(n + 1, "division by zero", "i7") for n in odd]


@pytest.mark.usefixtures("fragile")
def test_odd_lines_come_back_when_the_rule_is_mended(
    shop: Shop,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    shop.deliver("a.csv", lines(60, days=1))
    shop.ingest()
    monkeypatch.setattr(checking, "row_rules", row_rules)
    shop.declare(rules={"item_pattern": "^i"})
    again, accepted = shop.ingest()
    assert (again.lines, accepted, shop.events()) == (5, 5, 60)


def test_a_rule_that_fails_on_every_line_is_a_crashed_check(
    shop: Shop,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    rule = RowRule("broken", "1 / (length(item_id) * 0) > 9", "", "")
    monkeypatch.setattr(checking, "row_rules", lambda *_: [rule])
    shop.deliver("a.csv", lines(150, days=1))
    land(shop.settings, as_of=NOW)
    with pytest.raises(CheckCrashed, match=r"division by zero\. .* more than 100 lines"):
        validate_window(shop.settings, "2024-01-01")
    assert shop.rows("select state from ledger.window") == [("landed",)]

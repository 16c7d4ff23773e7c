"""The two suites: what a limit says in words, which columns are looked at, what is tolerated."""

from __future__ import annotations

import json
from typing import Any

import pytest

from recloop.config.dataset import DatasetSpec, load_dataset
from recloop.config.limits import Limits, WindowLimits, load_limits
from recloop.settings import Settings
from recloop.validation.judging import Verdict
from recloop.validation.row_rules import RowRule, row_rules
from recloop.validation.suite import (
    WindowRule,
    rows_query,
    rows_suite,
    window_query,
    window_rules,
    window_suite,
)
from recloop.validation.window import _of_rows

NO_RULES = {"trailing_windows", "minimum_trailing", "minimum_compared", "late_share"}
"""Of [window]: what the others are compared with, and what is judged of late lines."""
WEEK = "2011-01-10"


@pytest.fixture
def shop() -> tuple[DatasetSpec, Limits]:
    """The shipped one."""
    settings = Settings()
    spec = load_dataset(settings)
    return spec, load_limits(settings, spec)


def row_rule(name: str, kind: str | None = None, **arguments: Any) -> RowRule:
    return RowRule(name, "true", f"what {name} means", f"Mend {name}.", kind, arguments)


def test_every_limit_of_the_file_is_a_rule_and_a_datasets_own_is_taken(
    shop: tuple[DatasetSpec, Limits],
) -> None:
    spec, limits = shop
    rules = {rule.name: rule for rule in window_rules(limits.window, spec)}
    assert set(rules) == set(WindowLimits.model_fields) - NO_RULES
    said = {name: rules[name].limit for name in ("minimum_lines", "freshness_days", "copied_share")}
    assert said == {
        "minimum_lines": "at least 1", "freshness_days": "at most 3", "copied_share": "at most 0.02",
    }  # fmt: skip
    assert rules["repeat_pair_ratio"].limit == "0.78 to 1.4", "in the dataset file, not 0.65 to 1.5"
    assert "'UnitPrice'" in rules["price_median_ratio"].remedy


def test_the_query_of_lines_has_a_flag_for_each_rule_that_no_column_tells(cursor) -> None:
    rules = [row_rule("first"), row_rule("second"), row_rule("told", "expect_it")]
    lines = [
        (1, WEEK, "u1", "{}", False), (2, WEEK, "u2", "{second,told}", False),
        (3, WEEK, None, "{first,second}", False), (4, WEEK, "u4", "{first}", True),
        (5, "2011-01-17", "u5", "{first}", False),
    ]  # fmt: skip
    cursor.executemany(
        "insert into behavior.checked (file_id, line_no, event_id, content_hash, event_timestamp, "
        "faults, window_key, user_id, rules, duplicate) values "
        "(1, %s, gen_random_uuid(), gen_random_uuid(), now(), '{}', %s, %s, %s, %s)",
        [(number, *rest) for number, *rest in lines],
    )
    cursor.execute(rows_query(WEEK, rules) + " order by line_no")
    assert [column.name for column in cursor.description] == [
        "user_id", "item_id", "value", "price", "price_ratio", "breaks_first", "breaks_second",
    ]  # fmt: skip
    assert [(row[0], *row[5:]) for row in cursor.fetchall()] == [
        ("u1", False, False), ("u2", False, True), (None, True, True),
    ]  # fmt: skip


def test_the_query_of_a_window_has_its_statistics_as_numbers_and_null_for_what_was_not_judged(
    cursor,
) -> None:
    rules = [WindowRule(name, "", "", None, 1.0) for name in ("share", "ratio", "never")]
    statistics = {"values": {"share": 0.25, "ratio": None}, "raw": {"never": 9}}
    cursor.execute(
        "insert into behavior.window_statistics values (%s, %s), ('2011-01-17', '{}')",
        (WEEK, json.dumps(statistics)),
    )
    cursor.execute(window_query(WEEK, rules))
    assert [column.name for column in cursor.description] == ["share", "ratio", "never"]
    assert cursor.fetchall() == [(0.25, None, None)]


def test_a_row_rule_holds_for_all_lines_but_its_own_share(
    shop: tuple[DatasetSpec, Limits],
) -> None:
    spec, limits = shop
    rows = limits.rows.model_copy(update={"share": 0.05, "shares": {"missing_user": 0.6}})
    rules = row_rules(spec, limits)
    suite = rows_suite(rules, limits.model_copy(update={"rows": rows}))
    assert [one.meta["rule"] for one in suite.expectations] == [rule.name for rule in rules]
    made = {one.meta["rule"]: one for one in suite.expectations}
    assert made["missing_user"].mostly == pytest.approx(0.4)
    assert made["missing_user"].column == "user_id"
    assert made["malformed_user"].mostly == pytest.approx(0.95)
    assert (made["malformed_user"].regex, made["malformed_user"].column) == (r"^\d{5}$", "user_id")
    flag = made["undecodable_text"]
    assert (flag.column, flag.value_set) == ("breaks_undecodable_text", [False])
    assert "for all lines but 60%. Check column 'CustomerID'" in made["missing_user"].description


@pytest.mark.parametrize(
    ("share", "text"),
    [(0.004, "0.4%"), (0.0, "0%"), (0.07, "7%"), (0.995, "99.5%"), (1e-5, "0.001%")],
)
def test_a_tolerated_share_is_told_as_it_is(
    shop: tuple[DatasetSpec, Limits], share: float, text: str
) -> None:
    _, limits = shop
    rows = limits.rows.model_copy(update={"share": share, "shares": {}})
    limits = limits.model_copy(update={"rows": rows})
    (one,) = rows_suite([row_rule("r")], limits).expectations
    assert f"for all lines but {text}. " in one.description
    told = _of_rows(Verdict("r", True, 1), row_rule("r"), limits, 1000, True).message
    assert f"r = 0.1% of lines (1 of 1000), limit {text}: " in told


def test_a_window_rule_is_an_interval_that_may_be_open_on_a_side() -> None:
    rules = [
        WindowRule("lines", "lines there are", "Deliver them.", 1.0, None),
        WindowRule("days", "days missing", "Find them.", None, 0.0),
    ]
    least, most = window_suite(rules).expectations
    assert (least.column, least.min_value, least.max_value) == ("lines", 1.0, None)
    assert (most.column, most.min_value, most.max_value) == ("days", None, 0.0)
    assert least.description == "lines: lines there are; at least 1. Deliver them."
    assert most.description == "days: days missing; at most 0. Find them."

"""The two suites: what a limit says in words, which columns are looked at, what is tolerated."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from recloop.config.dataset import DatasetSpec, load_dataset
from recloop.config.limits import FixedLimits, Limits, WindowLimits, load_limits
from recloop.errors import BadInput
from recloop.settings import Settings
from recloop.validation.judging import Verdict
from recloop.validation.learnt import Band
from recloop.validation.row_rules import RowRule, row_rules
from recloop.validation.suite import (
    WindowRule,
    rows_query,
    rows_suite,
    tolerated,
    window_query,
    window_rules,
    window_suite,
)
from recloop.validation.window import _of_rows
from tests.recloop.behavior.datasets import customised

NO_RULES = {"trailing_windows", "minimum_compared", "late_share"}
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


def test_every_limit_of_the_file_is_a_rule_and_all_others_are_learnt(
    shop: tuple[DatasetSpec, Limits],
) -> None:
    spec, limits = shop
    rules = {rule.name: rule for rule in window_rules(limits, spec, {})}
    assert set(rules) == (set(WindowLimits.model_fields) - NO_RULES) | set(FixedLimits.model_fields)
    said = {name: rules[name].limit for name in ("minimum_lines", "freshness_days", "copied_share")}
    assert said == {
        "minimum_lines": "at least 1", "freshness_days": "at most 3", "copied_share": "none yet",
    }  # fmt: skip
    assert not rules["copied_share"].judges


def test_a_band_is_the_limit_unless_one_is_fixed_by_hand(shop: tuple[DatasetSpec, Limits]) -> None:
    spec, limits = shop
    band = Band(None, 0.01, 0.0512345, 12, (-1.0, 0.05), 1.0)
    rules = {rule.name: rule for rule in window_rules(limits, spec, {"copied_share": band})}
    assert rules["copied_share"].limit == "at most 0.05123"
    assert rules["copied_share"].learnt is band
    fixed = limits.model_copy(update={"fixed": FixedLimits(copied_share=(0.0, 0.2))})
    rules = {rule.name: rule for rule in window_rules(fixed, spec, {"copied_share": band})}
    assert (rules["copied_share"].limit, rules["copied_share"].learnt) == ("0 to 0.2", None)


def test_rules_of_columns_that_a_dataset_lacks_are_none_of_its_rules(
    shop: tuple[DatasetSpec, Limits],
) -> None:
    spec, limits = shop
    bare = spec.model_copy(update={"event": spec.event.model_copy(update={"price": None})})
    assert not {rule.name for rule in window_rules(limits, bare, {})} & {
        "price_level",
        "price_shift",
    }


def test_a_row_rule_tolerates_what_is_usual_and_no_more_than_its_share(
    shop: tuple[DatasetSpec, Limits],
) -> None:
    limits = shop[1]
    usual = {"rows of missing_user": Band(None, 0.25, 0.4, 12, (0.1, 0.4), 1.0)}
    assert tolerated("missing_user", limits, usual) == 0.4
    assert tolerated("missing_user", limits, {}) == limits.rows.share
    strict = limits.rows.model_copy(update={"share": 0.3})
    assert tolerated("missing_user", limits.model_copy(update={"rows": strict}), usual) == 0.3
    own = limits.rows.model_copy(update={"shares": {"missing_user": 0.55}})
    assert tolerated("missing_user", limits.model_copy(update={"rows": own}), usual) == 0.55


def test_a_limit_of_the_time_before_limits_were_learnt_is_refused_with_what_to_do(
    settings: Settings, tmp_path: Path
) -> None:
    old = customised(
        settings, "online_retail", tmp_path, limits={"window": {"volume_ratio": [0.1, 9.0]}}
    )
    with pytest.raises(
        BadInput, match=r"window.volume_ratio is learnt .* lines_per_day = \[lowest"
    ):
        load_limits(old, load_dataset(old))


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
    suite = rows_suite(rules, limits.model_copy(update={"rows": rows}), {})
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
    (one,) = rows_suite([row_rule("r")], limits, {}).expectations
    assert f"for all lines but {text}. " in one.description
    told = _of_rows(Verdict("r", True, 1), row_rule("r"), share, 1000, True).message
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

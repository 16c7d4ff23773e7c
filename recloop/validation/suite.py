"""The two suites: expectations on a window's rows, and on the one row of its statistics.

Belongs here: window rules, and turning rules and limits into expectations. Keep out: running them
(`judging.py`), measuring (`statistics.py`), numbers (`config/limits.py`, `config/validation.toml`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from recloop.config.dataset import DatasetSpec
from recloop.config.limits import Limits, WindowLimits
from recloop.validation.row_rules import RowRule


@dataclass(frozen=True)
class WindowRule:
    """One window rule: the statistic of its name lies in `[lowest, highest]`."""

    name: str
    meaning: str
    remedy: str
    lowest: float | None
    highest: float | None

    @property
    def limit(self) -> str:
        if self.lowest is None:
            return f"at most {self.highest:g}"
        if self.highest is None:
            return f"at least {self.lowest:g}"
        return f"{self.lowest:g} to {self.highest:g}"


def window_rules(limits: WindowLimits, spec: DatasetSpec) -> list[WindowRule]:
    """The rules in the order in which they are told."""
    closed = "period.closed_days or closed_weekdays"
    event = spec.event
    table = [
        ("minimum_lines", "a window with open days has lines",
         f"Deliver the window's lines; if nobody traded, list its days in {closed}."),
        ("volume_ratio", "lines per open day, against the median of trailing windows",
         "Look for a lost or doubled delivery."),
        ("missing_days", "open days without a line",
         f"Deliver the day; if nobody traded, list it in {closed}."),
        ("closed_day_lines", "lines on days that the dataset file calls closed",
         f"Check the dates and event.timezone; if the day was open, remove it from {closed}."),
        ("silent_hours", "consecutive hours without a line, all of them busy in every trailing window",
         "Look for a part of the day that was not delivered, or for shifted times."),
        ("freshness_days", "days from the newest line to the window's end",
         "Deliver the rest of the window."),
        ("quarantined_share", "lines that broke a row rule, of all",
         "See the row rules with the most lines, and correct the source."),
        ("quarantined_share_rise", "the same, above the mean of trailing windows",
         "See the row rule whose lines became more, and correct the source."),
        ("duplicate_share", "exact copies of other lines, of all",
         "Look for a delivery that came twice."),
        ("copied_share",
         "lines that tell of the same user, item, time, value and price under another id",
         "Look for a delivery that came twice with new ids."),
        ("price_median_ratio", "median price, against the median of trailing windows",
         f"Check the unit and currency of {event.price!r}."),
        ("price_shift", "good lines priced 1.5 times above or below the item's usual price, of all",
         f"Check {event.price!r}, and that item ids belong to their lines."),
        ("value_median_ratio", "median value, against the median of trailing windows",
         f"Check the unit of {event.value!r}."),
        ("item_drift_rise",
         "Jensen-Shannon distance of item shares from trailing windows, above its own mean",
         f"Check that {event.item_id!r} still names the same items."),
        ("changed_text_share", "lines whose item shows a text it never had, of lines of known items",
         f"Check that {event.item_id!r} and the item's texts belong together."),
        ("repeat_pair_ratio",
         "share of user-item pairs seen before, against trailing windows: their mean if it fell, "
         "their largest if it rose",
         f"Check that {event.user_id!r} and {event.item_id!r} belong together."),
    ]  # fmt: skip

    def bounds(name: str) -> tuple[float | None, float | None]:
        limit = getattr(limits, name)
        if name == "minimum_lines":
            return float(limit), None
        return limit if isinstance(limit, tuple) else (None, float(limit))

    return [WindowRule(name, meaning, remedy, *bounds(name)) for name, meaning, remedy in table]


def rows_query(key: str, rules: list[RowRule]) -> str:
    """The lines that the rows suite looks at: all but exact duplicates, with a flag per rule."""
    flags = "".join(
        f", rules @> array['{r.name}'] as breaks_{r.name}" for r in rules if r.kind is None
    )
    return (
        f"select user_id, item_id, value, price, price_ratio{flags} from behavior.checked "
        f"where window_key = '{key}' and not duplicate"
    )


def window_query(key: str, rules: list[WindowRule]) -> str:
    """The one row of statistics that the window suite looks at."""
    columns = ", ".join(
        f"(statistics -> 'values' ->> '{rule.name}')::float8 as {rule.name}" for rule in rules
    )
    return f"select {columns} from behavior.window_statistics where window_key = '{key}'"


def rows_suite(rules: list[RowRule], limits: Limits) -> Any:
    """A Great Expectations suite: each row rule holds for all lines but a tolerated share."""
    import great_expectations as gx
    from great_expectations.expectations.registry import get_expectation_impl

    expectations = []
    for rule in rules:
        kind, arguments = rule.kind, rule.arguments
        if kind is None:
            kind = "expect_column_values_to_be_in_set"
            arguments = {"column": f"breaks_{rule.name}", "value_set": [False]}
        share = limits.rows.share_of(rule.name)
        told = f"{rule.name}: {rule.meaning}, for all lines but {100 * share:g}%. {rule.remedy}"
        common = {"mostly": 1 - share, "description": told, "meta": {"rule": rule.name}}
        expectations.append(get_expectation_impl(kind)(**arguments, **common))
    return gx.ExpectationSuite(name="rows", expectations=expectations)


def window_suite(rules: list[WindowRule]) -> Any:
    """A Great Expectations suite: each statistic lies within its limits; NULL is not judged."""
    import great_expectations as gx
    import great_expectations.expectations as gxe

    return gx.ExpectationSuite(
        name="window",
        expectations=[
            gxe.ExpectColumnValuesToBeBetween(
                column=rule.name,
                min_value=rule.lowest,
                max_value=rule.highest,
                description=f"{rule.name}: {rule.meaning}; {rule.limit}. {rule.remedy}",
                meta={"rule": rule.name},
            )
            for rule in rules
        ],
    )

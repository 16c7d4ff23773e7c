"""The two suites: expectations on a window's rows, and on the one row of its statistics.

Belongs here: window rules, and turning rules and limits into expectations. Keep out: running them
(`judging.py`), measuring (`statistics.py`), numbers (`config/limits.py`, `config/validation.toml`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from recloop.config.dataset import DatasetSpec
from recloop.config.limits import Limits
from recloop.validation.learnt import ROWS, TABLE, Band
from recloop.validation.row_rules import RowRule


@dataclass(frozen=True)
class WindowRule:
    """One window rule: the statistic of its name lies in `[lowest, highest]`."""

    name: str
    meaning: str
    remedy: str
    lowest: float | None
    highest: float | None
    learnt: Band | None = None

    @property
    def judges(self) -> bool:
        """Whether there is any limit; of what is learnt, none is known of the first windows."""
        return self.lowest is not None or self.highest is not None

    @property
    def limit(self) -> str:
        if self.lowest is None:
            return f"at most {self.highest:.4g}" if self.judges else "none yet"
        if self.highest is None:
            return f"at least {self.lowest:.4g}"
        return f"{self.lowest:.4g} to {self.highest:.4g}"


def window_rules(limits: Limits, spec: DatasetSpec, bands: Mapping[str, Band]) -> list[WindowRule]:
    """The rules in the order in which they are told: those with limits of the configuration, then those
    whose limits were learnt. Without a band, or where a limit is fixed by hand, that is what holds."""
    closed, hard = "period.closed_days or closed_weekdays", limits.window
    table = [
        WindowRule(
            "minimum_lines", "a window with open days has lines",
            f"Deliver the window's lines; if nobody traded, list its days in {closed}.",
            float(hard.minimum_lines), None),
        WindowRule(
            "missing_days", "open days without a line",
            f"Deliver the day; if nobody traded, list it in {closed}.",
            None, float(hard.missing_days)),
        WindowRule(
            "closed_day_lines", "lines on days that the dataset file calls closed",
            f"Check the dates and event.timezone; if the day was open, remove it from {closed}.",
            None, float(hard.closed_day_lines)),
        WindowRule(
            "freshness_days", "days from the newest line to the window's end",
            "Deliver the rest of the window.", None, hard.freshness_days),
    ]  # fmt: skip
    needs = {"price": spec.event.price, "value": spec.event.value}
    for rule in TABLE:
        kind = rule.name.partition("_")[0]
        if needs.get(kind, "") is None:
            continue
        band, fixed = bands.get(rule.name), limits.fixed.of(rule.name)
        low, high = fixed or ((band.low, band.high) if band else (None, None))
        usual = None if fixed or band is None else band
        table.append(WindowRule(rule.name, rule.meaning, rule.remedy, low, high, usual))
    return table


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


def tolerated(rule: str, limits: Limits, bands: Mapping[str, Band]) -> float:
    """The share of a window's lines that a row rule may quarantine: what is usual of the shop, and never
    more than the configuration says; that alone, where a dataset sets a share for the rule."""
    most = limits.rows.share_of(rule)
    band = bands.get(ROWS + rule)
    learnt = band.high if band and rule not in limits.rows.shares else None
    return most if learnt is None else min(most, learnt)


def rows_suite(rules: list[RowRule], limits: Limits, bands: Mapping[str, Band]) -> Any:
    """A Great Expectations suite: each row rule holds for all lines but a tolerated share."""
    import great_expectations as gx
    from great_expectations.expectations.registry import get_expectation_impl

    expectations = []
    for rule in rules:
        kind, arguments = rule.kind, rule.arguments
        if kind is None:
            kind = "expect_column_values_to_be_in_set"
            arguments = {"column": f"breaks_{rule.name}", "value_set": [False]}
        share = tolerated(rule.name, limits, bands)
        told = f"{rule.name}: {rule.meaning}, for all lines but {100 * share:.3g}%. {rule.remedy}"
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
            if rule.judges
        ],
    )

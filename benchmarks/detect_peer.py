"""Great Expectations as it comes, on the same windows: its expectations for columns and row counts, each
between the least and the most that the windows before had. recloop is not asked."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any

import pandas as pd

LAST = 20
"""Windows before that say what is expected."""


def unexpected(before: Sequence[pd.DataFrame], now: pd.DataFrame) -> list[str]:
    """The expectations that the window does not meet."""
    import great_expectations as gx
    import great_expectations.expectations as gxe

    past = pd.DataFrame([_profile(lines) for lines in before[-LAST:]])
    made: list[Any] = [gxe.ExpectColumnToExist(column=name) for name in before[-1].columns]
    bounds = {name: (float(past[name].min()), float(past[name].max())) for name in past}
    low, high = bounds.pop("rows")
    made.append(gxe.ExpectTableRowCountToBeBetween(min_value=int(low), max_value=int(high)))
    kinds = {
        "distinct": gxe.ExpectColumnUniqueValueCountToBeBetween,
        "mean": gxe.ExpectColumnMeanToBeBetween,
        "median": gxe.ExpectColumnMedianToBeBetween,
        "spread": gxe.ExpectColumnStdevToBeBetween,
    }
    for name, (low, high) in bounds.items():
        column, _, kind = name.partition("/")
        if kind == "nulls":
            made.append(gxe.ExpectColumnValuesToNotBeNull(column=column, mostly=max(0.0, 1 - high)))
        else:
            made.append(kinds[kind](column=column, min_value=low, max_value=high))
    suite = gx.ExpectationSuite(name="as it comes", expectations=made)
    outcome = _batch().get_batch({"dataframe": now}).validate(suite)
    return [str(one.expectation_config.type) for one in outcome.results if not one.success]


@cache
def _batch() -> Any:
    import great_expectations as gx

    context = gx.get_context(mode="ephemeral")
    context.variables.progress_bars = {"globally": False}
    source = context.data_sources.add_pandas("windows")
    return source.add_dataframe_asset("window").add_batch_definition_whole_dataframe("all")


def _profile(lines: pd.DataFrame) -> dict[str, float]:
    found: dict[str, float] = {"rows": len(lines)}
    for name in lines.columns.drop("at"):
        found[f"{name}/nulls"] = float(lines[name].isna().mean())
        if lines[name].dtype == float:
            found[f"{name}/mean"] = float(lines[name].mean())
            found[f"{name}/median"] = float(lines[name].median())
            found[f"{name}/spread"] = float(lines[name].std())
        else:
            found[f"{name}/distinct"] = float(lines[name].nunique())
    return found

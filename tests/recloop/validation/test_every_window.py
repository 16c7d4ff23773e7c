"""All of Online Retail lands; none of its first six weeks is refused, and every line is accounted for.

`make bench-retail` takes all 54 windows through the same stages.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from recloop.behavior.arrivals import windows_with_new_lines
from recloop.behavior.landing import land
from recloop.database.connection import transaction
from recloop.settings import Settings
from recloop.stages.status import count_lines
from recloop.validation.window import validate_window

pytestmark = pytest.mark.slow


def test_541909_lines_land_and_those_of_six_weeks_are_accounted_for(
    settings: Settings, retail_csv: Path
) -> None:
    settings = settings.model_copy(update={"data": retail_csv})
    keys = windows_with_new_lines(settings)
    report = land(settings)
    assert report.lines == 541_909
    assert list(report.windows) == keys
    assert count_lines(settings)["pending"] == 541_909
    with transaction(settings.database_url) as cursor:
        cursor.execute("select window_key from ledger.window order by starts")
        windows = [row[0] for row in cursor.fetchall()]
    assert len(windows) == 54  # 53 with lines, and Christmas
    validated = windows[:6]
    reports = {key: validate_window(settings, key) for key in validated}
    assert all(report.passed for report in reports.values())
    assert reports["2010-12-27"].lines == 0
    counts = count_lines(settings)
    # worked out with pandas; the others on the file without its exact duplicates
    assert counts["total"] == 541_909
    assert counts["pending"] == 541_909 - 50_151
    assert counts["duplicates"] == 539  # as `DataFrame.duplicated()` counts them
    assert counts["accepted"] + 539 + sum(counts["quarantined"].values()) == 50_151
    assert counts["quarantined"]["missing_user"] == 17_877
    assert counts["quarantined"]["non_product_item"] == 141
    assert counts["quarantined"]["non_positive_price"] == 5
    assert counts["quarantined"]["implausible_price"] < 4
    with transaction(settings.database_url) as cursor:
        cursor.execute("select event_type, count(*) from behavior.event group by 1 order by 1")
        types = dict(cursor.fetchall())
    assert types["cancel"] + types["purchase"] == counts["accepted"]
    assert types["cancel"] > 700
    assert windows_with_new_lines(settings) == [key for key in keys if key not in validated]

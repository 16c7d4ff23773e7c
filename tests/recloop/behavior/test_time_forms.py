"""The form of times is found, whoever wrote them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pandas as pd
import pytest

from recloop.behavior.roles import roles_of
from recloop.behavior.time_forms import form_of, forms_of
from recloop.behavior.times import parse_times

MOMENTS = [
    datetime(2026, 3, 1, 12, 30, 5, tzinfo=UTC) + timedelta(hours=7 * n, seconds=13 * n)
    for n in range(300)
]


def column(form: str) -> pd.Series:
    return pd.Series([moment.strftime(form) for moment in MOMENTS], dtype=object)


@pytest.mark.parametrize(
    ("written", "form"),
    [
        ("%Y-%m-%d %H:%M:%S UTC", "iso"),  # BigQuery
        ("%Y-%m-%d %H:%M:%S,000", "iso"),
        ("%Y-%m-%dT%H:%M:%S+00:00[Etc/UTC]", "iso"),
        ("%Y%m%dT%H%M%SZ", "iso"),
        ("%Y%m%d%H%M%S", "%Y%m%d%H%M%S"),
        ("%m/%d/%Y, %I:%M:%S %p", "%m/%d/%Y, %I:%M:%S %p"),
        ("%d.%m.%Y, %H:%M:%S", "%d.%m.%Y, %H:%M:%S"),
        ("%a, %d %b %Y %H:%M:%S +0000", "%a, %d %b %Y %H:%M:%S %z"),
        ("%d/%b/%Y:%H:%M:%S +0000", "%d/%b/%Y:%H:%M:%S %z"),
        ("%b %d, %Y, %I:%M:%S\N{NARROW NO-BREAK SPACE}%p UTC", "%b %d, %Y, %I:%M:%S %p UTC"),
        ("%Y. %m. %d. %H:%M:%S", "%Y. %m. %d. %H:%M:%S"),
        ("%H:%M:%S %d/%m/%Y", "%H:%M:%S %d/%m/%Y"),
    ],
)
def test_a_form_is_found_and_reads_the_same_times(written: str, form: str) -> None:
    texts = column(written)
    assert form_of(texts) == form
    assert parse_times(list(texts), form, "UTC").tolist() == MOMENTS


@pytest.mark.parametrize("written", ["%m/%d/%y", "%d.%m.%y", "%d-%b-%y", "%d-%b-%Y", "%G-W%V-%u"])
def test_days_are_found(written: str) -> None:
    days = pd.to_datetime([moment.date() for moment in MOMENTS], utc=True)
    assert form_of(column(written)) == written
    assert parse_times(list(column(written)), written, "UTC").tolist() == days.tolist()


@pytest.mark.parametrize(("unit", "factor"), [("unix_us", 10**6), ("unix_ns", 10**9)])
def test_small_units_since_1970(unit: str, factor: int) -> None:
    texts = pd.Series([str(int(moment.timestamp()) * factor) for moment in MOMENTS], dtype=object)
    assert form_of(texts) == unit
    assert parse_times(list(texts), unit, "Asia/Tokyo").tolist() == MOMENTS


def test_utc_in_the_text_counts_and_not_the_shops_zone() -> None:
    for form in ("%b %d, %Y, %I:%M:%S %p UTC", "%d/%m/%Y %H:%M:%S GMT"):
        assert parse_times(list(column(form)), form, "Asia/Tokyo").tolist() == MOMENTS
    texts = list(column("%Y-%m-%d %H:%M:%S GMT"))
    assert parse_times(texts, "iso", "Asia/Tokyo").tolist() == MOMENTS


def test_of_day_and_month_the_order_by_which_times_lie_close() -> None:
    march = [f"{day:02}/03/2026" for day in range(1, 10)] * 3
    assert forms_of(pd.Series(march)) == ["%d/%m/%Y", "%m/%d/%Y"]
    assert forms_of(pd.Series([f"03/{text[:2]}/2026" for text in march])) == [
        "%m/%d/%Y",
        "%d/%m/%Y",
    ]


def test_an_order_that_could_be_the_other_is_called_a_guess() -> None:
    days = [f"{1 + n % 9:02}/03/2026" for n in range(200)]
    users, items = (
        [f"{one}{n % many}" for n in range(200)] for one, many in (("u", 40), ("i", 30))
    )
    found = roles_of(pd.DataFrame({"user": users, "item": items, "day": days})).time
    assert found.sure == "a guess"
    assert found.why == "times of the form %d/%m/%Y; %m/%d/%Y would fit, too"


@pytest.mark.parametrize(
    "texts", [["red", "blue"], ["1", "2"], ["A12", "A13"], ["12:30", "13:40"], ["3 May", "4 May"]]
)
def test_what_is_no_time_has_no_form(texts: list[str]) -> None:
    assert forms_of(pd.Series(texts * 20)) == []

"""Numbers: what passes the row rules can be computed with, and what does not is named."""

from __future__ import annotations

from pathlib import Path

import pytest

from recloop.behavior.landing import land
from recloop.config.dataset import load_dataset
from recloop.database.connection import transaction
from recloop.errors import BadInput
from recloop.features.daily import build_features
from recloop.settings import Settings
from recloop.validation.window import validate_window

TOML = """
name = "made_up"
[source]
kind = "file"
[period]
end = 2030-01-01T00:00:00Z
[columns]
user = "text"
item = "text"
at = "time"
pieces = "number"
price = "number"
[event]
user_id = "user"
item_id = "item"
timestamp = "at"
value = "pieces"
price = "price"
[rules]
{rules}
"""
WEEK = "2024-01-01"
ODD = [
    ("1e308", "1", "value_out_of_range"),
    ("-1e308", "1", "value_out_of_range"),
    ("1e308", "1", "value_out_of_range"),
    ("1e-300", "1", "value_out_of_range"),
    ("5e-324", "1", "value_out_of_range"),
    ("1000000001", "1", "value_out_of_range"),
    ("1", "1e300", "price_out_of_range"),
    ("1", "-1e300", "price_out_of_range"),
    ("1", "1e300", "price_out_of_range"),
    ("1", "1e-300", "price_out_of_range"),
    ("1", "-5e-324", "price_out_of_range"),
    ("inf", "1", "unparseable_number"),
    ("1", "nan", "unparseable_number"),
    ("1", "1e400", "unparseable_number"),
]
GOOD = [("-0.0", "1"), ("1e-400", "2"), ("1000000000", "2"), ("-5", "2"), ("1", "0.5")]


def landed(
    settings: Settings, folder: Path, numbers: list[tuple[str, str]], rules: str
) -> Settings:
    lines = [
        f"u{n % 7},i{n % 3},2024-01-0{n % 7 + 1}T10:{n:02}:00,{pieces},{price}"
        for n, (pieces, price) in enumerate(numbers)
    ]
    (folder / "feed.csv").write_text("\n".join(["user,item,at,pieces,price", *lines]) + "\n")
    (folder / "made_up.toml").write_text(TOML.format(rules=rules))
    settings = settings.model_copy(
        update={"dataset": str(folder / "made_up.toml"), "data": folder / "feed.csv"}
    )
    land(settings)
    return settings


def test_odd_numbers_cost_their_lines_and_nothing_else(settings: Settings, tmp_path: Path) -> None:
    numbers = [(pieces, price) for pieces, price, _ in ODD] + GOOD
    settings = landed(settings, tmp_path, numbers, "")
    report = validate_window(settings, WEEK)
    rules = [rule for _, _, rule in ODD]
    assert report.quarantined == {rule: rules.count(rule) for rule in set(rules)}
    assert report.accepted == len(GOOD)
    build_features(settings, WEEK)
    with transaction(settings.database_url) as cursor:
        cursor.execute("select max(spend_28d) from features.user_statistics")
        assert cursor.fetchone() == (2_000_000_000.0,)
        cursor.execute("select count(*) from behavior.event where value::text like '-0%'")
        assert cursor.fetchone() == (0,)


def test_own_bounds_take_the_place_of_the_usual_ones(settings: Settings, tmp_path: Path) -> None:
    numbers = [("1", "5e9"), ("1", "5e9"), ("1", "5e9"), ("9", "5e9"), ("-1", "5e9"), ("1", "1")]
    rules = "value_between = [0, 8]\nprice_between = [2, 1e10]"
    settings = landed(settings, tmp_path, numbers, rules)
    expected = {"value_out_of_range": 2, "price_out_of_range": 1}
    assert validate_window(settings, WEEK).quarantined == expected


def test_an_event_from_before_the_bounds_does_not_stop_features(
    settings: Settings, tmp_path: Path
) -> None:
    settings = landed(settings, tmp_path, GOOD, "")
    validate_window(settings, WEEK)
    with transaction(settings.database_url) as cursor:
        cursor.execute("update behavior.event set value = 1e308, price = 1e308 where value = -5")
    build_features(settings, WEEK)


@pytest.mark.parametrize(
    "bounds", ["[nan, 1.0]", "[0.0, inf]", "[1.0, 0.0]", "[0.0, 1e13]", "[1, 1]"]
)
@pytest.mark.parametrize("key", ["value_between", "price_between"])
def test_bounds_that_bound_nothing_are_refused(
    settings: Settings, tmp_path: Path, key: str, bounds: str
) -> None:
    (tmp_path / "made_up.toml").write_text(TOML.format(rules=f"{key} = {bounds}"))
    with pytest.raises(BadInput, match=rf"rules.{key}"):
        load_dataset(settings.model_copy(update={"dataset": str(tmp_path / "made_up.toml")}))


def test_gifts_and_refunds_are_plausible(settings: Settings, tmp_path: Path) -> None:
    """A price of 0 says nothing of an item's price, and one below 0 is judged by its distance."""
    numbers = (
        [("1", "6")] * 45 + [("1", "0")] * 4 + [("1", "-6")] * 4 + [("1", "6000"), ("1", "-6000")]
    )
    settings = landed(settings, tmp_path, numbers, "")
    report = validate_window(settings, WEEK)
    assert report.quarantined == {"implausible_price": 2}
    assert report.accepted == 53

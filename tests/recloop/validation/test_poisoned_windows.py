"""Poisoned deliveries never reach training unnoticed: what is refused, what is quarantined, and why.

Eight cases, each in several guises, through a single file, a folder of weekly files, and on the real
data. Messages name the rule, the value, the limit and the remedy.
"""

from __future__ import annotations

import re

import pytest

from recloop.errors import BadInput, SourceRefused, WindowRefused
from recloop.stages.status import count_lines
from recloop.validation.window import validate_window
from tests.recloop.behavior.shop import as_text
from tests.recloop.validation import poisons
from tests.recloop.validation.conftest import KINDS, Delivery
from tests.recloop.validation.poisons import Poison

pytestmark = pytest.mark.slow

REFUSED: dict[Poison, set[str]] = {
    # 1. half of the item ids shuffled
    poisons.item_ids_shuffled_among_lines: {"changed_text_share", "foreign_text_share"},
    poisons.half_of_the_items_renamed: {"changed_text_share", "foreign_text_share"},
    poisons.items_shuffled_with_their_texts: {"price_shift", "repeat_pair_share"},
    poisons.items_shuffled_among_customers: {"price_shift", "repeat_pair_share"},
    # 2. prices x 1000
    poisons.prices_times_1000: {"price_level", "implausible_price"},
    # 3. one day missing
    poisons.wednesday_missing: {"missing_days"},
    poisons.wednesday_morning_only: {"silent_share"},
    # 4. duplicate ids
    poisons.every_fifth_line_twice: {"duplicate_share"},
    poisons.wednesday_twice_with_new_ids: {"copied_share"},
    # and more that a feed may bring
    poisons.a_day_later: {"missing_days", "closed_day_lines"},
    poisons.customers_blanked: {"missing_user"},
    poisons.negative_prices: {"non_positive_price"},
    poisons.decimal_commas: {"unparseable_number"},
    poisons.columns_swapped: {"malformed_user", "item_drift"},
}


BY_THE_CALENDAR = (poisons.wednesday_missing, poisons.a_day_later)
"""What needs no history: all others are told from what was usual."""
CASES = [(KINDS[1 if poison in BY_THE_CALENDAR else 2], poison) for poison in REFUSED]
CASES += [(KINDS[0], poisons.a_day_later)]


@pytest.mark.parametrize(
    ("delivery", "poison"), CASES, indirect=["delivery"], ids=lambda c: getattr(c, "__name__", c)
)
def test_the_window_is_refused(delivery: Delivery, poison: Poison) -> None:
    delivery.deliver(poison(delivery.clean))
    with pytest.raises(WindowRefused) as caught:
        validate_window(delivery.settings, delivery.week)
    message = str(caught.value)
    told = [line for line in message.splitlines() if line.startswith("- ")]
    broken = {line[2:].split(" = ")[0] for line in told}
    assert broken & REFUSED[poison], message
    for line in told:  # rule = value (…), limit …: meaning. Remedy.
        assert re.match(
            r"- \w+ = -?[\d.e+]+%?( of lines)?( \(.+\))?, limit .+: .+\. [A-Z].+\.", line
        ), line
    assert delivery.events() == 0
    assert count_lines(delivery.settings)["quarantined"]["window_refused"] > 0


@pytest.mark.parametrize("delivery", KINDS, indirect=True)
def test_the_missing_day_is_named_and_the_corrected_week_is_accepted(delivery: Delivery) -> None:
    delivery.deliver(poisons.wednesday_missing(delivery.clean))
    with pytest.raises(WindowRefused, match=r"missing_days = 1 \(Wednesday 2011-0\d-\d\d\)"):
        validate_window(delivery.settings, delivery.week)
    delivery.deliver(delivery.clean)
    report = validate_window(delivery.settings, delivery.week)
    assert report.passed
    assert report.accepted == delivery.events() > 0
    assert report.lines == len(delivery.clean)
    assert report.lines == report.accepted + report.duplicates + sum(report.quarantined.values())


@pytest.mark.parametrize("delivery", KINDS, indirect=True)
def test_single_prices_times_1000_are_quarantined(delivery: Delivery) -> None:
    before = _accepted_when_clean(delivery)
    delivery.deliver(poisons.three_prices_times_1000(delivery.clean))
    report = validate_window(delivery.settings, delivery.week)
    found = delivery.quarantined()
    caught = found.get("implausible_price", 0) + found.get("price_out_of_range", 0)
    assert caught >= 3
    assert delivery.events() == before - 3
    rule = next(rule for rule in report.rules if rule.name == "implausible_price")
    assert re.search(r"implausible_price = \d.*limit.*usual one.*Check the unit", rule.message)
    dear = delivery.rows("select max(price) from behavior.event where window_key = %(week)s")
    assert dear[0][0] < 500


@pytest.mark.parametrize("delivery", KINDS, indirect=True)
def test_a_future_timestamp_is_quarantined(delivery: Delivery) -> None:
    delivery.deliver(poisons.one_line_in_2099(delivery.clean))
    validate_window(delivery.settings, delivery.week)
    assert delivery.quarantined()["future_timestamp"] == 1
    assert delivery.rows(
        "select count(*) from behavior.event where event_timestamp > '2012-1-1'"
    ) == [(0,)]


@pytest.mark.parametrize(
    ("delivery", "noise", "rule"),
    [
        (KINDS[0], b"\x81\x8d", "undecodable_text"),
        (KINDS[1], b"\x00", "undecodable_text"),
        (KINDS[1], "é".encode(), "unexpected_characters"),
        (KINDS[2], b"\xff\xfe", "unexpected_characters"),
    ],
    indirect=["delivery"],
)
def test_bytes_of_another_encoding_are_quarantined(
    delivery: Delivery, noise: bytes, rule: str
) -> None:
    before = _accepted_when_clean(delivery)
    delivery.deliver(poisons.bad_bytes(delivery.clean, noise))
    report = validate_window(delivery.settings, delivery.week)
    assert delivery.quarantined()[rule] == 2
    assert delivery.events() == before - 2
    told = next(r for r in report.rules if r.name == rule)
    assert "source.encoding" in told.message


@pytest.mark.parametrize(
    ("name", "rule", "remedy"),
    [
        ("extra column", "schema", "'Channel'.*[columns]"),
        ("UTF-16", "undecodable_text", "source.encoding"),
        ("empty file", "empty_file", "Deliver the file again"),
    ],
)
@pytest.mark.parametrize("delivery", KINDS, indirect=True)
def test_the_source_is_refused(delivery: Delivery, name: str, rule: str, remedy: str) -> None:
    whole = delivery.before + delivery.clean
    content = {
        "extra column": poisons.extra_column(whole),
        "UTF-16": poisons.utf_16(whole),
        "empty file": b"",
    }[name]
    delivery.path.write_bytes(content)
    delivery.before = []
    if delivery.path.parent.name == "incoming":
        message = delivery.deliver(content).refused[0]
    else:
        with pytest.raises(SourceRefused) as caught:
            delivery.deliver(content)
        message = str(caught.value)
    assert message.startswith(rule)
    assert all(part in message for part in remedy.split(".*"))
    with pytest.raises(BadInput, match="no landed lines"):
        validate_window(delivery.settings, delivery.week)
    assert delivery.events() == 0


@pytest.mark.parametrize("delivery", ["ratings"], indirect=True)
def test_duplicate_ids_with_other_content(delivery: Delivery) -> None:
    clean = delivery.clean
    other = [{**line, "rating": "1.0"} for line in clean[:4]]
    delivery.deliver(clean[:20] + other + clean[20:] + clean[30:35])
    report = validate_window(delivery.settings, delivery.week)
    assert (report.accepted, report.duplicates) == (len(clean), 5)
    assert report.quarantined == {"conflicting_event_id": 4}
    kept = delivery.rows(
        "select count(*) from behavior.event where window_key = %(week)s and value = 1"
    )
    assert kept == [(0,)]


@pytest.mark.parametrize("delivery", ["ratings"], indirect=True)
def test_ratings_out_of_range_and_without_an_id(delivery: Delivery) -> None:
    lines = [dict(line) for line in delivery.clean]
    lines[3]["rating"], lines[4]["rating"], lines[5]["movieId"] = "50", "five", ""
    delivery.deliver(lines)
    report = validate_window(delivery.settings, delivery.week)
    assert report.quarantined == {
        "value_out_of_range": 1,
        "unparseable_number": 1,
        "missing_item": 1,
    }
    assert report.accepted == len(lines) - 3


@pytest.mark.parametrize("delivery", ["ratings"], indirect=True)
def test_a_live_dataset_must_be_fresh(delivery: Delivery) -> None:
    text = as_text(delivery.clean[: len(delivery.clean) // 2])
    delivery.deliver(text.encode())
    with pytest.raises(WindowRefused, match=r"freshness_days = 3\.5"):
        validate_window(delivery.settings, delivery.week)


def _accepted_when_clean(delivery: Delivery) -> int:
    """How many events the clean week has, by the dataset's rules worked out here."""
    good = {
        tuple(line.values())
        for line in delivery.clean
        if line["CustomerID"] and poisons.line_is_product(line) and float(line["UnitPrice"]) > 0
    }
    return len(good)

"""Numbers as shops write them."""

from __future__ import annotations

import math
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recloop.behavior.new_dataset import describe
from recloop.behavior.numbers import BLANKS, FORMS, Written, numbers_of, written_as

NARROW = "\N{NARROW NO-BREAK SPACE}"


def texts(*given: str) -> pd.Series:
    return pd.Series(given, dtype=object)


@pytest.mark.parametrize(
    ("form", "text", "number"),
    [
        ("1234.5", "-12.50", -12.5),
        ("1234.5", "1,234.5", None),
        ("1,234.5", "1,234.5", 1234.5),
        ("1,234.5", "12,34.5", None),
        ("1,234.5", "0,125", None),
        ("1,234.5", "1234.5", 1234.5),
        ("1234,5", "3,00", 3.0),
        ("1234,5", " ,5 ", 0.5),
        ("1234,5", "3.00", None),
        ("1.234,5", "-1.234.567,25", -1234567.25),
        ("1.234,5", "1.23,5", None),
        ("1 234,5", f"1{NARROW}234{NARROW}567,5", 1234567.5),
        ("1 234,5", "12 34,5", None),
        ("1'234.5", "1'234.50", 1234.5),
        ("1.234,5", "3,00 €", None),
        ("1.234,5", ",", None),
        ("1.234,5", "", None),
    ],
)
def test_what_a_text_says(form: str, text: str, number: float | None) -> None:
    [found] = numbers_of(texts(text), Written(form)).tolist()
    assert math.isnan(found) if number is None else found == number


@pytest.mark.parametrize(
    ("unit", "text", "number"),
    [
        ("$", "$1,234.50", 1234.5),
        ("$", "-$3", -3.0),
        ("$", "$ -3", -3.0),
        ("$", "3", 3.0),
        ("$", "$3$", None),
        ("$", "€3", None),
        ("$", "$", None),
        ("$", "", None),
        ("USD", "12.99 USD", 12.99),
        ("USD", f"USD{NARROW}12.99", 12.99),
        ("USD", "12.99 EUR", None),
        ("R$", "R$ 5", 5.0),
        ("Fr.", "Fr. 5", 5.0),
        ("%", "80%", 80.0),
    ],
)
def test_a_unit_is_no_part_of_a_number(unit: str, text: str, number: float | None) -> None:
    [found] = numbers_of(texts(text), Written("1,234.5", unit)).tolist()
    assert math.isnan(found) if number is None else found == number


@given(
    st.lists(st.decimals(-(10**9), 10**9, places=2, allow_nan=False), min_size=1),
    st.sampled_from(FORMS),
    st.sampled_from(BLANKS),
)
def test_what_is_written_in_a_form_is_read_in_it(numbers: list, form: str, blank: str) -> None:
    parts, sign = form[1:-5].replace(" ", blank), form[-2]
    written = [f"{number:,}".translate({44: parts or None, 46: sign}) for number in numbers]
    assert numbers_of(texts(*written), Written(form)).tolist() == [
        float(number) for number in numbers
    ]


@pytest.mark.parametrize(
    ("columns", "form", "unit"),
    [
        ([["1", "2.5"], ["3", ""]], "1234.5", ""),
        ([["1", "2,5"], ["3", "4"]], "1234,5", ""),
        ([["1.299,00", "2,5"]], "1.234,5", ""),
        ([["1,299.00", "999"]], "1,234.5", ""),
        ([["0,125", "1,250", "12,500"]], "1234,5", ""),
        ([["9,90"] * 98 + ["1.299,00"] * 2], "1.234,5", ""),
        ([[f"1{NARROW}299,00", "2,5"]], "1 234,5", ""),
        ([["2.5"], ["2,55"]], None, ""),
        ([["red"]], None, ""),
        ([[""]], None, ""),
        ([], "1234.5", ""),
        ([["$1,299.00", "$5"]], "1,234.5", "$"),
        ([["1.299,00 €", "5,00 €"]], "1.234,5", "€"),
        ([["5,00 EUR", "-12,50 EUR"]], "1234,5", "EUR"),
        ([["R$ 5,90", "R$ 1.005,90"]], "1.234,5", "R$"),
        ([["129 kr", "1 299 kr"]], "1 234,5", "kr"),
        ([["₹499", "₹1,499"]], "1,234.5", "₹"),
        ([["80%", "95%"]], "1234.5", "%"),
        ([["$5", "6"], ["1", "2"]], "1234.5", "$"),
        ([["$5", "€6"]], None, ""),
        ([["A12", "A15"]], None, ""),
        ([["SKU12", "SKU15"]], None, ""),
        ([["5e3", "6E3"]], "1234.5", ""),
        ([["12 x", "5 x"]], None, ""),
    ],
)
def test_the_form_that_fits_all_columns_and_its_unit(
    columns: list[list[str]], form: str | None, unit: str
) -> None:
    found = written_as([texts(*column) for column in columns], 0.97)
    assert found == (Written(form, unit) if form else None)


def test_prices_with_a_sign_are_guessed_and_land(tmp_path: Path) -> None:
    path = tmp_path / "orders.csv"
    rows = [
        f'u{n % 40},i{n % 25},{1 + n % 3},"${n % 9 * 1234:,}.{n % 90 + 10}",2024-03-{1 + n % 28:02}'
        for n in range(400)
    ]
    path.write_text("user,item,quantity,price,time\n" + "\n".join(rows) + "\n")
    found = describe(path)
    assert 'numbers = "1,234.5"\nunit = "$"' in found.text
    assert ("price", "price", "likely") in [guess[:3] for guess in found.guesses]


def test_decimal_commas_are_guessed_and_land(tmp_path: Path) -> None:
    path = tmp_path / "bestellungen.csv"
    rows = [
        f"K{n % 40};A{n % 25};{1 + n % 3};{n % 9 * 1234},{n % 90 + 10};{1 + n % 28:02}.03.2024 12:00"
        for n in range(400)
    ]
    path.write_text("Kunde;Artikel;Menge;Einzelpreis;Datum\n" + "\n".join(rows) + "\n")
    found = describe(path)
    assert 'numbers = "1234,5"' in found.text
    assert ("price", "Einzelpreis", "likely") in [guess[:3] for guess in found.guesses]
    assert not [guess for guess in found.guesses if guess[0] == "not used"]

"""Numbers as shops write them."""

from __future__ import annotations

import math
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recloop.behavior.new_dataset import describe
from recloop.behavior.numbers import BLANKS, FORMS, form_of_numbers, numbers_of

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
    [found] = numbers_of(texts(text), form).tolist()
    assert math.isnan(found) if number is None else found == number


@given(
    st.lists(st.decimals(-(10**9), 10**9, places=2, allow_nan=False), min_size=1),
    st.sampled_from(FORMS),
    st.sampled_from(BLANKS),
)
def test_what_is_written_in_a_form_is_read_in_it(numbers: list, form: str, blank: str) -> None:
    parts, sign = form[1:-5].replace(" ", blank), form[-2]
    written = [f"{number:,}".translate({44: parts or None, 46: sign}) for number in numbers]
    assert numbers_of(texts(*written), form).tolist() == [float(number) for number in numbers]


@pytest.mark.parametrize(
    ("columns", "form"),
    [
        ([["1", "2.5"], ["3", ""]], "1234.5"),
        ([["1", "2,5"], ["3", "4"]], "1234,5"),
        ([["1.299,00", "2,5"]], "1.234,5"),
        ([["1,299.00", "999"]], "1,234.5"),
        ([["0,125", "1,250", "12,500"]], "1234,5"),
        ([["9,90"] * 98 + ["1.299,00"] * 2], "1.234,5"),
        ([[f"1{NARROW}299,00", "2,5"]], "1 234,5"),
        ([["2.5"], ["2,55"]], None),
        ([["red"]], None),
        ([[""]], None),
        ([], "1234.5"),
    ],
)
def test_the_form_that_fits_all_columns(columns: list[list[str]], form: str | None) -> None:
    assert form_of_numbers([texts(*column) for column in columns], 0.97) == form


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

"""Numbers as a shop writes them: what parts thousands, what parts the whole from its fraction, and the
unit or currency beside them.

Belongs here: texts to numbers. Keep out: which columns are numbers (`roles.py`), what becomes of a line
whose text is none (`lines.py`).
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy
    import pandas

PLAIN = "1234.5"
FORMS = (PLAIN, "1,234.5", "1234,5", "1.234,5", "1 234,5", "1'234.5")
"""How the number 1234.5 is written."""
BLANKS = " \N{NO-BREAK SPACE}\N{NARROW NO-BREAK SPACE}\N{THIN SPACE}"
CODES = (
    "USD EUR GBP JPY CNY INR BRL CAD AUD CHF SEK NOK DKK PLN CZK HUF TRY MXN ZAR KRW SGD HKD NZD ILS "
    "RON BGN UAH RUB IDR THB VND MYR PHP AED SAR EGP NGN KES CLP COP PEN ARS"
)
UNITS = frozenset([*CODES.split(), "kr", "zł", "Kč", "Ft", "lei", "Fr.", "Rs", "Rs.", "%"])
"""Guessed to be a unit where they stand beside numbers; so is all that holds a sign of a currency."""

PROBED = 2000
"""Texts of a column that are looked at for a unit."""


@dataclass(frozen=True)
class Written:
    """How the numbers of a source are written: one of `FORMS`, and what may stand beside each."""

    form: str = PLAIN
    unit: str = ""

    def __str__(self) -> str:
        return f"{self.unit}{self.form}"


PLAINLY = Written()


def numbers_of(texts: pandas.Series, written: Written = PLAINLY) -> numpy.ndarray:
    """The numbers that these texts are: float64 [n]; NaN where one is not written so.

    Args:
        texts: blanks around a number are no part of it.
        written: thousands may be parted, or not, and the unit may be there, or not.

    >>> import pandas
    >>> numbers_of(pandas.Series(["1.234,50 €", "12", "1,234.50"]), Written("1.234,5", "€")).tolist()
    [1234.5, 12.0, nan]
    """
    import pandas as pd

    stripped, form = texts.str.strip(), written.form
    if written.unit:
        unit = re.escape(written.unit)
        stripped = stripped.str.replace(rf"^([+-]?)\s*{unit}\s*|\s*{unit}$", r"\1", regex=True, n=1)
    if form != PLAIN:
        parts, sign = form[1:-5], form[-2]
        between = f"[{re.escape(BLANKS if parts == ' ' else parts)}]"
        whole = rf"[1-9]\d{{0,2}}(?:{between}\d{{3}})+|\d*" if parts else r"\d*"
        fits = stripped.str.fullmatch(rf"[+-]?(?:{whole})(?:{re.escape(sign)}\d*)?")
        stripped = stripped.where(fits, "")
        if parts:
            stripped = stripped.str.replace(between, "", regex=True)
        stripped = stripped.str.replace(sign, ".", regex=False)
    return pd.to_numeric(stripped, errors="coerce").to_numpy("float64") + 0.0  # no -0.0


def written_as(columns: list[pandas.Series], share: float) -> Written | None:
    """How the most texts are numbers, and more than this share of each column's; of equal ones the first
    in `FORMS`. None: in no way.

    Args:
        columns: texts; empty ones do not count.
    """
    import numpy as np

    given = [column[column != ""] for column in columns]
    if not all(map(len, given)):
        return None
    unit = _unit_of(given)
    fits = {
        one: min((float(np.isfinite(numbers_of(each, one)).mean()) for each in given), default=1.0)
        for one in (Written(form, unit) for form in FORMS)
    }
    best = max(fits, key=lambda one: fits[one])
    return best if fits[best] > share else None


def median_of_few(column: pandas.Series, written: Written, most: int) -> float | None:
    """The number that half of a column's reach; None, if all are equal or there are more than `most`
    different ones."""
    import numpy as np

    numbers = numbers_of(column, written)
    numbers = np.sort(numbers[np.isfinite(numbers)])
    return float(numbers[len(numbers) // 2]) if 1 < len(np.unique(numbers)) <= most else None


def _unit_of(columns: list[pandas.Series]) -> str:
    """The unit that stands beside the most of these texts; "": none."""
    beside = (
        rf"[+-]?([^\d\s.,'+-]\S{{0,3}}?)?\s*[+-]?\d[\d.,'{BLANKS}]*?\s*([^\d\s.,'+-]\S{{0,3}})?"
    )
    found = Counter[str]()
    for column in columns:
        parts = column.head(PROBED).str.strip().str.extract(f"^(?:{beside})$")
        found.update(parts[0].dropna())
        found.update(parts[1].dropna())
    likely = [unit for unit, _ in found.most_common() if unit in UNITS or _has_sign(unit)]
    return likely[0] if likely else ""


def _has_sign(text: str) -> bool:
    return any(unicodedata.category(character) == "Sc" for character in text)

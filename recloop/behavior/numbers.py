"""Numbers as a shop writes them: what parts thousands, and what parts the whole from its fraction.

Belongs here: texts to numbers. Keep out: which columns are numbers (`roles.py`), what becomes of a line
whose text is none (`lines.py`).
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy
    import pandas

PLAIN = "1234.5"
FORMS = (PLAIN, "1,234.5", "1234,5", "1.234,5", "1 234,5", "1'234.5")
"""How the number 1234.5 is written."""
BLANKS = " \N{NO-BREAK SPACE}\N{NARROW NO-BREAK SPACE}\N{THIN SPACE}"


def numbers_of(texts: pandas.Series, form: str = PLAIN) -> numpy.ndarray:
    """The numbers that these texts are: float64 [n]; NaN where one is not written so.

    Args:
        texts: blanks around a number are no part of it.
        form: one of `FORMS`. Thousands may be parted, or not.

    >>> import pandas
    >>> numbers_of(pandas.Series(["1.234,50", "12", "1,234.50"]), "1.234,5").tolist()
    [1234.5, 12.0, nan]
    """
    import pandas as pd

    stripped = texts.str.strip()
    if form != PLAIN:
        parts, sign = form[1:-5], form[-2]
        between = f"[{re.escape(BLANKS if parts == ' ' else parts)}]"
        whole = rf"[1-9]\d{{0,2}}(?:{between}\d{{3}})+|\d*" if parts else r"\d*"
        written = stripped.str.fullmatch(rf"[+-]?(?:{whole})(?:{re.escape(sign)}\d*)?")
        stripped = stripped.where(written, "")
        if parts:
            stripped = stripped.str.replace(between, "", regex=True)
        stripped = stripped.str.replace(sign, ".", regex=False)
    return pd.to_numeric(stripped, errors="coerce").to_numpy("float64") + 0.0  # no -0.0


def form_of_numbers(columns: list[pandas.Series], share: float) -> str | None:
    """The form in which the most texts are numbers, and more than this share of each column's; of equal
    ones the first in `FORMS`. None: no form.

    Args:
        columns: texts; empty ones do not count.
    """
    import numpy as np

    given = [column[column != ""] for column in columns]
    if not all(map(len, given)):
        return None
    fits = {
        form: min((float(np.isfinite(numbers_of(one, form)).mean()) for one in given), default=1.0)
        for form in FORMS
    }
    best = max(FORMS, key=lambda form: fits[form])
    return best if fits[best] > share else None

"""What columns hold: ids, lists, one value for each of another column's.

Belongs here: looking at values. Keep out: which column is what (`roles.py`).
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from recloop.behavior.column_names import ends, says, words
from recloop.behavior.time_forms import PROBED, form_of
from recloop.behavior.times import parse_times
from recloop.config.source_spec import UNIX

if TYPE_CHECKING:
    import pandas


ACTIONS = (
    "view click cart basket buy bought purchas order checkout like dislike play skip watch listen rate "
    "rating fav wish share collect save pv impression return refund cancel remove loan borrow download "
    "subscri"
)
"""How words begin that say what somebody did."""
LONG = 64
"""Characters that a usual id has at most."""
FILLED = 0.3
"""Of the lines, that an id has to have."""


def is_time(column: pandas.Series) -> bool:
    """Whether it holds times that are no mere numbers, which ids could be."""
    return form_of(column) not in (None, *UNIX)


def could_be_id(column: pandas.Series, named: bool) -> bool:
    """Values that come again, and are not long texts; and no fractions, unless it is `named` so."""
    given = column[column != ""]
    if len(given) < FILLED * len(column) or not 1 < given.nunique() < 0.95 * len(given):
        return False
    probe = given.head(PROBED)
    fractions = probe.str.fullmatch(r"-?\d+[.,]\d*[1-9]\d*").mean() > 0.2
    return (named or not fractions) and not is_long(column)


def is_long(column: pandas.Series) -> bool:
    """Whether its texts are too long for ids."""
    return bool(column[column != ""].head(PROBED).str.len().median() > LONG)


def is_nested(column: pandas.Series) -> bool:
    """Whether it holds lists or objects of JSON."""
    return bool(column[column != ""].head(PROBED).str.match(r"[\[{]").mean() > 0.5)


def follows(frame: pandas.DataFrame, owner: str, name: str) -> bool:
    """Whether nearly each owner has one value only: the title of an item, the country of a user."""
    pairs = frame[[owner, name]].drop_duplicates()
    return len(pairs) <= 1.05 * max(1, pairs[owner].nunique())


def finest(frame: pandas.DataFrame, names: list[str]) -> str:
    """The first, or one of more values that it follows from: the track, where the artist comes first."""
    best = names[0]
    for name in names[1:]:
        if frame[name].nunique() > frame[best].nunique() and follows(frame, name, best):
            best = name
    return best


def is_of_one_moment(column: pandas.Series, times: pandas.Series, form: str) -> bool:
    """Whether nearly all values that come again do so within an hour: the number of an order, or of a
    visit, and neither of a user nor of an item."""
    import pandas as pd

    probe = column[column != ""].head(PROBED)
    try:
        moments = parse_times(list(times[probe.index]), form, "UTC")
    except (ValueError, OverflowError):
        return False
    each = pd.Series(moments).groupby(probe.to_numpy())
    spans = (each.max() - each.min())[each.count() > 1]
    return len(spans) > 0 and bool((spans < timedelta(hours=1)).mean() > 0.95)


def belongs_to(frame: pandas.DataFrame, name: str, owner: str, role: str) -> bool:
    """Whether nearly every owner has one value, and the column's name says what it is."""
    if not (says(name, role) or ends(name, role)):
        return False
    pairs = frame[[owner, name]][frame[name] != ""].drop_duplicates()
    owners = pairs[owner].nunique()
    return bool(owners) and len(pairs) <= 1.5 * owners


def acts(column: pandas.Series) -> list[str]:
    """The values that say what somebody did, if most of a column's do."""
    values = [value for value in column.unique() if value]
    begun = tuple(ACTIONS.split())
    found = [v for v in values if any(word.startswith(begun) for word in words(v))]
    return found if len(found) > max(1.0, len(values) / 2) else []

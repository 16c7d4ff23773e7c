"""Which column of a file is what: told by names and by what is in it, with how sure that is.

Belongs here: rules of thumb. Keep out: reading (`sampling.py`), what a dataset file says of it
(`new_dataset.py`).
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING, Literal

from recloop.behavior.numbers import PLAINLY, Written, written_as
from recloop.behavior.time_forms import PARSED, PROBED, form_of, forms_of, is_time_of_day
from recloop.behavior.times import parse_times
from recloop.errors import BadInput

if TYPE_CHECKING:
    import pandas

Sure = Literal["sure", "likely", "a guess"]
NAMES = {
    "user": "user customer client visitor member account buyer shopper reviewer subscriber cookie uid",
    "item": "item product sku article movie film track song artist book asin isbn stock listing news "
    "video restaurant place recipe offer good",
    "session": "session visit basket cart_id",
    "time": "time timestamp date datetime ts day when created at",
    "kind": "event type action behavior behaviour kind verb activity",
    "value": "rating score stars quantity qty count plays listens watch duration grade",
    "price": "price unitprice unit_price cost",
    "text": "title name description desc product_name item_name headline category genre brand tags",
    "person": "country city region gender age segment state occupation",
}
STEMS = {
    "user": "kunde nutzer benutzer besucher leser utilisateur visiteur acheteur usuario utente klant",
    "item": "artikel produkt produit producto prodotto articulo articolo",
    "time": "datum zeit zeitpunkt fecha",
    "value": "menge anzahl quantit cantidad aantal bewertung",
    "price": "preis einzelpreis prix precio prezzo prijs",
    "text": "bezeichnung titel beschreibung libell descripcion descrizione omschrijving",
}
"""How such words begin in some other languages, which write compounds: Kundennummer."""
ACTIONS = (
    *(
        "view",
        "click",
        "cart",
        "basket",
        "buy",
        "bought",
        "purchas",
        "order",
        "checkout",
        "like",
        "dislike",
    ),
    *(
        "play",
        "skip",
        "watch",
        "listen",
        "rate",
        "rating",
        "fav",
        "wish",
        "share",
        "collect",
        "save",
        "pv",
    ),
    *(
        "impression",
        "return",
        "refund",
        "cancel",
        "remove",
        "loan",
        "borrow",
        "download",
        "subscri",
    ),
)
"""How words begin that say what somebody did."""


@dataclass(frozen=True)
class Guess:
    """A column and how sure its role is; `why` says what speaks for it."""

    column: str
    sure: Sure
    why: str


@dataclass
class Roles:
    """What the columns are. `form` is of the times (with the time of day behind a blank, where that has
    a column of its own), `numbers` of value and price; `kinds` counts the values of the kind column."""

    time: Guess
    form: str
    user: Guess
    item: Guess
    session: Guess | None = None
    kind: Guess | None = None
    value: Guess | None = None
    price: Guess | None = None
    time_of_day: Guess | None = None
    numbers: Written = PLAINLY
    texts: list[str] = field(default_factory=list)
    people: list[str] = field(default_factory=list)
    kinds: dict[str, int] = field(default_factory=dict)

    def times(self, frame: pandas.DataFrame) -> pandas.Series:
        """The texts of the times."""
        return _joined(frame, self.time, self.time_of_day)


FEW = 30
"""Values that a column of kinds of events has at most."""


def roles_of(frame: pandas.DataFrame) -> Roles:
    """Guess the roles.

    Raises:
        BadInput: there are no times, or fewer than two columns that could name users and items.
    """
    time, form = _time(frame)
    time_of_day, form = _time_of_day(frame, time, form)
    times = _joined(frame, time, time_of_day)
    left = [
        n
        for n in frame.columns
        if n != time.column and (not time_of_day or n != time_of_day.column)
    ]
    kind = _kind(frame, left)
    left = [name for name in left if kind is None or name != kind.column]
    price = _number(frame, left, "price")
    left = [name for name in left if price is None or name != price.column]
    value = _number(frame, left, "value")
    left = [name for name in left if value is None or name != value.column]
    numbers = written_as([frame[one.column] for one in (price, value) if one], PARSED)
    if (
        numbers is None
    ):  # the two are written in different ways: the price is known by its name alone
        value, numbers = None, written_as([frame[price.column]], PARSED) if price else None
    session = _named(frame, left, "session")
    ids = [name for name in left if _could_be_id(frame[name])]
    orders = [name for name in ids if _is_of_one_moment(frame[name], times, form)]
    item, user = _named(frame, ids, "item"), _named(frame, ids, "user")
    if user is None and session is not None:
        user = Guess(session.column, "likely", "sessions, for want of users")
    taken = [one.column for one in (item, user, session) if one]
    rest = [name for name in ids if name not in taken]
    rest = [name for name in rest if name not in orders] + [name for name in rest if name in orders]
    if user is None and rest:
        user = Guess(rest.pop(0), "a guess", "the first column whose values come again")
    if item is None and rest:
        item = Guess(rest.pop(0), "a guess", "the next column whose values come again")
    if user is None or item is None or user.column == item.column:
        raise BadInput(
            f"no two of the columns {', '.join(map(repr, frame.columns))} could name users and items: "
            "values that come again. Write the dataset file by hand; docs/howto/your_data.md says how."
        )
    roles = Roles(
        time, form, user, item, session, kind, value, price, time_of_day, numbers or PLAINLY
    )
    if kind:
        roles.kinds = {str(k): int(n) for k, n in frame[kind.column].value_counts().items() if k}
    others = [one for one in left if one not in (user.column, item.column)]
    roles.texts = [one for one in others if _belongs_to(frame, one, item.column, "text")]
    roles.people = [
        one
        for one in others
        if one not in roles.texts and _belongs_to(frame, one, user.column, "person")
    ]
    return roles


def words(name: str) -> set[str]:
    """`unitPrice:float` as {"unit", "price", "unitprice"}."""
    plain = re.sub(r":.*$", "", name)
    parts = re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+", plain)
    return {part.lower() for part in parts} | {plain.lower(), plain.lower().replace("_", "")}


def _says(name: str, role: str) -> bool:
    known, stems = NAMES[role].split(), tuple(STEMS.get(role, "").split())
    return any(
        word.removesuffix("s") in known
        or word.removesuffix("id") in known
        or (bool(stems) and word.startswith(stems))
        for word in words(name)
    )


def _time(frame: pandas.DataFrame) -> tuple[Guess, str]:
    """Of columns that hold times, those that are called so first, numbers last: ids look alike."""
    found = []
    for name in frame.columns:
        form = form_of(frame[name])
        if form is not None:
            named, text = _says(name, "time"), not form.startswith("unix")
            found.append((named, text, frame[name].nunique(), name, form))
    if not found:
        first = ", ".join(f"{name} = {frame[name].iloc[0]!r}" for name in frame.columns)
        raise BadInput(
            "each event needs the time at which it happened, and no column holds times that could be "
            f"read. Received in the first line: {first}. If one of them is a time, write the dataset "
            "file by hand, with event.timestamp_format in strptime's codes; if none is, export one with "
            "the events."
        )
    named, text, _, name, form = max(found)
    sure: Sure = "sure" if named else "likely" if text else "a guess"
    others = forms_of(frame[name])[1:]
    why = f"times of the form {form}"
    if others:
        sure, why = "a guess", f"{why}; {' and '.join(others)} would fit, too"
    return Guess(name, sure, why), form


def _time_of_day(frame: pandas.DataFrame, time: Guess, form: str) -> tuple[Guess | None, str]:
    """The column that says when in the day, where the times are days alone; and the form of both."""
    for name in frame.columns:
        if name != time.column and is_time_of_day(frame[name]):
            guess = Guess(name, "likely", f"times of day, and {time.column} has none")
            both = form_of(_joined(frame, time, guess))
            if both and not frame[time.column].str.contains(":").any():
                return guess, both
    return None, form


def _joined(frame: pandas.DataFrame, time: Guess, time_of_day: Guess | None) -> pandas.Series:
    days: pandas.Series = frame[time.column]
    return days + " " + frame[time_of_day.column] if time_of_day else days


def _kind(frame: pandas.DataFrame, names: Iterable[str]) -> Guess | None:
    """The column of few values that is called so; or else one most of whose values are actions."""
    few = [name for name in names if 2 <= frame[name][frame[name] != ""].nunique() <= FEW]
    for name in few:
        if _says(name, "kind"):
            return Guess(name, "likely", "few values, and its name")
    for name in few:
        values = [value for value in frame[name].unique() if value]
        acts = [v for v in values if any(word.startswith(ACTIONS) for word in words(v))]
        if len(acts) > max(1.0, len(values) / 2):
            shown = ", ".join(map(str, acts[:3]))
            return Guess(name, "a guess", f"few values, most of them actions: {shown}")
    return None


def _number(frame: pandas.DataFrame, names: Iterable[str], role: str) -> Guess | None:
    for name in names:
        if _says(name, role) and not _says(name, "item") and not _says(name, "user"):
            written = written_as([frame[name]], PARSED)
            if written:
                usual = written == PLAINLY
                why = "numbers, and its name" + ("" if usual else f"; written as {written}")
                return Guess(name, "likely", why)
    return None


def _named(frame: pandas.DataFrame, names: Iterable[str], role: str) -> Guess | None:
    """The column whose name says the role; of several, the one with the most values that come again."""
    said = [name for name in names if _says(name, role)]
    said = [
        n for n in said if frame[n].nunique() > 1 and not (role == "item" and _says(n, "text"))
    ] or said
    if not said:
        return None
    exact = [name for name in said if "id" in words(name) or name.lower().endswith("id")]
    best = max(exact or said, key=lambda name: frame[name].nunique())
    return Guess(best, "sure" if len(said) == 1 else "likely", "its name")


def _could_be_id(column: pandas.Series) -> bool:
    """Values that come again, and are neither fractions nor long texts."""
    given = column[column != ""]
    if len(given) < 0.3 * len(column) or not 1 < given.nunique() < 0.95 * len(given):
        return False
    probe = given.head(PROBED)
    fractions = probe.str.fullmatch(r"-?\d+[.,]\d*[1-9]\d*").mean() > 0.2
    return not fractions and probe.str.len().median() <= 64


def _is_of_one_moment(column: pandas.Series, times: pandas.Series, form: str) -> bool:
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


def _belongs_to(frame: pandas.DataFrame, name: str, owner: str, role: str) -> bool:
    """Whether nearly every owner has one value, and the column's name says what it is."""
    if not _says(name, role):
        return False
    pairs = frame[[owner, name]][frame[name] != ""].drop_duplicates()
    owners = pairs[owner].nunique()
    return bool(owners) and len(pairs) <= 1.5 * owners

"""Which column of a file is what: told by names and by what is in it, with how sure that is.

Belongs here: rules of thumb. Keep out: reading (`sampling.py`), what a dataset file says of it
(`new_dataset.py`).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from recloop.behavior.column_contents import (
    FILLED,
    acts,
    belongs_to,
    could_be_id,
    finest,
    follows,
    is_long,
    is_nested,
    is_of_one_moment,
    is_time,
)
from recloop.behavior.column_names import ends, says, words
from recloop.behavior.numbers import PLAINLY, Written, median_of_few, written_as
from recloop.behavior.time_forms import (
    EARLIEST,
    PARSED,
    PROBED,
    are_days_of_excel,
    form_of,
    forms_of,
    is_time_of_day,
)
from recloop.behavior.times import parse_times
from recloop.config.source_spec import UNIX
from recloop.errors import BadInput

if TYPE_CHECKING:
    import pandas

Sure = Literal["sure", "likely", "a guess"]


@dataclass(frozen=True)
class Guess:
    """A column and how sure its role is; `why` says what speaks for it."""

    column: str
    sure: Sure
    why: str


@dataclass
class Roles:
    """What the columns are. `form` is of the times (with the time of day behind a blank, where that has
    a column of its own), `numbers` of value and price; `liked` is what half of the ratings reach, where
    the value is one; `kinds` counts the values of the kind column."""

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
    liked: float | None = None
    name: Guess | None = None
    texts: list[str] = field(default_factory=list)
    people: list[str] = field(default_factory=list)
    kinds: dict[str, int] = field(default_factory=dict)

    def times(self, frame: pandas.DataFrame) -> pandas.Series:
        """The texts of the times."""
        return _joined(frame, self.time, self.time_of_day)


RATINGS = 21
"""Values that ratings have at most: 0 to 10 by halves."""
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
    if numbers is None:
        # The two are written in different ways: the price is known by its name alone.
        value, numbers = None, written_as([frame[price.column]], PARSED) if price else None
    session = _named(frame, left, "session")
    flat = [name for name in left if not is_nested(frame[name])]
    ids = [name for name in flat if could_be_id(frame[name], _is_named(name))]
    orders = [name for name in ids if is_of_one_moment(frame[name], times, form)]
    item = _named(frame, ids, "item") or _named_alone(frame, flat, "item")
    user = _named(frame, ids, "user")
    if user is None and session is not None:
        user = Guess(session.column, "likely", "sessions, for want of users")
    user = user or _named_alone(frame, flat, "user")
    taken = [one.column for one in (item, user, session) if one]
    rest = [name for name in ids if name not in taken]
    rest = [name for name in rest if not is_time(frame[name])]
    rest = [name for name in rest if name not in orders] + [name for name in rest if name in orders]
    if user is None:
        rest = [name for name in rest if item is None or not follows(frame, item.column, name)]
        if rest:
            user = Guess(rest.pop(0), "a guess", "the first column whose values come again")
    if item is None and user is not None:
        rest = [name for name in rest if not follows(frame, user.column, name)]
        if rest:
            item = Guess(finest(frame, rest), "a guess", "the next column whose values come again")
    if item is None and kind is not None and not acts(frame[kind.column]):
        item, kind = Guess(kind.column, "a guess", "nothing else could name items"), None
    if user is None or item is None or user.column == item.column:
        nested = [name for name in left if name not in flat]
        hint = "Write the dataset file by hand; docs/howto/your_data.md says how."
        if nested:
            hint = (
                f"There are lists or objects in {', '.join(map(repr, nested))}: write one event a line, "
                "user and item each in a field of its own (`jq` or the database's `unnest` do that)."
            )
        for name in [name for name in flat if _is_named(name)]:
            empty = float((frame[name] == "").mean())
            if empty > 1 - FILLED:
                hint = f"Column {name!r} is empty in {empty:.0%} of the lines: fill it. {hint}"
        raise BadInput(
            f"no two of the columns {', '.join(map(repr, frame.columns))} could name users and items: "
            f"values that come again. {hint}"
        )
    roles = Roles(
        time, form, user, item, session, kind, value, price, time_of_day, numbers or PLAINLY
    )
    if value and says(value.column, "rating"):
        roles.liked = median_of_few(frame[value.column], roles.numbers, RATINGS)
    if kind:
        roles.kinds = {str(k): int(n) for k, n in frame[kind.column].value_counts().items() if k}
    others = [one for one in left if one not in (user.column, item.column)]
    roles.texts = [one for one in others if belongs_to(frame, one, item.column, "text")]
    roles.name = _name_of_items(frame, item.column, roles.texts)
    roles.people = [
        one
        for one in others
        if one not in roles.texts and belongs_to(frame, one, user.column, "person")
    ]
    return roles


def _is_named(name: str) -> bool:
    return says(name, "user") or says(name, "item")


def _time(frame: pandas.DataFrame) -> tuple[Guess, str]:
    """Of columns that hold times, those that are called so first; of those the one that says it most
    closely, of others numbers last: ids look alike."""
    found = []
    for name in frame.columns:
        form = form_of(frame[name])
        if form is not None:
            named, text = says(name, "time"), form not in UNIX
            closely = frame[name].nunique()
            order = (closely, text) if named else (text, closely)
            found.append((named, *order, name, form))
    if not found:
        _refuse_far_times(frame)
        first = ", ".join(f"{name} = {frame[name].iloc[0]!r}" for name in frame.columns)
        raise BadInput(
            "each event needs the time at which it happened, and no column holds times that could be "
            f"read. Received in the first line: {first}. If one of them is a time, write the dataset "
            "file by hand, with event.timestamp_format in strptime's codes; if none is, export one with "
            "the events."
        )
    named, *_, name, form = max(found)
    text = form not in UNIX
    sure: Sure = "sure" if named else "likely" if text else "a guess"
    others = forms_of(frame[name])[1:]
    why = f"times of the form {form}"
    if others:
        sure, why = "a guess", f"{why}; {' and '.join(others)} would fit, too"
    return Guess(name, sure, why), form


def _refuse_far_times(frame: pandas.DataFrame) -> None:
    """Say of columns that hold times, but none that could be, which they are."""
    for name in frame.columns:
        if says(name, "time") and are_days_of_excel(frame[name]):
            raise BadInput(
                f"the times of column {name!r} ({frame[name].iloc[0]}) look like numbers of days, as "
                "Excel keeps them. Give the column a format of dates, and save the file again."
            )
        for form in forms_of(frame[name], any_time=True):
            if form not in UNIX:
                moments = parse_times(list(frame[name]), form, "UTC").dropna()
                raise BadInput(
                    f"events are taken from {EARLIEST:%Y} to today, and times of column {name!r} lie "
                    f"between {moments.min():%Y-%m-%d} and {moments.max():%Y-%m-%d} (read as {form}). "
                    "Correct them, or the clock of this machine."
                )


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
        if says(name, "kind"):
            return Guess(name, "likely", "few values, and its name")
    for name in few:
        if found := acts(frame[name]):
            shown = ", ".join(map(str, found[:3]))
            return Guess(name, "a guess", f"few values, most of them actions: {shown}")
    return None


def _number(frame: pandas.DataFrame, names: Iterable[str], role: str) -> Guess | None:
    for name in names:
        others = says(name, "item") or says(name, "user")
        if ends(name, role) or (says(name, role) and not others):
            written = written_as([frame[name]], PARSED)
            if written:
                usual = written == PLAINLY
                why = "numbers, and its name" + ("" if usual else f"; written as {written}")
                return Guess(name, "likely", why)
    return None


def _named(frame: pandas.DataFrame, names: Iterable[str], role: str) -> Guess | None:
    """The column whose name says the role; of several, the one with the most values that come again."""
    said = [name for name in names if says(name, role)]
    said = [
        n for n in said if frame[n].nunique() > 1 and not (role == "item" and says(n, "text"))
    ] or said
    if not said:
        return None
    exact = [name for name in said if "id" in words(name) or name.lower().endswith("id")]
    best = max(exact or said, key=lambda name: frame[name].nunique())
    return Guess(best, "sure" if len(said) == 1 else "likely", "its name")


def _named_alone(frame: pandas.DataFrame, names: Iterable[str], role: str) -> Guess | None:
    """The column that is called so, and whose values hardly come again, or are all the same."""
    said = [n for n in names if says(n, role) and (frame[n] != "").mean() >= FILLED]
    said = [n for n in said if not is_long(frame[n]) and not is_time(frame[n])]
    return Guess(said[0], "likely", "its name; hardly any value comes again") if said else None


def _name_of_items(frame: pandas.DataFrame, item: str, texts: list[str]) -> Guess | None:
    """Of the words of items what people call them by: those that tell most items apart, the shortest."""
    items = frame[item].nunique()
    telling = [one for one in texts if frame[one].nunique() > items / 2]
    if not telling:
        return None
    best = min(telling, key=lambda one: frame[one].head(PROBED).str.len().median())
    return Guess(best, "likely", "its name, and most items have one of their own")

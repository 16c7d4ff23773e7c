"""A dataset file for a file of behavior that nobody has described: what is guessed, and how surely."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from recloop.behavior.numbers import PLAIN, PLAINLY, Written, written_as
from recloop.behavior.roles import FEW, Guess, Roles, roles_of
from recloop.behavior.sampling import Sample, take
from recloop.behavior.time_forms import PARSED
from recloop.behavior.times import parse_times
from recloop.calendar import Length, WindowCalendar

if TYPE_CHECKING:
    import pandas

NEGATIVE = "cancel return refund remove delete dislike unlike uncart"
NEUTRAL = "skip impression shown"
BOUGHT = "purchase buy bought order sale sold paid transaction checkout"
"""Words in the names of kinds of events: what takes back, what says nothing, what a shop lives on."""
ENOUGH = 100
"""Purchases, before a recommender is judged by them alone."""
KIND = "event"
"""What events are called that say nothing of their kind."""
USERS_A_DAY = 300
"""Users of a usual day from which windows are days: the gate has to compare some in each."""
SHORT = 35
"""Days of a file that would be too few weeks."""
HISTORY = timedelta(days=60)
"""A file whose newest line is older is history: nothing more comes."""


@dataclass(frozen=True)
class NewDataset:
    """The dataset file's text, and what was guessed: (what, value, how sure, why)."""

    name: str
    text: str
    guesses: list[tuple[str, str, str, str]]


def describe(path: Path, now: datetime | None = None) -> NewDataset:
    """Look at a file and write a dataset file for it.

    Raises:
        SourceRefused: it cannot be read as a table.
        BadInput: it has no times, or no users and items.
    """
    sample = take(path)
    roles = roles_of(sample.frame)
    moments = parse_times(list(roles.times(sample.frame)), roles.form, "UTC").dropna()
    length = _length(moments, sample.frame[roles.user.column][moments.index])
    name = named(path)
    live = moments.max() > (now or datetime.now(UTC)) - HISTORY or not sample.whole
    guesses = [
        ("format", sample.format, "sure", "what the file begins with"),
        ("encoding", sample.encoding, "likely", "all of it can be read so"),
        *_told("user", roles.user),
        *_told("item", roles.item),
        *_told("time", roles.time),
        *_told("time of day", roles.time_of_day),
        *_told("session", roles.session),
        *_told("kind of event", roles.kind),
        *_told("value", roles.value),
        *_told("price", roles.price),
        *_liked(roles),
        *_told("name of the item", roles.name),
        *[
            ("words of the item", text, "likely", "its name, and one an item")
            for text in roles.texts
        ],
        *[("of the user", one, "likely", "its name, and one a user") for one in roles.people],
        ("window", length, "likely", f"{len(moments):,} lines in {_days(moments):,} days"),
        ("time zone", "UTC", "a guess", "the file does not say; set event.timezone to the shop's"),
        *_unused(sample.frame, roles),
    ]
    if sample.format == "csv":
        guesses.insert(
            1, ("delimiter", repr(sample.delimiter), "sure", "it splits all lines alike")
        )
    text = _text(name, sample, roles, moments, length, live)
    return NewDataset(name, text, guesses)


def named(path: Path) -> str:
    """What a file's dataset is called."""
    return re.sub(r"\W+", "_", path.name.split(".")[0].lower()).strip("_") or "shop"


def _told(what: str, guess: Guess | None) -> list[tuple[str, str, str, str]]:
    return [(what, guess.column, guess.sure, guess.why)] if guess else []


def _liked(roles: Roles) -> list[tuple[str, str, str, str]]:
    if roles.liked is None:
        return []
    why = (
        f"what is rated low was chosen, too; event.learn_from.minimum_value = {roles.liked:g} learns "
        "the better half alone, and [model] family = 'ratings' the ratings themselves"
    )
    return [("learnt from", "all that was rated", "a guess", why)]


def _unused(frame: pandas.DataFrame, roles: Roles) -> list[tuple[str, str, str, str]]:
    """The columns that no role was found for, what they hold, and where they would be named."""
    import pandas as pd

    found = (
        roles.time,
        roles.time_of_day,
        roles.user,
        roles.item,
        roles.session,
        roles.kind,
        roles.value,
        roles.price,
    )
    used = {*(one.column for one in found if one), *roles.texts, *roles.people}
    told = []
    for name in [column for column in frame.columns if column not in used]:
        counts = frame[name][frame[name] != ""].value_counts()
        shown = ", ".join(str(value)[:20] for value in counts.index[:3]) or "nothing"
        hint = ""
        written = written_as([pd.Series(counts.index, dtype=object)], PARSED)
        if written:
            hint = "; if it is an amount or a price, name it as event.value or event.price"
            if written not in (PLAINLY, roles.numbers):
                hint += f" ({', '.join(_written(written, 'source.'))})"
        elif 2 <= len(counts) <= FEW:
            hint = "; if it says what happened, name it as event.type_column"
        told.append(("not used", str(name), "–", f"{len(counts):,} values, as {shown}{hint}"))
    return told


def _days(moments: pandas.Series) -> int:
    return int((moments.max() - moments.min()).days) + 1


def _length(moments: pandas.Series, users: pandas.Series) -> Length:
    daily = users.groupby(moments.dt.floor("D")).nunique()
    many = float(daily.median()) >= USERS_A_DAY
    return "day" if many or _days(moments) < SHORT else "week"


def _text(
    name: str,
    sample: Sample,
    roles: Roles,
    moments: pandas.Series,
    length: Length,
    live: bool,
) -> str:
    lines = [
        f"# Guessed by `recloop new-dataset` from {len(sample.frame):,} lines: look through it.",
        f"name = {_q(name)}",
        "",
        "[source]",
        'kind = "file"',
        f"format = {_q(sample.format)}",
    ]
    if sample.format == "csv" or sample.encoding != "utf-8":
        lines += [f"encoding = {_q(sample.encoding)}"]
    if sample.format == "csv":
        lines += [f"delimiter = {_q(sample.delimiter)}"]
        lines += [] if sample.header else ["header = false"]
    lines += _written(roles.numbers)
    start = WindowCalendar(length).at(moments.min().to_pydatetime()).start
    lines += [
        "",
        "[window]",
        f"length = {_q(length)}",
        "",
        "[period]",
        f"start = {start:%Y-%m-%dT%H:%M:%SZ}",
    ]
    if not live:
        end = moments.max() + timedelta(seconds=1)
        lines.append(
            f"end = {end:%Y-%m-%dT%H:%M:%SZ}  # nothing newer comes; without it the data are live"
        )
    lines += ["", "[columns]", *_columns(sample, roles), "", *_event(roles)]
    if roles.texts:
        lines += [
            "",
            "[item_attributes]",
            *([f"name = {_q(roles.name.column)}"] if roles.name else []),
        ]
        lines += [f"text = {json.dumps(roles.texts, ensure_ascii=False)}"]
    if roles.people:
        people = json.dumps(roles.people, ensure_ascii=False)
        lines += ["", "[user_attributes]", f"columns = {people}"]
    if roles.session and roles.user.column == roles.session.column:
        lines += [
            "",
            "[model]",
            'family = "sessions"',
            'session_gap = "7d"  # every user is one session',
        ]
    return "\n".join(lines) + "\n"


def _written(numbers: Written, section: str = "") -> list[str]:
    lines = [f"{section}numbers = {_q(numbers.form)}"] if numbers.form != PLAIN else []
    return lines + ([f"{section}unit = {_q(numbers.unit)}"] if numbers.unit else [])


def _columns(sample: Sample, roles: Roles) -> list[str]:
    kinds = {roles.time.column: "time"}
    kinds |= {one.column: "number" for one in (roles.value, roles.price) if one}
    return [f"{_q(name)} = {_q(kinds.get(name, 'text'))}" for name in sample.frame.columns]


def _event(roles: Roles) -> list[str]:
    lines = [
        "[event]",
        f"user_id = {_q(roles.user.column)}",
        f"item_id = {_q(roles.item.column)}",
        f"timestamp = {_q(roles.time.column)}",
        f"timestamp_format = {_q(roles.form)}",
        'timezone = "UTC"  # the shop\'s, of times without an offset and of its days',
    ]
    if roles.time_of_day:
        lines.append(f"time_of_day = {_q(roles.time_of_day.column)}")
    lines += [f"value = {_q(roles.value.column)}"] if roles.value else []
    lines += [f"price = {_q(roles.price.column)}"] if roles.price else []
    if roles.liked is not None and not roles.kind:
        lines += ["# [event.learn_from]", f'# types = ["{KIND}"]']
        lines += [
            f"# minimum_value = {roles.liked:g}  # learns what is rated so high or higher alone"
        ]
    if roles.kind:
        lines += [
            f"type_column = {_q(roles.kind.column)}",
            "",
            *_kinds(roles.kinds, roles.kind.sure != "a guess"),
        ]
    return lines


def _kinds(counts: dict[str, int], named: bool = True) -> list[str]:
    """What is learnt from and judged by, of kinds of events and how many there are of each. Of a column
    that is not `named` so, weights and a goal are proposed as comments."""

    def saying(words: str) -> list[str]:
        return [kind for kind in counts if any(word in kind.lower() for word in words.split())]

    refused = saying(NEGATIVE)
    left_out = {*refused, *saying(NEUTRAL)}
    learnt = [kind for kind in counts if kind not in left_out] or list(counts)
    bought = [kind for kind in saying(BOUGHT) if kind in learnt]
    told = ", ".join(f"{kind} {count:,}" for kind, count in counts.items())
    lines = [f"[event.learn_from]  # in the file: {told}"]
    many = sum(counts[kind] for kind in bought)
    some = many >= ENOUGH and len(bought) < len(learnt)
    if not (some and named):
        lines += [f"types = {json.dumps(learnt, ensure_ascii=False)}"]
    if some:
        weights = {
            k: 1.0 if k in bought else min(1.0, max(0.001, many / counts[k])) for k in learnt
        }
        pairs = ", ".join(f"{_q(kind)} = {weight:.2g}" for kind, weight in weights.items())
        lines += [
            "# a guess: all events of a kind together count as much as the purchases do",
            f"{'' if named else '# in place of types: '}weights = {{ {pairs} }}",
        ]
    if refused and learnt != list(counts):
        lines += [f"negatives = {json.dumps(refused, ensure_ascii=False)}"]
    if some:
        goal = json.dumps(bought, ensure_ascii=False)
        judged = ["[event.goal]  # what the recommender is judged by", f"types = {goal}"]
        lines += ["", *(judged if named else [f"# {line}" for line in judged])]
    return lines


def _q(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)

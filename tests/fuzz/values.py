"""Texts for single fields, and what must become of a line that has one.

Belongs here: what people and programs write where an id, a time or a number ought to be. What must
happen is known from how a text was made, never by reading it again.
"""

from __future__ import annotations

import random
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from typing import Literal

from tests.fuzz.world import MONDAY

Verdict = Literal["must", "must not", "may"]
"""Whether a line with it is accepted."""


@dataclass(frozen=True)
class Text:
    """A field's text.

    Attributes:
        becomes: what has to be stored if the line is accepted (an id, a number, a UTC time); None: not
            known.
    """

    text: str
    verdict: Verdict
    becomes: str | float | datetime | None = None


SPACES = (" ", "  ", "\t", "\u00a0", "\u3000", "\u2009", "\u200b", "\ufeff", "\u200e", "\u2060")


def listed(text: str) -> tuple[str, ...]:
    """Texts without white space, from one with it between them."""
    return tuple(text.split())


NOBODY = listed("nan NaN NAN null NULL Null None none N/A n/a undefined <NA> NaT")
LETTERS = listed(
    "abcdefghijklmnopqrstuvwxyz ABCXYZ éèüñçøå αβγδ жзий 漢字仮名 קרא سلام 😀🎉 0123456789 "
    "_-./:@#+= <>&;%$!?*'`|~^(){}[]\\"
)
TRICKS = (
    "<script>alert(1)</script>", "<img src=x onerror=alert(1)>", "'; drop table behavior.event; --",
    "{{ 7 * 7 }}", "=cmd|' /C calc'!A0", 'u"v', '{"a": 1}',
    *listed("../../etc/passwd %s%s%n ${jndi:ldap://x} $(reboot) true 0x1F 1e5x u,v O'Neill a;b 007"),
    *listed("-5 +49 C:\\new \\x41 {a,b} [] NULLA nano Nonesuch"),
)  # fmt: skip
NO_TIMES = (
    "", " ", "03/01/2024 10:00", "Jan 3 2024", "2024-01-03T10:00:00 Europe/London", "not a time",
    *listed("nan NaT null inf -inf infinity now today yesterday tomorrow epoch noon T10:00 -- 10:00"),
    *listed("2024-02-30 2024-13-01 2024-00-10 2024-01-32 2024-01-03T25:00:00 2024-01-03T10:61"),
    *listed("1704276000 1704276000000 1e9 0 -1 99999999999999999999 2024-01-03T10:00:00+99:00"),
)  # fmt: skip
PERHAPS_TIMES = listed("20240103 2024-W01-3 2024-003 2024 2024-01 2024-01-03T ２０２４-01-03")
FAR_YEARS = (
    1, 2, 999, 1000, 1582, 1677, 1678, 1899, 1900, 1969, 1970, 2023, 2025, 2038, 2199, 2200, 2261,
    2262, 9998, 9999,
)  # fmt: skip
ODD_ENDS = (
    "T10:00:00\u00a0", "T10:00:00." + "1" * 40, " 10:00:00 UTC", "  10:00",
    *listed("T24:00:00 T10:00:60 t10:00:00z T10 T10:00:00,5 T10:00:00.123456789Z T100000 T1:2:3 Z"),
    *listed("T10:00:00+0530 T10:00:00-00:00 T10:00:00.Z T10:00:00+05 T10:00:00+23:59"),
)  # fmt: skip
NO_NUMBERS = (
    "5 €", "1 000",
    *listed("nan NaN inf -inf Infinity 1e400 -1e309 1_000 1,000 1.234,56 ٣ 0x10 1e e5 --1 1- £5 1/2"),
    *listed("1+1 abc True None 1e308 -1e308 1e306 1e200 1.7e155 1e19 1e38 3.5e38 -1e25 ² ½ 一 0b1"),
    *listed("1d5 1.2.3 ∞ #DIV/0!"),
)  # fmt: skip
ODD_NUMBERS = (
    "", " ", "9" * 400, "0." + "0" * 400 + "1", "3." + "0" * 400,
    *listed("0 -0 0.0 -1 1e-300 5e-324 1e-40 1e15 999999999 .5 5. 1E2 00012 1e-5 -3 30000"),
)  # fmt: skip


def word(dice: random.Random, longest: int = 24) -> str:
    """Letters of some script, neither a placeholder nor a number."""
    letters = dice.choice(LETTERS)
    return "u" + "".join(dice.choice(letters) for _ in range(dice.randint(1, longest)))


def an_id(dice: random.Random) -> Text:
    """An id of a user or an item."""
    made = dice.choice(IDS)(dice)
    if dice.random() < 0.25 and made.text:
        around = [dice.choice(SPACES) for _ in range(dice.randint(1, 3))]
        side = dice.randrange(3)
        text = "".join(around) * (side != 1) + made.text + "".join(around) * (side != 0)
        return Text(text, made.verdict, made.becomes)
    return made


def _same(text: str, verdict: Verdict = "must") -> Text:
    return Text(text, verdict, unicodedata.normalize("NFC", text))


def _whole_number(dice: random.Random) -> Text:
    number = dice.choice(
        (dice.randrange(10**5), dice.randrange(2**53), 2**53 - 1 - dice.randrange(9))
    )
    if dice.random() < 0.5:
        return _same(str(number))
    return Text(f"{number}.{'0' * dice.randint(1, 4)}", "must", str(number))


def _large_number(dice: random.Random) -> Text:
    return _same(str(dice.choice((2**53 + 1, 2**63 - 1, 2**64, 10**18)) + dice.randrange(1000)))


def _rounded(dice: random.Random) -> Text:
    return _same(
        dice.choice(("1.7e+18", "1E+15", "9007199254740993.0", "1e5", "-1.5", "1.50")), "may"
    )


def _decomposed(dice: random.Random) -> Text:
    text = unicodedata.normalize("NFD", "u" + "".join(dice.choice("éèüñçå") for _ in range(4)))
    return Text(text, "must", unicodedata.normalize("NFC", text))


def _nobody(dice: random.Random) -> Text:
    text = dice.choice(NOBODY)
    return Text(dice.choice((text, text.upper(), text.lower(), text.title())), "must not")


def _nothing(dice: random.Random) -> Text:
    return Text("".join(dice.choice(SPACES) for _ in range(dice.randrange(4))), "must not")


def _long(dice: random.Random) -> Text:
    size = dice.choice((100, 255, 300, 700, 2000, 2600, 2800, 5000, 60_000))
    verdict: Verdict = "must" if size <= 255 else "must not" if size > 2704 else "may"
    letters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
    return _same("".join(dice.choice(letters) for _ in range(size)), verdict)


def _controls(dice: random.Random) -> Text:
    inside = dice.choice(
        ("\x1b[2J", "\x1b]0;x\x07", "\x07", "\x01", "\x7f", "\u202e", "\x85", "\u2028", "\x1f")
    )
    return Text(f"u{inside}x", "may")


def _line_ends(dice: random.Random) -> Text:
    return Text("u" + dice.choice(("\n", "\r", "\r\n", "\n\n")) + "x", "may")


def _nul(dice: random.Random) -> Text:
    return Text(dice.choice(("u\0x", "\0", "u\0")), "must not")


IDS: tuple[Callable[[random.Random], Text], ...] = (
    lambda dice: _same(word(dice)),
    lambda dice: _same(dice.choice(TRICKS)),
    _whole_number,
    _large_number,
    _rounded,
    _decomposed,
    _nobody,
    _nothing,
    _long,
    _controls,
    _line_ends,
    _nul,
)


def a_time(dice: random.Random) -> Text:
    """A time where `event.timestamp_format` is `iso` and the week is that of `MONDAY`."""
    return dice.choice((_known_time, _known_time, _no_time, _far_time, _odd_time))(dice)


def _moment(dice: random.Random) -> datetime:
    return MONDAY + timedelta(seconds=dice.randrange(7 * 86_400))


def _known_time(dice: random.Random) -> Text:
    moment = _moment(dice)
    form = dice.randrange(6)
    if form == 0:
        return Text(moment.strftime("%Y-%m-%dT%H:%M:%SZ"), "must", moment)
    if form == 1:
        return Text(moment.strftime("%Y-%m-%d %H:%M:%S"), "must", moment)
    if form == 2:
        minutes = dice.choice((330, -480, 60, 0, 765))
        local = moment.astimezone(timezone(timedelta(minutes=minutes)))
        return Text(local.isoformat(), "must", moment)
    if form == 3:
        moment += timedelta(microseconds=dice.randrange(10**6))
        return Text(moment.strftime("%Y-%m-%dT%H:%M:%S.%fZ"), "must", moment)
    if form == 4:
        day = moment.replace(hour=0, minute=0, second=0)
        return Text(day.strftime("%Y-%m-%d"), "must", day)
    minute = moment.replace(second=0)
    return Text(f"  {minute:%Y-%m-%d %H:%M} ", "must", minute)


def _no_time(dice: random.Random) -> Text:
    if dice.random() < 0.1:
        return Text(dice.choice(PERHAPS_TIMES), "may")
    text = dice.choice(NO_TIMES)
    if text == "" and dice.random() < 0.5:
        text = "".join(chr(dice.randrange(33, 0x2FF)) for _ in range(dice.randint(1, 30)))
        return Text(text.replace('"', "x"), "must not")
    return Text(text, "must not")


def _far_time(dice: random.Random) -> Text:
    """A time of another year; seldom the first moment after the week, or the last before it."""
    if dice.random() < 0.1:
        return Text(dice.choice(("2024-01-08T00:00:00Z", "2023-12-31T23:59:59Z")), "must not")
    day = dice.choice(("01-01", "12-31", "06-15"))
    end = dice.choice(("", "T00:00:00Z", " 23:59:59.999999", "T12:00:00+14:00"))
    return Text(f"{dice.choice(FAR_YEARS):04}-{day}{end}", "must not")


def _odd_time(dice: random.Random) -> Text:
    return Text(f"{_moment(dice):%Y-%m-%d}{dice.choice(ODD_ENDS)}", "may")


def a_number(dice: random.Random, usual: float) -> Text:
    """A number where about `usual` is expected."""
    return dice.choice((_known_number, _no_number, _odd_number))(dice, usual)


def _known_number(dice: random.Random, usual: float) -> Text:
    number = round(usual * dice.uniform(0.6, 1.6), 2)
    text = dice.choice(
        (f"{number}", f" {number} ", f"+{number}", f"{number:e}", f"{number}00", f"0{number}")
    )
    return Text(text, "must", float(text))


def _no_number(dice: random.Random, usual: float) -> Text:
    del usual
    return Text(dice.choice(NO_NUMBERS), "must not")


def _odd_number(dice: random.Random, usual: float) -> Text:
    return Text(dice.choice((*ODD_NUMBERS, f"{-usual}", f"{usual * 1e4}")), "may")


def field(dice: random.Random, name: str, usual: str) -> Text:
    """A text for the shop's column of that name, where `usual` stood."""
    if name in ("user", "item"):
        return an_id(dice)
    if name == "at":
        return a_time(dice)
    try:
        return a_number(dice, float(usual))
    except ValueError:  # odd already
        return a_number(dice, 2.0)

"""Window rules whose limits are learnt from the shop's own windows, and the scales they are compared on.

Belongs here: the table of these rules, and from measures to bands. Keep out: the arithmetic of a band
(`baselines.py`), SQL (`statistics.py`), rules with limits of their own (`suite.py`).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Literal

from recloop.config.limits import LearntLimits
from recloop.validation.baselines import LEAST, Expected, Past, expect

Scale = Literal["amount", "share", "number"]
ROWS = "rows of "
"""Before a row rule's name: the share of lines that it quarantines, learnt like any share."""


@dataclass(frozen=True)
class LearntRule:
    """A measure of windows that is held against what is usual of the shop.

    `side`: where it refuses; more lines a day than usual ("down") are worth a word.
    `least` is the change that is never refused: a factor of an amount or of the odds of a share, a
    difference of a number. `varies` is by how much it misses its forecast in shops, on its scale.
    """

    name: str
    scale: Scale
    side: Literal["up", "down", "both"]
    least: float
    varies: float
    meaning: str
    remedy: str


TABLE = (
    LearntRule("lines_per_day", "amount", "down", 1.5, 0.3, "lines per open day",
               "Look for a part of the delivery that was lost."),
    LearntRule("lines_per_user", "amount", "both", 1.25, 0.15, "lines of a user, on the average",
               "Look for lines that were lost or came twice, and for a robot among the users."),
    LearntRule("top_user_share", "amount", "up", 2.0, 0.4, "lines of the user who has the most",
               "Look whether that user is a robot, or stands for nobody: such ids are ids.nobody."),
    LearntRule("top_item_share", "amount", "up", 2.0, 0.3, "lines of the item that has the most",
               "Look who asked for that item: robots, one buyer under many names, or a campaign."),
    LearntRule("new_user_share", "share", "up", 3.0, 0.8, "users never seen before, of all",
               "Check that user ids still name the same users."),
    LearntRule("new_item_share", "share", "up", 3.0, 0.8, "lines on items never seen before",
               "Check that item ids still name the same items."),
    LearntRule("seen_pair_share", "share", "up", 1.65, 0.4, "pairs of user and item seen before, of all",
               "Look for an older delivery that came again."),
    LearntRule("repeat_pair_share", "share", "both", 1.65, 0.3,
               "pairs of user and item seen before, of users seen before",
               "Check that user and item ids belong together, and are not those of an older delivery."),
    LearntRule("item_drift", "amount", "up", 1.25, 0.1,
               "Jensen-Shannon distance (base 2) of the items' shares from those of the windows before",
               "Check that item ids still name the same items."),
    LearntRule("hour_shift", "number", "up", 0.02, 0.03,
               "nats per line by which the usual hours of the day fit better when moved",
               "Check event.timezone, and what zone the source writes its times in."),
    LearntRule("hour_drift", "amount", "up", 1.5, 0.2,
               "Jensen-Shannon distance (base 2) of the hours of the day from the usual ones",
               "Look for a part of the day that was not delivered, or for shifted times."),
    LearntRule("silent_share", "number", "up", 0.08, 0.02,
               "a usual window's lines in hours, always busy before, that went by in a row without one",
               "Look for a part of the window that was not delivered."),
    LearntRule("price_level", "amount", "both", 1.1, 0.02, "prices against the items' usual ones",
               "Check unit, currency and taxes of the prices."),
    LearntRule("price_shift", "share", "up", 1.65, 0.5,
               "lines priced 1.5 times above or below the item's usual price",
               "Check the prices, and that item ids belong to their lines."),
    LearntRule("value_level", "amount", "both", 1.5, 0.15, "values against the items' usual ones",
               "Check the unit of the values."),
    LearntRule("foreign_text_share", "share", "up", 1.65, 0.4,
               "lines whose item shows the text of another item",
               "Check that item ids and the items' texts belong together."),
    LearntRule("changed_text_share", "share", "up", 1.65, 0.8,
               "lines whose item shows a text that it never had",
               "Check that item ids and the items' texts belong together."),
    LearntRule("quarantined_share", "share", "up", 2.0, 0.6, "lines that broke a row rule, of all",
               "See the row rules with the most lines, and correct the source."),
    LearntRule("duplicate_share", "share", "up", 2.0, 0.6, "exact copies of other lines, of all",
               "Look for a delivery that came twice."),
    LearntRule("copied_share", "share", "up", 2.0, 0.6,
               "lines that tell of the same user, item, time, value and price under another id",
               "Look for a delivery that came twice with new ids."),
)  # fmt: skip
RULES = {rule.name: rule for rule in TABLE}
OF_ROWS = LearntRule(ROWS, "share", "up", 2.0, 0.8, "", "")


@dataclass(frozen=True)
class Measure:
    """A measure on its scale, and of how many independent units (users) it is."""

    value: float
    units: float


@dataclass(frozen=True)
class Band:
    """Within which a measure should lie, in its own unit; None: no limit on that side.

    `odd` are the ends beyond which it is worth a word, and `width` is half of what lies between them, on
    the rule's scale.
    """

    low: float | None
    usual: float
    high: float | None
    windows: int
    odd: tuple[float, float]
    width: float


def amount(value: float, units: float) -> Measure | None:
    """Of an amount above zero."""
    return Measure(math.log(value), units) if value > 0 and math.isfinite(value) else None


def share(part: float, whole: float, units: float | None = None) -> Measure | None:
    """Of `part` of `whole`; `units`: how many there are that each go one way (default: `whole`)."""
    if not whole:
        return None
    inside = min(1.0, max(0.0, part / whole))
    return Measure(math.log((inside + RARE) / (1 - inside + RARE)), min(units or whole, whole))


RARE = 0.001
"""Added to a share and to its rest before the odds are taken: none at all is like one in a thousand."""
FEW = 200
"""Of fewer units a share is no more certain than a draw of so many."""


def natural(rule: LearntRule, value: float) -> float:
    """A value on the rule's scale in the measure's own unit."""
    if rule.scale == "amount":
        return math.exp(min(value, 700.0))
    if rule.scale == "number":
        return value
    inside = _share_of(value)
    return round(min(1.0, max(0.0, inside * (1 + 2 * RARE) - RARE)), 12)


def _share_of(odds: float) -> float:
    """The share whose logarithm of the odds this is."""
    return 1 / (1 + math.exp(min(-odds, 700.0)))


def noise_of(rule: LearntRule) -> Callable[[float, float], float]:
    """Standard errors on the rule's scale: of (a value that is expected, units)."""

    def of_share(value: float, units: float) -> float:
        count = max(units, 1.0)
        inside = (count * _share_of(value) + 0.5) / (count + 1)  # none of a few says little
        return 1 / math.sqrt(count * inside * (1 - inside))

    if rule.scale == "share":
        return of_share
    return lambda _, units: 1 / math.sqrt(max(units, 1.0))


def drawn(usual: float, units: float, rate: float) -> tuple[float, float]:
    """The shares that so many units may show where each goes one way with the usual chance, but for one
    time in `rate`, on both sides together: quantiles of the binomial distribution, as shares."""
    from scipy.special import bdtr

    count = max(1, round(units))
    below = bdtr(range(count + 1), count, usual)
    low = sum(float(chance) <= rate / 2 for chance in below)
    high = sum(float(chance) < 1 - rate / 2 for chance in below)
    return min(low, count) / count, min(high, count) / count


def rule_of(name: str) -> LearntRule:
    """The rule of a measure; those of row rules share one."""
    return OF_ROWS if name.startswith(ROWS) else RULES[name]


def bands(
    now: Mapping[str, Measure],
    before: Sequence[Mapping[str, Past] | None],
    cycles: Sequence[int],
    limits: LearntLimits,
) -> dict[str, Band]:
    """The band of each measure that can be judged.

    Args:
        before: the measures of each window that there could have been, oldest first; None: none was.
    """
    compared = [name for name in now if _history(name, before) >= LEAST]
    found = {}
    for name in compared:
        rule, one = rule_of(name), now[name]
        sides = 1 if rule.side == "both" else 2
        past = [measures.get(name) if measures else None for measures in before]
        units = one.units
        if (
            name == "lines_per_day"
        ):  # with the lines the users are lost: a usual number was expected
            units = max(units, median(measure.units for measure in past if measure))
        rate = min(0.5, limits.false_alarms / len(compared) * sides)
        expected = expect(
            past,
            cycles,
            units,
            noise_of(rule),
            rule.varies,
            rate,
            rule.least if rule.scale == "number" else math.log(rule.least),
        )
        if expected is not None:
            found[name] = _band(rule, expected, limits, units, rate)
    return found


def _history(name: str, before: Iterable[Mapping[str, Past] | None]) -> int:
    return sum(past is not None and name in past for past in before)


def _band(
    rule: LearntRule, expected: Expected, limits: LearntLimits, units: float, rate: float
) -> Band:
    usual = natural(rule, expected.value)

    def ends(width: float) -> tuple[float, float]:
        low, high = (natural(rule, expected.value + one) for one in (-width, width))
        if rule.scale == "share" and units < FEW:
            least, most = drawn(usual, units, rate)
            low, high = min(low, least), max(high, most)
        # Where the usual hours fit best unmoved, nothing was moved.
        return low, max(high, 0.0) if rule.name == "hour_shift" else high

    low, high = ends(expected.width * (2 if expected.windows < limits.bootstrap_windows else 1))
    odd_low, odd_high = ends(expected.width)
    return Band(
        low if rule.side != "up" else None,
        usual,
        high if rule.side != "down" else None,
        expected.windows,
        (odd_low if rule.side != "up" else -math.inf, odd_high),
        expected.width,
    )

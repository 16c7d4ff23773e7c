"""Faults of deliveries, planted into windows of real lines. Each takes the lines of a window and of the
one before it, and gives what is delivered in its place."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import numpy as np
import pandas as pd

Lines: TypeAlias = pd.DataFrame
Fault = Callable[[Lines, Lines], Lines]
SEED = 7


def _with(lines: Lines, more: Lines) -> Lines:
    return pd.concat([lines, more]).sort_values("at", kind="stable")


def one_customer_has_half(lines: Lines, _: Lines) -> Lines:
    return _with(lines, lines.assign(user="robot"))


def a_customer_has_a_fifth(lines: Lines, _: Lines) -> Lines:
    return _with(lines, lines.sample(frac=0.25, random_state=SEED).assign(user="robot"))


def strangers_push_an_item(lines: Lines, _: Lines) -> Lines:
    """A tenth of the lines: customers of one event, all on an item that sold little."""
    counts = lines["item"].value_counts()
    shown = lines[lines["item"] == counts.index[len(counts) // 2]].iloc[0]
    more = lines.sample(frac=1 / 9, random_state=SEED)
    same = {name: shown[name] for name in ("item", "value", "price", "text") if name in lines}
    return _with(lines, more.assign(user=[f"new{n}" for n in range(len(more))], **same))


def _moved(hours: int) -> Fault:
    def moved(lines: Lines, _: Lines) -> Lines:
        inside = (lines["at"] + pd.Timedelta(hours=hours)).clip(upper=_end(lines))
        return lines.assign(at=inside)

    return moved


def _end(lines: Lines) -> pd.Timestamp:
    """Times stay within their window: what leaves it would be told by the calendar."""
    return pd.Timestamp(lines["at"].max().normalize() + pd.Timedelta(hours=23, minutes=59))


def prices_a_fifth_higher(lines: Lines, _: Lines) -> Lines:
    return lines.assign(price=lines["price"] * 1.2)


def prices_in_pence(lines: Lines, _: Lines) -> Lines:
    return lines.assign(price=lines["price"] * 100)


def quantities_times_four(lines: Lines, _: Lines) -> Lines:
    return lines.assign(value=lines["value"] * 4)


def half_of_the_lines_lost(lines: Lines, _: Lines) -> Lines:
    return lines.sample(frac=0.5, random_state=SEED).sort_values("at", kind="stable")


def half_of_the_time_silent(lines: Lines, _: Lines) -> Lines:
    first, last = lines["at"].min(), lines["at"].max()
    return lines[lines["at"] < first + (last - first) / 2]


def all_customers_renumbered(lines: Lines, _: Lines) -> Lines:
    return lines.assign(user="9" + lines["user"])


def customers_shuffled(lines: Lines, _: Lines) -> Lines:
    return lines.assign(user=_shuffled(lines["user"]))


def all_items_renumbered(lines: Lines, _: Lines) -> Lines:
    return lines.assign(item="9" + lines["item"])


def items_shuffled(lines: Lines, _: Lines) -> Lines:
    return lines.assign(item=_shuffled(lines["item"]))


def two_items_swapped(lines: Lines, _: Lines) -> Lines:
    first, second = lines["item"].value_counts().index[:2]
    return lines.assign(item=lines["item"].replace({first: second, second: first}))


def delivered_twice_with_new_times(lines: Lines, _: Lines) -> Lines:
    return _with(lines, lines.assign(at=lines["at"] + pd.Timedelta(seconds=1)).iloc[:-1])


def an_item_has_a_third(lines: Lines, _: Lines) -> Lines:
    """A popularity shock: a third of the lines turn to one item."""
    hit = np.random.default_rng(SEED).random(len(lines)) < 1 / 3
    shown = lines["item"].value_counts().index[30]
    return lines.assign(item=lines["item"].where(~hit, shown))


def last_window_again(lines: Lines, before: Lines) -> Lines:
    """A stale feed: the lines of the window before, with this one's dates."""
    moved = lines["at"].min().normalize() - before["at"].min().normalize()
    return before.assign(at=(before["at"] + moved).clip(upper=_end(lines)))


def a_column_is_gone(lines: Lines, _: Lines) -> Lines:
    return lines.drop(columns="item")


FAULTS: dict[str, tuple[str, Fault]] = {
    "one customer has half of the events": ("50 %", one_customer_has_half),
    "a robot has a fifth": ("20 %", a_customer_has_a_fifth),
    "one-event customers push an item": ("10 %", strangers_push_an_item),
    "times an hour later": ("all", _moved(1)),
    "times three hours later": ("all", _moved(3)),
    "another zone: eight hours": ("all", _moved(8)),
    "prices x 1.2": ("all", prices_a_fifth_higher),
    "another unit: prices x 100": ("all", prices_in_pence),
    "quantities x 4": ("all", quantities_times_four),
    "half of the lines lost": ("50 %", half_of_the_lines_lost),
    "silent half": ("50 %", half_of_the_time_silent),
    "all customers renumbered": ("all", all_customers_renumbered),
    "customers shuffled": ("all", customers_shuffled),
    "all items renumbered": ("all", all_items_renumbered),
    "items shuffled": ("all", items_shuffled),
    "two items swapped": ("the two most sold", two_items_swapped),
    "doubled feed, times a second later": ("all", delivered_twice_with_new_times),
    "popularity shock: one item a third": ("33 %", an_item_has_a_third),
    "stale feed: the window before again": ("all", last_window_again),
    "schema: a column is gone": ("all", a_column_is_gone),
}
"""What is planted, in how many of the lines."""
TIMED = ("times", "another zone", "silent")
"""Faults that need times of day."""
NEEDS = {"prices": "price", "another unit": "price", "quantities": "value"}
"""Faults that need a column."""


def applies(name: str, lines: Lines) -> bool:
    """Whether a fault says anything of a stream."""
    if name.startswith(TIMED):
        return bool(lines["at"].dt.hour.nunique() > 1)
    return all(column in lines for start, column in NEEDS.items() if name.startswith(start))


def _shuffled(ids: pd.Series) -> pd.Series:
    known = ids.dropna().unique()
    others = np.random.default_rng(SEED).permutation(known)
    return ids.map(dict(zip(known, others, strict=True)))

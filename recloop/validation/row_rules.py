"""Row rules: what makes one line unfit, in the order in which a line is blamed.

Each rule is a SQL predicate over `judged` lines (see `checking.py`), a remedy for people, and the
expectation that documents it. A line is counted under its first broken rule. Lines without a usable
timestamp never come here: they were quarantined at landing (see `behavior/lines.py`).
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from psycopg2.extensions import cursor as Cursor

from recloop.behavior import dating
from recloop.behavior.numbers import Written
from recloop.config.dataset import SMALLEST, DatasetSpec
from recloop.config.id_rules import LONGEST_INDEXED
from recloop.config.limits import Limits
from recloop.contracts import Contract


@dataclass(frozen=True)
class RowRule:
    """One row rule.

    `predicate` is true for a broken line; `kind` and `arguments` are the Great Expectations
    expectation that says the same (None: the flag column `breaks_<name>`, which must be false).
    """

    name: str
    predicate: str
    meaning: str
    remedy: str
    kind: str | None = None
    arguments: dict[str, Any] = field(default_factory=dict)


def row_rules(spec: DatasetSpec, limits: Limits) -> list[RowRule]:
    """The rules of this dataset. Predicates take the values of `parameters`."""
    rules, event, ratio = spec.rules, spec.event, limits.rows.price_ratio
    (value_low, value_high), (price_low, price_high) = rules.value_between, rules.price_between
    size = "abs(price)" if price_low >= 0 else "price"
    between = "expect_column_values_to_be_between"
    not_null = "expect_column_values_to_not_be_null"
    regex = "expect_column_values_to_match_regex"
    table = [
        RowRule(
            "undecodable_text", "faults @> '{undecodable_text}'",
            f"text is readable as {spec.source.encoding}",
            "Save the source in that encoding, or correct source.encoding."),
        RowRule(
            "unparseable_number", "faults @> '{unparseable_number}'",
            f"numbers are written as {Written(spec.source.numbers, spec.source.unit)}",
            "Check units in the source, or correct source.numbers or source.unit of the dataset "
            "file."),
        RowRule(
            "unexpected_characters",
            "concat(user_id, item_id, event_type, user_attributes, item_attributes) !~ %(text_pattern)s",
            f"text has only characters of {rules.text_pattern}",
            "Check source.encoding; if the characters are right, widen rules.text_pattern."),
        RowRule(
            "missing_item", "item_id is null",
            "each line has an item",
            f"Check column {event.item_id!r} of the source. Texts that stand for no item are "
            "ids.nobody of the dataset file.",
            not_null, {"column": "item_id"}),
        RowRule(
            "missing_user", "user_id is null",
            "each line has a user",
            f"Check column {event.user_id!r} of the source; lines without one teach nothing. Texts "
            "that stand for nobody are ids.nobody of the dataset file.",
            not_null, {"column": "user_id"}),
        *_id_rules("item", event.item_id, spec),
        *_id_rules("user", event.user_id, spec),
        RowRule(
            "malformed_user", "user_id !~ %(user_pattern)s",
            f"user ids match {rules.user_pattern}",
            f"Check column {event.user_id!r}, or correct rules.user_pattern.",
            regex, {"column": "user_id", "regex": rules.user_pattern}),
        RowRule(
            "non_product_item", "item_id !~ %(item_pattern)s",
            f"item ids are products: they match {rules.item_pattern}",
            f"Check column {event.item_id!r}, or correct rules.item_pattern.",
            regex, {"column": "item_id", "regex": rules.item_pattern}),
        RowRule(
            "missing_value", "value is null and not faults @> '{unparseable_number}'",
            f"each line has a {event.value}",
            f"Check column {event.value!r} of the source.",
            not_null, {"column": "value"}),
        RowRule(
            "missing_price", "price is null and not faults @> '{unparseable_number}'",
            f"each line has a {event.price}",
            f"Check column {event.price!r} of the source.",
            not_null, {"column": "price"}),
        RowRule(
            "non_positive_price", "price <= 0",
            "prices are above zero",
            f"Check column {event.price!r}; adjustments are no purchases.",
            between, {"column": "price", "min_value": 0, "strict_min": True}),
        RowRule(
            "non_positive_value", "value <= 0 and event_type = any(%(positive_value_for)s)",
            f"{event.value} is above zero for {', '.join(rules.positive_value_for)}",
            f"Check column {event.value!r} and event.type_when."),
        RowRule(
            "value_out_of_range",
            f"value not between %(value_low)s and %(value_high)s or {_vanishes('value')}",
            f"{event.value} lies between {value_low:g} and {value_high:g}, and is 0 or at least "
            f"{SMALLEST:g}",
            "Check the unit, or correct rules.value_between in the dataset file."),
        RowRule(
            "price_out_of_range",
            f"price <> 0 and {size} not between %(price_low)s and %(price_high)s "
            f"or {_vanishes('price')}",
            f"prices lie between {max(price_low, SMALLEST):g} and {price_high:g}",
            "Check the unit of prices, or correct rules.price_between in the dataset file."),
        RowRule(
            "implausible_price", "price_ratio not between 1 / %(price_ratio)s and %(price_ratio)s",
            f"a price is within {ratio:g} times the item's usual one, up or down",
            "Check the unit of prices, or raise rows.price_ratio in validation.toml.",
            between, {"column": "price_ratio", "min_value": 1 / ratio, "max_value": ratio}),
        CONFLICT,
        UNCHECKABLE,
    ]  # fmt: skip
    priced = event.price is not None
    asked = {
        "unexpected_characters": rules.text_pattern is not None,
        "malformed_user": rules.user_pattern is not None,
        "non_product_item": rules.item_pattern is not None,
        "missing_value": event.value is not None,
        "missing_price": priced and rules.positive_price,
        "non_positive_price": priced and rules.positive_price,
        "non_positive_value": bool(rules.positive_value_for),
        "value_out_of_range": event.value is not None,
        "price_out_of_range": priced,
        "implausible_price": priced,
    }
    return [rule for rule in table if asked.get(rule.name, True)]


def _id_rules(whose: str, column: str, spec: DatasetSpec) -> list[RowRule]:
    """Texts that cannot be an id: too long for an index, or a number that lost its last digits."""
    return [
        RowRule(
            f"overlong_{whose}", f"octet_length({whose}_id) > %(longest_id)s",
            f"{whose} ids have at most {spec.ids.longest} bytes",
            f"Check column {column!r} and the quotes of the source, or raise ids.longest in the "
            f"dataset file (at most {LONGEST_INDEXED})."),
        RowRule(
            f"rounded_{whose}",
            f"{whose}_id ~* '^-?[0-9]([.][0-9]+)?e[+][0-9]+$' "
            f"or {whose}_id ~ '^-?[0-9]{{16,}}[.]0+$'",
            f"{whose} ids have all their digits, unlike 1.7e+18 or 9007199254740993.0",
            f"Export column {column!r} as text: a spreadsheet or a program has made a rounded number "
            "of it, for which several ids may have stood."),
    ]  # fmt: skip


def _vanishes(column: str) -> str:
    return f"{column} <> 0 and abs({column}) < {SMALLEST}"


CONFLICT = RowRule(
    "conflicting_event_id",
    "false",  # needs the other lines: `checking.py` finds it after all other rules
    "one event id means one line",
    "The first line was kept. Make the columns of event.id unique in the source.",
)
UNCHECKABLE = RowRule(
    "uncheckable_line",
    "false",  # `checking.py` finds it when a statement fails
    "everything can be computed on a line",
    "The quarantine keeps the line, and under `why` what the database says; check its values.",
)


def parameters(spec: DatasetSpec, limits: Limits) -> dict[str, Any]:
    """Values for the predicates."""
    rules = spec.rules
    (value_low, value_high), (price_low, price_high) = rules.value_between, rules.price_between
    return {
        "longest_id": spec.ids.longest,
        "text_pattern": rules.text_pattern,
        "user_pattern": rules.user_pattern,
        "item_pattern": rules.item_pattern,
        "positive_value_for": list(rules.positive_value_for),
        "value_low": value_low,
        "value_high": value_high,
        "price_low": price_low,
        "price_high": price_high,
        "price_ratio": limits.rows.price_ratio,
    }


# Telling people what was quarantined: the rule, how many lines, one of them, and the remedy.


LANDING_REMEDIES = {
    "malformed_line": "Give each line as many fields as [columns] has, and quote separators; a line of "
    "JSON is one object with no keys but those of [columns].",
    "excess_late_lines": "Too many late lines for an accepted window; check for a repeated delivery.",
}
"""Rules that are judged while reading, beside those of times (`behavior/dating.py`), or of late
lines."""


class Quarantined(Contract):
    """Lines that broke one rule."""

    rule: str
    lines: int
    example: str
    remedy: str

    def __str__(self) -> str:
        return f"{self.rule}: {self.lines:,} lines, for example {self.example}. {self.remedy}"


def quarantined_since(
    cursor: Cursor, moment: datetime | None, spec: DatasetSpec, limits: Limits
) -> list[Quarantined]:
    """What was quarantined since `moment` (aware, server's clock; None: ever), most lines first."""
    remedies = LANDING_REMEDIES | dating.remedies(spec)
    remedies |= {rule.name: rule.remedy for rule in row_rules(spec, limits)}
    cursor.execute(
        "select distinct on (q.rule) q.rule, count(*) over (partition by q.rule), "
        "'line ' || q.line_no || coalesce(' of ' || f.path, ''), q.line::text "
        "from behavior.quarantine q left join behavior.source_file f using (file_id) "
        "where quarantined_at >= coalesce(%s, '-infinity'::timestamptz) "
        "order by q.rule, q.file_id, q.line_no",
        (moment,),
    )
    return [
        Quarantined(
            rule=rule,
            lines=lines,
            example=f"{place}: {_short(line)}",
            remedy=remedies.get(rule, "See the line in behavior.quarantine."),
        )
        for rule, lines, place, line in sorted(cursor.fetchall(), key=lambda row: (-row[1], row[0]))
    ]


def undated_near(cursor: Cursor, window_key: str) -> dict[str, int]:
    """Lines by rule that have no usable time and lie beside lines of this window in their file.

    They are lines of no window; that they are lost counts in this one.
    """
    cursor.execute(
        "select rule, count(*) from behavior.quarantine join behavior.source_file using (file_id) "
        "where near_window = %s and window_key is null and state = 'landed' group by rule order by rule",
        (window_key,),
    )
    return {rule: int(count) for rule, count in cursor.fetchall()}


def _short(line: str, longest: int = 60, width: int = 700) -> str:
    """A line of JSON without the rest of long values, 309 digits of a number among them."""
    text = re.sub(rf'([^\s"]{{{longest}}})[^\s"]+', r"\1…", line)
    return text if len(text) <= width else text[: width - 1] + "…"

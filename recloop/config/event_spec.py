"""What a dataset file says of events: which columns they come from, which are learnt from and how much
each counts, and which the recommender is judged by.

Neighbour: `dataset.py` has the rest of the file.
"""

from __future__ import annotations

from typing import Any
from zoneinfo import ZoneInfo

from pydantic import Field, field_validator, model_validator

from recloop.config.source_spec import usable_expression, usable_format
from recloop.config.toml_file import Section

ABBREVIATIONS = ("CET", "EET", "MET", "WET")
"""Zones by their abbreviations, of which libraries think differently."""


def known_zone(name: str | None) -> str | None:
    """The name of a time zone, as it is.

    Raises:
        ValueError: there is no such zone.
    """
    try:
        _ = name is None or ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        raise ValueError(f"{name!r} is not a time zone; write it like 'Europe/London'.") from None
    if name in ABBREVIATIONS:
        raise ValueError(
            f"{name!r} is a zone with summer time to some, and without to PostgreSQL; write the shop's "
            "place, like 'Europe/Paris', or 'Etc/GMT-1' for an hour before UTC all year."
        )
    return name


class TypeWhen(Section):
    """Lines whose `column` matches the pattern are events of another `type`."""

    column: str
    """Whose text is looked at."""
    matches: str
    """A regular expression of Python, found anywhere in the text."""
    type: str
    """Of the event, where it is found."""

    _pattern = field_validator("matches")(usable_expression)


class LearnFrom(Section):
    """Which events are positives for the model, and how much each counts."""

    types: tuple[str, ...] = ()
    """Types of events; empty: those that have weights."""
    weights: dict[str, float] = Field(default_factory=dict)
    """How much an event of each type counts; 1, where it is not said: `{click = 0.1, purchase = 1}`."""
    by_value: bool = False
    """Whether an event counts by its value, too: by so many times the usual value of its type in the
    window, from a quarter to four times."""
    negatives: tuple[str, ...] = ("cancel",)
    """Types of events that take back what the same user did with the item earlier that day (UTC):
    cancellations, returns, dislikes. Features count them."""
    minimum_value: float | None = Field(default=None, allow_inf_nan=False)
    """Events of a lower value are not learnt from; of a family that learns values, they are no likes.
    Features count them as negatives."""
    shown: tuple[str, ...] = ()
    """Types of events that say what was shown, for a family that learns labels: where the same user
    has no event of `types` with the item on the same day (UTC), it was not chosen."""

    @model_validator(mode="before")
    @classmethod
    def _weighed_types(cls, given: Any) -> Any:
        if (
            isinstance(given, dict)
            and not given.get("types")
            and isinstance(given.get("weights"), dict)
        ):
            return {**given, "types": tuple(given["weights"])}
        return given

    @model_validator(mode="after")
    def _consistent(self) -> LearnFrom:
        if not self.types:
            raise ValueError(
                "names no type of events to learn from; set `types`, or a weight for each type."
            )
        unknown = sorted(set(self.weights) - set(self.types))
        if unknown:
            raise ValueError(
                f"`weights` has {unknown[0]!r}, which `types` = {list(self.types)} lacks; leave `types` "
                "out to learn from all that have a weight."
            )
        both = sorted(set(self.negatives) & set(self.shown))
        if both:
            raise ValueError(
                f"`negatives` and `shown` both have {both[0]!r}: it is one or the other."
            )
        for kind, weight in self.weights.items():
            if not 0.001 <= weight <= 1000:  # so that NaN is refused, too
                raise ValueError(
                    f"`weights.{kind}` = {weight} should be between 0.001 and 1000, 1 being an ordinary "
                    "event. What is not to be learnt from has no weight; what takes back is one of "
                    "`negatives`."
                )
        for other, why in (("shown", "what was shown"), ("negatives", "what takes it back")):
            both = sorted(set(self.types) & set(getattr(self, other)))
            if both and other in self.model_fields_set:
                raise ValueError(
                    f"`{other}` = {list(getattr(self, other))} has {both[0]!r}, which `types` has, too: "
                    f"an event is either a choice or {why}."
                    + (
                        " Where one column says which (0 or 1), name it as event.value and set "
                        "minimum_value = 1 instead of `shown`."
                        if other == "shown"
                        else ""
                    )
                )
        return self


class Goal(Section):
    """What the shop lives on: the events that the gate, the policy and reports judge by."""

    types: tuple[str, ...] = Field(min_length=1)
    """Some of `learn_from.types`."""


class Event(Section):
    """How columns become an event."""

    id: tuple[str, ...] = ("*",)
    """Columns that identify a line; `*`: all columns but ignored ones."""
    user_id: str
    """Column that says who."""
    item_id: str
    """Column that says what."""
    timestamp: str
    """Column that says when."""
    time_of_day: str | None = None
    """Column of the time of day, where `timestamp` names one of days alone: both are read as one text,
    a blank between them."""
    timestamp_format: str = "iso"
    """strptime's codes, or `iso`, or `unix`, `unix_ms`, `unix_us`, `unix_ns`: seconds, thousandths …
    since 1970. With codes that end in `UTC` or `GMT` times are of that zone."""
    timezone: str = "UTC"
    """The shop's: zone of times that carry no offset, of the days and hours that it is open, and of
    windows, unless `window.zone` is another."""
    ordered: bool = False
    """Whether a file's lines come in the order of time; then one that jumps ahead is quarantined."""
    value: str | None = None
    """Column of a number: how many, how much, or a rating."""
    price: str | None = None
    """Column of the price of one."""
    type: str = "event"
    """The kind of events, unless `type_column` or `[[event.type_when]]` says another."""
    type_column: str | None = None
    """Column that holds the event's type; `type` where it is empty."""
    type_when: tuple[TypeWhen, ...] = ()
    learn_from: LearnFrom | None = None
    goal: Goal | None = None
    """None: all that is learnt from."""

    _format = field_validator("timestamp_format")(usable_format)

    _zone = field_validator("timezone")(known_zone)

    @model_validator(mode="after")
    def _goal_is_learnt_from(self) -> Event:
        unknown = sorted(set(self.goal.types) - set(self.positives.types)) if self.goal else []
        if unknown:
            raise ValueError(
                f"`goal.types` has {unknown[0]!r}, which learn_from.types = "
                f"{list(self.positives.types)} lacks: what is judged by is learnt from, too."
            )
        return self

    @property
    def positives(self) -> LearnFrom:
        """Which events are learnt from."""
        return self.learn_from or LearnFrom(types=(self.type,))

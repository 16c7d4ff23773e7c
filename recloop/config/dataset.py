"""What a dataset file declares: where lines come from and how their columns become events.

Belongs here: the form of `config/datasets/*.toml` and its checks. Keep out: reading any data (see
`sources.py`, `table.py`) and limits of validation (see `config/limits.py`).
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from datetime import date, datetime
from hashlib import md5
from typing import TYPE_CHECKING, Any, Literal, Self, get_args
from zoneinfo import ZoneInfo

from pydantic import Field, field_validator, model_validator

from models.recommenders.offered import DEFAULT, Offered, offered_by
from recloop.calendar import FIRST_DAY, LAST_DAY, Length, WindowCalendar
from recloop.config.event_spec import Event, known_zone
from recloop.config.feedback_spec import Feedback, check_feedback
from recloop.config.id_rules import Ids
from recloop.config.recommenders import own_file
from recloop.config.source_spec import Source, portable_expression
from recloop.config.toml_file import Section, laid_over, read_toml, to_model
from recloop.errors import BadInput
from recloop.settings import Settings

if TYPE_CHECKING:
    from models.recommenders.family import Family

ColumnType = Literal["text", "number", "time", "ignore"]
Weekday = Literal["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"]
WEEKDAYS: tuple[Weekday, ...] = get_args(Weekday)
SMALLEST, LARGEST = 1e-9, 1e12
"""Sizes of numbers other than 0. Between them ratios, products, squares and sums stay finite."""


class WindowSection(Section):
    length: Length = "week"
    """The unit of windows."""
    every: int = Field(default=1, ge=1)
    """How many hours, days, weeks or months a window has."""
    zone: str | None = None
    """Where windows and the days of features begin at midnight; None: in `event.timezone`."""
    warm_up: int = Field(default=26, ge=1)
    """Windows that `recloop demo` and the benchmarks learn at once, before they take those that follow
    one by one. The loop itself has no warm-up: its first model learns from every window that is ready.
    """

    _zone = field_validator("zone")(known_zone)

    @model_validator(mode="after")
    def _can_be_cut(self) -> WindowSection:
        try:
            self.calendar("UTC")
        except BadInput as error:
            raise ValueError(str(error)) from None
        return self

    def calendar(self, timezone: str) -> WindowCalendar:
        """How time is cut into windows in a shop of that zone."""
        return WindowCalendar(self.length, self.every, self.zone or timezone)


class Period(Section):
    """Lines outside `[start, end)` are quarantined. No `end`: the dataset is live."""

    start: datetime | None = None
    """The first moment."""
    end: datetime | None = None
    """The moment after the last. Data with an end are history: no DAG waits for more."""
    closed_weekdays: tuple[Weekday, ...] = ()
    """These, and `closed_days`, are days in `event.timezone`."""
    closed_days: tuple[date, ...] = ()
    """Single days without trade."""

    @model_validator(mode="after")
    def _aware_and_ordered(self) -> Period:
        for name in ("start", "end"):
            moment = getattr(self, name)
            if moment is None:
                continue
            if moment.tzinfo is None:
                raise ValueError(f"`{name}` = {moment} needs a zone; write {moment.isoformat()}Z.")
            if not FIRST_DAY.year < moment.year < LAST_DAY.year:
                raise ValueError(
                    f"`{name}` = {moment} is not a moment of the years {FIRST_DAY.year + 1} to "
                    f"{LAST_DAY.year - 1}; leave `{name}` out if there is none."
                )
        if self.start and self.end and self.start >= self.end:
            raise ValueError(f"`start` {self.start} is not before `end` {self.end}.")
        return self

    def is_open(self, day: date, zone: ZoneInfo) -> bool:
        """Whether lines are due on that day, as the shop in `zone` has it."""
        begins = datetime(day.year, day.month, day.day, tzinfo=zone)
        return (
            (self.start is None or day >= self.start.astimezone(zone).date())
            and (self.end is None or begins < self.end)
            and WEEKDAYS[day.weekday()] not in self.closed_weekdays
            and day not in self.closed_days
        )


class ItemAttributes(Section):
    name: str | None = None
    """Column of what people call the item."""
    text: tuple[str, ...] = ()
    """Columns whose words are the item's content."""
    columns: tuple[str, ...] = ()
    """Other columns that are kept of an item."""

    @property
    def all(self) -> tuple[str, ...]:
        """Every column kept of an item, once."""
        names = ([self.name] if self.name else []) + [*self.text, *self.columns]
        return tuple(dict.fromkeys(names))


class UserAttributes(Section):
    columns: tuple[str, ...] = ()
    """Columns that are kept of a user."""


class Rules(Section):
    """Row rules of this dataset, beside those of every dataset (`validation/row_rules.py`)."""

    item_pattern: str | None = None
    """A regular expression that ids of items match; other lines are quarantined."""
    user_pattern: str | None = None
    """The same for ids of users."""
    text_pattern: str | None = None
    """Every text must match; others were read in a wrong encoding."""
    positive_price: bool = False
    """Whether a price has to be above zero."""
    positive_value_for: tuple[str, ...] = ()
    """Types of events whose value has to be above zero."""
    value_between: tuple[float, float] = (-1e9, 1e9)
    """[lowest, highest] value of a line."""
    price_between: tuple[float, float] = (0.0, 1e9)
    """Of prices above zero; a price below (where `positive_price` allows one) by its distance from 0."""

    _patterns = field_validator("item_pattern", "user_pattern", "text_pattern")(portable_expression)

    @field_validator("value_between", "price_between")
    @classmethod
    def _computable(cls, bounds: tuple[float, float]) -> tuple[float, float]:
        low, high = bounds
        if not -LARGEST <= low < high <= LARGEST:  # so that NaN is refused, too
            raise ValueError(
                f"{list(bounds)} should be [lowest, highest] within {-LARGEST:g} and {LARGEST:g}, where "
                "sums and products of numbers stay finite; use another unit."
            )
        return bounds


class ModelSection(Section):
    """Which recommender learns from the events."""

    family: str = DEFAULT
    """One of `models.recommenders.family.FAMILIES`, or `package.module:NAME` of a family of one's
    own."""
    session_gap: str = "30m"
    """A session ends after so long without an event of its user: `90s`, `30m`, `12h`, `1d`. Where
    every user is one session (an anonymous visitor's cookie), take the whole window: `7d`."""
    shape: dict[str, Any] = Field(default_factory=dict)
    """What differs from the family's default shape: widths, depths, temperatures."""

    @model_validator(mode="after")
    def _usable(self) -> ModelSection:
        try:
            _ = self.shaped({}) if self.shape else self.offered
        except TypeError as error:
            raise ValueError(
                f"`shape` = {self.shape} does not suit family {self.family!r}: {error}."
            ) from error
        return self

    @field_validator("session_gap")
    @classmethod
    def _a_length(cls, text: str) -> str:
        if not re.fullmatch(r"[1-9][0-9]{0,6}[smhd]", text):
            raise ValueError(
                f"`session_gap` = {text!r} should be a whole number and a unit: 90s, 30m, 12h or 1d."
            )
        return text

    @property
    def gap_seconds(self) -> float:
        """`session_gap` in seconds."""
        units = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86_400.0}
        return int(self.session_gap[:-1]) * units[self.session_gap[-1]]

    @property
    def offered(self) -> Offered:
        """What the family can be asked for; light."""
        return offered_by(self.family)

    @property
    def known_family(self) -> Family:
        """The family."""
        from models.recommenders.family import family_named

        return family_named(self.family)

    def shaped(self, defaults: Mapping[str, Any]) -> Any:
        """The shape, with these values where the file says nothing."""
        return self.known_family.shaped({**defaults, **self.shape})


class DatasetSpec(Section):
    """One dataset file."""

    name: str
    """Of the dataset, in reports and in the database."""
    source: Source
    window: WindowSection = WindowSection()
    period: Period = Period()
    columns: dict[str, ColumnType]
    """Every column of the source and its type: text, number, time, or ignore."""
    event: Event
    item_attributes: ItemAttributes = ItemAttributes()
    user_attributes: UserAttributes = UserAttributes()
    ids: Ids = Ids()
    rules: Rules = Rules()
    model: ModelSection = Field(default_factory=ModelSection)
    feedback: Feedback | None = None
    """What becomes of feedback to answers over HTTP; None: it stays where servers wrote it."""
    limits: dict[str, Any] = Field(default_factory=dict)
    """Overrides of `validation.toml`'s [rows] and [window] for this dataset."""

    @model_validator(mode="after")
    def _columns_exist(self) -> DatasetSpec:
        event = self.event
        single = ("user_id", "item_id", "timestamp", "value", "price", "type_column", "time_of_day")
        uses: list[tuple[str, str | None]] = [
            *((f"event.{name}", getattr(event, name)) for name in single),
            *(("event.id", c) for c in event.id if c != "*"),
            *(("event.type_when.column", w.column) for w in event.type_when),
            *(("item_attributes", c) for c in self.item_attributes.all),
            *(("user_attributes.columns", c) for c in self.user_attributes.columns),
        ]
        for key, column in uses:
            if column is not None and column not in self.read_columns:
                raise ValueError(
                    f"`{key}` = {column!r} is not a column of [columns] that is read; "
                    f"those are {', '.join(self.read_columns)}. Correct the name or list the column."
                )
        for key, column in uses[3:5]:
            if column is not None and self.columns[column] != "number":
                raise ValueError(
                    f'`{key}` = {column!r} should be a column of type "number", '
                    f'not "{self.columns[column]}"; change [columns].'
                )
        return self

    @model_validator(mode="after")
    def _time_is_text(self) -> DatasetSpec:
        if self.event.time_of_day and (
            self.source.kind == "table" or self.source.format == "parquet"
        ):
            raise ValueError(
                f"`event.time_of_day` = {self.event.time_of_day!r} is of CSV and JSON lines, where "
                "times are texts; elsewhere, make one column of date and time (a view does)."
            )
        return self

    @model_validator(mode="after")
    def _suits_its_family(self) -> DatasetSpec:
        values = "values" in self.model.offered.inputs
        if values and (self.event.value is None or not self.bounded):
            raise ValueError(
                f"family {self.model.family} learns values: name their column as `event.value`, and "
                "their scale as `rules.value_between`, such as [1, 5]."
            )
        return self

    @model_validator(mode="after")
    def _weights_can_be_learnt(self) -> DatasetSpec:
        if self.weighs_in_vain:
            raise ValueError(
                f"`event.learn_from` weighs events, and family {self.model.family} learns their order, "
                "each alike: leave `weights` and `by_value` out, and name the types."
            )
        return self

    @model_validator(mode="after")
    def _goal_can_judge(self) -> DatasetSpec:
        if self.event.goal and {"values", "labels"} & set(self.model.offered.inputs):
            raise ValueError(
                f"`event.goal` = {list(self.event.goal.types)} does not suit family "
                f"{self.model.family}, which is judged by what it is told of each event; leave it out."
            )
        return self

    @model_validator(mode="after")
    def _feedback_can_be_events(self) -> DatasetSpec:
        if self.feedback is not None:
            low, high = self.rules.value_between
            told = low <= 1 <= high and "values" not in self.model.offered.inputs
            check_feedback(self.feedback, self.event, told, self.rules.positive_price)
        return self

    @property
    def weighs_in_vain(self) -> bool:
        """Whether events weigh more or less, and the family learns each alike."""
        positives = self.event.positives
        uneven = len(set(positives.weights.values())) > 1 or positives.by_value
        return uneven and "sessions" in self.model.offered.inputs

    @property
    def bounded(self) -> bool:
        """Whether the file says between which bounds values are."""
        return self.rules.value_between != Rules().value_between

    @property
    def known_shape(self) -> Any:
        """The model's shape; that of a family of values knows their scale."""
        if "values" not in self.model.offered.inputs:
            return self.model.shaped({})
        low, high = self.rules.value_between
        return self.model.shaped({"lowest": low, "highest": high, "centre": (low + high) / 2})

    @property
    def live(self) -> bool:
        return self.period.end is None

    @property
    def read_columns(self) -> tuple[str, ...]:
        """Columns that are read, in the order of [columns]."""
        return tuple(name for name, kind in self.columns.items() if kind != "ignore")

    @property
    def identity(self) -> tuple[str, ...]:
        """Columns whose texts make the event's id."""
        return self.read_columns if "*" in self.event.id else self.event.id

    @property
    def reading(self) -> str:
        """A fingerprint of all that decides what a line means and in which window it is. Lines that were
        read under another are read again (`validation/again.py`)."""
        judged_later: Any = {
            "name": True,
            "rules": True,
            "limits": True,
            "source": {"path", "pattern", "url", "wheel", "sha256", "late_days"},
            "window": {"warm_up", "zone"},
            "period": {"closed_weekdays", "closed_days"},
            "event": {"learn_from", "goal"},
            "ids": {"nobody", "longest"},
            "model": True,
            "feedback": True,
        }
        said = self.model_dump(mode="json", exclude=judged_later, exclude_defaults=True)
        zone = self.calendar.zone.key
        said |= {"zone": zone} if zone != "UTC" else {}
        text = json.dumps(said, sort_keys=True)
        return md5(text.encode(), usedforsecurity=False).hexdigest()

    @property
    def calendar(self) -> WindowCalendar:
        """How time is cut into windows."""
        return self.window.calendar(self.event.timezone)


class _Shared(DatasetSpec):
    """With a recommender's own model: weights are for the others on the dataset, too."""

    @model_validator(mode="after")
    def _weights_can_be_learnt(self) -> Self:
        return self


def load_dataset(settings: Settings) -> DatasetSpec:
    """The dataset that the settings name.

    Raises:
        BadInput: no such file, or a key or value in it that cannot be used.
    """
    path, own = settings.dataset_file, own_file(settings).of_dataset
    content = read_toml(path)
    if not own:
        return to_model(DatasetSpec, content, path)
    to_model(DatasetSpec, content, path)  # so that a mistake is blamed on the file that has it
    content |= {name: table for name, table in own.items() if name != "event"}
    return to_model(
        _Shared, laid_over({"event": own.get("event", {})}, content), settings.recommender_file
    )

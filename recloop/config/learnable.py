"""What the dataset's columns mean to features: which events are learnt from, which text is content.

Belongs here: the few facts of a dataset file that this folder needs. Keep out: reading the file
(see `config/dataset.py`).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field

from recloop.calendar import Window, WindowCalendar
from recloop.settings import Settings

LEARNABLE = (
    "(event_type = any(%(types)s) "
    "and (%(minimum)s::float8 is null or value >= %(minimum)s::float8) "
    "and (not %(valued)s or value is not null))"
)
"""SQL: whether a row of `behavior.event` is a choice, of which features speak and, unless a family
learns what was not chosen, too, models learn. Takes `Meaning.parameters()`."""
EXAMPLES = f"""
    (case when %(labelled)s then event_type = any(%(shown)s)
        or (event_type = any(%(types)s) and (%(minimum)s::float8 is null or value is not null))
    else {LEARNABLE} end)
"""
"""SQL: whether a row is an example for the model, chosen or not. Takes the same."""


WEIGHT = "coalesce((%(weights)s::jsonb ->> event_type)::float8, 1)"
"""SQL: how much a row counts by its type. Takes the same."""
KIND = "array_position(%(kinds)s::text[], event_type)"
"""SQL: the place of a row's type among those that are counted apart, from 1 on; null: it is none.
Takes the same."""
GOAL = "(%(goal)s::text[] is null or event_type = any(%(goal)s))"
"""SQL: whether a learnable row is one of those that the recommender is judged by. Takes the same."""
NEGATIVE = (
    "(event_type = any(%(negatives)s) "
    "or event_type = any(%(types)s) and value < %(minimum)s::float8)"
)
"""SQL: whether a row says that its user did not want the item. Takes the same."""


@dataclass(frozen=True)
class Meaning:
    """Parameters of every feature query; the defaults suit a shop's weekly purchases."""

    learn_from: tuple[str, ...] = ("purchase",)
    """Event types that a model learns from. Features call such events purchases."""
    minimum_value: float | None = None
    """Events of a lower `value` are not learnt from (a rating of 2 of 5); None: no limit."""
    weights: Mapping[str, float] = field(default_factory=dict)
    """How much an event counts by its type; 1, where it is not said."""
    by_value: bool = False
    """Whether an event counts by its value, too."""
    negatives: tuple[str, ...] = ("cancel",)
    """Event types that take back what a user did with an item."""
    goal: tuple[str, ...] | None = None
    """Event types that the recommender is judged by; None: all that it learns from."""
    name: str | None = None
    """Item attribute that is the item's name; None: `behavior.item.name`."""
    text: tuple[str, ...] = ()
    """Item attributes whose words are the item's content."""
    calendar: WindowCalendar = WindowCalendar("week")  # noqa: RUF009
    """How time is cut into windows, and in which zone days begin."""
    session_gap: float | None = None
    """Queries are sessions, which end after so many seconds without an event; None: a user's days."""
    valued: bool = False
    """Whether values are learnt: then low ones are, too, and those of at least `minimum_value` are
    likes."""
    labelled: bool = False
    """Whether it is told, too, what was shown and not chosen: events of `shown`, and those of
    `learn_from` below `minimum_value`."""
    shown: tuple[str, ...] = ()
    """Event types of what was shown."""
    keeps_values: bool = False
    """Whether training sets have the events' values."""
    features: bool = True
    """Whether the model's family is asked with what a feature store knows."""

    def parameters(self) -> dict[str, object]:
        """Values for `LEARNABLE` and the other SQL of this module."""
        minimum = None if self.valued else self.minimum_value
        return {
            "types": list(self.learn_from),
            "kinds": list(self.kinds),
            "minimum": minimum,
            "valued": self.valued,
            "labelled": self.labelled,
            "shown": list(self.shown),
            "weights": json.dumps(dict(self.weights)),
            "by_value": self.by_value,
            "negatives": list(self.negatives),
            "goal": None if self.goal is None else list(self.goal),
            "zone": self.calendar.zone.key,
        }

    @property
    def several_kinds(self) -> bool:
        """Whether training sets say of what type each event is."""
        return len(self.learn_from) > 1

    @property
    def kinds(self) -> tuple[str, ...]:
        """Event types that features count apart, in the order of their columns; none, where there is but
        one: what counts all events counts it."""
        return self.learn_from if self.several_kinds else ()

    @property
    def lightest_kind(self) -> int:
        """The place among `kinds` of the type that counts least; of equal ones the first."""
        weights = [self.weights.get(kind, 1.0) for kind in self.kinds]
        return weights.index(min(weights)) if weights else 0

    @property
    def like_from(self) -> float | None:
        """The lowest value that is a like."""
        return self.minimum_value if self.valued else None

    def window(self, key: str) -> Window:
        """The window of a key.

        Raises:
            BadInput: not the beginning of a window.
        """
        return self.calendar.parse(key)


def meaning_of(settings: Settings) -> Meaning:
    """Read the meaning from the dataset file that the settings name.

    Raises:
        BadInput: no such file, or it cannot be used.
    """
    from recloop.config.dataset import load_dataset

    dataset = load_dataset(settings)
    family = dataset.model.known_family
    positives = dataset.event.positives
    labels = family.needs("labels")
    return Meaning(
        learn_from=positives.types,
        minimum_value=positives.minimum_value,
        weights=positives.weights,
        by_value=positives.by_value,
        negatives=tuple(one for one in positives.negatives if one not in positives.types),
        goal=dataset.event.goal.types if dataset.event.goal else None,
        name=dataset.item_attributes.name,
        text=dataset.item_attributes.text,
        calendar=dataset.calendar,
        session_gap=dataset.model.gap_seconds if family.needs("sessions") else None,
        valued=family.needs("values"),
        labelled=labels and (positives.minimum_value is not None or bool(positives.shown)),
        shown=positives.shown,
        keeps_values=family.needs("values") or (labels and dataset.event.value is not None),
        features=family.needs_features,
    )

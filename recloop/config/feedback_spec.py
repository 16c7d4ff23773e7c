"""What a dataset file says of what servers were told and what they showed: [feedback].

Neighbours: `dataset.py` has the rest of the file; `behavior/shown.py` reads what is declared here.
"""

from __future__ import annotations

import re

from pydantic import Field, field_validator, model_validator

from recloop.config.event_spec import Event
from recloop.config.toml_file import Section

KIND = re.compile(r"[A-Za-z0-9_-]{1,40}")
"""Of feedback, as `POST /v1/feedback` takes it."""


class Feedback(Section):
    """Which feedback to answers of `recloop serve` becomes which events; whether what was shown does.

    Name only what the shop's own source does not deliver, too: both would count."""

    kinds: dict[str, str] = Field(default_factory=dict)
    """Kind of feedback → type of event: `{ click = "click", order = "purchase" }`."""
    impressions: str | None = None
    """Type of the events that say what was shown, one of `event.learn_from.shown`; None: none are."""

    @field_validator("kinds")
    @classmethod
    def _named(cls, kinds: dict[str, str]) -> dict[str, str]:
        for kind in kinds:
            if not KIND.fullmatch(kind):
                raise ValueError(
                    f"has {kind!r}, which no feedback can be of; a kind is 1 to 40 of A-Z, a-z, 0-9, "
                    "_ and -."
                )
        return kinds

    @model_validator(mode="after")
    def _says_something(self) -> Feedback:
        if not self.kinds and self.impressions is None:
            raise ValueError(
                'names no feedback; write kinds = { click = "click" }, or leave [feedback] out.'
            )
        return self


def check_feedback(feedback: Feedback, event: Event, one_fits: bool, priced: bool) -> None:
    """Every type that feedback becomes is one that the dataset speaks of, and no rule is such that each
    line of feedback breaks it.

    Args:
        one_fits: whether 1 is a value that the dataset and its family have a use for.
        priced: whether each line needs a price.

    Raises:
        ValueError: with the remedy.
    """
    if not one_fits:
        raise ValueError(
            "`feedback` says that something was chosen, once: its value is 1, which the family (where "
            "it learns values) or rules.value_between has no use for. Leave [feedback] out."
        )
    if priced:
        raise ValueError(
            "`feedback` has no prices, and rules.positive_price wants one of every line. Leave one of "
            "them out."
        )
    learnt = event.positives
    goal = event.goal.types if event.goal else ()
    known = dict.fromkeys((event.type, *(when.type for when in event.type_when), *learnt.types))
    known |= dict.fromkeys((*learnt.negatives, *learnt.shown, *goal))
    for kind, name in feedback.kinds.items():
        if name not in known:
            raise ValueError(
                f"`feedback.kinds.{kind}` = {name!r} is no type of event of this dataset, which speaks "
                f"of {', '.join(known)}. Name one of them, or name {name!r} in event.learn_from."
            )
    if feedback.impressions is not None and feedback.impressions not in learnt.shown:
        named = ", ".join(learnt.shown) or "none"
        raise ValueError(
            f"`feedback.impressions` = {feedback.impressions!r} should be one of event.learn_from.shown "
            f"({named}): what was shown is no choice. Name it there, or leave it out."
        )

"""[feedback] of a dataset file: which kinds become which events, and what cannot."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from recloop.config.dataset import DatasetSpec
from recloop.config.event_spec import Event
from recloop.config.feedback_spec import KIND

COLUMNS = {"user": "text", "item": "text", "at": "time", "stars": "number"}


def feedback(kinds: dict[str, str] | None = None, **more: Any) -> DatasetSpec:
    """A shop of clicks and purchases that learns from what it showed, with this [feedback]."""
    learn_from = {"types": ["click", "purchase"], "shown": ["view"]}
    told = {"kinds": kinds if kinds is not None else {"click": "click"}}
    told |= {name: more.pop(name) for name in ("impressions",) if name in more}
    return DatasetSpec(
        name="told", source={"kind": "file"}, columns=COLUMNS, feedback=told,
        event=Event(
            user_id="user", item_id="item", timestamp="at", learn_from=learn_from,
            **more.pop("event", {}),
        ),
        **more,
    )  # fmt: skip


def test_feedback_becomes_types_that_the_dataset_speaks_of() -> None:
    made = feedback({"click": "click", "order": "purchase", "back": "cancel"}, impressions="view")
    assert made.feedback.kinds["order"] == "purchase"


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"kinds": {"click": "klick"}}, "'klick' is no type of event .* click, purchase, cancel"),
        ({"kinds": {"a click": "click"}}, "'a click', which no feedback can be of"),
        ({"kinds": {}}, "names no feedback"),
        ({"impressions": "click"}, r"one of event.learn_from.shown \(view\): what was shown is no"),
        ({"rules": {"positive_price": True}}, "has no prices"),
        ({"rules": {"value_between": (2, 5)}}, "its value is 1"),
        (
            {
                "model": {"family": "ratings"},
                "rules": {"value_between": (0.5, 5)},
                "event": {"value": "stars"},
            },
            "its value is 1",
        ),
    ],
)
def test_feedback_that_cannot_become_events_is_refused_with_the_remedy(
    given: dict[str, Any], said: str
) -> None:
    with pytest.raises(ValidationError, match=said):
        feedback(**given)


def test_a_kind_is_what_the_server_takes() -> None:
    assert KIND.fullmatch("add-to_cart2")
    assert not KIND.fullmatch("")
    assert not KIND.fullmatch("k" * 41)

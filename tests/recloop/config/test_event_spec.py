"""Which events are learnt from, how much each counts, and by which the recommender is judged."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from recloop.config.dataset import DatasetSpec
from recloop.config.event_spec import Event, LearnFrom

COLUMNS = {"user": "text", "item": "text", "at": "time", "stars": "number"}


def event(**more: Any) -> Event:
    return Event(user_id="user", item_id="item", timestamp="at", **more)


def test_weights_name_the_types_unless_these_are_given() -> None:
    weights = {"click": 0.1, "purchase": 1.0}
    assert LearnFrom(weights=weights).types == ("click", "purchase")
    assert LearnFrom(types=("click", "cart", "purchase"), weights=weights).types[1] == "cart"
    assert event(type="view").positives.types == ("view",)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"types": []}, "names no type"),
        ({"types": ["a"], "weights": {"b": 1.0}}, "`types` = .* lacks"),
        ({"weights": {"a": 0.0}}, "has no weight; what takes back is one of `negatives`"),
        ({"weights": {"a": -1.0}}, "between 0.001 and 1000"),
        ({"weights": {"a": float("nan")}}, "between 0.001 and 1000"),
        ({"types": ["a"], "negatives": ["a"]}, "either a choice or what takes it back"),
        ({"types": ["a"], "shown": ["a"]}, "either a choice or what was shown"),
    ],
)
def test_what_cannot_be_learnt_from_is_refused(given: dict[str, Any], said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        LearnFrom(**given)


@pytest.mark.parametrize("zone", ["CET", "EET", "Mars/Olympus"])
def test_a_zone_that_libraries_read_differently_is_none(zone: str) -> None:
    with pytest.raises(ValidationError, match=f"'{zone}' is"):
        event(timezone=zone)


def test_what_takes_back_is_not_what_was_shown() -> None:
    with pytest.raises(ValidationError, match="both have 'view'"):
        LearnFrom(types=("click",), shown=("view",), negatives=("view",))


def test_the_order_of_events_has_no_weights() -> None:
    given = {
        "name": "clicks",
        "source": {"kind": "file"},
        "columns": COLUMNS,
        "model": {"family": "sessions"},
    }
    uneven = event(learn_from={"weights": {"click": 0.1, "purchase": 1.0}})
    with pytest.raises(ValidationError, match="learns their order, each alike"):
        DatasetSpec(**given, event=uneven)
    alike = event(learn_from={"weights": {"click": 1.0, "purchase": 1.0}})
    assert DatasetSpec(**given, event=alike).name == "clicks"


def test_a_goal_or_the_zone_of_before_leaves_lines_as_they_were_read() -> None:
    given = {"name": "clicks", "source": {"kind": "file"}, "columns": COLUMNS}
    plain = DatasetSpec(**given, event=event(timezone="Europe/Berlin"))
    utc = DatasetSpec(**given, event=event(timezone="Europe/Berlin"), window={"zone": "UTC"})
    judged = DatasetSpec(**given, event=event(goal={"types": ["event"]}))
    assert judged.reading == DatasetSpec(**given, event=event()).reading
    assert utc.reading != plain.reading


def test_a_shop_that_learns_from_cancellations_may() -> None:
    assert LearnFrom(types=("purchase", "cancel")).types == ("purchase", "cancel")


def test_a_goal_is_one_of_the_types_that_are_learnt_from() -> None:
    goal = {"types": ["purchase"]}
    assert event(learn_from={"types": ["click", "purchase"]}, goal=goal).goal.types == ("purchase",)
    with pytest.raises(ValidationError, match="what is judged by is learnt from, too"):
        event(learn_from={"types": ["click"]}, goal=goal)
    with pytest.raises(ValidationError, match="at least 1"):
        event(goal={"types": []})


def test_a_family_that_is_judged_by_every_event_has_no_goal() -> None:
    given = {
        "name": "films",
        "source": {"kind": "file"},
        "columns": COLUMNS,
        "event": event(value="stars", type="rate", goal={"types": ["rate"]}),
        "rules": {"value_between": [1, 5]},
    }
    with pytest.raises(ValidationError, match="does not suit family ratings"):
        DatasetSpec(**given, model={"family": "ratings"})
    assert DatasetSpec(**given).event.goal is not None

"""Random lives of a shop: whatever happens, each accepted event is in exactly one update of the
champion's lineage, or listed as pending; every other line is a duplicate, quarantined or waiting.

Windows come late, doubled, out of order; they are refused and mended, rolled back and replayed; runs
die, wake up again, and race one another. After each step the models are asked what they have learnt.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings, strategies

from tests.recloop.ledger.life import stand_in
from tests.recloop.ledger.oracle import WEEKS
from tests.recloop.ledger.steps import STEPS, Shop, Step

pytestmark = pytest.mark.slow

LIVES = strategies.lists(
    strategies.builds(
        Step,
        what=strategies.sampled_from(STEPS),
        week=strategies.sampled_from(WEEKS[:4]),
        plan=strategies.sampled_from(["increment", "increment", "auto", "rebuild", "skip"]),
        pick=strategies.integers(0, 9),
        yes=strategies.sampled_from([True, True, True, False]),
    ),
    min_size=8,
    max_size=15,
)
SECOND, THIRD = WEEKS[1:3]


def life(*steps: Step | str) -> list[Step]:
    return [Step(step) if isinstance(step, str) else step for step in steps]


@pytest.fixture
def homes(tmp_path: Path) -> Iterator[Path]:
    return (tmp_path / str(n) for n in itertools.count())


@settings(
    max_examples=5,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
@given(steps=LIVES)
@example(life("late_lines", "whole_update", "late_lines", Step("ingest", SECOND), "whole_update"))
@example(life(*(Step("late_lines_while_updating", SECOND, pick=n) for n in range(3))))
@example(life("late_lines", Step("ingest", SECOND), "whole_update", "roll_back", "whole_update"))
@example(life(Step("late_lines_while_updating", SECOND, pick=7), "roll_back", "whole_update"))
@example(
    life(
        Step("ingest", SECOND),
        Step("lines_while_planning", SECOND, yes=False),
        *("go_on", "go_on", "go_on"),
    )
)
@example(life(Step("lines_while_building", SECOND), "whole_update"))
@example(life("roll_back", "two_triggers", "run_dies", "two_triggers"))
@example(
    life(
        *(Step("ingest", SECOND), "whole_update"),
        *(Step("ingest", THIRD), "plan", "go_on", "go_on", "orphans_wake", "roll_back", "go_on"),
    )
)
def test_each_event_is_learnt_once_or_listed(
    database_url: str, homes: Iterator[Path], monkeypatch: pytest.MonkeyPatch, steps: list[Step]
) -> None:
    shop = Shop(database_url, next(homes))
    with monkeypatch.context() as patch:
        stand_in(patch, shop.life)
        shop.begin()
        for step in steps:
            shop.take(step)
            shop.life.check()
        shop.finish()

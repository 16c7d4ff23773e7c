"""Rules that a person edits: what they make of the data at hand."""

from __future__ import annotations

from recloop.config.rules import HoldoutRules


def test_of_a_large_window_as_much_is_held_out_as_is_enough() -> None:
    holdout = HoldoutRules(share=0.25, enough=1000, top_up=True)
    assert [holdout.of(events) for events in (10, 4000, 20_000)] == [0.25, 0.25, 0.05]

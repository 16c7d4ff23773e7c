"""Models as they were at a mark: several parts learnt one after another from the same weights."""

from __future__ import annotations

from collections.abc import Mapping

from models.merging.merging import Mark, _change_optimizer
from models.tables.state import ModelState


def put_back(states: Mapping[str, ModelState], marks: Mapping[str, Mark]) -> None:
    """Gives states that have no new rows since the tables, slots and steps that they had."""
    for name, mark in marks.items():
        state = states[name]
        if state.optimizer.kind != mark.optimizer:
            _change_optimizer(state, mark.optimizer)
        for table, values in mark.tables.items():
            state.network.tables[table].assign(values)
        for slot, values in mark.slots.items():
            state.optimizer.slots[slot].assign(values)
        state.steps = mark.steps

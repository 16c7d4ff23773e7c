"""Of many queries a ranker learns from some, drawn by its recipe's seed."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from models.retrieve_and_rank import two_stages as stages
from tests.models.conftest import World
from tests.models.tiny_two_stage import RANKER, TOWERS, loyal, new_model, queries_of


def test_few_queries_are_all_taken(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    model, queries = new_model(world), queries_of(world)
    asked = model.config, model.towers, queries, loyal(world), RANKER
    whole, labels = stages.tested(*asked, 1)
    monkeypatch.setattr(stages, "MOST_LISTS", len(queries))
    again, same = stages.tested(*asked, 1)
    assert np.array_equal(whole.features, again.features)
    assert np.array_equal(labels, same)


def test_of_many_some_are_drawn_with_what_they_chose(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, queries = new_model(world), queries_of(world)
    asked = model.config, model.towers, queries, loyal(world)
    whole, labels = stages.tested(*asked, RANKER, 1)
    monkeypatch.setattr(stages, "MOST_LISTS", 10)
    some, chosen = stages.tested(*asked, RANKER, 2)
    assert len(some) == 5, "two windows have ten lists"
    ends = [slice(*whole.offsets[n : n + 2]) for n in range(len(whole))]
    lists = [(whole.item_keys[one].tolist(), labels[one].tolist()) for one in ends]
    place = -1
    for n in range(len(some)):
        one = slice(*some.offsets[n : n + 2])
        drawn = (some.item_keys[one].tolist(), chosen[one].tolist())
        place = lists.index(drawn, place + 1)  # each a list of the whole, in its order
    other, _ = stages.tested(*asked, dataclasses.replace(RANKER, seed=RANKER.seed + 1), 2)
    again, _ = stages.tested(*asked, RANKER, 2)
    assert np.array_equal(some.features, again.features)
    assert not np.array_equal(some.offsets, other.offsets) or not np.array_equal(
        some.features, other.features
    )


def test_a_rebuild_learns_from_so_many_together(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    learnt = []
    joined = stages.joined
    monkeypatch.setattr(stages, "MOST_LISTS", 12)
    monkeypatch.setattr(stages, "joined", lambda parts: learnt.append(joined(parts)) or learnt[-1])
    model, queries = new_model(world), queries_of(world)
    window = (queries, loyal(world))
    model.rebuild(window, [window] * 3, TOWERS, TOWERS, ranker=RANKER)
    assert [len(lists) for lists in learnt] == [4, 4, 4, 12]

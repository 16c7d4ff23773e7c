"""Events of each kind as a ranker takes them: features by hand, arrays against the graph, and models
that were made before kinds were counted, or are asked with what was written before."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from models.data.events import Events
from models.data.queries import ItemStatistics, OwnItems, Queries
from models.ids.starts import NewIds
from models.ranker.pair_features import features_of
from models.recommenders.family import Recommender, family_named
from models.recommenders.offered import named
from tests.models.recommenders.test_family import RECENT, training_of
from tests.models.shop_weeks import WIDTHS, end_of, joined, week

KINDS = 3
FAMILIES = ("retrieve_and_rank", "click_through")
NOTHING = np.zeros((48, 0), np.int64)


def counted(events: Events) -> Events:
    """The events, their features counted by kind: of own items as their keys say, of items as random."""
    own, items = events.own, events.items
    each = np.stack([own.item_keys % 4, own.item_keys % 3, own.item_keys % 2], axis=1)
    every = np.zeros((len(own), KINDS), np.float32)
    np.add.at(every, own.owners(), each.astype(np.float32))
    more = np.random.default_rng(5).random((*items.values.shape[:2], KINDS))
    return replace(
        events,
        own=OwnItems(
            own.offsets,
            own.item_keys,
            np.concatenate([own.values, each], axis=1, dtype=np.float32),
            np.concatenate([own.totals, every], axis=1),
        ),
        items=ItemStatistics(
            items.item_keys, np.concatenate([items.values, more], axis=2, dtype=np.float32), KINDS
        ),
    )


def champion(name: str, kinds: int) -> Recommender:
    """One that has learnt three weeks, the third as an increment."""
    widths = replace(WIDTHS, item_statistics=5 + kinds, kinds=kinds)
    family = family_named(name)
    model = family.load().new(family.shaped({}), widths, 3)
    past, newest = joined(0, 1), week(2)
    if kinds:
        past, newest = counted(past), counted(newest)
    model.make_room(past, NewIds())
    model.learn_from_nothing(past, end_of(1), RECENT, training_of(family, rebuild=True))
    model.make_room(newest, NewIds())
    model.learn(newest, training_of(family))
    return model


def test_features_of_each_kind_by_hand() -> None:
    """Of two kinds, clicks and purchases: the user clicked item 7 three times and bought it never, and
    bought item 8 once without a click."""
    values = np.zeros((2, 8), np.float32)
    values[:, 0], values[:, 6:] = [3, 1], [[3, 0], [0, 1]]
    totals = np.array([[4, 2, 3, 1]], np.float32)
    own = OwnItems(np.array([0, 2]), np.array([7, 8]), values, totals)
    items = ItemStatistics(np.array([8, 9]), np.array([[[0.5, 1, 2], [0.25, 3, 4]]], np.float32), 2)
    queries = Queries(
        np.array([1]), np.zeros((1, 1), np.int64), np.array([[0.125]], np.float32), own, items
    )
    found = features_of(queries, np.zeros(3, int), np.array([7, 8, 9]), 3, 2)
    assert found.shape == (3, 10 + 2 + 3 + 2 + 1 + 3)
    np.testing.assert_allclose(found[:, 10:12], np.log1p([[3, 0], [0, 1], [0, 0]]), rtol=1e-6)
    user = [*np.log1p([4, 2, 0]), *np.log1p([3, 1]), 0.125]
    np.testing.assert_allclose(found[:, 12:18], [user] * 3, rtol=1e-6)
    assert found[:, 18:].tolist() == [[0, 0, 0], [0.5, 1, 2], [0.25, 3, 4]]


def test_what_is_not_counted_is_zero_and_what_is_not_asked_is_left_out() -> None:
    plain, full = week(2).queries(), counted(week(2)).queries()
    assert full.with_kinds(KINDS) is full
    same(full.with_kinds(0), plain)
    wider = plain.with_kinds(KINDS)
    assert wider.own is not None
    assert wider.items is not None
    assert (wider.own.kinds, wider.items.kinds) == (KINDS, KINDS)
    assert not wider.own.values[:, 6:].any()
    assert not wider.items.values[:, :, 5:].any()
    same(wider.with_kinds(0), plain)
    nobody = replace(plain, own=None, items=None, moments=None).with_kinds(KINDS)
    assert nobody.own is not None
    assert (nobody.own.totals.shape, nobody.items) == ((48, 2 + KINDS), None)


def same(left: Queries, right: Queries) -> None:
    assert left.own is not None
    assert right.own is not None
    assert left.items is not None
    assert right.items is not None
    assert left.items.kinds == right.items.kinds
    np.testing.assert_array_equal(left.own.values, right.own.values)
    np.testing.assert_array_equal(left.own.totals, right.own.totals)
    np.testing.assert_array_equal(left.items.values, right.items.values)


def test_totals_are_of_as_many_kinds_as_values() -> None:
    own = counted(week(2)).own
    with pytest.raises(ValueError, match="and one for each kind of events that `values` counts"):
        replace(own, totals=own.totals[:, :-1].copy())


@pytest.mark.slow
@pytest.mark.parametrize("name", FAMILIES)
def test_what_arrays_answer_is_what_the_graph_and_the_model_do(name: str, tmp_path: Path) -> None:
    model, queries = champion(name, KINDS), counted(week(3)).queries()
    model.export(tmp_path / "export", queries)
    answerer = named(family_named(name).answers)(tmp_path / "export")
    graph = model.served(tmp_path / "export")
    keys, scores = answerer.top_k(queries, 7, NOTHING)
    for one in (graph.top_k(queries, 7, NOTHING), model.top_k(queries, 7)):
        assert scores == pytest.approx(one[1], rel=2e-4, abs=2e-5)
        assert (keys == one[0]).mean() > 0.98  # sums in another order may swap a tie
    # Kinds matter to it, and where none are told it is asked as if there were none.
    bare = week(3).queries()
    _, other = answerer.top_k(bare, 7, NOTHING)
    assert np.abs(other - scores).max() > 1e-3
    assert other == pytest.approx(graph.top_k(bare, 7, NOTHING)[1], rel=2e-4, abs=2e-5)


@pytest.mark.slow
@pytest.mark.parametrize("name", FAMILIES)
def test_a_model_of_before_goes_on_as_it_was(name: str, tmp_path: Path) -> None:
    """It is asked, learns and is exported with features of each kind as without them."""
    model, again = champion(name, 0), champion(name, 0)
    plain, full = week(3), counted(week(3))
    for one, events in ((model, plain), (again, full)):
        one.export(tmp_path / str(one is again), events.queries())
        one.learn(events, training_of(family_named(name)))
    ours, theirs = model.parameters(), again.parameters()
    assert all((ours[part] == theirs[part]).all() for part in ours)
    answers = [
        one.top_k(events.queries(), 7)
        + named(family_named(name).answers)(tmp_path / str(told)).top_k(
            events.queries(), 7, NOTHING
        )[:2]
        + one.served(tmp_path / str(told)).top_k(events.queries(), 7, NOTHING)
        for one, events, told in ((model, plain, False), (again, full, True))
    ]
    for left, right in zip(*answers, strict=True):
        np.testing.assert_array_equal(left, right)

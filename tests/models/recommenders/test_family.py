"""The contract of every registered family: what `Recommender` promises holds, whoever keeps it."""

from __future__ import annotations

import dataclasses
from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest

from benchmarks.put_back import put_back
from models.errors import RestoreError
from models.ids.starts import NewIds
from models.learning.recipes import Training
from models.merging import changes
from models.recommenders import recommender_files
from models.recommenders.family import INPUTS, Family, Recommender, family_named
from models.recommenders.learner import footprint
from models.recommenders.offered import FAMILIES
from tests.models.shop_weeks import WIDTHS, end_of, joined, week

pytestmark = pytest.mark.slow
RECENT = timedelta(days=7)


@pytest.fixture(params=FAMILIES)
def family(request: pytest.FixtureRequest) -> Family:
    return family_named(request.param)


def training_of(family: Family, rebuild: bool = False, **change: object) -> Training:
    """The family's own recipes, short."""
    short = {"epochs": 1, "seed": 5, **change}
    base, ranker = family.increment, family.ranker
    if rebuild:
        base, ranker = family.rebuild, family.ranker_rebuild
    return Training(
        dataclasses.replace(base, **short),
        ranker and dataclasses.replace(ranker, epochs=1, seed=5),
        dataclasses.replace(family.increment, **short),
    )


def champion(family: Family) -> Recommender:
    """One that has learnt two weeks from nothing."""
    model = family.load().new(family.shaped({}), WIDTHS, 3)
    model.make_room(joined(0, 1), NewIds())
    model.learn_from_nothing(joined(0, 1), end_of(1), RECENT, training_of(family, rebuild=True))
    return model


def increment(model: Recommender, family: Family, number: int = 2, **change: object) -> None:
    model.make_room(week(number), NewIds())
    model.learn(week(number), training_of(family, **change))


def same(left: Recommender, right: Recommender) -> bool:
    ours, theirs = left.parameters(), right.parameters()
    return ours.keys() == theirs.keys() and all((ours[n] == theirs[n]).all() for n in ours)


def test_it_says_what_there_is(family: Family) -> None:
    assert set(family.inputs) <= set(INPUTS)
    model = family.load().new(family.shaped({}), WIDTHS, 3)
    assert tuple(model.states) == family.states
    assert set(model.merging) == set(family.states)
    assert len(model.item_keys) == 0
    assert (family.ranker is None) == (len(family.states) == 1)


def test_the_same_events_give_the_same_bits(family: Family) -> None:
    one, other = champion(family), champion(family)
    for model in (one, other):
        increment(model, family)
    assert same(one, other)
    assert not same(one, champion(family))


def test_it_learns_which_items_are_of_a_users_camp(family: Family) -> None:
    """A session family is told the session's first items; the others the user."""
    model = champion(family)
    for number in (2, 3, 4):
        increment(model, family, number, epochs=5)
    asked = week(5)
    queries = asked.queries()
    if family.needs("sessions"):
        queries = dataclasses.replace(queries, history=asked.item_keys.reshape(-1, 4)[:, 1::-1])
    keys, scores = model.top_k(queries, 5)
    assert keys.shape == scores.shape == (48, 5)
    assert (np.diff(scores, axis=1) <= 0).all()
    camp = (asked.user_keys - 1) % 2
    right = ((keys - 101) // 15 == camp[:, None]).mean()
    # Of a scale of ratings the camps are nothing: it has seen none of the other camp's.
    assert right > (0.5 if family.needs("values") else 0.8)


def test_saved_it_is_what_it_was_and_a_delta_is_smaller(family: Family, tmp_path: Path) -> None:
    model = champion(family)
    model.save(tmp_path / "whole")
    again = family.load().restore(tmp_path / "whole")
    assert same(model, again)
    assert recommender_files.family_in(tmp_path / "whole") is family
    for one in (model, again):
        increment(one, family)
    assert same(model, again)
    again.save(tmp_path / "next", base=tmp_path / "whole")
    assert same(family.load().restore(tmp_path / "next"), again)


def test_what_is_damaged_is_told(family: Family, tmp_path: Path) -> None:
    with pytest.raises(RestoreError, match="No recommender in"):
        family.load().restore(tmp_path / "nowhere")
    champion(family).save(tmp_path / "saved")
    (tmp_path / "saved" / family.states[0] / "arrays.npz").write_bytes(b"PK")
    with pytest.raises(RestoreError, match="can't be read"):
        family.load().restore(tmp_path / "saved")


def test_its_export_answers_as_it_does(family: Family, tmp_path: Path) -> None:
    model = champion(family)
    queries = week(2).queries()
    if family.needs("sessions"):
        queries = dataclasses.replace(queries, history=week(2).item_keys.reshape(-1, 4))
    model.export(tmp_path / "served", queries if family.needs_features else None)
    nothing = np.zeros((len(queries), 0), np.int64)
    keys, _ = model.served(tmp_path / "served").top_k(queries, 5, nothing)
    expected, _ = model.top_k(queries, 5)
    assert (keys == expected).mean() > 0.98  # sums in another order may swap a tie
    banned = expected[:, :1]
    without, _ = model.served(tmp_path / "served").top_k(queries, 5, banned)
    assert not (without == banned).any()
    assert recommender_files.family_in(tmp_path / "served") is family


def test_every_kind_of_maintenance_answers_and_is_smaller(family: Family) -> None:
    queries = week(2).queries()
    whole = footprint(champion(family), queries)
    for kind in ("none", *family.maintenance):
        model = champion(family).maintained(kind, queries)
        size = footprint(model, queries).bytes
        assert size == whole.bytes if kind in ("none", "float32") else size < whole.bytes, kind
        assert model.top_k(queries, 3)[0].all()


def test_two_workers_changes_are_merged(family: Family, tmp_path: Path) -> None:
    model = champion(family)
    events = week(2)
    model.make_room(events, NewIds())
    marks, parts = changes.marks_of(model.states), []
    for camp in (0, 1):
        own = events.where(((events.user_keys - 1) % 2 == camp)[events.query])
        model.learn(own, training_of(family))
        part = changes.changes_of(model.states, marks, model.touched(own))
        changes.save(part, tmp_path / str(camp), {"shard": camp})
        parts.append(changes.restore(tmp_path / str(camp), family.states)[0])
        put_back(model.states, marks)
    before = model.parameters()
    changes.merge(model.states, parts, model.merging)
    after = model.parameters()
    assert any((before[name] != after[name]).any() for name in after)
    assert all(np.isfinite(table).all() for table in after.values())
    assert model.states[family.states[0]].steps > marks[family.states[0]].steps


def test_what_is_remembered_is_rehearsed(family: Family) -> None:
    model = champion(family)
    replay = {"replay": "uniform", "replay_share": 0.5, "memory_size": 40}
    assert not model.remembers
    model.remember_events(joined(0, 1), training_of(family, **replay).recipe)
    assert model.remembers
    model.make_room(week(2), NewIds())
    assert model.learn(week(2), training_of(family, **replay)).rehearsed > 0


def test_early_stopping_keeps_the_best_epoch(family: Family) -> None:
    model = champion(family)
    model.make_room(week(2), NewIds())
    report = model.learn(week(2), training_of(family, epochs=4, patience=1), held_out=week(3))
    assert 1 <= len(report.validation) <= 4
    assert all(np.isfinite(report.validation))


def test_an_average_lies_between(family: Family, tmp_path: Path) -> None:
    model = champion(family)
    model.save(tmp_path / "first")
    before = model.parameters()
    increment(model, family)
    after = model.parameters()
    mean = model.averaged([tmp_path / "first"]).parameters()
    for name, table in before.items():
        if table.shape == after[name].shape:
            np.testing.assert_allclose(mean[name], (table + after[name]) / 2, rtol=1e-4, atol=1e-5)


def test_ids_long_unseen_are_forgotten(family: Family) -> None:
    model = champion(family)
    gone = week(9).where(week(9).item_keys < 108)
    if "expire_after_days" in family.ids:
        model.make_room(gone, NewIds(expire_after_days=20))
        assert set(model.item_keys) == set(gone.item_keys)
    assert model.top_k(gone.queries(), 3)[0].any()


def test_expected_values_are_of_the_scale_or_none(family: Family) -> None:
    expected = champion(family).expected(week(2))
    assert expected.shape == (192,)
    assert np.isfinite(expected).all() == (family.needs("values") or family.needs("labels"))
    assert champion(family).expected_values(week(2)).shape == (192,)


def test_a_family_of_ones_own_is_found_by_its_place_and_a_wrong_one_is_told() -> None:
    assert family_named("tests.recloop.ledger.moments:FAMILY").name == "moments"
    for name, says in (("retrieve", "choose one of"), ("no.such:FAMILY", "cannot be loaded")):
        with pytest.raises(ValueError, match=says):
            family_named(name)


@pytest.mark.parametrize("family", ["sessions", "ratings"], indirect=True)
def test_held_out_events_that_say_nothing_stop_no_training(family: Family) -> None:
    """A shard's users may have none; of a session of one event nothing can be told."""
    few = np.arange(192) % 4 == 0 if family.needs("sessions") else np.zeros(192, bool)
    models = champion(family), champion(family)
    for model, held_out in zip(models, (week(3).where(few), None), strict=True):
        model.make_room(week(2), NewIds())
        report = model.learn(week(2), training_of(family, epochs=3, patience=1), held_out=held_out)
        assert report.validation == ()
    assert same(*models)

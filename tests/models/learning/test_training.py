import dataclasses

import numpy as np
import pytest

from models.data.queries import Interactions, Items
from models.errors import BadTrainingData, NonFiniteWeights
from models.learning import training
from models.learning.recipes import Recipe, TrainingProgress
from tests.models.scoring import scored


def events(query, item_keys, weights=None) -> Interactions:
    weights = np.ones(len(query)) if weights is None else weights
    return Interactions(
        np.array(query, np.int32), np.array(item_keys, np.int64), np.array(weights, np.float32)
    )


def same(one: dict[str, np.ndarray], other: dict[str, np.ndarray]) -> bool:
    return all((one[name] == other[name]).all() for name in one) and one.keys() == other.keys()


@pytest.mark.parametrize("shuffle", ["baskets", "events", "none"])
@pytest.mark.parametrize("negatives", [0, 8])
def test_the_same_seed_gives_the_same_bits(make_model, world, recipe, shuffle, negatives) -> None:
    config = dataclasses.replace(make_model(trained=False).config, uniform_negatives=negatives)
    recipe = dataclasses.replace(recipe, shuffle=shuffle)
    models = [make_model(config, trained=False) for _ in range(2)]
    reports = [m.fit(world.queries, world.interactions, recipe) for m in models]
    assert same(models[0].parameters(), models[1].parameters())
    assert same(models[0]._state.slots(), models[1]._state.slots())
    assert reports[0].last_loss == reports[1].last_loss


def test_another_seed_gives_other_bits(make_model, world, recipe) -> None:
    models = [make_model(trained=False) for _ in range(2)]
    for seed, m in enumerate(models):
        m.fit(world.queries, world.interactions, dataclasses.replace(recipe, seed=seed))
    assert not same(models[0].parameters(), models[1].parameters())


def test_learns_each_users_taste(model, world) -> None:
    scores = scored(model, world.queries, world.items.item_keys)
    even, odd = scores[::2], scores[1::2]
    assert even[:, :15].mean() > even[:, 15:].mean() + 1
    assert odd[:, 15:].mean() > odd[:, :15].mean() + 1


def test_reports_what_it_did(make_model, world, recipe) -> None:
    report = make_model(trained=False).fit(world.queries, world.interactions, recipe)
    assert report.examples == 120 * 3
    assert report.steps == 8 * 3  # 120 events in batches of at most 16
    assert report.last_loss < report.first_loss
    assert report.cpu_seconds > 0


def test_control_returns_after_each_chunk(make_model, world, recipe, monkeypatch) -> None:
    monkeypatch.setattr(training, "CHUNK_STEPS", 3)
    seen: list[TrainingProgress] = []
    model = make_model(trained=False)
    report = model.fit(world.queries, world.interactions, recipe, seen.append)
    assert [p.step for p in seen] == [3, 6, 8, 11, 14, 16, 19, 22, 24]
    assert [p.epoch for p in seen] == [1, 1, 1, 2, 2, 2, 3, 3, 3]
    assert [p.examples for p in seen] == [45, 90, 120, 165, 210, 240, 285, 330, 360]
    assert {(p.steps, p.epochs) for p in seen} == {(24, 3)}
    assert (seen[0].loss, seen[-1].loss) == (report.first_loss, report.last_loss)


def test_chunks_are_not_felt(make_model, world, recipe, monkeypatch) -> None:
    whole, cut = make_model(trained=False), make_model(trained=False)
    whole.fit(world.queries, world.interactions, recipe)
    monkeypatch.setattr(training, "CHUNK_STEPS", 3)
    cut.fit(world.queries, world.interactions, recipe)
    for name, array in whole.parameters().items():
        assert cut.parameters()[name] == pytest.approx(array, abs=1e-5), name


def test_the_callback_may_stop_it(make_model, world, recipe) -> None:
    class LeaseLost(Exception): ...

    def stop(progress: TrainingProgress) -> None:
        raise LeaseLost

    model = make_model(trained=False)
    with pytest.raises(LeaseLost):
        model.fit(world.queries, world.interactions, recipe, stop)
    assert model.steps == 8
    assert all(np.isfinite(array).all() for array in model.parameters().values())


def test_rows_without_events_stay_bit_identical(model, world, recipe) -> None:
    before, slots = model.parameters(), model._state.slots()
    # Queries 0 and 2 are users 1001 and 1003; their histories are among the first 15 items.
    model.fit(world.queries, events([0, 2, 0], [501, 502, 503]), recipe)
    after, new_slots = model.parameters(), model._state.slots()
    assert (after["user"][1] != before["user"][1]).any()
    assert (after["item"][1:4] != before["item"][1:4]).any()
    for name, untouched in (
        ("user", slice(4, None)), ("user", slice(2, 3)), ("user", slice(0, 1)),
        ("item", slice(4, None)),
        ("item_bias", slice(4, None)), ("history", slice(16, None)), ("history", slice(0, 1)),
    ):  # fmt: skip
        assert (after[name][untouched] == before[name][untouched]).all(), name
        slot = f"{name}/accumulator"
        assert (new_slots[slot][untouched] == slots[slot][untouched]).all(), name


def test_an_event_without_weight_teaches_nothing_but_is_a_negative(make_model, world) -> None:
    recipe = Recipe(epochs=1, learning_rate=0.1, batch_size=8)
    model = make_model(trained=False)
    before = model.parameters()
    model.fit(world.queries, events([0, 1], [501, 520], [1.0, 0.0]), recipe)
    after = model.parameters()
    assert (after["user"][2] == before["user"][2]).all()
    assert (after["user"][1] != before["user"][1]).any()
    assert (after["item"][20] != before["item"][20]).any()


def test_growing_does_not_retrace(make_model, world, recipe) -> None:
    model = make_model()
    (compiled,) = model._state.compiled.values()
    model.add_ids(np.array([2001]), Items(np.array([901]), np.array([[1, 0, 0]], np.int32)))
    model.fit(world.queries, events([0, 1], [901, 520]), recipe)
    assert list(model._state.compiled.values()) == [compiled]


def test_nothing_to_learn_from(model, world, recipe) -> None:
    before = model.parameters()
    with pytest.raises(BadTrainingData, match=r"0 interactions.*Skip the update"):
        model.fit(world.queries, events([], []), recipe)
    with pytest.raises(BadTrainingData, match=r"none with a positive weight"):
        model.fit(world.queries, events([0], [501], [0.0]), recipe)
    assert same(model.parameters(), before)


def test_unknown_items_are_refused_with_the_remedy(model, world, recipe) -> None:
    with pytest.raises(BadTrainingData, match=r"2 item\(s\).*first is 777.*add_ids\(\)"):
        model.fit(world.queries, events([0, 1, 2], [888, 777, 501]), recipe)


def test_an_index_beyond_the_queries_is_refused(model, world, recipe) -> None:
    with pytest.raises(BadTrainingData, match=r"Interaction 1 points to query 20, of 20"):
        model.fit(world.queries, events([0, 20], [501, 502]), recipe)


def test_statistics_of_another_width_are_refused(model, world, recipe) -> None:
    queries = dataclasses.replace(world.queries, statistics=np.zeros((20, 3), np.float32))
    with pytest.raises(BadTrainingData, match=r"takes 2 statistics per query. Received: 3"):
        model.fit(queries, world.interactions, recipe)


def test_divergence_is_named(model, world, recipe) -> None:
    user = model._state.network.tables["user"]
    user.assign(np.where(np.arange(21)[:, None] == 1, np.nan, user.numpy()))
    recipe = dataclasses.replace(recipe, user_dropout=0.0)
    with pytest.raises(NonFiniteWeights, match=r"loss became nan in epoch 1.*learning_rate=0\.1"):
        model.fit(world.queries, world.interactions, recipe)


def test_a_shorter_history_is_padded_and_a_longer_one_cut(make_model, world, recipe) -> None:
    long = np.concatenate([world.queries.history, np.full((20, 2), 501)], axis=1)
    exact, cut = make_model(trained=False), make_model(trained=False)
    exact.fit(world.queries, world.interactions, recipe)
    cut.fit(dataclasses.replace(world.queries, history=long), world.interactions, recipe)
    assert same(exact.parameters(), cut.parameters())
    short = dataclasses.replace(world.queries, history=world.queries.history[:, :4].copy())
    padded = make_model(trained=False)
    padded.fit(short, world.interactions, recipe)  # the fifth place is empty in this world
    assert same(exact.parameters(), padded.parameters())


def test_user_dropout_hides_ids_and_not_histories(make_model, world, recipe) -> None:
    moved = {}
    for share in (0.0, 0.9):
        model = make_model(trained=False)
        before = model.parameters()
        once = dataclasses.replace(recipe, epochs=1, user_dropout=share)
        model.fit(world.queries, world.interactions, once)
        after = model.parameters()
        moved[share] = {n: np.abs(after[n] - before[n]).mean() for n in ("user", "history")}
    assert moved[0.9]["user"] < 0.5 * moved[0.0]["user"]
    assert moved[0.9]["history"] > 0.8 * moved[0.0]["history"]

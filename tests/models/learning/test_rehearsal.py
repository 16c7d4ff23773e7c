"""The past within training, on the two towers."""

import dataclasses
import logging

import numpy as np
import pytest

from models.data.queries import Interactions, Items, Queries
from models.learning import rehearsal
from models.learning.distillation import distillation_loss
from models.learning.recipes import Recipe
from models.learning.rehearsal import past_of
from models.tables.backend import tf
from models.two_tower import tower_recommender
from models.two_tower.tower_recommender import TwoTowerRecommender
from tests.models.scoring import scored

pytestmark = pytest.mark.slow


def remembering(recipe: Recipe, **settings) -> Recipe:
    settings = {"replay": "uniform", "replay_share": 0.5, "memory_size": 60, **settings}
    return dataclasses.replace(recipe, **settings)


def same(one, other) -> bool:
    return one.keys() == other.keys() and all((one[name] == other[name]).all() for name in one)


@pytest.fixture
def window(world) -> tuple[Queries, Interactions]:
    """A window of another taste: even users buy from the last 15 items."""
    rng = np.random.default_rng(9)
    chosen = rng.choice(world.items.item_keys[15:], 60).astype(np.int64)
    query = np.repeat(np.arange(0, 20, 2), 6).astype(np.int32)
    return world.queries, Interactions(query, chosen, np.ones(60, np.float32))


def test_what_is_remembered_is_what_was_learned(model, world, recipe) -> None:
    assert model.remember(world.queries, world.interactions, remembering(recipe), day=3.0) == 60
    kept = rehearsal.remembered(model._state)
    events = {
        (world.queries.user_keys[query], item)
        for query, item in zip(world.interactions.query, world.interactions.item_keys, strict=True)
    }
    pairs = set(zip(kept["user_keys"].tolist(), kept["item_keys"].tolist(), strict=True))
    assert len(pairs) == 60
    assert pairs <= events
    place = kept["user_keys"] - 1001
    assert (kept["history"] == world.queries.history[place]).all()
    assert (kept["statistics"] == world.queries.statistics[place]).all()


def test_survives_saving_and_learns_on_with_the_same_bits(
    model, world, recipe, window, tmp_path
) -> None:
    recipe = remembering(recipe, distillation=0.5)
    model.remember(world.queries, world.interactions, recipe, day=3.0)
    model.save(tmp_path / "model")
    again = TwoTowerRecommender.restore(tmp_path / "model")
    assert same(again._state.extra, model._state.extra)
    for one in (model, again):
        for day, kind in ((10.0, "uniform"), (17.0, "recency"), (24.0, "herding")):
            recipe = dataclasses.replace(recipe, replay=kind)
            report = one.fit(*window, recipe)
            assert report.rehearsed == 12 * 8  # 4 steps an epoch, half of batches of at most 16
            assert one.remember(*window, recipe, day=day) == 60
    assert same(again.parameters(), model.parameters())
    assert same(again._state.extra, model._state.extra)
    assert model._state.extra["memory/seen"] == 120 + 3 * 60


def test_rows_may_come_and_go(model, world, recipe) -> None:
    """What is remembered is by key: another model, which knows the items in another order and not
    all of them, rehearses the same examples, save those whose item it doesn't know."""
    recipe = remembering(recipe)
    model.remember(world.queries, world.interactions, recipe, day=3.0)
    other = TwoTowerRecommender.create(model.config, seed=1)
    shown = np.arange(29, 4, -1)  # the first five items have expired
    other.add_ids(
        world.user_keys[::-1], Items(world.items.item_keys[shown], world.items.words[shown])
    )
    other._state.extra = dict(model._state.extra)
    kept = rehearsal.remembered(other._state)
    before = rehearsal.remembered(model._state)["item_keys"]
    assert kept["item_keys"].tolist() == before[before >= 506].tolist()
    assert len(kept["item_keys"]) < len(before)
    past = past_of(other._state, recipe, 100, tower_recommender.batches_of)
    chunk = past.batches.chunk(np.arange(len(past.batches)))
    assert (other.item_keys[chunk["item_rows"] - 1] == kept["item_keys"]).all()
    users = other.user_keys[chunk["user_rows"] - 1][chunk["query"]]
    assert (users == kept["user_keys"]).all()
    assert (
        other.fit(
            world.queries,
            Interactions(
                np.zeros(4, np.int32), np.array([510, 511, 512, 513]), np.ones(4, np.float32)
            ),
            recipe,
        ).rehearsed
        > 0
    )


def test_an_empty_memory_is_said_and_the_update_passes(
    trained_folder, recipe, window, caplog
) -> None:
    models = [TwoTowerRecommender.restore(trained_folder) for _ in range(2)]
    with caplog.at_level(logging.WARNING):
        report = models[0].fit(*window, remembering(recipe, replay="herding", distillation=1.0))
    assert "asks for herding replay, and the model remembers no example" in caplog.text
    assert report.rehearsed == 0
    models[1].fit(*window, recipe)
    assert same(models[0].parameters(), models[1].parameters())


def test_a_recipe_without_replay_neither_rehearses_nor_forgets(model, world, recipe) -> None:
    model.remember(world.queries, world.interactions, remembering(recipe), day=3.0)
    before = dict(model._state.extra)
    assert model.remember(world.queries, world.interactions, recipe, day=4.0) == 0
    assert same(model._state.extra, before)
    past = past_of(model._state, recipe, 9, tower_recommender.batches_of)
    assert past.batches is past.fisher is None
    assert past.distillation == 0


def test_examples_that_teach_nothing_are_not_kept(model, world, recipe) -> None:
    weights = np.zeros(120, np.float32)
    weights[:7] = 2.0
    events = dataclasses.replace(world.interactions, weights=weights)
    assert model.remember(world.queries, events, remembering(recipe), day=0.0) == 7


def drift(model: TwoTowerRecommender, champion: np.ndarray, world) -> float:
    """How far the model's choices among the items are from the champion's: mean KL divergence."""

    def log_softmax(scores):
        scores = scores - scores.max(axis=1, keepdims=True)
        return scores - np.log(np.exp(scores).sum(axis=1, keepdims=True))

    own = log_softmax(scored(model, world.queries, world.items.item_keys).astype(np.float64))
    old = log_softmax(champion.astype(np.float64))
    return float((np.exp(old) * (old - own)).sum(axis=1).mean())


def test_distillation_keeps_the_scores_closer_to_the_champions(
    trained_folder, world, recipe, window
) -> None:
    drifts = {}
    for weight in (0.0, 5.0):
        model = TwoTowerRecommender.restore(trained_folder)
        champion = scored(model, world.queries, world.items.item_keys)
        model.remember(world.queries, world.interactions, remembering(recipe), day=0.0)
        assert drift(model, champion, world) == 0.0
        settings = {"replay_share": 0.0, "distillation": weight} if weight else {"replay": "none"}
        model.fit(*window, dataclasses.replace(recipe, **{"replay": "uniform", **settings}))
        drifts[weight] = drift(model, champion, world)
    assert drifts[5.0] < 0.75 * drifts[0.0]


def test_items_that_have_grown_since_are_not_taught(make_model, world, recipe) -> None:
    config = dataclasses.replace(make_model(trained=False).config, uniform_negatives=400)
    model = make_model(config)
    recipe = remembering(recipe, distillation=1.0, dropout=0.0)
    model.remember(world.queries, world.interactions, recipe, day=0.0)
    new = Items(np.array([901, 902, 903, 904]), np.ones((4, 3), np.int32))
    model.add_ids(np.zeros(0, np.int64), new)
    state = model._state
    past = past_of(state, recipe, 240, tower_recommender.batches_of)
    assert past.known.tolist() == [False] + [True] * 30 + [False] * 4
    # 30 of 34 items are old, and there are 60 exemplars for 240 new examples.
    assert past.distillation == pytest.approx((30 / 34 / 4) ** 0.5)
    champion = {name: tf.constant(table.numpy()) for name, table in state.network.tables.items()}
    item = state.network.tables["item"]
    item.assign_add(
        np.random.default_rng(0).standard_normal(item.shape.as_list()[1:]) * 0.3
        + np.zeros(tuple(tf.shape(item).numpy()))
    )
    chunk = {name: tf.constant(a) for name, a in past.batches.chunk(np.arange(60)).items()}
    edge = [tf.constant(value, tf.int64) for value in (0, 60)]
    batch = past.batches.batch(chunk, *edge, tf.constant([1, 2]))

    def gradient(known) -> np.ndarray:
        with tf.GradientTape() as tape:
            loss = distillation_loss(state.network, batch, champion, tf.constant(known))
        return tf.convert_to_tensor(tape.gradient(loss, item)).numpy()

    assert abs(gradient(past.known)[1:31]).min(axis=0).max() > 0
    assert (gradient(past.known)[31:] == 0).all()
    assert abs(gradient(np.ones(35, bool))[31:]).max() > 1e-6


def test_a_challenger_that_is_the_champion_learns_nothing_from_it(model, world, recipe) -> None:
    recipe = remembering(recipe)
    model.remember(world.queries, world.interactions, recipe, day=0.0)
    state = model._state
    batches = past_of(state, recipe, 60, tower_recommender.batches_of).batches
    chunk = {name: tf.constant(array) for name, array in batches.chunk(np.arange(60)).items()}
    edge = [tf.constant(value, tf.int64) for value in (0, 60)]
    champion = {name: tf.constant(table.numpy()) for name, table in state.network.tables.items()}
    with tf.GradientTape() as tape:
        batch = batches.batch(chunk, *edge, tf.constant([1, 2]))
        loss = distillation_loss(state.network, batch, champion, tf.ones([31], tf.bool))
    for name, gradient in tape.gradient(loss, dict(state.network.tables)).items():
        assert abs(tf.convert_to_tensor(gradient).numpy()).max() < 1e-6, name


def test_baskets_come_back_as_baskets(make_model, world, recipe) -> None:
    config = dataclasses.replace(make_model(trained=False).config, loss="basket")
    model = make_model(config, trained=False)
    recipe = remembering(recipe)
    model.remember(world.queries, world.interactions, recipe, day=0.0)
    queries, events = tower_recommender.arrays_of(rehearsal.remembered(model._state))
    assert len(queries) == 10  # whole baskets of six
    assert (np.bincount(events.query) == 6).all()
    of = world.queries.user_keys[world.interactions.query]
    for query, user in enumerate(queries.user_keys):
        mine = world.interactions.item_keys[of == user]
        assert sorted(events.item_keys[events.query == query]) == sorted(mine)
    # 20 baskets in 2 batches of 10: half of that is rehearsed.
    assert model.fit(world.queries, world.interactions, recipe).rehearsed == 3 * 2 * 5


def test_vectors_are_the_models_queries(model, world, recipe) -> None:
    examples = tower_recommender.examples_of(model._state, world.queries, world.interactions)
    vectors = tower_recommender.vectors_of(model._state, examples)
    assert vectors.shape == (120, 8)
    assert np.linalg.norm(vectors, axis=1) == pytest.approx(np.ones(120), abs=1e-3)
    # A logit is a vector's product with an item's, plus the item's bias: same order of queries.
    scores = scored(model, world.queries, world.items.item_keys[:1])[:, 0]
    tables = model.parameters()
    words = tables["word"][world.items.words[0]][world.items.words[0] > 0].mean(axis=0)
    item = tables["item"][1] + words
    item /= np.sqrt((item**2).sum() + 1e-4)
    logits = vectors[::6] @ item / 0.2 + tables["item_bias"][1, 0]
    assert logits == pytest.approx(scores, abs=1e-4)


def test_elastic_weights_are_those_that_past_examples_need(model, world, recipe) -> None:
    past_recipe = remembering(recipe, replay_share=0.0, ewc=1.0)
    model.remember(world.queries, world.interactions, past_recipe, day=0.0)
    past = past_of(model._state, past_recipe, 60, tower_recommender.batches_of)
    assert past.batches is None
    assert past.fisher["item"].shape == (31, 8)
    assert past.fisher["item"][1:].max() > 0
    # Without replay nothing is kept but the information itself.
    rehearsal.forget(model._state)
    alone = dataclasses.replace(recipe, ewc=1.0)
    assert not past_of(model._state, alone, 60, tower_recommender.batches_of).fisher
    model.remember(world.queries, world.interactions, alone, day=0.0)
    assert not any(name.startswith("memory/") for name in model._state.extra)
    assert past_of(model._state, alone, 60, tower_recommender.batches_of).fisher["item"].max() > 0
    model.fit(world.queries, world.interactions, alone)


def test_what_has_expired_is_no_longer_rehearsed(model, world, recipe) -> None:
    recipe = remembering(recipe)
    keys = world.items.item_keys
    model.remember(world.queries, world.interactions, recipe, day=0.0)
    model.note_seen(world.user_keys, keys[:10], day=10)
    model.note_seen(world.user_keys, keys[10:], day=20)
    assert model.expire(before_day=15) == (0, 10)
    kept = rehearsal.remembered(model._state)["item_keys"]
    assert 0 < len(kept) < 60
    assert np.isin(kept, keys[10:]).all()
    recent = np.isin(world.interactions.item_keys, keys[10:])
    events = Interactions(
        world.interactions.query[recent],
        world.interactions.item_keys[recent],
        world.interactions.weights[recent],
    )
    assert model.fit(world.queries, events, recipe).rehearsed > 0
    assert model.remember(world.queries, events, recipe, day=20.0) == 60  # the places are free

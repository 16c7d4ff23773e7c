"""The ranker against NumPy and against tensorflow-recommenders' cross layer."""

import dataclasses

import numpy as np
import pytest

from models.data.queries import Items
from models.errors import BadTrainingData
from models.ids.growth import add_ids
from models.learning.recipes import Recipe
from models.learning.training import fit
from models.ranker import list_batches
from models.ranker.list_batches import (
    ListBatches,
    PairBatches,
    RankingExamples,
    fix_scale,
    standardised,
)
from models.ranker.ranker_config import CandidateLists, RankerConfig
from models.ranker.ranking_recommender import RankingRecommender, pair_logits, pair_scores
from models.tables.backend import tf, tfrs
from models.tables.state import ModelState, config_of
from tests.models.conftest import wordless

CONFIG = RankerConfig(feature_width=3, cross_layers=2, hidden=(4, 2))
RECIPE = Recipe(epochs=3, learning_rate=0.1, batch_size=2, seed=1)


def make_state(**change) -> ModelState:
    """Every table random: the heads start at zero."""
    state = ModelState.create(dataclasses.replace(CONFIG, **change), seed=0)
    if state.config.dimension:
        add_ids(
            state, np.array([11, 12]), Items(np.array([21, 22, 23]), np.zeros((3, 0), np.int32))
        )
    rng = np.random.default_rng(5)
    for table in state.network.tables.values():
        table.assign(rng.standard_normal(table.numpy().shape).astype(np.float32))
    return state


FEATURES = np.array(
    [[0.5, 1.0, -1.0], [1.5, 0.0, 2.0], [-0.5, 1.0, 0.3], [0.2, 0.0, 0.1], [1.0, 0.0, 1.0]],
    np.float32,
)
KNOWN = np.array([1, 0, 1, 0, 0], np.float32)
OWNER = np.array([0, 0, 0, 1, 1], np.int32)
LABELS = np.array([2.0, 1.0, 0.0, 0.0, 1.0], np.float32)
LISTS = CandidateLists(np.array([0, 3, 5]), np.array([21, 22, 23, 21, 23]), FEATURES)


def forward(tables, features: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Choice and repeat of each row, by the formulas of the module's docstring."""
    x = features
    for layer in (0, 1):
        x = features * (x @ tables[f"cross_{layer}_kernel"] + tables[f"cross_{layer}_bias"]) + x
    h = x
    for layer in (0, 1):
        h = np.maximum(h @ tables[f"dense_{layer}_kernel"] + tables[f"dense_{layer}_bias"], 0)
    joined = np.concatenate([h, x], axis=1)
    return tuple(
        (joined @ tables[f"{head}_kernel"])[:, 0] + tables[f"{head}_bias"]
        for head in ("choice", "repeat")
    )


def listwise(scores, labels, power: float) -> float:
    total = labels.sum()
    if not total:
        return 0.0
    log_softmax = scores - np.log(np.exp(scores).sum())
    return -(total ** (power - 1)) * (labels * log_softmax).sum()


def inputs(**change):
    arrays = {
        "features": FEATURES, "known": KNOWN, "owner": OWNER, "labels": LABELS,
        "weights": np.array([1.0, 0.5], np.float32),
    }  # fmt: skip
    return {name: tf.constant(array) for name, array in {**arrays, **change}.items()}


def test_scores_match_numpy_and_only_known_pairs_are_moved_by_the_second_head() -> None:
    state = make_state()
    choice, repeat = forward(state.parameters(), FEATURES)
    score, alone = state.network.logits(inputs())
    assert score.numpy() == pytest.approx(choice + KNOWN * repeat, rel=1e-4, abs=1e-4)
    assert alone.numpy() == pytest.approx(choice, rel=1e-4, abs=1e-4)


def test_the_cross_layer_is_the_one_of_tensorflow_recommenders() -> None:
    state = make_state(hidden=(), second_head="none", cross_layers=1)
    layer = tfrs.layers.dcn.Cross()
    layer(tf.constant(FEATURES), tf.constant(FEATURES))
    tables = state.parameters()
    layer.set_weights([tables["cross_0_kernel"], tables["cross_0_bias"]])
    crossed = layer(tf.constant(FEATURES), tf.constant(FEATURES)).numpy()
    expected = crossed @ tables["choice_kernel"][:, 0] + tables["choice_bias"]
    score, _ = state.network.logits(inputs())
    assert score.numpy() == pytest.approx(expected, rel=1e-5, abs=1e-5)


@pytest.mark.parametrize("power", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("discovery", [0.0, 2.0])
def test_the_listwise_loss_matches_numpy(power, discovery) -> None:
    state = make_state(basket_power=power, discovery_weight=discovery)
    choice, repeat = forward(state.parameters(), FEATURES)
    score = choice + KNOWN * repeat
    expected = 0.0
    for query, weight in ((0, 1.0), (1, 0.5)):
        here = query == OWNER
        total = LABELS[here].sum() ** (power - 1)
        expected += weight * listwise(score[here], LABELS[here], power)
        new = here & (KNOWN == 0)
        # The basket is the whole one, whichever of it is new.
        expected += weight * discovery * total * listwise(choice[new], LABELS[new], 1.0)
    assert float(state.network.compute_loss(inputs())) == pytest.approx(expected, rel=1e-4)


def test_a_query_all_of_whose_candidates_are_known_has_no_discovery_loss() -> None:
    state = make_state(discovery_weight=1.0)
    everything = inputs(known=np.ones(5, np.float32))
    without = make_state(discovery_weight=0.0).network.compute_loss(everything)
    assert float(state.network.compute_loss(everything)) == pytest.approx(float(without))


def test_the_pointwise_loss_matches_numpy_with_a_value_that_is_not_known() -> None:
    state = make_state(loss="pointwise", second_head="value")
    tables = state.parameters()
    tables["repeat_kernel"], tables["repeat_bias"] = tables["value_kernel"], tables["value_bias"]
    choice, value = forward(tables, FEATURES)
    labels = np.array([1, 0, 1, 0, 1], np.float32)
    weights = np.array([1, 2, 1, 1, 0.5], np.float32)
    values = np.array([3, np.nan, 1, np.nan, 2], np.float32)
    entropy = np.log1p(np.exp(-choice)) * labels + np.log1p(np.exp(choice)) * (1 - labels)
    error = np.nan_to_num((value - values) ** 2)
    batch = inputs(labels=labels, weights=weights, values=values)
    with tf.GradientTape() as tape:
        loss = state.network.compute_loss(batch)
    assert float(loss) == pytest.approx((weights * (entropy + error)).sum(), rel=1e-4)
    gradient = tape.gradient(loss, state.network.tables["value_kernel"]).numpy()
    assert np.isfinite(gradient).all()
    assert gradient.any()


@pytest.mark.parametrize("dimension", [0, 2])
def test_every_table_gets_a_gradient(dimension) -> None:
    # Wide: of a few random units, all may be off.
    state = make_state(dimension=dimension, hidden=(32, 32))
    rows = np.array([1, 2, 0, 2, 1], np.int64)
    with tf.GradientTape() as tape:
        loss = state.network.compute_loss(inputs(user_rows=rows, item_rows=rows))
    gradients = tape.gradient(loss, state.network.tables)
    for name, gradient in gradients.items():
        sparse = isinstance(gradient, tf.IndexedSlices)
        assert sparse == (name in ("user", "item")), name
        size = np.abs((gradient.values if sparse else gradient).numpy()).sum()
        # A softmax over a list does not see what is added to all of it: no more than rounding.
        assert size < 1e-6 if name == "choice_bias" else size > 0, name
    assert state.network.heads == ("choice_kernel", "choice_bias", "repeat_kernel", "repeat_bias")


def test_an_unknown_id_adds_nothing() -> None:
    state = make_state(dimension=2)
    nobody = np.zeros(5, np.int64)
    before = pair_logits(state, FEATURES, nobody, nobody)[0]
    for name in ("user", "item"):
        table = state.network.tables[name].numpy()
        table[0] = 50.0
        state.network.tables[name].assign(table)
    assert (pair_logits(state, FEATURES, nobody, nobody)[0] == before).all()


def test_an_untrained_ranker_keeps_the_order_of_its_start_feature() -> None:
    state = ModelState.create(dataclasses.replace(CONFIG, cross_layers=0, start_feature=2), 0)
    assert pair_scores(state, FEATURES) == pytest.approx(FEATURES[:, 2])


def test_features_are_read_on_the_scale_of_the_first_training_set() -> None:
    state = ModelState.create(CONFIG, 0)
    fix_scale(state, np.array([[0, 5, 1], [2, 5, 3]], np.float32))  # mean 1 5 2, deviation 1 0 1
    later = np.array([[3, 5, 2], [1, 6, 200]], np.float32)
    fix_scale(state, later)
    # Column 1 never varied: it counts in hundredths, and is cut to 5 like all.
    assert standardised(state, later).tolist() == [[2, 0, 0], [0, 5, 5]]


def test_the_scale_is_the_same_however_many_rows_are_taken_at_once(monkeypatch) -> None:
    features = np.random.default_rng(0).normal(3, 2, (10, 3)).astype(np.float32)
    monkeypatch.setattr(list_batches, "ROWS_AT_ONCE", 4)
    state = ModelState.create(CONFIG, 0)
    fix_scale(state, features)
    assert state.extra["feature_mean"] == pytest.approx(features.mean(axis=0))
    assert state.extra["feature_scale"] == pytest.approx(features.std(axis=0))


def test_a_feed_standardises_its_lists_and_leaves_the_callers_as_they_are() -> None:
    state = ModelState.create(CONFIG, 0)
    features = LISTS.features.copy()
    chunk = ListBatches(state, LISTS, LABELS, RECIPE).chunk(np.array([1]))
    low, high = LISTS.offsets[1:3]
    assert chunk["features"].tolist() == standardised(state, features)[low:high].tolist()
    assert chunk["features"].tolist() != features[low:high].tolist()
    assert (LISTS.features == features).all()


def test_queries_without_a_chosen_candidate_are_left_out() -> None:
    state = make_state()
    labels = np.array([0, 0, 0, 0, 1], np.float32)
    batches = ListBatches(state, LISTS, labels, RECIPE)
    assert len(batches) == 1
    chunk = {name: tf.constant(array) for name, array in batches.chunk(np.array([0])).items()}
    batch = batches.batch(chunk, tf.constant(0, tf.int64), tf.constant(1, tf.int64), None)
    assert batch["labels"].numpy().tolist() == [0, 1]
    with pytest.raises(BadTrainingData, match="nothing to learn from"):
        ListBatches(state, LISTS, np.zeros(5, np.float32), RECIPE)


def test_a_batch_of_lists_is_the_lists_of_its_examples() -> None:
    state = make_state()
    batches = ListBatches(state, LISTS, LABELS, RECIPE)
    chunk = {name: tf.constant(array) for name, array in batches.chunk(np.array([1, 0])).items()}
    batch = batches.batch(chunk, tf.constant(1, tf.int64), tf.constant(2, tf.int64), None)
    assert batch["labels"].numpy().tolist() == [2, 1, 0]
    assert batch["owner"].numpy().tolist() == [0, 0, 0]
    assert batch["known"].numpy().tolist() == [1, 0, 1]


def test_scores_of_lists_are_padded_after_their_end() -> None:
    state = make_state()
    got = state.network.scores(inputs()).numpy()
    score = state.network.logits(inputs())[0].numpy()
    assert got[0].tolist() == score[:3].tolist()
    assert got[1, :2].tolist() == score[3:].tolist()
    assert got[1, 2] == -1e9


def test_training_learns_lists_and_the_head_alone_leaves_the_base_as_it_is() -> None:
    state = make_state()
    batches = ListBatches(state, LISTS, LABELS, RECIPE)
    before = state.parameters()
    fit(state, batches, dataclasses.replace(RECIPE, scope="head"))
    for name, table in state.parameters().items():
        assert (table == before[name]).all() == (name not in state.network.heads), name
    report = fit(state, batches, dataclasses.replace(RECIPE, epochs=60))
    assert report.last_loss < 0.8 * report.first_loss


def examples(**change) -> RankingExamples:
    arrays = {
        "user_keys": np.array([11, 12, 11, 12, 77]),
        "item_keys": np.array([21, 22, 23, 21, 88]),
        "features": FEATURES,
        "labels": np.array([1, 0, 1, 0, 0], np.float32),
        "weights": np.ones(5, np.float32),
    }
    return RankingExamples(**{**arrays, **change})


POINTWISE = dataclasses.replace(CONFIG, loss="pointwise", dimension=2, second_head="none")


def test_the_pointwise_recommender_learns_predicts_and_comes_back(tmp_path) -> None:
    model = RankingRecommender.create(POINTWISE, seed=2)
    assert model.add_ids(np.array([11, 12, 11]), wordless(np.array([21, 22, 23]))) == (2, 3)
    model.fit(examples(), dataclasses.replace(RECIPE, epochs=40))
    data = examples()
    chances = model.predict(data.user_keys, data.item_keys, data.features)
    assert chances[[0, 2]].min() > 0.5 > chances[[1, 3]].max()
    model.save(tmp_path / "m")
    again = RankingRecommender.restore(tmp_path / "m")
    assert (again.predict(data.user_keys, data.item_keys, data.features) == chances).all()
    assert again.config == POINTWISE


def test_the_order_given_is_kept_without_shuffling() -> None:
    state = make_state(loss="pointwise")
    batches = PairBatches(state, examples(), dataclasses.replace(RECIPE, shuffle="none"))
    assert batches.order(np.random.default_rng(0)).tolist() == [0, 1, 2, 3, 4]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"feature_width": 0}, "`feature_width` should be an integer of at least 1"),
        ({"hidden": (0,)}, "`hidden` should be positive widths"),
        ({"loss": "pairwise"}, "`loss` should be one of listwise, pointwise"),
        ({"second_head": "both"}, "`second_head` should be one of repeat, value, none"),
        ({"start_feature": 3}, "`start_feature` should be one of the 3 features"),
        ({"basket_power": -1.0}, "`basket_power` should be 0 or more"),
        ({"initial_accumulator": 0.0}, "`initial_accumulator` should be positive"),
    ],
)
def test_settings_that_make_no_sense_are_refused(change, message) -> None:
    with pytest.raises(ValueError, match=message):
        dataclasses.replace(CONFIG, **change)


def test_the_configuration_comes_back_from_json() -> None:
    assert config_of("ranker", CONFIG.to_json()) == CONFIG


def test_features_of_another_width_are_refused() -> None:
    state = make_state()
    lists = CandidateLists(LISTS.offsets, LISTS.item_keys, FEATURES[:, :2])
    with pytest.raises(BadTrainingData, match=r"takes 3 features\. Received: 2"):
        ListBatches(state, lists, LABELS, RECIPE)

"""Training: the loop that follows a recipe, for every family.

The loop is compiled, but gives control back to Python after every chunk of steps, so that a caller
can beat its heart, log, or stop it. What to train on, and with which recipe, is decided in
`recloop`; what a batch is, in the family's batches; the parts of a recipe, in
`models.tables.optimizers`, `models.learning.batch_source`, `models.learning.scopes`,
`models.learning.penalties`, `models.learning.memory` and `models.learning.distillation`.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from models.errors import NonFiniteWeights
from models.learning.batch_source import BatchSource, EarlyStopping, batch_bounds, rates
from models.learning.distillation import distillation_loss
from models.learning.graphs import compiled
from models.learning.penalties import Anchor, penalty_gradient
from models.learning.recipes import ProgressCallback, Recipe, TrainingProgress, TrainingReport
from models.learning.scopes import Scope, scope_of
from models.tables.backend import tf
from models.tables.distribution import current, take_step
from models.tables.optimizers import make_optimizer
from models.tables.state import ModelState

CHUNK_STEPS = 32


@dataclass(frozen=True, eq=False)
class Past:
    """What an update takes from before it.

    Attributes:
        batches: past examples to see again (replay, distillation), of the same kind as the new ones;
            None: nothing is rehearsed.
        fisher: float32 arrays by table, of the tables' shapes (`models.learning.penalties`); empty:
            no elastic weight consolidation.
        distillation: weight of the soft targets, after the adaptive factor.
        known: bool [items + 1], the item rows that the champion can teach; None: all.
    """

    batches: BatchSource | None = None
    fisher: dict[str, np.ndarray] | None = None
    distillation: float = 0.0
    known: np.ndarray | None = None


def fit(
    state: ModelState,
    batches: BatchSource,
    recipe: Recipe,
    progress: ProgressCallback | None = None,
    past: Past | None = None,
    validate: Callable[[], float] | None = None,
) -> TrainingReport:
    """Trains `state` in place.

    Deterministic on CPU: the same state, examples and recipe give the same bits.

    Args:
        state: what has been grown to know the ids of the examples.
        batches: the examples.
        recipe: how.
        progress: called after each chunk of at most 32 steps; what it raises stops training, and
            the state is then between two steps: sound, but partly trained.
        past: what replay, distillation and EWC work on.
        validate: the held-out score, higher is better; called after each epoch if the recipe has
            `patience`. The best epoch's weights and slots are kept.

    Raises:
        BadTrainingData: what the batches or the scope finds wrong. Nothing was trained.
        ValueError: the scope has no table of this model, or there is patience and nothing to
            validate with. Nothing was trained.
        NonFiniteWeights: the loss, a gradient or the held-out score became NaN or infinite. Throw
            the state away.
    """
    started = time.process_time()
    if recipe.patience and validate is None:
        raise ValueError(
            f"`patience` = {recipe.patience} needs a held-out score to watch. Pass `validate`, or "
            "set `patience` to 0."
        )
    past = past or Past()
    sizes = {"users": len(state.users) + 1, "items": len(state.items) + 1}
    scope = scope_of(recipe.scope, state.network, batches, sizes)
    anchor = Anchor.of(state.network, recipe, past.fisher or {}, past.distillation > 0)
    if state.optimizer.kind != recipe.optimizer:
        state.optimizer = make_optimizer(
            recipe.optimizer, state.network.tables, state.config.initial_accumulator
        )
        state.compiled.clear()
    settled = state.network.settled(scope.tables)
    run_chunk = _compiled_chunk(
        state, batches, past, scope, anchor, settled, recipe.replay_share > 0
    )
    keep = {name: tf.constant(rows) for name, rows in scope.rows.items()}
    penalties = [recipe.clip_norm, recipe.weight_decay, recipe.champion_decay, recipe.ewc]
    rehearsal = [recipe.replay_share, past.distillation, recipe.distillation_temperature]
    knobs = np.array(penalties + rehearsal, np.float32)
    known = past.known
    if known is None:
        # Only distillation looks at it; a mask of all items would be copied at every chunk.
        known = np.ones(sizes["items"] if past.distillation > 0 else 0, bool)
    bounds = batch_bounds(len(batches), recipe.batch_size)
    per_epoch = len(bounds) - 1
    total = per_epoch * recipe.epochs
    losses: list[float] = []
    watch = EarlyStopping(state, recipe.patience)
    done = rehearsed = 0
    start = state.steps
    for epoch in range(recipe.epochs):
        rng = np.random.default_rng([recipe.seed, start, epoch])
        order = batches.order(rng)
        for low in range(0, per_epoch, CHUNK_STEPS):
            edges = bounds[low : low + CHUNK_STEPS + 1]
            examples = order[edges[0] : edges[-1]]
            steps = len(edges) - 1
            taken = state.steps - start
            old_chunk, old_edges = _rehearsal(
                past.batches, recipe, steps, int(np.diff(edges).max()), rng
            )
            rehearsed += int(old_edges[-1])
            loss_sum, norm_sum = run_chunk(
                batches.chunk(examples),
                edges - edges[0],
                old_chunk,
                old_edges,
                rates(recipe.schedule, recipe.learning_rate, taken, taken + steps, total),
                np.array([recipe.seed, state.steps], np.int32),
                knobs,
                keep,
                anchor.tables,
                anchor.fisher,
                known,
                settled,
            )
            loss = float(loss_sum) / max(float(batches.weights[examples].sum()), 1e-12)
            state.steps += steps
            done += len(examples)
            losses.append(loss)
            for what, value in (("loss", loss), ("gradient's norm", float(norm_sum))):
                if not np.isfinite(value):
                    raise NonFiniteWeights(
                        f"The {what} became {value} in epoch {epoch + 1}, by step "
                        f"{state.steps - start}, with learning_rate={recipe.learning_rate}. Lower "
                        "the learning rate or set clip_norm, and start again from the last saved "
                        "model."
                    )
            if progress is not None:
                progress(
                    TrainingProgress(
                        epoch=epoch + 1,
                        epochs=recipe.epochs,
                        step=state.steps - start,
                        steps=total,
                        examples=done,
                        loss=loss,
                    )
                )
        if recipe.patience and validate is not None and watch.judge(validate()):
            break
    watch.restore_best()
    return TrainingReport(
        examples=done,
        steps=state.steps - start,
        first_loss=losses[0],
        last_loss=losses[-1],
        cpu_seconds=time.process_time() - started,
        rehearsed=rehearsed,
        validation=tuple(watch.scores),
    )


def _rehearsal(
    batches: BatchSource | None, recipe: Recipe, steps: int, batch: int, rng: np.random.Generator
) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """The past examples of a chunk and the edges of its steps: as many per step as the recipe's
    share of its batch (a whole batch's worth, for distillation alone)."""
    if batches is None:
        return {}, np.zeros(steps + 1, np.int64)
    each = max(2, round(batch * (recipe.replay_share or 1.0)))
    drawn = rng.integers(0, len(batches), each * steps)
    return batches.chunk(drawn), np.arange(steps + 1, dtype=np.int64) * each


def _compiled_chunk(
    state: ModelState,
    batches: BatchSource,
    past: Past,
    scope: Scope,
    anchor: Anchor,
    settled: dict[str, tf.Tensor],
    replay: bool,
) -> Callable[..., tuple[tf.Tensor, tf.Tensor]]:
    """The compiled chunk, traced once per kind of training: growing doesn't change a signature."""
    distil = past.distillation > 0
    old = (
        None if past.batches is None else (past.batches.kind, _shapes(past.batches), replay, distil)
    )
    columns = tuple((name, value.dtype, tuple(value.shape[1:])) for name, value in settled.items())
    key = (
        batches.kind,
        _shapes(batches),
        old,
        scope.tables,
        tuple(scope.rows),
        anchor.key,
        columns,
    )
    return compiled(
        state,
        key,
        lambda: _trace_chunk(state, batches, past.batches, scope, anchor, settled, replay, distil),
    )


def _shapes(batches: BatchSource) -> tuple[tuple[str, tf.TensorSpec], ...]:
    return tuple(sorted(batches.signature.items()))


def _trace_chunk(
    state: ModelState,
    batches: BatchSource,
    past: BatchSource | None,
    scope: Scope,
    anchor: Anchor,
    settled: dict[str, tf.Tensor],
    replay: bool,
    distil: bool,
) -> Callable[..., tuple[tf.Tensor, tf.Tensor]]:
    """Takes a chunk's steps; returns the sums of their losses and of their gradients' norms."""
    network, optimizer = state.network, state.optimizer
    spec = tf.TensorSpec

    @tf.function(
        input_signature=[
            batches.signature,
            spec([None], tf.int64),
            past.signature if past is not None else {},
            spec([None], tf.int64),
            spec([None], tf.float32),
            spec([2], tf.int32),
            spec([7], tf.float32),
            {name: spec([None], tf.bool) for name in scope.rows},
            {name: spec(network.tables[name].shape, tf.float32) for name in anchor.tables},
            {name: spec(network.tables[name].shape, tf.float32) for name in anchor.fisher},
            spec([None], tf.bool),
            {name: spec([None, *value.shape[1:]], value.dtype) for name, value in settled.items()},
        ],
        autograph=False,  # rewriting the source of all that is called takes longer than tracing it
    )
    def run_chunk(  # type: ignore[no-untyped-def]
        chunk, edges, old_chunk, old_edges, rate, seed, knobs, keep, tables, fisher, known, settled
    ):
        def regularise(name, rows, gradient):  # type: ignore[no-untyped-def]
            return penalty_gradient(
                network.tables[name], rows, gradient, knobs[1:4], tables.get(name), fisher.get(name)
            )

        def one_step(step, total, norms):  # type: ignore[no-untyped-def]
            def differentiate(index, count):  # type: ignore[no-untyped-def]
                here = tf.stack([seed[0], seed[1] + step])
                batch = batches.batch(chunk, edges[step], edges[step + 1], here) | settled
                mine = network.shard(batch, index, count) if count > 1 else batch
                with tf.GradientTape() as tape:
                    loss = network.compute_loss(mine, training=True)
                    objective = loss
                    if past is not None:
                        # Below 0, where no new batch's seed is: other negatives, other dropout.
                        there = tf.stack([-1 - seed[0], seed[1] + step])
                        old = past.batch(old_chunk, old_edges[step], old_edges[step + 1], there)
                        old |= settled
                        old_weight = tf.maximum(tf.reduce_sum(old["weights"]), 1e-12)
                        old = network.shard(old, index, count) if count > 1 else old
                        weight = tf.reduce_sum(batch["weights"])
                        if replay:
                            mean = network.compute_loss(old, training=True) / old_weight
                            objective += knobs[4] * weight * mean
                        if distil:
                            taught = distillation_loss(network, old, tables, known, knobs[6])
                            if count > 1:
                                taught *= tf.reduce_sum(old["weights"]) / old_weight
                            objective += knobs[5] * weight * taught
                gradients = tape.gradient(
                    objective, [network.tables[name] for name in scope.tables]
                )
                return loss, dict(zip(scope.tables, gradients, strict=True))

            def descend(gradients):  # type: ignore[no-untyped-def]
                return optimizer.apply(
                    network.tables,
                    gradients,
                    rate[step],
                    knobs[0],
                    regularise=regularise if anchor.penalised else None,
                    keep=keep,
                )

            loss, norm = take_step(current(), differentiate, descend)
            return step + 1, total + loss, norms + norm

        start = (tf.constant(0), tf.constant(0.0), tf.constant(0.0))
        _, total, norms = tf.while_loop(lambda step, *_: step < tf.size(edges) - 1, one_step, start)
        return total, norms

    # There is one trace: to look for it at each call would take 1 ms.
    return run_chunk.get_concrete_function()  # type: ignore[no-any-return]

"""The same model, smaller. Each kind ends in a candidate for the same gate.

    none      stays on the grid that it is on (`models.tables.packing`), if any
    prune     half of the embeddings' weights to zero
    float16, int8, float32   the embeddings' grid
    student   half the dimensions, taught by the model

A student starts as well as a linear map allows: both towers rotated to the tables' principal axes, the
axes with the least weight left out (scores of two towers don't change under a common rotation). Then
it learns the champion's softmax over the catalogue (Hinton et al., 2015; Tang and Wang, Ranking
distillation, KDD 2018, for retrieval).
"""

from dataclasses import replace
from typing import TypeVar

import numpy as np

from models.cooccurrence import pair_memory
from models.data.checks import Float32Array
from models.data.queries import Queries
from models.learning import memory
from models.learning.recipes import Recipe
from models.recommenders.learner import PACKING_OF
from models.recommenders.retriever import translate
from models.retrieve_and_rank.retrieve_and_rank import RetrieveAndRank
from models.tables.backend import tf
from models.tables.packing import settle
from models.tables.state import ModelState
from models.tables.vocabulary import Vocabulary

KINDS = ("none", *PACKING_OF, "student")
Model = TypeVar("Model", bound=RetrieveAndRank)
TEACH = Recipe(epochs=5, learning_rate=0.05, batch_size=32)
"""Of a student, on the update's queries."""


def maintained(model: Model, kind: str, queries: Queries) -> Model:
    """The model after maintenance; `model` itself, changed in place, unless a student takes over.

    Args:
        kind: one of `KINDS`.
        queries: of the update; what a student is taught on.

    Raises:
        ValueError: there is no such kind.
    """
    if kind not in KINDS:
        raise ValueError(f"`kind` should be one of {', '.join(KINDS)}. Received: {kind!r}.")
    if kind == "student":
        return _student(model, queries)
    settle(model.towers, PACKING_OF.get(kind))
    return model


def _student(model: Model, queries: Queries) -> Model:
    teacher = model.towers
    student = student_of(teacher, max(1, teacher.config.dimension // 2))
    teach(student, teacher, queries, replace(TEACH, seed=teacher.seed))
    config = replace(model.config, retrieval=student.config)
    return type(model)(config, student, model.ranker_state)


ITEMS_PER_STEP = 4096
"""Items that a step compares the two on; of a larger catalogue it draws as many."""


def student_of(teacher: ModelState, dimension: int) -> ModelState:
    """A two-tower model of fewer dimensions: same ids, content and biases, projected tables.

    Raises:
        ValueError: `dimension` isn't smaller than the teacher's.
    """
    width = teacher.config.dimension
    if not 0 < dimension < width:
        raise ValueError(
            f"`dimension` should be from 1 to {width - 1}, below the teacher's. "
            f"Received: {dimension}."
        )
    student = ModelState.create(replace(teacher.config, dimension=dimension), teacher.seed)
    student.users = Vocabulary(np.array(teacher.users.keys))
    student.items = Vocabulary(np.array(teacher.items.keys))
    # By keys or rows, which stay: when ids were seen, how often those that wait, what is rehearsed, and
    # what goes together.
    kept = ("seen_day/", "waiting/", memory.PREFIX, pair_memory.PREFIX)
    student.extra = {n: array for n, array in teacher.extra.items() if n.startswith(kept)}
    tables = teacher.parameters()
    axes = principal_axes([t for t in tables.values() if t.shape[1] == width], dimension)
    for name, table in tables.items():
        projected = table @ axes if table.shape[1] == width else table
        student.network.tables[name].assign(projected)
    for name, content in teacher.network.content.items():
        student.network.content[name].assign(content)
    kind = type(student.optimizer)
    student.optimizer = kind(student.network.tables, student.config.initial_accumulator)
    student.steps = teacher.steps
    return student


def principal_axes(tables: list[np.ndarray], count: int) -> Float32Array:
    """The directions in which the rows of all tables are longest: float32 [d, count],
    orthonormal."""
    second_moment = sum(table.T.astype(np.float64) @ table for table in tables)
    _, vectors = np.linalg.eigh(second_moment)
    return np.ascontiguousarray(vectors[:, ::-1][:, :count]).astype(np.float32)


def teach(
    student: ModelState, teacher: ModelState, queries: Queries, recipe: Recipe
) -> list[float]:
    """Teaches the student the teacher's scores, in place.

    Args:
        queries: whose softmax over the catalogue is taught; labels aren't needed.
        recipe: epochs, learning rate and batch size (queries per step).

    Returns:
        Mean cross-entropy above the teacher's entropy (Kullback-Leibler divergence), by epoch.
    """
    rng = np.random.default_rng([recipe.seed, student.steps])
    inputs = translate(student, queries)
    count = len(student.items)
    history: list[float] = []
    for _ in range(recipe.epochs):
        total = 0.0
        order = rng.permutation(len(queries))
        for low in range(0, len(queries), recipe.batch_size):
            batch = [array[order[low : low + recipe.batch_size]] for array in inputs]
            rows = np.arange(1, count + 1)
            if count > ITEMS_PER_STEP:
                rows = np.sort(rng.choice(rows, ITEMS_PER_STEP, replace=False))
            total += float(_step(student, teacher, batch, rows, recipe.learning_rate))
            student.steps += 1
        history.append(total / max(len(queries), 1))
    return history


def _step(
    student: ModelState,
    teacher: ModelState,
    batch: list[np.ndarray],
    rows: np.ndarray,
    learning_rate: float,
) -> tf.Tensor:
    network = student.network
    items = tf.constant(rows, tf.int64)
    taught = tf.nn.log_softmax(_logits(teacher, batch, items))
    names = list(network.tables)
    with tf.GradientTape() as tape:
        own = tf.nn.log_softmax(_logits(student, batch, items))
        loss = tf.reduce_sum(tf.exp(taught) * (taught - own))
    gradients = tape.gradient(loss, [network.tables[name] for name in names])
    student.optimizer.apply(
        network.tables,
        dict(zip(names, gradients, strict=True)),
        tf.constant(learning_rate),
        tf.constant(0.0),
    )
    return loss


def _logits(state: ModelState, batch: list[np.ndarray], items: tf.Tensor) -> tf.Tensor:
    network = state.network
    queries = network.query_vectors(*(tf.constant(array) for array in batch))
    return tf.linalg.matmul(queries, network.item_vectors(items), transpose_b=True) / (
        network.temperature
    )

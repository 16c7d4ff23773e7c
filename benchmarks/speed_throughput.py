"""Training examples per CPU second: ours against the tutorial's, and against tuned Keras.

Ours is the two-tower as it is, with ids alone: no history, no words, no statistics, since the peers
have none.
"""

from __future__ import annotations

from collections.abc import Callable

from benchmarks.speed_data import Ratings
from benchmarks.speed_keras import TUTORIAL_BATCH, tuned, tutorial
from benchmarks.speed_timing import Ratio, cpu_seconds, rates
from models.two_tower.tower_config import ModelConfig

DIMENSION = 32
DEFAULT_BATCH = 512
"""Of `models.learning.recipes.REBUILD` with the in-batch loss."""
EQUAL_BATCHES = (512, 1024)
UNIT = "examples per CPU second"


def ids_only(dimension: int, loss: str = "in_batch") -> ModelConfig:
    """The two-tower without what the peers don't have."""
    return ModelConfig(
        dimension=dimension,
        history_length=0,
        words_per_item=0,
        statistics_width=0,
        uniform_negatives=0,
        loss=loss,
    )


def ours(ratings: Ratings, batch: int, dimension: int = DIMENSION) -> Callable[[Ratings], None]:
    """A function that trains one epoch on ratings with the two-tower, ids only."""
    from models.learning.recipes import Recipe
    from models.two_tower.tower_recommender import TwoTowerRecommender

    queries = ratings.queries()
    model = TwoTowerRecommender.create(ids_only(dimension), seed=0)
    model.add_ids(queries.user_keys, ratings.catalogue())
    recipe = Recipe(epochs=1, learning_rate=0.1, batch_size=batch)

    def train(part: Ratings) -> None:
        model.fit(queries, part.interactions(), recipe)

    return train


def against_tutorial(ratings: Ratings, repeats: int) -> dict[str, Ratio]:
    """The tutorial at its batch against ours at our default, with and without its metrics.

    The slow ones train on fewer of the ratings, whole batches of them: a rate needs no more.
    """
    mine = ours(ratings, DEFAULT_BATCH)
    plain = tutorial(ratings, DIMENSION, metrics=False)
    watched = tutorial(ratings, DIMENSION, metrics=True)
    sizes = {
        "ours": min(len(ratings), 200_000),
        "plain": min(len(ratings), 4 * TUTORIAL_BATCH),
        "watched": min(len(ratings), TUTORIAL_BATCH),
    }
    seconds = cpu_seconds(
        {
            "ours": lambda: mine(ratings.head(sizes["ours"])),
            "plain": lambda: plain(ratings.head(sizes["plain"])),
            "watched": lambda: watched(ratings.head(sizes["watched"])),
        },
        repeats,
    )
    speed = {name: sizes[name] / seconds[name] for name in sizes}
    return {
        "tutorial TFRS without training metrics": rates(speed["ours"], speed["plain"], UNIT),
        "tutorial TFRS with training metrics": rates(speed["ours"], speed["watched"], UNIT),
    }


def against_keras(ratings: Ratings, repeats: int) -> dict[str, Ratio]:
    """Tuned Keras against ours at equal batch."""
    found = {}
    part = ratings.head(min(len(ratings), 100_000))
    for batch in EQUAL_BATCHES:
        mine, theirs = ours(ratings, batch), tuned(ratings, DIMENSION, batch)
        seconds = cpu_seconds(
            {
                "ours": lambda run=mine: run(part),  # type: ignore[misc]
                "theirs": lambda run=theirs: run(part),  # type: ignore[misc]
            },
            repeats,
        )
        found[f"tuned Keras, batch {batch}"] = rates(
            len(part) / seconds["ours"], len(part) / seconds["theirs"], UNIT
        )
    return found

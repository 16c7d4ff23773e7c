"""What is fixed when a matrix factorisation is created. No TensorFlow here."""

import math
from dataclasses import dataclass
from typing import ClassVar

from models.data import checks
from models.learning.recipes import Recipe
from models.recommenders.family import Family
from models.recommenders.offered import said_of


@dataclass(frozen=True)
class FactorisationConfig(checks.Plain):
    """Configuration of a matrix factorisation, of ratings or of implicit choices."""

    family: ClassVar[str] = "factorisation"
    network: ClassVar[str] = "models.factors.factorisation:Factorisation"
    history_length: ClassVar[int] = 0
    statistics_width: ClassVar[int] = 0

    dimension: int = 32
    """Width of the factors."""
    centre: float = 0.0
    """Where the global bias starts: the mean rating, or 0 for implicit choices."""
    lowest: float | None = None
    """Predictions are not below this; None: no bound."""
    highest: float | None = None
    """Predictions are not above this; None: no bound."""
    l2: float = 0.02
    """Of the factors and biases of each observation."""
    spread: float = 0.1
    """Standard deviation of the first factors."""
    uniform_negatives: int = 0
    """Items drawn uniformly for each batch, of value 0 for all of its users; 0: only what was
    observed is learned from, as ratings want it. Implicit choices need some."""
    zero_weight: float = 1.0
    """What an observation's drawn items weigh, all together."""
    word_buckets: int = 4096
    """Hash space of description words; id 0 is padding."""
    words_per_item: int = 8
    """How many words of an item are kept: a new item starts from items that share them."""
    initial_accumulator: float = 0.1
    """Adagrad's slots start here, for old rows and new."""

    def __post_init__(self) -> None:
        checks.integers(self, dimension=1, uniform_negatives=0, word_buckets=2, words_per_item=0)
        checks.not_negative(self, "l2", "spread", "zero_weight")
        checks.positive(self, "initial_accumulator")
        low = -math.inf if self.lowest is None else self.lowest
        high = math.inf if self.highest is None else self.highest
        if not low <= self.centre <= high or math.isinf(self.centre):
            raise ValueError(
                f"`centre` should be finite, from `lowest` to `highest`. Received: "
                f"{self.centre!r}, {self.lowest!r} and {self.highest!r}."
            )


FAMILY = Family(
    **said_of("ratings"),
    summary="matrix factorisation expects the rating that a user would give: films, books, courses",
    recommender="models.factors.rating_recommender:RatingLearner",
    answers="models.factors.rating_answers:RatingAnswers",
    shape="models.factors.factorisation_config:FactorisationConfig",
    judged_by="ratings",
    idle=("dropout",),
    increment=Recipe(epochs=3, learning_rate=0.05, batch_size=512),
    rebuild=Recipe(epochs=10, learning_rate=0.1, batch_size=512),
)

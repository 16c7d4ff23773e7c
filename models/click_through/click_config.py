"""Click-through as a family: what its dataset file may set. No TensorFlow."""

from dataclasses import dataclass

from models.data import checks
from models.learning.recipes import Recipe
from models.recommenders.family import Family
from models.recommenders.offered import said_of


@dataclass(frozen=True)
class ClickShape:
    """Widths and depths of the ranker (`models.ranker.ranker_config.RankerConfig`)."""

    dimension: int = 8
    """Width of the user's and of the item's embedding beside the features; 0: features alone."""
    cross_layers: int = 2
    hidden: tuple[int, ...] = (32,)
    value_head: bool = True
    """Whether a second head on the shared weights learns the value of events that have one."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "hidden", tuple(self.hidden))  # JSON and TOML have no tuples
        checks.integers(self, dimension=0, cross_layers=0)
        if not all(isinstance(width, int) and width > 0 for width in self.hidden):
            raise ValueError(f"`hidden` should be positive widths. Received: {self.hidden!r}.")


FAMILY = Family(
    **said_of("click_through"),
    summary="the probability that what is shown is clicked, and what it is worth: feeds, ads, mails",
    recommender="models.click_through.click_learner:ClickLearner",
    answers="models.click_through.click_answers:ClickAnswers",
    shape="models.click_through.click_config:ClickShape",
    judged_by="clicks",
    idle=("dropout", "user_dropout"),
    increment=Recipe(epochs=1, learning_rate=0.005, batch_size=64, optimizer="adam"),
    rebuild=Recipe(epochs=3, learning_rate=0.005, batch_size=64, optimizer="adam"),
)

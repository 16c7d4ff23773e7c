"""What is fixed when a model is created: its shapes and the form of its score.

What changes from one training to the next is in `models.learning.recipes`. No TensorFlow here.
"""

from dataclasses import dataclass
from typing import ClassVar

from models.data import checks

LOSSES = ("in_batch", "basket")


@dataclass(frozen=True)
class ModelConfig(checks.Plain):
    """Configuration of a two-tower model.

    Defaults were tuned on UCI Online Retail, weeks 20 to 25 (prequential, NDCG@20 on new pairs).
    """

    family: ClassVar[str] = "two_tower"
    network: ClassVar[str] = "models.two_tower.two_tower:TwoTower"

    dimension: int = 64
    """Width of every embedding."""
    history_length: int = 50
    """H: how many of the latest items a query looks back on; 0 turns the history off."""
    statistics_width: int = 4
    """S: how many statistics a query carries; 0 turns the projection off."""
    statistics_scale: float = 0.1
    """Statistics are multiplied by this before they are projected. On a log scale they reach 8,
    and one row of the projection moves all queries at once: unscaled, they drown the ids."""
    word_buckets: int = 4096
    """Hash space of description words; id 0 is padding."""
    words_per_item: int = 8
    """W: how many words of an item are kept; 0 turns content off."""
    temperature: float = 0.2
    """Logits are a dot of unit vectors divided by this."""
    shared_history_table: bool = False
    """Whether the history reads the item tower's ids, or has a table of its own."""
    item_bias: bool = True
    """Whether an item's logit carries a learned bias: its popularity."""
    uniform_negatives: int = 256
    """How many items drawn uniformly from the catalogue join each batch as negatives
    (mixed negative sampling, Yang et al., WWW 2020)."""
    loss: str = "in_batch"
    """"in_batch": an event against the batch's other items (batch_size counts events); "basket":
    all that a query chose, against the catalogue (batch_size counts queries)."""
    whole_catalogue: int = 20_000
    """The basket loss looks at every item up to this many; beyond, at the batch's and at
    `uniform_negatives` others."""
    initial_accumulator: float = 0.1
    """Adagrad's slots start here, for old rows and new."""

    def __post_init__(self) -> None:
        checks.integers(
            self,
            dimension=1,
            history_length=0,
            statistics_width=0,
            word_buckets=2,
            words_per_item=0,
            uniform_negatives=0,
            whole_catalogue=0,
        )
        checks.one_of(self, loss=LOSSES)
        checks.positive(self, "temperature", "statistics_scale", "initial_accumulator")

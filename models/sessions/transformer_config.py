"""What is fixed when a sequential Transformer is created. No TensorFlow here."""

from dataclasses import dataclass, replace
from typing import ClassVar

from models.data import checks
from models.learning.recipes import Recipe
from models.recommenders.family import Family
from models.recommenders.offered import said_of

WEEK = 7.0
"""Days."""


@dataclass(frozen=True)
class TransformerConfig(checks.Plain):
    """Configuration of a sequential Transformer and of the co-occurrences beside it.

    Defaults were tuned on DIGINETICA, tests of periods 1 to 4 (Recall@20).
    """

    family: ClassVar[str] = "transformer"
    network: ClassVar[str] = "models.sessions.transformer:SequentialTransformer"
    statistics_width: ClassVar[int] = 0

    dimension: int = 100
    """Width of every vector; a multiple of `heads`."""
    history_length: int = 20
    """H: how many of the latest items are looked at."""
    blocks: int = 1
    """Causal self-attention blocks."""
    heads: int = 1
    """Attention heads of each block."""
    widening: int = 2
    """The feed-forward layer of a block is so many times as wide as the vectors."""
    temperature: float = 0.1
    """Logits are a dot of unit vectors divided by this."""
    row_length: float = 1.0
    """Length of an item's first row. Only its direction counts, so with Adam, whose steps have one
    size, an item turns so many times slower than a row of length 1 would; dense weights don't."""
    coordinate_dropout: float = 0.4
    """Share of the coordinates of the items looked at that are hidden in training (Hou et al.,
    CORE, SIGIR 2022)."""
    layer_dropout: float = 0.1
    """Share of what a block adds that is hidden in training."""
    uniform_negatives: int = 2048
    """Items drawn uniformly among those of the update, as negatives of a whole batch beside its own
    targets."""
    contrastive: float = 0.0
    """Weight of the contrastive loss between two augmented views of each session (CL4SRec)."""
    contrastive_temperature: float = 0.1
    """Similarities of views are divided by this."""
    crop: float = 0.7
    """Share of a session's items that a cropped view keeps, in one piece."""
    mask: float = 0.3
    """Share of a session's items that a masked view hides."""
    spectral_start: bool = True
    """Whether the first items' rows start from what co-occurs (`models.sessions.cooccurrence`), or
    at random."""
    follow_steps: int = 4
    """How many steps the items' rows follow what co-occurs, before each later update; 0: none."""
    memory_weight: float = 10.0
    """What co-occurrences add to a logit: weight * log(1 + share / `memory_floor`); 0 turns them
    off."""
    memory_floor: float = 0.1
    """The share of co-occurrence below which it says little."""
    memory_decay: float = 0.9
    """Co-occurrences count so many times as much a week later."""
    memory_distance: float = 0.8
    """A pair of items counts this to the power of the items between them."""
    memory_repeat: float = 1.5
    """How much an item co-occurs with itself at each click: that it is clicked again."""
    memory_recency: float = 0.65
    """A history's item counts this to the power of the items after it."""
    memory_neighbours: int = 256
    """The most co-occurring items kept of each item."""
    initial_accumulator: float = 0.1
    """Adagrad's slots start here, for old rows and new."""

    def __post_init__(self) -> None:
        checks.integers(
            self,
            dimension=1,
            history_length=1,
            blocks=1,
            heads=1,
            widening=1,
            uniform_negatives=1,
            memory_neighbours=1,
            follow_steps=0,
        )
        if self.dimension % self.heads:
            raise ValueError(
                f"`dimension` should be a multiple of `heads`. Received: {self.dimension} and "
                f"{self.heads}."
            )
        checks.below_one(self, "coordinate_dropout", "layer_dropout", "mask")
        checks.above_zero(self, "crop", "memory_decay", "memory_distance", "memory_recency")
        checks.not_negative(self, "contrastive", "memory_weight", "memory_repeat")
        checks.positive(self, "temperature", "contrastive_temperature", "row_length")
        checks.positive(self, "memory_floor", "initial_accumulator")

    def decay_of(self, days: float) -> float:
        """What co-occurrences are multiplied by after so many days."""
        return float(self.memory_decay ** (days / WEEK))


FIRST = Recipe(epochs=3, learning_rate=2e-3, batch_size=64, optimizer="adam", schedule="linear")
"""From nothing."""

FAMILY = Family(
    **said_of("sessions"),
    summary="a causal Transformer and what co-occurs predict a session's next item: news, video",
    recommender="models.sessions.session_recommender:SessionLearner",
    answers="models.sessions.session_answers:SessionAnswers",
    shape="models.sessions.transformer_config:TransformerConfig",
    judged_by="next_item",
    idle=("user_dropout",),
    increment=replace(FIRST, epochs=2),
    rebuild=FIRST,
    ids=("expire_after_days",),
    silos=False,  # half of the model is what co-occurred, and a silo's pairs tell of single sessions
    repeats=True,
)

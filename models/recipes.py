"""Recipe: how to train; and what training says of itself. No TensorFlow here.

Deciders and reports in `recloop` speak of recipes without paying for TensorFlow's import;
`models.training` follows them.
"""

from collections.abc import Callable
from dataclasses import dataclass

from models.sampling import SHUFFLES


@dataclass(frozen=True)
class Recipe:
    """How to train; what may differ from one update to the next."""

    epochs: int
    """Passes over the interactions."""
    learning_rate: float
    """Of Adagrad."""
    batch_size: int
    """Events per step; each is a negative for the others."""
    dropout: float = 0.0
    """Share of the history's items hidden at each step, in [0, 1)."""
    user_dropout: float = 0.0
    """Share of queries whose user id is hidden at each step, in [0, 1): they are then learned from
    their history alone, as a user who has no row is served."""
    seed: int = 0
    """Of shuffling, dropout and uniform negatives, together with the steps already taken."""
    clip_norm: float = 0.0
    """Largest global norm of a step's gradient; 0 is no clipping."""
    shuffle: str = "events"
    """"baskets", "events" or "none": see `models.sampling.event_order`."""

    def __post_init__(self) -> None:
        if self.epochs < 1:
            raise ValueError(f"`epochs` should be at least 1. Received: {self.epochs}.")
        if self.batch_size < 2:
            raise ValueError(
                f"`batch_size` should be at least 2: an event alone has no negatives. "
                f"Received: {self.batch_size}."
            )
        if not 0 < self.learning_rate < float("inf"):
            raise ValueError(f"`learning_rate` should be positive. Received: {self.learning_rate}.")
        for name in ("dropout", "user_dropout"):
            if not 0 <= getattr(self, name) < 1:
                raise ValueError(f"`{name}` should be in [0, 1). Received: {getattr(self, name)}.")
        if not 0 <= self.clip_norm < float("inf"):
            raise ValueError(f"`clip_norm` should be 0 or more. Received: {self.clip_norm}.")
        if not 0 <= self.seed < 2**31:
            raise ValueError(f"`seed` should be in [0, 2^31). Received: {self.seed}.")
        if self.shuffle not in SHUFFLES:
            raise ValueError(
                f"`shuffle` should be one of {', '.join(SHUFFLES)}. Received: {self.shuffle!r}."
            )


REBUILD = Recipe(epochs=5, learning_rate=0.1, batch_size=512, dropout=0.3, user_dropout=0.1)
"""From nothing, on the whole history. Recency is the signal: follow it with INCREMENT on the last
four weeks."""

INCREMENT = Recipe(epochs=3, learning_rate=0.15, batch_size=256, dropout=0.3, user_dropout=0.1)
"""From the champion, on the windows that it hasn't seen."""


@dataclass(frozen=True)
class TrainingProgress:
    """Where training is, at the end of a chunk. `loss` is the chunk's mean, per unit of weight."""

    epoch: int
    epochs: int
    step: int
    steps: int
    examples: int
    loss: float


@dataclass(frozen=True)
class TrainingReport:
    """What training did. `examples` counts each event once per epoch.

    Losses are means per unit of weight over the first and the last chunk of steps;
    `cpu_seconds` is the process's, all threads together.
    """

    examples: int
    steps: int
    first_loss: float
    last_loss: float
    cpu_seconds: float


ProgressCallback = Callable[[TrainingProgress], None]

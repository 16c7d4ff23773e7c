"""Recipe: how to train; and what training says of itself. No TensorFlow here.

Deciders and reports in `recloop` speak of recipes without paying for TensorFlow's import;
`models.learning.training` follows them.
"""

from collections.abc import Callable
from dataclasses import dataclass

from models.data import checks

SHUFFLES = ("baskets", "events", "none")
OPTIMIZERS = ("adagrad", "adam", "momentum", "rmsprop", "sgd")
SCHEDULES = ("constant", "linear", "cosine", "warmup")
SCOPES = ("everything", "embeddings", "ids", "users", "items", "touched", "head")
REPLAYS = ("none", "uniform", "recency", "herding")


@dataclass(frozen=True)
class Recipe:
    """How to train; what may differ from one update to the next.

    Every value but the first three has a default that switches its strategy off.
    """

    epochs: int
    """Passes over the interactions."""
    learning_rate: float
    """Of the optimizer, before its schedule."""
    batch_size: int
    """Examples per step."""
    dropout: float = 0.0
    """Share of the history's items hidden at each step, in [0, 1)."""
    user_dropout: float = 0.0
    """Share of queries whose user id is hidden at each step, in [0, 1): they are then learned from
    their history alone, as a user who has no row is served."""
    seed: int = 0
    """Of shuffling, dropout and negatives, together with the steps already taken."""
    clip_norm: float = 0.0
    """Largest global norm of a step's gradient; 0 is no clipping (Pascanu et al., ICML 2013)."""
    shuffle: str = "events"
    """"baskets", "events" or "none": see `models.learning.batch_source.event_order`. "baskets" keeps
    the events of a query together where an example is one event (the in-batch loss); elsewhere an
    example is a whole query, or belongs to none, and "baskets" is "events"."""
    optimizer: str = "adagrad"
    """One of `OPTIMIZERS`. Slots are carried over as long as it stays the same."""
    schedule: str = "constant"
    """One of `SCHEDULES`: how the learning rate moves within the update; see
    `models.learning.batch_source.rates`."""
    scope: str = "everything"
    """One of `SCOPES`: what may change; the rest keeps its bits. See `models.learning.scopes`."""
    weight_decay: float = 0.0
    """Pull of touched rows towards zero: loss + w / 2 * |row|^2 at each step."""
    champion_decay: float = 0.0
    """Pull of touched rows towards where this training began (L2-SP, Li et al., ICML 2018)."""
    ewc: float = 0.0
    """The same, weighted by each weight's Fisher information on the past (elastic weight
    consolidation, Kirkpatrick et al., PNAS 2017)."""
    patience: int = 0
    """Epochs without a better score on the held-out slice before training stops, and the best
    epoch's weights are kept; 0 is no early stopping."""
    replay: str = "none"
    """One of `REPLAYS`: which past examples are seen again. See `models.learning.memory`."""
    replay_share: float = 0.0
    """Past examples per new one, at each step; together they weigh so many times what the new ones
    do."""
    distillation: float = 0.0
    """Weight of the champion's scores on past examples as soft targets (Hinton et al., 2015);
    scaled by `models.learning.distillation`'s adaptive factor (ADER, Mi et al., RecSys 2020)."""
    distillation_temperature: float = 1.0
    """Both models' scores are divided by it before they are compared; above 1, second choices
    count more. ADER's is 1."""
    memory_size: int = 30_000
    """The most past examples kept, if `replay` is on. ADER's."""
    memory_half_life: float = 28.0
    """Days after which an example weighs half as much in a "recency" memory."""

    def __post_init__(self) -> None:
        checks.integers(self, epochs=1)
        if self.batch_size < 2:
            raise ValueError(
                f"`batch_size` should be at least 2: an event alone has no negatives. "
                f"Received: {self.batch_size}."
            )
        checks.positive(self, "learning_rate")
        checks.below_one(self, "dropout", "user_dropout")
        checks.not_negative(self, "clip_norm", "weight_decay", "champion_decay", "ewc", "patience")
        checks.not_negative(self, "replay_share", "distillation")
        checks.positive(self, "memory_size", "memory_half_life", "distillation_temperature")
        if not 0 <= self.seed < 2**31:
            raise ValueError(f"`seed` should be in [0, 2^31). Received: {self.seed}.")
        checks.one_of(
            self,
            shuffle=SHUFFLES,
            optimizer=OPTIMIZERS,
            schedule=SCHEDULES,
            scope=SCOPES,
            replay=REPLAYS,
        )
        rehearsed = self.replay_share > 0 or self.distillation > 0
        idle = self.replay != "none" and not rehearsed and self.ewc == 0
        if idle or (self.replay == "none" and rehearsed):
            raise ValueError(
                "`replay` says which past examples, `replay_share` and `distillation` (or `ewc`) "
                f"what to do with them: give both or none. Received: {self.replay!r}, "
                f"{self.replay_share} and {self.distillation}."
            )


REBUILD = Recipe(epochs=10, learning_rate=0.05, batch_size=128, dropout=0.3, user_dropout=0.1)
"""Of the default recommender's towers, from nothing, on the whole history. Recency is the signal:
follow it with INCREMENT on the last weeks. Examples are queries with their baskets."""

INCREMENT = Recipe(epochs=3, learning_rate=0.15, batch_size=64, dropout=0.3, user_dropout=0.1)
"""From the champion, on the windows that it hasn't seen."""

RANK = Recipe(epochs=1, learning_rate=0.03, batch_size=64)
"""Of the ranker, on the candidates of a window. Examples are queries with their candidates."""

RANK_REBUILD = Recipe(epochs=5, learning_rate=0.03, batch_size=64)
"""Of the ranker from nothing, on the last windows."""


@dataclass(frozen=True)
class Training:
    """The recipes of one training."""

    recipe: Recipe
    """Of the network; of the one that retrieves, where there are two stages."""
    ranker: Recipe | None = None
    """Of the second stage; None: it rests, or there is none."""
    recent: Recipe | None = None
    """Of the newest events, in a training from nothing."""


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
    rehearsed: int = 0
    """Past examples seen again, each time counted; 0 also where the memory was still empty."""
    validation: tuple[float, ...] = ()
    """The held-out score after each epoch, if there was early stopping."""


ProgressCallback = Callable[[TrainingProgress], None]

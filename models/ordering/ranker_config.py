"""What is fixed when a ranker, or a cascade of retrieval and ranker, is created. No TensorFlow."""

from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

from models import bounds
from models.ordering.candidates import feature_width
from models.retrieval.config import ModelConfig

if TYPE_CHECKING:
    from models.ordering.ranker import Ranker

LOSSES = ("listwise", "pointwise")
SECOND_HEADS = ("repeat", "value", "none")


@dataclass(frozen=True)
class RankerConfig:
    """Configuration of a ranker: features (and ids, if asked) to a score."""

    family: ClassVar[str] = "ranker"

    feature_width: int
    """F: how many features an example has, roughly on a log scale."""
    dimension: int = 0
    """Width of the user's and the item's embedding beside the features; 0: no ids."""
    cross_layers: int = 1
    """Layers of the cross network: products of up to one feature more each."""
    hidden: tuple[int, ...] = (32,)
    """Widths of the dense layers."""
    second_head: str = "repeat"
    """What the second head on the shared weights says: "repeat" is added to the score of pairs that
    are known (feature 1 is not 0), "value" predicts an amount, "none" leaves it out."""
    loss: str = "listwise"
    """"listwise": which of the candidates are chosen; "pointwise": is the example chosen?"""
    discovery_weight: float = 1.0
    """Listwise: weight of the same loss among the candidates that aren't known pairs."""
    basket_power: float = 0.5
    """Listwise: a query that chose n items weighs n to this power."""
    start_feature: int = -1
    """The feature that an untrained ranker scores by; -1: none, all scores are 0."""
    initial_accumulator: float = 0.1
    """Adagrad's slots start here."""

    history_length: ClassVar[int] = 0
    statistics_width: ClassVar[int] = 0
    words_per_item: ClassVar[int] = 0
    word_buckets: ClassVar[int] = 2

    def __post_init__(self) -> None:
        # JSON has no tuples.
        object.__setattr__(self, "hidden", tuple(self.hidden))
        bounds.integers(self, feature_width=1, dimension=0, cross_layers=0)
        if not -1 <= self.start_feature < self.feature_width:
            raise ValueError(
                f"`start_feature` should be one of the {self.feature_width} features, or -1. "
                f"Received: {self.start_feature}."
            )
        if not all(isinstance(width, int) and width > 0 for width in self.hidden):
            raise ValueError(f"`hidden` should be positive widths. Received: {self.hidden!r}.")
        bounds.one_of(self, second_head=SECOND_HEADS, loss=LOSSES)
        bounds.not_negative(self, "discovery_weight", "basket_power")
        bounds.positive(self, "initial_accumulator")

    def to_json(self) -> dict[str, Any]:
        """A dict of plain values; `RankerConfig(**it)` is equal to this."""
        return {**asdict(self), "hidden": list(self.hidden)}

    def build(self, seed: int) -> "Ranker":
        """The network, knowing nothing."""
        from models.ordering.ranker import Ranker

        return Ranker(self, seed)


@dataclass(frozen=True)
class CascadeConfig:
    """Configuration of the default recommender: retrieval, then a ranker over its candidates.

    Defaults were tuned on UCI Online Retail, weeks 20 to 25 (prequential, NDCG@20 of all pairs and
    of new ones).
    """

    family: ClassVar[str] = "cascade"

    retrieval: ModelConfig = field(
        default_factory=lambda: ModelConfig(loss="basket", dimension=96, statistics_width=5)
    )
    """Of the two towers."""
    item_statistics: int = 5
    """How many statistics of items a query carries (see `point_in_time.ItemStatistics`)."""
    retrieved: int = 100
    """How many of the best by retrieval are candidates."""
    popular: int = 50
    """How many of the most popular of late are candidates."""
    popularity_column: int = 1
    """Which of the statistics of items says how popular one is; -1: none."""
    repeat_weight: float = 0.5
    """Weight in the towers' training of events on pairs that the query's own items hold: the ranker
    knows these without retrieval, whose work is to find the others."""
    cross_layers: int = 1
    hidden: tuple[int, ...] = (32,)
    discovery_weight: float = 1.0
    basket_power: float = 0.5
    """The last four: see `RankerConfig`."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "hidden", tuple(self.hidden))
        bounds.integers(self, item_statistics=0, retrieved=1, popular=0, popularity_column=-1)
        bounds.not_negative(self, "repeat_weight")
        _ = self.ranker  # which checks the last four

    @property
    def ranker(self) -> RankerConfig:
        """The ranker's own configuration."""
        return RankerConfig(
            feature_width=feature_width(self.retrieval.statistics_width, self.item_statistics),
            cross_layers=self.cross_layers,
            hidden=self.hidden,
            discovery_weight=self.discovery_weight,
            basket_power=self.basket_power,
            start_feature=0,
        )

    def to_json(self) -> dict[str, Any]:
        """A dict of plain values; `CascadeConfig.of(it)` is equal to this."""
        return {
            **asdict(self),
            "retrieval": self.retrieval.to_json(),
            "hidden": list(self.hidden),
        }

    @classmethod
    def of(cls, values: dict[str, Any]) -> "CascadeConfig":
        """The configuration that `to_json` gave."""
        return cls(**{**values, "retrieval": ModelConfig(**values["retrieval"])})

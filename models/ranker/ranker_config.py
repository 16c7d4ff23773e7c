"""What is fixed when a ranker is created, and the lists that it ranks. No TensorFlow."""

from dataclasses import dataclass
from typing import ClassVar

from models.data import checks
from models.data.checks import Float32Array, Int64Array
from models.data.ragged import owners

LOSSES = ("listwise", "pointwise")
SECOND_HEADS = ("repeat", "value", "none")
MEAN, SCALE = "feature_mean", "feature_scale"
VALUE_SCALE = "value_scale"
"""Mean and deviation of the values that the head "value" learned first: float32 [2]."""
LARGEST = 5.0
"""Standardised features are cut to this many deviations: a count that no training set had before
must not carry the cross network, which multiplies, away."""
KNOWN_FEATURE = 1
"""The feature that says whether the pair is known (`PAIR_FEATURES`)."""


@dataclass(frozen=True)
class RankerConfig(checks.Plain):
    """Configuration of a ranker: features (and ids, if asked) to a score."""

    family: ClassVar[str] = "ranker"
    network: ClassVar[str] = "models.ranker.ranker:Ranker"

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
    statistics_width: int = 0
    """How many of the features are the query's statistics; 0: an example brings all of its features."""
    kinds: int = 0
    """How many kinds of events the features count apart."""

    history_length: ClassVar[int] = 0
    words_per_item: ClassVar[int] = 0
    word_buckets: ClassVar[int] = 2

    def __post_init__(self) -> None:
        # JSON has no tuples.
        object.__setattr__(self, "hidden", tuple(self.hidden))
        checks.integers(self, feature_width=1, dimension=0, cross_layers=0, statistics_width=0)
        checks.integers(self, kinds=0)
        if not -1 <= self.start_feature < self.feature_width:
            raise ValueError(
                f"`start_feature` should be one of the {self.feature_width} features, or -1. "
                f"Received: {self.start_feature}."
            )
        if not all(isinstance(width, int) and width > 0 for width in self.hidden):
            raise ValueError(f"`hidden` should be positive widths. Received: {self.hidden!r}.")
        checks.one_of(self, second_head=SECOND_HEADS, loss=LOSSES)
        checks.not_negative(self, "discovery_weight", "basket_power")
        checks.positive(self, "initial_accumulator")

    @property
    def item_statistics(self) -> int:
        """How many of the features are statistics of the item, if they are `CandidateLists.features`."""
        return self.feature_width - feature_width(self.statistics_width, 0, self.kinds)


PAIR_FEATURES = (
    "retrieval",  # log probability by a softmax over all items known, at least -20
    "own",  # 1: the user has chosen the item before; then, on a log1p scale:
    "own_purchases",
    "own_days",
    "own_first_age",
    "own_last_age",
    "own_decayed_28d",
    "own_decayed_112d",
    "own_share",  # days with the item / days with anything
    "own_latest",  # 1: nothing was chosen after it
)
"""Events of each kind on the pair follow, on a log1p scale, where several are counted apart."""


USER_FEATURES = ("user_purchases", "user_days", "user_last_age")
"""On a log1p scale. The user's events of each kind follow, likewise; then `Queries.statistics` and the
item's statistics, as they are."""


LEAST_RETRIEVAL = -20.0


@dataclass(frozen=True, eq=False)
class CandidateLists:
    """Candidates of B queries.

    Attributes:
        offsets: int64 [B + 1], which candidates are of which query (`models.data.ragged`).
        item_keys: int64 [N].
        features: float32 [N, F], in the order PAIR_FEATURES, the pair's events of each kind,
            USER_FEATURES, the user's events of each kind, user statistics, item statistics; column 1
            says whether the pair is known.
    """

    offsets: Int64Array
    item_keys: Int64Array
    features: Float32Array

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def owners(self) -> Int64Array:
        """The query of each candidate: int64 [N]."""
        return owners(self.offsets)


def feature_width(user_statistics: int, item_statistics: int, kinds: int = 0) -> int:
    """F of `CandidateLists.features`."""
    pair, user = len(PAIR_FEATURES) + kinds, len(USER_FEATURES) + kinds
    return pair + user + user_statistics + item_statistics

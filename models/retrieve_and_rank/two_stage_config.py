"""What is fixed when a recommender of two stages is created. No TensorFlow."""

from dataclasses import dataclass, field
from typing import Any, ClassVar

from models.cooccurrence.pair_config import PAIR_MEMORY_FEATURES
from models.data import checks
from models.learning.recipes import INCREMENT, RANK, RANK_REBUILD, REBUILD
from models.ranker.ranker_config import RankerConfig, feature_width
from models.recommenders.family import Family
from models.recommenders.offered import said_of
from models.two_tower.tower_config import ModelConfig


@dataclass(frozen=True)
class RetrieveAndRankConfig(checks.Plain):
    """Configuration of the default recommender: retrieval, then a ranker over its candidates.

    Defaults were tuned on UCI Online Retail, weeks 20 to 25 (prequential, NDCG@20 of all pairs and
    of new ones).
    """

    family: ClassVar[str] = "retrieve_and_rank"

    retrieval: ModelConfig = field(
        default_factory=lambda: ModelConfig(loss="basket", dimension=96, statistics_width=5)
    )
    """Of the two towers."""
    item_statistics: int = 5
    """How many statistics of items a query carries (see `models.data.queries.ItemStatistics`)."""
    kinds: int = 0
    """How many kinds of events the features count apart; of a model made before they were, 0."""
    retrieved: int = 100
    """How many of the best by retrieval are candidates."""
    popular: int = 50
    """How many of the most popular of late are candidates."""
    popularity_column: int = 1
    """Which of the statistics of items says how popular one is; -1: none."""
    together: int = 25
    """How many of the items that go best with the user's own are candidates, by either score of
    `models.cooccurrence.pair_scores`."""
    neighbours: int = 64
    """How many items each is remembered to go with (`models.cooccurrence.pair_memory`); 0: no memory
    of pairs, and none of its features."""
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
        checks.integers(self, item_statistics=0, retrieved=1, popular=0, popularity_column=-1)
        checks.integers(self, together=0, neighbours=0, kinds=0)
        checks.not_negative(self, "repeat_weight")
        _ = self.ranker  # which checks the last four

    @property
    def ranker(self) -> RankerConfig:
        """The ranker's own configuration."""
        return RankerConfig(
            feature_width=feature_width(
                self.retrieval.statistics_width, self.item_statistics, self.kinds
            )
            + (len(PAIR_MEMORY_FEATURES) if self.neighbours else 0),
            kinds=self.kinds,
            cross_layers=self.cross_layers,
            hidden=self.hidden,
            discovery_weight=self.discovery_weight,
            basket_power=self.basket_power,
            start_feature=0,
        )

    @classmethod
    def of(cls, values: dict[str, Any]) -> "RetrieveAndRankConfig":
        """The configuration that `to_json` gave; without `neighbours`, it is of no memory."""
        return cls(**{"neighbours": 0, **values, "retrieval": ModelConfig(**values["retrieval"])})


FAMILY = Family(
    **said_of("retrieve_and_rank"),
    summary="two towers find candidates, a ranker over the feature store's answers orders them: shops",
    recommender="models.retrieve_and_rank.two_stage_learner:TwoStageLearner",
    answers="models.retrieve_and_rank.two_stage_answers:TwoStageAnswers",
    shape="models.retrieve_and_rank.two_stage_config:RetrieveAndRankConfig",
    judged_by="ranking",
    increment=INCREMENT,
    rebuild=REBUILD,
    ranker=RANK,
    ranker_rebuild=RANK_REBUILD,
    ranker_scopes=("everything", "head"),
    states=("towers", "ranker"),
)

"""Which model recloop keeps fresh, and where a release's is.

Belongs here: the configuration of the default recommender. Keep out: training it (`fitting.py`).
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from recloop.features.daily import HISTORY_LENGTH
from recloop.features.ranker_inputs import ITEM_STATISTICS, STATISTICS

if TYPE_CHECKING:
    from models.retrieve_and_rank.retrieve_and_rank import RetrieveAndRank

CHECKPOINT = "checkpoint"


def new_model(seed: int) -> RetrieveAndRank:
    """The default recommender, knowing nothing."""
    from models.retrieve_and_rank.retrieve_and_rank import RetrieveAndRank
    from models.retrieve_and_rank.two_stage_config import RetrieveAndRankConfig

    tuned = RetrieveAndRankConfig()
    towers = replace(
        tuned.retrieval, statistics_width=len(STATISTICS), history_length=HISTORY_LENGTH
    )
    config = replace(
        tuned,
        retrieval=towers,
        item_statistics=len(ITEM_STATISTICS),
        popularity_column=ITEM_STATISTICS.index("purchases_28d"),
    )
    return RetrieveAndRank.create(config, seed)


def restore_model(uri: str | Path, magnitude_limit: float | None = None) -> RetrieveAndRank:
    """The model of a candidate or a release.

    Raises:
        models.errors.RestoreError: it cannot be used.
    """
    from models.retrieve_and_rank.retrieve_and_rank import RetrieveAndRank
    from models.storage.checkpoint import MAGNITUDE_LIMIT

    limit = MAGNITUDE_LIMIT if magnitude_limit is None else magnitude_limit
    return RetrieveAndRank.restore(Path(uri) / CHECKPOINT, limit)

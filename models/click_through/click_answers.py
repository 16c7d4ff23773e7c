"""Click-through without TensorFlow: how likely each item is clicked, from an export's arrays."""

from typing import TYPE_CHECKING, ClassVar

import numpy as np

from models.data.checks import Float32Array
from models.data.queries import ItemStatistics, Queries
from models.ranker import ranker_answers
from models.ranker.pair_features import features_of
from models.ranker.ranker_answers import RankerAnswers
from models.ranker.ranker_config import RankerConfig
from models.recommenders.answers import Answerer

if TYPE_CHECKING:
    from models.tables.state import ModelState

STATISTICS = "item_statistics"


def arrays_of(state: "ModelState", statistics: np.ndarray) -> dict[str, np.ndarray]:
    """What `ClickAnswers` reads, by name; statistics float32 [items + 1, S], of every item's row."""
    return {**ranker_answers.arrays_of(state), STATISTICS: statistics}


class ClickAnswers(Answerer):
    """See `models.recommenders.answers.Answerer`; every item is scored, by the logit of its
    probability."""

    block_width: ClassVar[int] = 64

    def _open(self) -> None:
        self._config = RankerConfig(**self.shape)
        self._ranker = RankerAnswers(self._config, self.arrays)
        self._known = None
        if self._config.item_statistics:
            order = np.argsort(self.items.keys)
            values = np.asarray(self.arrays[STATISTICS])[1:][order]
            self._known = ItemStatistics(self.items.keys[order], values[None], self._config.kinds)

    def all_scores(self, queries: Queries) -> Float32Array:
        asked = Queries(
            queries.user_keys, queries.history, queries.statistics, queries.own, self._known
        )
        keys, count = self.items.keys, len(queries)
        row = np.repeat(np.arange(count), len(keys))
        widths = self._config.item_statistics, self._config.kinds
        features = features_of(asked, row, np.tile(keys, count), *widths)
        users = self.users.rows(queries.user_keys)
        items = np.tile(np.arange(1, len(keys) + 1), count)
        return self._ranker.score(features, users[row], items).reshape(count, len(keys))

"""Ratings: what matrix factorisation learns from, as a frozen dataclass that checks itself.

Neighbours: `models.data.queries` has what the other families take;
`models.factors.rating_recommender` turns these into batches. NumPy only.
"""

from dataclasses import dataclass

import numpy as np

from models.data.checks import Float32Array, Int64Array, check_all, check_array, check_same_length


@dataclass(frozen=True, eq=False)
class Ratings:
    """Who gave what to which item: one row per observation.

    Attributes:
        user_keys: int64 [N], positive; 0 is an anonymous user, from whom biases are learned.
        item_keys: int64 [N], positive.
        values: float32 [N], finite: ratings in their own scale, or 1 for an implicit choice.
        weights: float32 [N], finite and not negative: how sure the observation is; 1 is ordinary.
    """

    user_keys: Int64Array
    item_keys: Int64Array
    values: Float32Array
    weights: Float32Array

    def __post_init__(self) -> None:
        check_array("user_keys", self.user_keys, np.int64, 1)
        check_array("item_keys", self.item_keys, np.int64, 1)
        check_array("values", self.values, np.float32, 1)
        check_array("weights", self.weights, np.float32, 1)
        for name in ("item_keys", "values", "weights"):
            check_same_length(name, getattr(self, name), len(self), "user_keys")
        users, weights = self.user_keys, self.weights
        check_all("user_keys", users >= 0, users, "positive (0 is an anonymous user)")
        check_all("item_keys", self.item_keys > 0, self.item_keys, "positive")
        check_all("values", np.isfinite(self.values), self.values, "finite")
        fine = np.isfinite(weights) & (weights >= 0)
        check_all("weights", fine, weights, "finite and not negative")

    def __len__(self) -> int:
        return len(self.user_keys)

    def take(self, index: np.ndarray | slice) -> "Ratings":
        """The observations at `index` (integers, booleans or a slice)."""
        return Ratings(
            self.user_keys[index], self.item_keys[index], self.values[index], self.weights[index]
        )

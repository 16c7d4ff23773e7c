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

    @classmethod
    def from_counts(
        cls,
        user_keys: Int64Array,
        item_keys: Int64Array,
        counts: Float32Array,
        alpha: float = 1.0,
        epsilon: float = 1.0,
    ) -> "Ratings":
        """Implicit counts: each pair is a choice (value 1), the surer the more often it was made.

        confidence = 1 + alpha * log(1 + count / epsilon): Hu, Koren and Volinsky, Collaborative
        filtering for implicit feedback datasets, ICDM 2008, section 4. A pair that comes several
        times is one observation, of its total count; the pairs are sorted by user, then item.

        Args:
            user_keys, item_keys: int64 [N].
            counts: float32 [N], positive: how often, or how much.
            alpha: how fast confidence grows.
            epsilon: the count at which it begins to.
        """
        if not (counts > 0).all():
            raise ValueError(
                f"`counts` should be positive. Received: {counts.min()}. A choice that was taken "
                "back is no choice: leave it out."
            )
        pairs, place = np.unique(
            np.stack([user_keys, item_keys], axis=1), axis=0, return_inverse=True
        )
        totals = np.bincount(place.ravel(), weights=counts, minlength=len(pairs))
        sure = 1.0 + alpha * np.log1p(totals / epsilon)
        return cls(
            np.ascontiguousarray(pairs[:, 0]),
            np.ascontiguousarray(pairs[:, 1]),
            np.ones(len(pairs), np.float32),
            sure.astype(np.float32),
        )

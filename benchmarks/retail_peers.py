"""What a user would pick instead: counting, neighbours, factorisations and a linear autoencoder.

Each keeps every event, scores all candidates for the users asked, and learns after each window.
Settings were chosen on the last six windows of the warm-up of UCI Online Retail. Packages:
`implicit` and `scipy`, of `requirements-bench.txt`.
"""

from __future__ import annotations

import importlib
from abc import ABC, abstractmethod
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from benchmarks.events import Catalogue, Events, Int64
from benchmarks.retail_systems import Entry, Request, System, Window, best
from benchmarks.retail_tables import columns_of, counted, looked_up, rows_of

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix

RECENT_WEEKS = 4
DEPENDS = ("benchmarks/retail_tables.py",)
DECAY_PER_WEEK, RIDGE = 0.93, 300.0
Float64 = npt.NDArray[np.float64]
BLOCK_SCORES = 8_000_000
"""How many scores are held at a time."""


class Peer(ABC):
    """Keeps every event, learns again after each window, and ranks by a matrix of scores."""

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self.parts: list[Events] = []
        self.now: np.datetime64 = np.datetime64(0, "us")

    def warm_up(
        self,
        history: Events,
        catalogue: Catalogue,
        now: np.datetime64,
        length: np.timedelta64,
    ) -> None:
        del catalogue, length
        self.parts, self.now = [history], now
        self.fit()

    def learn(self, window: Window) -> None:
        self.parts.append(window.events)
        self.now = window.end
        self.refit(window)

    def rank(self, request: Request) -> Int64:
        size = max(1, BLOCK_SCORES // max(1, len(request.catalogue)))
        ranked = [np.zeros((0, request.k), np.int64)]
        for low in range(0, len(request.users), size):
            part = _part(request, low, low + size)
            ranked.append(best(self.scores(part.users, part.catalogue.item_keys), part))
        return np.concatenate(ranked)

    @abstractmethod
    def fit(self) -> None:
        """Learn from all events before `self.now`."""

    def refit(self, window: Window) -> None:
        """Learn from one more window, which `self.parts` has already; again from all, if not said
        otherwise."""
        del window
        self.fit()

    @abstractmethod
    def scores(self, users: Int64, items: Int64) -> np.ndarray:
        """float [U, C]; users and items may be unknown."""

    def history(self) -> tuple[Int64, Int64, np.ndarray]:
        """Users, items and ages in weeks (float64) of every event so far."""
        users = np.concatenate([part.user_keys for part in self.parts])
        items = np.concatenate([part.item_keys for part in self.parts])
        times = np.concatenate([part.times for part in self.parts])
        ages = (self.now - times).astype("timedelta64[us]").astype(np.int64) / 604_800e6
        return users, items, ages


class Popularity(Peer):
    """Events of the last four weeks."""

    def fit(self) -> None:
        _, items, ages = self.history()
        self.counts = np.bincount(items[ages <= RECENT_WEEKS]).astype(np.float64)

    def scores(self, users: Int64, items: Int64) -> np.ndarray:
        return np.tile(looked_up(self.counts, items), (len(users), 1))


class OwnCounts(Peer):
    """The user's own frequent items, decayed, and recent popularity.

    score = sqrt(own / the user's greatest own) + share * sqrt(popular / the greatest popular),
    where own sums `decay_per_week ** age` over the days on which the user bought the item, and
    popular counts events of the last four weeks.
    """

    decay_per_week, popularity_share = 0.98, 0.8

    def fit(self) -> None:
        users, items, ages = self.history()
        recent = np.bincount(items[ages <= RECENT_WEEKS]).astype(np.float64)
        self.popular = self.popularity_share * np.sqrt(recent / max(1.0, recent.max(initial=0)))
        times = np.concatenate([part.times for part in self.parts])
        days = times.astype("datetime64[D]").astype(np.int64)
        pairs = users * (items.max() + 1) + items
        _, once = np.unique(pairs * (days.max() + 1) + days, return_index=True)
        self.own = counted(users[once], items[once], self.decay_per_week ** ages[once])

    def scores(self, users: Int64, items: Int64) -> np.ndarray:
        own = columns_of(rows_of(self.own, users).toarray(), items)
        greatest = own.max(axis=1, keepdims=True, initial=0)
        return np.sqrt(own / np.where(greatest > 0, greatest, 1)) + looked_up(self.popular, items)


class ItemKnn(Peer):
    """Item neighbours by BM25-weighted counts (`implicit`), K = 300."""

    neighbours = 300

    def fit(self) -> None:
        from implicit.nearest_neighbours import BM25Recommender

        users, items, _ = self.history()
        self.counts = counted(users, items)
        self.model = BM25Recommender(K=self.neighbours, num_threads=1)
        self.model.fit(self.counts, show_progress=False)

    def scores(self, users: Int64, items: Int64) -> np.ndarray:
        mine = rows_of(self.counts, users)
        return columns_of((mine @ self.model.similarity).toarray(), items)


class Factors(Peer):
    """A factorisation of `implicit`: dot products of the factors that `train` made."""

    def scores(self, users: Int64, items: Int64) -> np.ndarray:
        return columns_of(looked_up(self.user_factors, users) @ self.item_factors.T, items)

    user_factors: np.ndarray
    item_factors: np.ndarray


class Als(Factors):
    """Alternating least squares on counts, 128 factors, fitted anew after each window.

    Hu, Koren and Volinsky, Collaborative filtering for implicit feedback datasets, ICDM 2008.
    """

    factors, regularization, alpha, iterations = 128, 0.01, 1.0, 15

    def fit(self) -> None:
        from implicit.cpu.als import AlternatingLeastSquares

        users, items, _ = self.history()
        self.counts = counted(users, items)
        self.model = AlternatingLeastSquares(
            factors=self.factors,
            regularization=self.regularization,
            alpha=self.alpha,
            iterations=self.iterations,
            num_threads=1,
            random_state=self.seed,
        )
        self.model.fit(self.counts, show_progress=False)
        self._take()

    def _take(self) -> None:
        self.user_factors, self.item_factors = self.model.user_factors, self.model.item_factors


class AlsPartialFit(Als):
    """ALS whose users and items of the window are solved again, nothing else."""

    def refit(self, window: Window) -> None:
        users, items, _ = self.history()
        counts = counted(users, items)
        touched_items = np.unique(window.events.item_keys)
        touched_users = np.unique(window.events.user_keys)
        # Users first, in the columns that the item factors have: one more is no error in `implicit`
        # but ruins the model. Then the items, then the users again, who now see the new items.
        self._add_ids(*counts.shape)
        self.model.partial_fit_users(touched_users, counts[touched_users])
        by_item = counts.T.tocsr()
        self.model.partial_fit_items(touched_items, by_item[touched_items])
        self.model.partial_fit_users(touched_users, counts[touched_users])
        self._take()

    def _add_ids(self, users: int, items: int) -> None:
        for name, size in (("user_factors", users), ("item_factors", items)):
            table = getattr(self.model, name)
            more = np.zeros((max(0, size - len(table)), table.shape[1]), table.dtype)
            setattr(self.model, name, np.concatenate([table, more]))
        self.model._XtX = self.model._YtY = None


class Bpr(Factors):
    """Bayesian personalised ranking, 64 factors, fitted anew after each window.

    Rendle et al., BPR: Bayesian personalized ranking from implicit feedback, UAI 2009.
    """

    factors, learning_rate, regularization, iterations = 64, 0.01, 0.01, 100

    def fit(self) -> None:
        from implicit.bpr import BayesianPersonalizedRanking

        users, items, _ = self.history()
        model = BayesianPersonalizedRanking(
            factors=self.factors,
            learning_rate=self.learning_rate,
            regularization=self.regularization,
            iterations=self.iterations,
            num_threads=1,
            random_state=self.seed,
        )
        model.fit(counted(users, items), show_progress=False)
        self.user_factors, self.item_factors = model.user_factors, model.item_factors


def fit_ease(
    users: Int64, items: Int64, weeks: Float64, ridge: float = RIDGE
) -> tuple[csr_matrix, Float64]:
    """X (float32, a row per user number and a column per item number) and B (float64, square).

    X holds, for each user and item, 0.93 ** weeks since the user last bought it. (Sums over purchases
    did better on all pairs and worse on new ones, for which one takes EASE.) With G = X'X + ridge I and
    P = G^-1: B = I - P / diag(P), scores X B. Steck, Embarrassingly shallow autoencoders for sparse
    data, WWW 2019.

    Args:
        users, items: [N], one purchase each, in any order; small numbers, for both matrices have a
            column for every number up to the greatest.
        weeks: [N], how long ago it was.
    """
    from scipy.sparse import coo_matrix

    width = items.max() + 1
    pairs, place = np.unique(users * width + items, return_inverse=True)
    youngest = np.full(len(pairs), np.inf)
    np.minimum.at(youngest, place, weeks)
    values = (DECAY_PER_WEEK**youngest).astype(np.float32)
    table = coo_matrix((values, (pairs // width, pairs % width))).tocsr()
    gram = (table.T @ table).toarray().astype(np.float64)
    gram[np.diag_indices_from(gram)] += ridge
    inverse = np.linalg.inv(gram)
    weights = inverse / -np.diag(inverse)
    np.fill_diagonal(weights, 0.0)
    return table, weights


class Ease(Peer):
    """A linear autoencoder of users' items with a zero diagonal, in closed form. See `fit_ease`."""

    ridge = RIDGE

    def fit(self) -> None:
        self.table, self.weights = fit_ease(*self.history(), self.ridge)

    def scores(self, users: Int64, items: Int64) -> np.ndarray:
        return columns_of(rows_of(self.table, users) @ self.weights, items)


def _part(request: Request, low: int, high: int) -> Request:
    exclude = request.exclude
    if exclude is not None:
        offsets = exclude[0][low : high + 1]
        exclude = (offsets - offsets[0], exclude[1][offsets[0] : offsets[-1]])
    return replace(request, users=request.users[low:high], exclude=exclude)


def _entry(peer: type[Peer], package: str, seeded: bool = False) -> Entry:
    def make(seed: int) -> System:
        importlib.import_module(package)  # here, so that it counts as start-up and not as warm-up
        return peer(seed)

    return Entry(make, seeded)


SYSTEMS: dict[str, Entry] = {
    "popularity": Entry(Popularity, seeded=False),
    "own counts": _entry(OwnCounts, "scipy.sparse"),
    "BM25": _entry(ItemKnn, "implicit.nearest_neighbours"),
    "ALS": _entry(Als, "implicit.cpu.als", seeded=True),
    "ALS partial_fit": _entry(AlsPartialFit, "implicit.cpu.als", seeded=True),
    "EASE": _entry(Ease, "scipy.sparse"),
    "BPR": _entry(Bpr, "implicit.bpr", seeded=True),
}

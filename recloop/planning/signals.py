"""Signals: what is measured on a new window before anything learns from it. Pure, NumPy only.

Kept with the window (`ledger.window.signals`), so that a later decision can ask what is usual. What
follows from them is the policy's affair (`decisions.py`, `adaptive.py`).

References:
    Lin, Divergence measures based on the Shannon entropy, IEEE Trans. Information Theory 37, 1991.
    Siddiqi, Credit risk scorecards, Wiley 2006 (population stability index: above .25, a shift).
    Page, Continuous inspection schemes, Biometrika 41, 1954.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any

import numpy as np
import numpy.typing as npt

Int64 = npt.NDArray[np.int64]

BINS = 10
DRAWS = 4
CLEAR = 5.0
SLACK = 0.5
LEAST_HISTORY, LONGEST_HISTORY = 6, 40
SMALLEST_SPREAD = 0.02


@dataclass(frozen=True)
class Signals:
    """One window's, as numbers that JSON can carry; None: not measured.

    Attributes:
        events: learnable events of the window.
        quality_all, quality_new: the champion's quality on the window before it learnt from it, by the
            broader and the narrower measure; an error is negative, so that more is better.
        popularity_drift: Jensen-Shannon distance (base 2) between the items' shares in the window
            and in the windows before it, less what a sample of those of the same size would show: a
            small window always looks far away. About 0 where nothing moved, at most 1.
        feature_drift: the largest population stability index of any user statistic, likewise.
        new_users, new_items: share of events by users, and on items, never seen before.
        unscorable: share of events on items that the champion cannot score.
        repeated: share of the window's distinct (user, item) pairs that the window before had too.
    """

    events: int = 0
    quality_all: float | None = None
    quality_new: float | None = None
    popularity_drift: float | None = None
    feature_drift: float | None = None
    new_users: float | None = None
    new_items: float | None = None
    unscorable: float | None = None
    repeated: float | None = None

    def to_json(self) -> dict[str, float | None]:
        return asdict(self)

    @classmethod
    def of_json(cls, stored: dict[str, Any]) -> Signals:
        """From a mapping that may hold more, or less."""
        return cls(**{f.name: stored[f.name] for f in fields(cls) if f.name in stored})


@dataclass(frozen=True, eq=False)
class Observed:
    """A window's learnable events and its queries' statistics.

    Attributes:
        user_keys, item_keys: int64 [N], one per event.
        statistics: float32 [Q, S]; Q and S may be 0.
    """

    user_keys: Int64
    item_keys: Int64
    statistics: np.ndarray


def measure_signals(
    window: Observed,
    before: Sequence[Observed],
    known_items: Int64 | None,
    quality: tuple[float | None, float | None] = (None, None),
) -> Signals:
    """The signals of a window.

    Args:
        before: the windows before it, oldest first: what is compared with (28 days are a good choice).
        known_items: what the champion can score; None: there is no champion.
        quality: the champion's two metrics that the judge calls quality (of a shop NDCG@20 on all pairs
            and on new ones), greater where better; None: not measured.
    """
    if not len(window.item_keys):
        return Signals(quality_all=quality[0], quality_new=quality[1])
    old_items = np.concatenate([b.item_keys for b in before] or [np.zeros(0, np.int64)])
    old_users = np.concatenate([b.user_keys for b in before] or [np.zeros(0, np.int64)])
    items = old_items if known_items is None else np.union1d(old_items, known_items)
    drift = popularity_drift(window.item_keys, old_items) if len(old_items) else None
    lost = None if known_items is None else _absent(window.item_keys, known_items)
    return Signals(
        events=len(window.item_keys),
        quality_all=_rounded(quality[0]),
        quality_new=_rounded(quality[1]),
        popularity_drift=_rounded(drift),
        feature_drift=_feature_drift(window, before),
        new_users=_rounded(_absent(window.user_keys, old_users)) if len(old_users) else None,
        new_items=_rounded(_absent(window.item_keys, items)) if len(items) else None,
        unscorable=_rounded(lost),
        repeated=_rounded(_repeated(window, before[-1])) if before else None,
    )


def popularity_drift(now: Int64, before: Int64) -> float:
    """`js_distance`, less the mean of `DRAWS` samples of the same size from `before`."""
    rng = np.random.default_rng(len(now))
    samples = [rng.choice(before, len(now)) for _ in range(DRAWS)]
    expected = np.mean([js_distance(sample, before) for sample in samples])
    return js_distance(now, before) - float(expected)


def js_distance(left: Int64, right: Int64) -> float:
    """Jensen-Shannon distance of the shares of the keys in two samples (int64 [n], [m], not empty).

    sqrt((KL(p | m) + KL(q | m)) / 2) with m = (p + q) / 2 and logarithms to base 2, in [0, 1].
    """
    keys, place = np.unique(np.concatenate([left, right]), return_inverse=True)
    p = np.bincount(place[: len(left)], minlength=len(keys)) / len(left)
    q = np.bincount(place[len(left) :], minlength=len(keys)) / len(right)
    middle = (p + q) / 2
    there = [(share[share > 0], middle[share > 0]) for share in (p, q)]
    terms = [float((share * np.log2(share / mean)).sum()) for share, mean in there]
    return float(np.sqrt(max(sum(terms) / 2, 0.0)))


def stability_index(reference: np.ndarray, values: np.ndarray) -> float:
    """Population stability index: sum over bins of (v - r) ln(v / r), the bins being the reference's
    deciles; half an observation is added to each bin, so that an empty one is not infinite.

    Args:
        reference, values: float [n] and [m], not empty, finite.
    """
    inner = np.linspace(0, 1, BINS + 1)[1:-1]
    edges = np.unique(np.quantile(reference, inner, method="inverted_cdf"))
    shares = []
    for sample in (reference, values):
        counts = np.bincount(np.searchsorted(edges, sample), minlength=len(edges) + 1) + 0.5
        shares.append(counts / counts.sum())
    r, v = shares
    return float(((v - r) * np.log(v / r)).sum())


def changed(series: Sequence[float | None], direction: str) -> bool:
    """Whether the newest value, or the one before it, is where Page-Hinkley's test sees a change.

    Values are in units of their usual step from one to the next (robustly: the median), so one
    threshold fits all signals: `CLEAR` of them in sum, beyond `SLACK` per value. In a stream without
    change that is about one false alarm in 450 values.

    Args:
        series: oldest first; None and NaN are passed over.
        direction: "up" or "down".
    """
    from river.drift import PageHinkley

    values = np.array([v for v in series if v is not None and np.isfinite(v)], np.float64)
    values = values[-LONGEST_HISTORY:]
    if len(values) < LEAST_HISTORY:
        return False
    past = values[:-2]
    spread = 1.4826 * float(np.median(np.abs(np.diff(past)))) / np.sqrt(2)
    spread = max(spread, SMALLEST_SPREAD * abs(float(np.median(past))), 1e-9)
    # Around the past's middle: the test's own mean would start from the first value.
    scaled = (values - float(np.median(past))) / spread
    test = PageHinkley(min_instances=1, delta=SLACK, threshold=CLEAR, alpha=1.0, mode=direction)
    seen = []
    for value in np.clip(scaled, -2 * CLEAR, 2 * CLEAR):
        test.update(float(value))
        seen.append(bool(test.drift_detected))
    return any(seen[-2:])


def usual(series: Sequence[float | None]) -> float | None:
    """The median of what is there; None without any."""
    values = [v for v in series if v is not None and np.isfinite(v)]
    return float(np.median(values)) if values else None


def _feature_drift(window: Observed, before: Sequence[Observed]) -> float | None:
    parts = [b.statistics for b in before if b.statistics.size]
    if not parts or not window.statistics.size:
        return None
    columns = zip(np.concatenate(parts).T, window.statistics.T, strict=True)
    return _rounded(max(stability_index(then, now) for then, now in columns))


def _absent(keys: Int64, known: Int64) -> float:
    return float(np.mean(~np.isin(keys, known)))


def _repeated(window: Observed, last: Observed) -> float:
    width = int(max(window.item_keys.max(initial=0), last.item_keys.max(initial=0))) + 1
    mine = np.unique(window.user_keys * width + window.item_keys)
    return float(np.isin(mine, last.user_keys * width + last.item_keys).mean())


def _rounded(value: float | None) -> float | None:
    return None if value is None or not np.isfinite(value) else round(float(value), 6)

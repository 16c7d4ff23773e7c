"""Weekly prequential evaluation: rank each window before it is learnt from.

The windows of a dataset are cut from the midnight (UTC) before its first event, by the length that its
TOML names. The first `warm_up` of them are learnt at once. Then, for each window:

    for each user known before it who has events in it: rank every item known before it   (a)
    the same without the pairs (user, item) known before                                  (b)
    for each user who comes new: rank every item known before                     (new_users)
    for each user known before: rank items known before and items that come new   (new_items)
    learn from the window

Metrics are those of `models/metrics/ranking.py` at k = 20, a mean over users, then over windows.
Relevant are the user's distinct items of the window among the candidates, without excluded pairs;
for `new_items` only those that come new. A user with nothing relevant is left out. A last window
that the data does not fill is learnt from by nobody and not tested.

Gama, Sebastião and Rodrigues, On evaluating stream learning algorithms, Machine Learning 90, 2013.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import numpy.typing as npt

from benchmarks.cost import Meter, cpu_seconds, peak_megabytes
from benchmarks.events import Catalogue, EventLog, Int64
from benchmarks.retail_systems import Csr, Request, System, Window
from models.metrics.ranking import hits, ndcg_at_k, recall_at_k
from recloop.errors import BadInput

K = 20
METRICS = (f"recall@{K}", f"ndcg@{K}", f"hit@{K}")
SLICES = ("a", "b", "new_users", "new_items")
Slice = Literal["a", "b", "new_users", "new_items"]
DAYS = {"day": 1, "week": 7}
Float64 = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Span:
    """A window as rows of the log: events `[low, high)`, times `[start, end)`."""

    index: int
    start: np.datetime64
    end: np.datetime64
    low: int
    high: int


@dataclass(frozen=True, eq=False)
class Rows:
    """One row per user and window: int64 [R], int64 [R], float64 [R, 3] in the order of `METRICS`."""

    windows: Int64
    users: Int64
    values: Float64

    def by_window(self) -> dict[int, Float64]:
        """Window → float64 [3], the mean over its users; windows without users are left out."""
        return {
            int(window): self.values[self.windows == window].mean(axis=0)
            for window in np.unique(self.windows)
        }

    def means(self) -> Float64:
        """float64 [3]: mean over users, then over windows; NaN without any."""
        means = list(self.by_window().values())
        return np.mean(means, axis=0) if means else np.full(len(METRICS), np.nan)


@dataclass
class Result:
    """What a run of one system gave, and cost. Seconds are the learning's alone."""

    rows: dict[str, Rows]
    costs: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class Protocol:
    """A log cut into windows.

    Attributes:
        log: every event.
        length: of a window.
        warm_up: windows learnt at once; the next is the first to be tested.
        windows: how many are tested; None: all that the data fills.
    """

    log: EventLog
    length: Literal["day", "week"] = "week"
    warm_up: int = 26
    windows: int | None = None

    @property
    def step(self) -> np.timedelta64:
        """A window's length, in days."""
        return np.timedelta64(DAYS[self.length], "D")

    def span(self, index: int) -> Span:
        """The window of that index; it may have no events."""
        times = self.log.events.times
        begin = times[0].astype("datetime64[D]").astype("datetime64[us]")
        start, end = begin + index * self.step, begin + (index + 1) * self.step
        low, high = np.searchsorted(times, [start, end])
        return Span(index, start, end, int(low), int(high))

    def tested(self) -> list[Span]:
        """The windows that are tested: those with events after the warm-up.

        Raises:
            BadInput: there is none.
        """
        if not len(self.log):
            raise BadInput("there are no events; check what the dataset's TOML learns from.")
        times = self.log.events.times
        days = times[-1].astype("datetime64[D]") + 1 - times[0].astype("datetime64[D]")
        filled = int(days // self.step)
        spans = [self.span(index) for index in range(self.warm_up, filled)]
        spans = [span for span in spans if span.low < span.high][: self.windows]
        if not spans:
            raise BadInput(
                f"the data fills {filled} windows of one {self.length}, and the warm-up takes "
                f"{self.warm_up}; choose a smaller one (1 or more)."
            )
        return spans

    def questions(self, span: Span) -> Iterator[tuple[Request, Csr]]:
        """What systems are asked before the window, and what was relevant, per user."""
        users, items = self.log.events.user_keys, self.log.events.item_keys
        pairs = _distinct_pairs(users[span.low : span.high], items[span.low : span.high])
        returning = np.isin(pairs[0], users[: span.low])
        old_item = np.isin(pairs[1], items[: span.low])
        back, came = np.unique(pairs[0][returning]), np.unique(pairs[0][~returning])
        mine = np.isin(users[: span.low], back)
        known = _csr(back, *_distinct_pairs(users[: span.low][mine], items[: span.low][mine]))
        catalogue = self.log.catalogue(span.low)

        def question(
            purpose: Slice, asked: Int64, shown: Catalogue, exclude: Csr | None, right: np.ndarray
        ) -> tuple[Request, Csr]:
            request = Request(purpose, span.index, span.start, asked, shown, K, exclude)
            relevant = _csr(asked, pairs[0][right], pairs[1][right])
            return request, relevant if exclude is None else _without(relevant, exclude)

        if len(back):
            yield question("a", back, catalogue, None, returning & old_item)
            yield question("b", back, catalogue, known, returning & old_item)
        if len(came):
            yield question("new_users", came, catalogue, None, ~returning & old_item)
        fresh = returning & ~old_item
        if fresh.any():
            wider = self.log.catalogue_before(span.low, span.high)
            yield question("new_items", back, wider, known, fresh)

    def window(self, span: Span) -> Window:
        """The window as it is handed out to be learnt."""
        return Window(
            index=span.index,
            key=str(span.start.astype("datetime64[D]")),
            start=span.start,
            end=span.end,
            events=self.log.events.take(slice(span.low, span.high)),
            catalogue=self.log.catalogue(span.high),
        )


Progress = Callable[[int, int, Float64], None]
"""(windows done, windows, float64 [3] metrics of (a) in the last one)"""


def run(system: System, protocol: Protocol, progress: Progress | None = None) -> Result:
    """Put one system through the protocol, in this process.

    Raises:
        ValueError: the system's answer is not a ranking of the candidates.
    """
    startup = cpu_seconds()
    spans = protocol.tested()
    warm_up, learning, ranking = Meter(), Meter(), Meter()
    first = spans[0]
    history = protocol.log.events.take(slice(0, first.low))
    catalogue = protocol.log.catalogue(first.low)
    with warm_up.measuring():
        system.warm_up(history, catalogue, first.start, protocol.step)
    parts: dict[str, list[tuple[int, Int64, Float64]]] = {name: [] for name in SLICES}
    for done, span in enumerate(spans, 1):
        for request, relevant in protocol.questions(span):
            with ranking.measuring():
                ranked = system.rank(request)
            check_ranking(ranked, request)
            values = measure(ranked, relevant)
            counted = np.isfinite(values[:, 0])
            parts[request.purpose].append((span.index, request.users[counted], values[counted]))
        window = protocol.window(span)
        with learning.measuring():
            system.learn(window)
        if progress is not None:
            newest = parts["a"][-1][2] if parts["a"] else np.zeros((0, len(METRICS)))
            progress(done, len(spans), newest.mean(axis=0) if len(newest) else newest.sum(axis=0))
    costs = {
        "cpu_s": learning.cpu_s,
        "wall_s": learning.wall_s,
        "peak_mb": peak_megabytes(),
        "startup_cpu_s": startup,
        "warm_up_cpu_s": warm_up.cpu_s,
        "rank_cpu_s": ranking.cpu_s,
    }
    return Result({name: _rows(part) for name, part in parts.items()}, costs)


def measure(ranked: Int64, relevant: Csr) -> Float64:
    """float64 [U, 3]: recall, NDCG and hit rate; NaN for a user without relevant items."""
    hit, counts = hits(ranked, relevant, K)
    hit_rate = np.where(counts > 0, hit.any(axis=1).astype(np.float64), np.nan)
    found = (recall_at_k(ranked, relevant, K), ndcg_at_k(ranked, relevant, K), hit_rate)
    return np.stack(found, axis=1)


def check_ranking(ranked: Int64, request: Request) -> None:
    """A ranking holds candidates only, each once, and nothing excluded.

    Raises:
        ValueError: it does not.
    """
    shape = (len(request.users), request.k)
    if ranked.shape != shape or ranked.dtype != np.int64:
        raise ValueError(
            f"`rank` should return int64 of shape {shape}. Received: {ranked.dtype} of shape "
            f"{ranked.shape} for {request.purpose}."
        )
    shown = ranked > 0
    strange = shown & ~np.isin(ranked, request.catalogue.item_keys)
    ordered = np.sort(ranked, axis=1)
    repeated = (ordered[:, 1:] == ordered[:, :-1]) & (ordered[:, 1:] > 0)
    if strange.any() or repeated.any() or (ranked < 0).any():
        raise ValueError(
            f"`rank` should return candidates, each once, and 0 for none. Received for "
            f"{request.purpose}: {int(strange.sum())} that are no candidates, {int(repeated.sum())} "
            "repeated."
        )
    if request.exclude is not None:
        offsets, keys = request.exclude
        width = int(max(ranked.max(initial=0), keys.max(initial=0))) + 1
        banned = np.repeat(np.arange(len(ranked)), np.diff(offsets)) * width + keys
        places = np.arange(len(ranked))[:, None] * width + ranked
        if (np.isin(places, banned) & shown).any():
            raise ValueError(
                f"`rank` returned excluded items for {request.purpose}; leave them out."
            )


def _distinct_pairs(users: Int64, items: Int64) -> tuple[Int64, Int64]:
    """Distinct (user, item), sorted by user, then item."""
    width = int(items.max(initial=0)) + 1
    codes = np.unique(users * width + items)
    return codes // width, codes % width


def _csr(asked: Int64, users: Int64, items: Int64) -> Csr:
    """Items per user of `asked` (ascending); `users` ascending and all of `asked`."""
    return np.searchsorted(users, np.append(asked, asked[-1:] + 1)), items


def _without(left: Csr, right: Csr) -> Csr:
    """Per list, the keys of `left` that `right` has not."""
    size = len(left[0]) - 1
    width = int(max(left[1].max(initial=0), right[1].max(initial=0))) + 1
    owner = np.repeat(np.arange(size), np.diff(left[0]))
    other = np.repeat(np.arange(size), np.diff(right[0]))
    kept = ~np.isin(owner * width + left[1], other * width + right[1])
    return np.searchsorted(owner[kept], np.arange(size + 1)), left[1][kept]


def _rows(parts: list[tuple[int, Int64, Float64]]) -> Rows:
    return Rows(
        np.concatenate([np.full(len(u), w, np.int64) for w, u, _ in parts] or [np.zeros(0, int)]),
        np.concatenate([u for _, u, _ in parts] or [np.zeros(0, np.int64)]),
        np.concatenate([v for _, _, v in parts] or [np.zeros((0, len(METRICS)))]),
    )

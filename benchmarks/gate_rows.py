"""What champion and challengers are worth to each user of a real stream, for `benchmarks.gate`.

The champion is the default recommender, kept fresh window by window. Its challengers:

    equal           the same, trained from another seed
    better 2%       `equal`, with relevant items one place higher in as many lists as it takes
    worse 1, 2, 5%  `equal`, with relevant items one place lower in as many lists as it takes
    no new items    `equal`, which never shows what is new in the window
    no new users    `equal`, which has nothing right for those who come new
    from a bot      trained from another seed, on windows half of whose events are one robot's
    popularity      everybody gets what was chosen most

The shares are of the champion's NDCG@20 on all pairs, the gate's main measure.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from benchmarks.events import Events, Int64
from benchmarks.retail_ours import Ours
from benchmarks.retail_peers import SYSTEMS as PEERS
from benchmarks.retail_protocol import Float64, Protocol, Span
from benchmarks.retail_systems import Csr, System, Window
from models.metrics.ranking import hits, ndcg_at_k, recall_at_k
from recloop.evaluation.ranking_judge import head_of

METRICS = (
    "recall@20",
    "ndcg@20",
    "all_pairs_recall@20",
    "all_pairs_ndcg@20",
    "new_items_recall@20",
    "tail_recall@20",
)
MAIN = METRICS.index("all_pairs_ndcg@20")
PLANTED = {"better 2%": 0.02, "worse 1%": -0.01, "worse 2%": -0.02, "worse 5%": -0.05}
BOT_ITEMS = 20
SEED = 11


@dataclass(frozen=True, eq=False)
class Lists:
    """What one system showed the users of one window, by slice of the protocol."""

    ranked: dict[str, Int64]
    relevant: dict[str, Csr]
    head: Int64
    """The most popular items of the four weeks before: the rest is the tail."""

    def measured(self) -> Float64:
        """float64 [U, 6] by `METRICS`: of those who return, then of those who come new."""
        parts = []
        if "a" in self.ranked:
            everything, fresh = self._scores("a"), self._scores("b")
            new = np.full(len(everything), np.nan)
            if "new_items" in self.ranked:
                new = self._scores("new_items")[:, 0]
            parts.append(np.column_stack([fresh, everything, new, self._tail("b")]))
        if "new_users" in self.ranked:
            came = self._scores("new_users")
            none = np.full(len(came), np.nan)
            parts.append(np.column_stack([came, came, none, self._tail("new_users")]))
        return np.concatenate([np.zeros((0, len(METRICS))), *parts])

    def moved(self, up: bool, who: np.ndarray) -> Lists:
        """With relevant items one place higher or lower in the lists of some users (bool [U])."""
        back = len(self.ranked["a"]) if "a" in self.ranked else 0
        lists = {}
        for name, ranked in self.ranked.items():
            chosen = who[back:] if name == "new_users" else who[:back]
            lists[name] = _moved(ranked, self.relevant[name], up, chosen)
        return replace(self, ranked=lists)

    def without(self, name: str) -> Lists:
        """With nothing shown in a slice."""
        if name not in self.ranked:
            return self
        return replace(self, ranked=self.ranked | {name: np.zeros_like(self.ranked[name])})

    def _scores(self, name: str) -> Float64:
        ranked, relevant = self.ranked[name], self.relevant[name]
        return np.stack(
            [metric(ranked, relevant, 20) for metric in (recall_at_k, ndcg_at_k)], axis=1
        )

    def _tail(self, name: str) -> Float64:
        offsets, keys = self.relevant[name]
        rare = ~np.isin(keys, self.head)
        kept = np.concatenate([[0], np.cumsum(rare)])[offsets]
        return recall_at_k(self.ranked[name], (kept, keys[rare]), 20)


@dataclass(frozen=True, eq=False)
class Rows:
    """R users at a window: `values` float64 [R, 6] by system, whether they are new, and the window."""

    values: dict[str, Float64]
    new_users: np.ndarray
    windows: Int64

    def gap(self, name: str) -> float:
        """A challenger's mean difference by the main measure, as a share of the champion's level."""
        champion, challenger = (self.values[one][:, MAIN] for one in ("champion", name))
        return float(np.nanmean(challenger - champion) / np.nanmean(champion))


def collect(protocol: Protocol) -> Rows:
    """Run the systems through the protocol, and plant the challengers."""
    systems: dict[str, System] = {
        "champion": Ours(0, "increments"),
        "equal": Ours(1, "increments"),
        "from a bot": Robbed(1, int(protocol.log.events.user_keys.max()) + 1),
        "popularity": PEERS["popularity"].make(0),
    }
    spans = protocol.tested()
    first = spans[0]
    history = protocol.log.events.take(slice(0, first.low))
    shown: dict[str, list[Lists]] = {name: [] for name in systems}
    new: list[np.ndarray] = []
    for name, system in systems.items():
        catalogue = protocol.log.catalogue(first.low)
        system.warm_up(history, catalogue, first.start, protocol.step)
        for span in spans:
            ranked: dict[str, Int64] = {}
            relevant: dict[str, Csr] = {}
            for request, right in protocol.questions(span):
                ranked[request.purpose] = system.rank(request)
                relevant[request.purpose] = right
            shown[name].append(Lists(ranked, relevant, head_before(protocol, span)))
            system.learn(protocol.window(span))
    for lists in shown["champion"]:
        back, came = (len(lists.ranked.get(one, ())) for one in ("a", "new_users"))
        new.append(np.arange(back + came) >= back)
    twin = shown["equal"]
    shown["no new items"] = [one.without("new_items") for one in twin]
    shown["no new users"] = [one.without("new_users") for one in twin]
    values = {name: _values(lists) for name, lists in shown.items()}
    level = float(np.nanmean(values["champion"][:, MAIN]))
    for name, share in PLANTED.items():
        values[name] = _planted(twin, (1 + share) * level)
    windows = np.repeat([span.index for span in spans], [len(one) for one in new])
    return Rows(values, np.concatenate(new), windows)


def head_before(protocol: Protocol, span: Span) -> Int64:
    """The head of the catalogue before a window, as the ranking judge has it."""
    since = np.searchsorted(protocol.log.events.times, span.start - np.timedelta64(28, "D"))
    keys, counts = np.unique(protocol.log.events.item_keys[since : span.low], return_counts=True)
    order = np.argsort(-counts, kind="stable")
    return head_of(keys[order], counts[order])


class Robbed(Ours):
    """Ours, and in each window that it learns a robot that has as many events as all others."""

    def __init__(self, seed: int, robot: int) -> None:
        super().__init__(seed, "increments")
        self._robot = robot
        self._chance = np.random.default_rng(SEED)

    def learn(self, window: Window) -> None:
        count, events = len(window.events), window.events
        items = self._chance.choice(events.item_keys, BOT_ITEMS)
        robot = Events(
            user_keys=np.full(count, self._robot, np.int64),
            item_keys=self._chance.choice(items, count),
            times=events.times,
            values=events.values,
            prices=events.prices,
        )
        both = (np.concatenate([getattr(events, f), getattr(robot, f)])
                for f in ("user_keys", "item_keys", "times", "values", "prices"))  # fmt: skip
        super().learn(replace(window, events=Events(*both)))


def _values(lists: list[Lists]) -> Float64:
    return np.concatenate([one.measured() for one in lists])


def _planted(lists: list[Lists], wanted: float) -> Float64:
    """Lists moved for as many users as it takes to reach a mean of the main measure."""
    chance = np.random.default_rng(SEED)
    values = _values(lists)
    up = bool(wanted > np.nanmean(values[:, MAIN]))
    for _ in range(20):
        moved = [one.moved(up, np.ones(len(one.measured()), bool)) for one in lists]
        further = _values(moved)
        order = chance.permutation(len(values))
        gains = np.nan_to_num(further[:, MAIN] - values[:, MAIN])[order]
        reached = (
            np.nanmean(values[:, MAIN]) + np.cumsum(gains) / np.isfinite(values[:, MAIN]).sum()
        )
        beyond = reached >= wanted if up else reached <= wanted
        if beyond.any():
            chosen = order[: int(beyond.argmax()) + 1]
            values[chosen] = further[chosen]
            return values
        lists, values = moved, further
    return values


def _moved(ranked: Int64, relevant: Csr, up: bool, who: np.ndarray) -> Int64:
    found, _ = hits(ranked, relevant, ranked.shape[1])
    changed = ranked.copy()
    last = ranked.shape[1] - 1
    for user in np.flatnonzero(who):
        places = np.flatnonzero(found[user])
        row = changed[user]
        if up:
            for place in places[places > 0][:1]:
                row[[place - 1, place]] = row[[place, place - 1]]
        else:
            for place in places[::-1]:
                if place == last:
                    row[place] = 0
                else:
                    row[[place, place + 1]] = row[[place + 1, place]]
    return changed

"""Peers: the counting ones by hand, EASE against regressions, and a pitfall of partial_fit."""

from __future__ import annotations

import sys
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest

from benchmarks.events import Catalogue, Events
from benchmarks.retail_peers import AlsPartialFit, Ease, OwnCounts, Popularity
from benchmarks.retail_systems import Request, Window, best, chosen, registered
from recloop.errors import BadInput

NOW, WEEK = np.datetime64("2020-02-03", "us"), np.timedelta64(7, "D")


def events(*lines: tuple[str, int, int]) -> Events:
    """(date and time, user, item)."""
    count = len(lines)
    return Events(
        np.array([line[1] for line in lines], np.int64),
        np.array([line[2] for line in lines], np.int64),
        np.array([line[0] for line in lines], "datetime64[us]"),
        np.ones(count, np.float32),
        np.ones(count, np.float32),
    )


def catalogue(*keys: int) -> Catalogue:
    count = len(keys)
    words = np.zeros((count, 1), np.int32)
    return Catalogue(np.array(keys), words, np.ones(count, np.float32), [""] * count)


def request(users: list[int], *keys: int, k: int = 3) -> Request:
    return Request("a", 5, NOW, np.array(users), catalogue(*keys), k, None)


def window(*lines: tuple[str, int, int]) -> Window:
    learnt = events(*lines)
    end = NOW + np.timedelta64(7, "D")
    return Window(5, "2020-02-03", NOW, end, learnt, catalogue(*np.unique(learnt.item_keys)))


def test_popularity_counts_the_last_four_weeks() -> None:
    system = Popularity(0)
    # Item 1 was bought three times, but 28 days and more ago; 2 twice and 3 once since.
    old = [("2020-01-05", 1, 1)] * 3
    recent = [("2020-01-07", 1, 2), ("2020-02-02", 2, 2), ("2020-02-02", 2, 3)]
    system.warm_up(events(*old, *recent), catalogue(1, 2, 3), NOW, WEEK)
    assert system.rank(request([1, 9], 1, 2, 3, 4)).tolist() == [[2, 3, 1]] * 2
    # A week later the purchase of January 7 is too old, and item 4 was bought twice.
    system.learn(window(("2020-02-04", 3, 4), ("2020-02-04", 3, 4), ("2020-02-05", 3, 3)))
    assert system.rank(request([1], 1, 2, 3, 4)).tolist() == [[3, 4, 2]]


def test_own_counts_come_first_then_what_is_popular() -> None:
    system = OwnCounts(0)
    lines = [
        # User 1 bought item 1 on two days (twice on one of them: that counts once), item 2 on one.
        ("2020-02-01T08", 1, 1), ("2020-02-01T09", 1, 1), ("2020-02-02T08", 1, 1), ("2020-02-02", 1, 2),
        # User 2 bought item 4 once, and everybody buys item 3.
        ("2020-02-02", 2, 4), *[("2020-02-02", user, 3) for user in range(3, 9)],
    ]  # fmt: skip
    system.warm_up(events(*lines), catalogue(1, 2, 3, 4), NOW, WEEK)
    ranked = system.rank(request([1, 2, 99], 1, 2, 3, 4, k=4)).tolist()
    assert ranked[0] == [1, 2, 3, 4]
    assert ranked[1] == [4, 3, 1, 2]
    # Nobody knows user 99: by popularity, which is 6, 3, 1 and 1 purchases.
    assert ranked[2] == [3, 1, 2, 4]


def test_ease_is_a_ridge_regression_of_each_item_on_the_others() -> None:
    rng = np.random.default_rng(3)
    counts = rng.integers(0, 3, (12, 5))
    table = (counts > 0).astype(float)
    lines = [
        (str(NOW), user + 1, item + 1)
        for user in range(12)
        for item in range(5)
        for _ in range(counts[user, item])
    ]
    system = Ease(0)
    system.ridge = 2.0
    system.warm_up(events(*lines), catalogue(1, 2, 3, 4, 5), NOW, WEEK)
    expected = np.zeros((5, 5))
    for item in range(5):
        others = [other for other in range(5) if other != item]
        x, y = table[:, others], table[:, item]
        expected[others, item] = np.linalg.solve(x.T @ x + 2.0 * np.eye(4), x.T @ y)
    scores = system.scores(np.arange(1, 13), np.arange(1, 6))
    np.testing.assert_allclose(scores, table @ expected, atol=1e-5)


def test_ease_decays_purchases_and_scores_the_unknown_as_nothing() -> None:
    system = Ease(0)
    week_ago = str(NOW - np.timedelta64(7, "D"))
    longer_ago = str(NOW - np.timedelta64(21, "D"))
    lines = [(longer_ago, 1, 1), (week_ago, 1, 1), (str(NOW), 1, 2)]
    system.warm_up(events(*lines), catalogue(1, 2), NOW, WEEK)
    assert system.table[1].toarray()[0, 1:].tolist() == pytest.approx([0.93, 1.0])
    assert system.scores(np.array([1, 7]), np.array([1, 9]))[:, 1].tolist() == [0, 0]
    assert system.scores(np.array([7]), np.array([1, 2])).tolist() == [[0, 0]]


class ImplicitAls:
    """Stands in for `implicit`'s ALS; refuses what there ruins the model without an error."""

    def __init__(self, factors: int, **_: object) -> None:
        self.factors, self.fitted = factors, list[tuple[str, list[int]]]()

    def fit(self, table: object, show_progress: bool) -> None:
        users, items = table.shape  # type: ignore[attr-defined]
        self.user_factors = np.ones((users, self.factors), np.float32)
        self.item_factors = np.ones((items, self.factors), np.float32)

    def partial_fit_users(self, keys: np.ndarray, table: object) -> None:
        assert table.shape == (len(keys), len(self.item_factors))  # type: ignore[attr-defined]
        self.fitted.append(("users", keys.tolist()))

    def partial_fit_items(self, keys: np.ndarray, table: object) -> None:
        assert table.shape == (len(keys), len(self.user_factors))  # type: ignore[attr-defined]
        self.fitted.append(("items", keys.tolist()))


def test_partial_fit_is_given_no_column_that_the_model_does_not_know(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    module = ModuleType("implicit.cpu.als")
    module.AlternatingLeastSquares = ImplicitAls  # type: ignore[attr-defined]
    for name in ("implicit", "implicit.cpu"):
        monkeypatch.setitem(sys.modules, name, ModuleType(name))
    monkeypatch.setitem(sys.modules, "implicit.cpu.als", module)
    system = AlsPartialFit(0)
    system.warm_up(events(("2020-02-01", 1, 1), ("2020-02-01", 2, 1)), catalogue(1), NOW, WEEK)
    # User 3 and item 2 are new; user 1 has nothing in this window.
    system.learn(window(("2020-02-04", 3, 2), ("2020-02-04", 2, 2)))
    assert system.model.fitted == [("users", [2, 3]), ("items", [2]), ("users", [2, 3])]
    assert system.scores(np.array([3]), np.array([2])).shape == (1, 1)


def test_scores_are_made_in_blocks_that_give_what_one_block_gives(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    system = OwnCounts(0)
    lines = [("2020-02-01", user, 1 + user % 3) for user in range(1, 8)]
    system.warm_up(events(*lines), catalogue(1, 2, 3), NOW, WEEK)
    exclude = (np.array([0, 1, 1, 2, 2, 4, 4, 4]), np.array([2, 1, 1, 3]))
    asked = Request("b", 5, NOW, np.arange(1, 8), catalogue(1, 2, 3), 2, exclude)
    whole = best(system.scores(asked.users, asked.catalogue.item_keys), asked)
    monkeypatch.setattr("benchmarks.retail_peers.BLOCK_SCORES", 6)
    assert system.rank(asked).tolist() == whole.tolist()


def test_systems_are_chosen_by_name_and_by_group(monkeypatch: pytest.MonkeyPatch) -> None:
    peers = [name for name, (module, _) in registered().items() if module.endswith("peers")]
    assert chosen("EASE, popularity,peers")[:2] == ["EASE", "popularity"]
    assert sorted(chosen("EASE, popularity,peers")) == sorted(peers)
    with pytest.raises(BadInput, match=r"there is no system 'SVD'; there are .*EASE"):
        chosen("SVD")
    stand_in = SimpleNamespace(SYSTEMS={"peers": None})
    monkeypatch.setattr("importlib.import_module", lambda name: stand_in)
    with pytest.raises(BadInput, match=r"'peers' .* cannot be chosen"):
        registered()

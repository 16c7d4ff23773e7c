import json
import os
import signal
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from benchmarks import ctr, ctr_systems
from benchmarks.ctr_features import NAMES
from benchmarks.ctr_protocol import Clicks, Periods, run
from benchmarks.ctr_ratings import RatingLog, read_ratings
from benchmarks.ctr_systems import ItemMeanSystem, LogisticSystem, RankerSystem
from benchmarks.ctr_taste import EXPECTED, RIDGE, Taste
from recloop.errors import BadInput
from tests.benchmarks.ctr_world import make_ratings, write_csv


def make_clicks(count: int = 310, seed: int = 0) -> Clicks:
    rng = np.random.default_rng(seed)
    ratings = (rng.integers(1, 11, count) / 2).astype(np.float32)
    return Clicks.of(
        RatingLog(
            rng.integers(1, 20, count), rng.integers(1, 9, count), ratings, np.arange(count) * 60
        )
    )


class Spy:
    """Answers with what it has learned: how many clicks it has seen, over 1000."""

    def __init__(self) -> None:
        self.told: list[tuple[str, float, int]] = []

    def warm_up(self, periods) -> None:  # type: ignore[no-untyped-def]
        self.told += [("warm up", part.moments[0], len(part)) for part in periods]

    def predict(self, clicks: Clicks) -> np.ndarray:
        self.told.append(("predict", clicks.moments[0], len(clicks)))
        return np.linspace(0, 1, len(clicks))

    def learn(self, clicks: Clicks) -> None:
        self.told.append(("learn", clicks.moments[0], len(clicks)))


def test_each_period_is_predicted_and_then_learned() -> None:
    clicks, spy = make_clicks(325), Spy()
    told: list[tuple[int, float]] = []
    result = run(spy, clicks, Periods(8, 3, 2), lambda *now: told.append(now))
    # 325 ratings in 8 periods of 40: the last 5 are dropped.
    period = 40 * 60
    assert spy.told == [
        *(("warm up", p * period, 40) for p in range(3)),
        *(("learn", p * period, 40) for p in (3, 4, 5)),
        ("predict", 6 * period, 40),
        ("learn", 6 * period, 40),
        ("predict", 7 * period, 40),
    ]
    assert result.periods == [7, 8] == [period for period, _ in told]
    labels = clicks.labels[240:280]
    assert result.metrics["accuracy"][0] == pytest.approx(
        np.mean((np.linspace(0, 1, 40) >= 0.5) == labels)
    )
    assert [len(values) for values in result.metrics.values()] == [2] * 6


def test_a_like_is_four_stars_or_more() -> None:
    log = RatingLog(
        np.array([1, 1, 1]), np.array([1, 2, 3]), np.array([3.5, 4.0, 5.0], np.float32),
        np.array([1, 2, 3]),
    )  # fmt: skip
    assert Clicks.of(log).labels.tolist() == [0.0, 1.0, 1.0]


@pytest.mark.parametrize("values", [(31, 0, 7), (31, 10, 0), (16, 10, 7)])
def test_periods_that_don_t_fit_are_refused(values) -> None:
    with pytest.raises(BadInput, match="should be 1 or more each, and fit into"):
        Periods(*values)


def test_too_few_ratings_are_refused() -> None:
    with pytest.raises(BadInput, match="309 ratings don't fill 31 periods"):
        Periods().bounds(309)
    assert Periods().bounds(311).tolist() == list(range(0, 311, 10))


def test_the_logistic_regression_is_at_the_minimum() -> None:
    clicks = make_clicks(400)
    system = LogisticSystem()
    system.warm_up([clicks.part(0, 200), clicks.part(200, 400)])
    chances = system.predict(clicks)
    inputs = np.c_[(clicks.features - system._mean) / system._scale, np.ones(400)]
    slope = inputs.T @ (chances - clicks.labels) + LogisticSystem.RIDGE * system._weights
    assert np.abs(slope).max() < 1e-3
    assert 0 < chances.min() < chances.max() < 1


def test_the_item_mean_is_the_feature() -> None:
    clicks = make_clicks()
    got = ItemMeanSystem().predict(clicks)
    assert np.array_equal(got, clicks.features[:, NAMES.index("item_likes")])


@pytest.fixture(scope="module")
def taste() -> tuple[Taste, Clicks]:
    """What has learned the first 120 of 200 clicks, and remembers them."""
    clicks = make_clicks(200)
    taste = Taste(seed=0, dimension=3)
    taste.learn(clicks.part(0, 120), epochs=3)
    taste.remember(clicks.part(0, 70))
    taste.remember(clicks.part(70, 120))
    return taste, clicks


def test_taste_is_a_ridge_regression_on_what_came_before(taste) -> None:
    taste, clicks = taste
    new = clicks.part(120, 200)
    got = taste.of(new)
    table = taste._state.parameters()["item"]
    factor = {key: table[row + 1] for row, key in enumerate(taste._state.items.keys.tolist())}
    shown = np.array([factor[key] for key in new.item_keys.tolist()], np.float64)
    spread = shown.T @ shown / len(shown)
    for n in range(len(new)):
        past = [
            m for m in range(200)
            if clicks.user_keys[m] == new.user_keys[n] and clicks.moments[m] < new.moments[n]
        ]  # fmt: skip
        total = np.zeros(3)
        for m in past:
            surprise = clicks.labels[m] - np.clip(clicks.features[m, EXPECTED], 0, 1)
            total += surprise * factor[int(clicks.item_keys[m])]
        solved = np.linalg.solve(len(past) * spread + RIDGE * np.eye(3), total)
        assert got[n] == pytest.approx(shown[n] @ solved, rel=1e-3, abs=1e-6)
    assert np.abs(got).max() > 1e-3


def test_taste_knows_nothing_of_unknown_items_and_of_strangers(taste) -> None:
    keys, later = np.array([1, 999]), np.full(2, 9**7)
    log = RatingLog(keys, keys[::-1].copy(), np.full(2, 4, np.float32), later)
    assert taste[0].of(Clicks.of(log)).tolist() == [0.0, 0.0]


def test_a_click_s_own_label_is_not_in_its_taste(taste) -> None:
    taste, clicks = taste
    new = clicks.part(120, 200)
    before = taste.of(new)
    labels = new.labels.copy()
    labels[30:] = 1 - labels[30:]
    after = taste.of(Clicks(**{**vars(new), "labels": labels}))
    assert np.array_equal(after[:31], before[:31])
    assert (after[31:] != before[31:]).any()


@pytest.mark.parametrize(
    ("name", "expected"),
    [("static", []), ("default", [40] * 8), ("batch", [120, 160, 200, 240, 280, 280, 280, 280])],
)
def test_what_an_update_trains_on(monkeypatch, name: str, expected: list[int]) -> None:
    clicks = make_clicks(400)
    parts = [clicks.part(low, low + 40) for low in range(0, 400, 40)]
    ranked: list[int] = []
    factored: list[int] = []
    monkeypatch.setattr(Taste, "learn", lambda _, got, epochs=1: factored.append(len(got)))
    monkeypatch.setattr(
        RankerSystem, "_train", lambda _, got, epochs=1: ranked.append(sum(map(len, got)))
    )
    system = ctr_systems.SYSTEMS[name][0](0)
    system.warm_up(parts[:2])
    for part in parts[2:]:
        system.learn(part)
    # Warm-up: each period's factors, and the ranker on what followed the first.
    assert (factored[:2], ranked[:1]) == ([40, 40], [40])
    assert (factored[2:], ranked[1:]) == (expected, expected)


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict, Path]:
    """A whole run on made-up ratings: the JSON, and its folder."""
    folder = tmp_path_factory.mktemp("ctr")
    data = write_csv(folder / "ratings.csv", make_ratings(12_000))
    options = ["--data", str(data), "--out", str(folder / "out.json"), "--periods", "12"]
    options += ["--warm-up", "4", "--tested", "3", "--seeds", "0,1"]
    options += ["--systems", "default, factorisation,logistic,item mean"]
    done = CliRunner().invoke(app(), options)
    assert done.exit_code == 0, done.output
    return json.loads((folder / "out.json").read_text()), folder


def app():  # type: ignore[no-untyped-def]
    import typer

    command = typer.Typer()
    command.command()(ctr.bench)
    return command


def test_the_json_has_what_was_measured(written) -> None:
    content, folder = written
    assert list(content["systems"]) == ["frozen", "online"]
    assert content["seeds"] == [0, 1]
    assert content["unfinished"] == []
    metrics = ("auc", "log_loss", "precision", "recall", "f1", "accuracy")
    for protocol, systems in content["systems"].items():
        assert list(systems) == ["default", "factorisation", "logistic", "item mean"]
        for name, entry in systems.items():
            assert [one["period"] for one in entry["per_period"]] == [10, 11, 12], name
            for metric in metrics:
                values = [one[metric] for one in entry["per_period"]]
                assert entry[metric] == pytest.approx(np.mean(values), abs=2e-6), name
                seeds = [one[metric] for one in entry["per_seed"].values()]
                assert entry[metric] == pytest.approx(np.mean(seeds), abs=2e-6), name
            assert {"cpu_s", "wall_s", "warm_up_cpu_s", "predict_cpu_s"} <= set(entry)
            assert len(entry["per_seed"]) == (1 if name in ("logistic", "item mean") else 2)
        assert content["settings"]["features_cpu_s"][protocol] > 0
    settings = content["settings"]
    assert (settings["ratings"], settings["periods"], settings["ratings_per_period"]) == (
        12_000,
        12,
        1000,
    )
    assert settings["first_day"] >= "2014-01-01"
    page = (folder / "out.html").read_text()
    assert "AUC by period, frozen" in page
    assert "AUC by period, online" in page
    # Papers' figures stand beside the frozen ones alone.
    assert page.index("ASMG") < page.index("Means, online")
    assert page.count("MovieLens-25M, ASMG") == 1


def test_a_run_that_is_cut_short_or_whose_system_fails_keeps_what_it_measured(
    tmp_path: Path, monkeypatch
) -> None:
    class Kills(ItemMeanSystem):
        def predict(self, clicks: Clicks) -> np.ndarray:
            os.kill(os.getpid(), signal.SIGTERM)
            return super().predict(clicks)

    class Fails(ItemMeanSystem):
        def predict(self, clicks: Clicks) -> np.ndarray:
            raise ValueError("no such table")

    data = write_csv(tmp_path / "ratings.csv", make_ratings(1200))
    for name, system in (("kills", Kills), ("fails", Fails)):
        monkeypatch.setitem(ctr_systems.SYSTEMS, name, (lambda _, system=system: system(), False))
    options = ["--data", str(data), "--out", str(tmp_path / "out.json"), "--periods", "12"]
    options += ["--warm-up", "4", "--tested", "3", "--systems"]
    before = signal.getsignal(signal.SIGTERM)
    done = CliRunner().invoke(app(), [*options, "item mean,fails,kills,logistic"])
    assert done.exit_code == 130, done.output
    assert signal.getsignal(signal.SIGTERM) == before
    content = json.loads((tmp_path / "out.json").read_text())
    assert list(content["systems"]["frozen"]) == ["item mean"]
    assert content["unfinished"][:3] == ["fails, frozen", "kills, frozen", "logistic, frozen"]
    assert "fails, frozen" in (tmp_path / "out.html").read_text()
    done = CliRunner().invoke(app(), [*options, "fails,item mean"])
    assert done.exit_code == 1, done.output
    content = json.loads((tmp_path / "out.json").read_text())
    assert content["unfinished"] == ["fails, frozen", "fails, online"]
    assert list(content["systems"]["online"]) == ["item mean"]


def test_learning_helps(written) -> None:
    systems = written[0]["systems"]["online"]
    assert systems["default"]["auc"] > systems["item mean"]["auc"] + 0.03
    assert systems["default"]["auc"] > systems["factorisation"]["auc"]
    assert systems["default"]["log_loss"] < systems["item mean"]["log_loss"]


def test_the_item_mean_s_auc_is_that_of_the_file(written) -> None:
    content, folder = written
    clicks = Clicks.of(read_ratings(folder / "ratings.csv"))
    labels, chances = (
        clicks.labels[11_000:] > 0,
        clicks.features[11_000:, NAMES.index("item_likes")],
    )
    yes, no = chances[labels], chances[~labels]
    right = (yes[:, None] > no[None]).mean() + 0.5 * (yes[:, None] == no[None]).mean()
    assert content["systems"]["online"]["item mean"]["per_period"][-1]["auc"] == pytest.approx(
        right, abs=2e-6
    )


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ([], "no ratings file given"),
        (
            ["--data", "{}", "--systems", "magic"],
            "system 'magic' is not known; choose from default",
        ),
        (["--data", "{}", "--seeds", "x"], "`seeds` should be like 0,1,2"),
        (["--data", "{}", "--start", "2014"], "`start` should be a day"),
        (["--data", "{}", "--start", "2030-01-01"], "0 ratings don't fill 31 periods"),
        (["--data", "{}", "--periods", "5"], "fit into 5"),
    ],
)
def test_wrong_arguments_are_refused(written, options, message, capsys) -> None:
    options = [option.format(written[1] / "ratings.csv") for option in options]
    done = CliRunner().invoke(app(), options)
    assert done.exit_code == 1, done.output
    shown = " ".join((done.output + capsys.readouterr().err).split())
    assert message in shown

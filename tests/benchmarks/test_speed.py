"""The speed benchmark's pieces, run on tiny sizes: that they measure, not what."""

import json
from pathlib import Path

import numpy as np
import pytest

from benchmarks import speed, speed_ranking, speed_scaling, speed_throughput
from benchmarks.speed_data import make_ratings
from benchmarks.speed_timing import Ratio, costs, cpu_seconds, rates


def test_ratings_are_of_the_size_asked_for_and_zipfian() -> None:
    ratings = make_ratings(50_000, users=100, items=40, seed=3)
    assert len(ratings) == 50_000
    assert set(np.unique(ratings.user_keys)) == set(range(1, 101))
    counts = np.sort(np.bincount(ratings.item_keys)[1:])[::-1]
    # Popularity is rank^-0.9: the first is 10^0.9 = 7.9 times as popular as the tenth.
    assert counts[0] / counts[9] == pytest.approx(10**0.9, rel=0.1)
    again = make_ratings(50_000, users=100, items=40, seed=3)
    np.testing.assert_array_equal(ratings.item_keys, again.item_keys)


def test_a_ratio_is_above_one_when_ours_is_better() -> None:
    assert rates(30.0, 10.0, "per second") == Ratio(30.0, 10.0, 3.0, "per second")
    assert costs(10.0, 30.0, "seconds") == Ratio(10.0, 30.0, 3.0, "seconds")


def test_work_is_interleaved_and_warmed_up() -> None:
    calls: list[str] = []
    seconds = cpu_seconds({"a": lambda: calls.append("a"), "b": lambda: calls.append("b")}, 2)
    assert calls == ["a", "b", "a", "b", "a", "b"]
    assert set(seconds) == {"a", "b"}
    assert min(seconds.values()) >= 0


@pytest.fixture(scope="module")
def ratings():  # type: ignore[no-untyped-def]
    return make_ratings(1_500, users=60, items=40)


def test_throughput_against_the_tutorial(ratings) -> None:  # type: ignore[no-untyped-def]
    found = speed_throughput.against_tutorial(ratings, repeats=1)
    assert set(found) == {
        "tutorial TFRS without training metrics",
        "tutorial TFRS with training metrics",
    }
    assert all(ratio.ours > 0 and ratio.theirs > 0 for ratio in found.values())


def test_throughput_against_keras(ratings) -> None:  # type: ignore[no-untyped-def]
    found = speed_throughput.against_keras(ratings, repeats=1)
    assert set(found) == {"tuned Keras, batch 512", "tuned Keras, batch 1024"}
    assert all(ratio.ours > 0 and ratio.theirs > 0 for ratio in found.values())


def test_updates_on_larger_tables_and_their_checkpoints() -> None:
    found = speed_scaling.over_rows(repeats=1, rows=(100, 200, 400))
    assert set(found) == {
        "400 rows cost times 100",
        "200 rows cost times 100",
        "Keras Adam, 400 rows",
    }
    saved = speed_scaling.checkpoints(repeats=1, rows=30_000)
    # 10,000 events on 30,000 users touch at most a third of them.
    assert saved["full checkpoint, 30,000 rows, size"].ratio > 1.5


def test_both_rankings_give_the_same_metric() -> None:
    found, values = speed_ranking.against_factorized_top_k(repeats=1, users=300, items=200)
    assert list(found) == ["FactorizedTopK, 300 x 200"]
    assert values["ours"] == pytest.approx(values["theirs"], abs=1e-6)
    assert 0 < values["ours"][-1] < 1


def test_the_report_says_what_was_measured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def measured(*_: object):  # type: ignore[no-untyped-def]
        keras = Ratio(300.0, 100.0, 3.0, "examples per CPU second")
        yield "keras", {"tuned Keras, batch 512": keras}, {"hit rates": {}}
        if stops:
            raise KeyboardInterrupt
        rows = Ratio(1.1, 1.0, 1.1, "CPU s per update")
        yield "rows", {"1,000,000 rows cost times 10,000": rows}, {}

    monkeypatch.setattr(speed, "one_thread", lambda: None)
    monkeypatch.setattr(speed, "measure", measured)
    arguments = ["--out", str(tmp_path / "speed.json"), "--only", "keras,rows"]
    stops = True
    with pytest.raises(KeyboardInterrupt):
        speed.main(arguments)
    kept = json.loads((tmp_path / "speed.json").read_text())
    assert (list(kept["ratios"]), kept["unfinished"]) == (["tuned Keras, batch 512"], ["rows"])
    stops = False
    assert speed.main(arguments) == 0
    report = json.loads((tmp_path / "speed.json").read_text())
    assert report["ratios"]["tuned Keras, batch 512"] == {
        "ours": 300.0,
        "theirs": 100.0,
        "ratio": 3.0,
        "unit": "examples per CPU second",
    }
    assert (len(report["ratios"]), report["unfinished"]) == (2, [])
    assert report["settings"]["threads"] == 1
    assert "tuned Keras, batch 512" in (tmp_path / "speed.html").read_text()
    with pytest.raises(SystemExit):
        speed.main(["--only", "everything"])

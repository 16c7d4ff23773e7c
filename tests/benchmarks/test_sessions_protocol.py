"""The session protocol: what is dropped, what is predicted, recall and MRR; worked by hand."""

from __future__ import annotations

import json

import numpy as np
import pytest

from benchmarks import sessions as bench
from benchmarks.sessions import extrapolated, joint_cycles, measure, ratios, summary
from benchmarks.sessions_protocol import metrics_of, read_periods, run, test_of
from benchmarks.sessions_systems import make
from models.data.sessions import Sessions
from recloop.errors import BadInput

test_of.__test__ = False  # type: ignore[attr-defined]  # pytest: it's not a test


def sessions(*lists: list[int]) -> Sessions:
    offsets = np.cumsum([0, *map(len, lists)]).astype(np.int64)
    return Sessions(offsets, np.array([item for one in lists for item in one], np.int64))


def lists_of(made: Sessions) -> list[list[int]]:
    bounds = zip(made.offsets[:-1], made.offsets[1:], strict=True)
    return [made.item_keys[low:high].tolist() for low, high in bounds]


def test_items_never_seen_are_dropped_and_then_sessions_of_one_item() -> None:
    period = sessions([1, 9, 2], [9, 1], [3, 3], [9, 8])
    kept = test_of(period, np.array([1, 2, 3]))
    assert lists_of(kept) == [[1, 2], [3, 3]]


def test_every_item_but_the_first_is_predicted_from_those_before_it() -> None:
    history, targets = sessions([5, 6, 7], [8], [9, 5]).prefixes(2)
    assert targets.tolist() == [6, 7, 5]
    assert history.tolist() == [[5, 0], [6, 5], [9, 0]]
    assert sessions([5, 6, 7]).prefixes(1)[0].tolist() == [[5], [6]]


def test_recall_and_reciprocal_rank_by_hand() -> None:
    rankings = np.zeros((4, 20), np.int64)
    rankings[0, 0] = 7  # first: 1
    rankings[1, 3] = 7  # fourth: 1/4
    rankings[2, 14] = 7  # fifteenth: in 20, not in 10
    found = metrics_of(rankings, np.array([7, 7, 7, 7]))
    assert found["recall@20"] == pytest.approx(3 / 4)
    assert found["recall@10"] == pytest.approx(2 / 4)
    assert found["mrr@20"] == pytest.approx((1 + 1 / 4 + 1 / 15) / 4)
    assert found["mrr@10"] == pytest.approx((1 + 1 / 4) / 4)


class Lister:
    """Ranks items by key; writes down what it is told."""

    def __init__(self) -> None:
        self.told: list[str] = []

    def learn(self, period: Sessions) -> None:
        self.told.append(f"learn {lists_of(period)}")

    def rankings(self, history: np.ndarray) -> dict[str, np.ndarray]:
        self.told.append(f"rank {history[:, :2].tolist()}")
        return {"": np.tile(np.arange(1, 21), (len(history), 1))}


def test_each_period_is_learned_before_the_next_is_tested() -> None:
    lister = Lister()
    periods = [sessions([1, 2]), sessions([2, 1], [3, 1]), sessions([3, 1, 25])]
    result = run(lister, periods)
    assert lister.told == [
        "learn [[1, 2]]",
        "rank [[2, 0]]",  # 3 is new in period 1: its session is left with one item
        "learn [[2, 1], [3, 1]]",
        "rank [[3, 0]]",  # and known in period 2, where 25 is new
    ]
    assert result.targets == {1: 1, 2: 1}
    assert result.per_period[""][1]["mrr@20"] == 1.0


def test_a_system_that_is_tested_now_and_then_learns_all_periods() -> None:
    lister = Lister()
    result = run(lister, [sessions([1, 2])] * 4, cycles=[2])
    assert [line.split()[0] for line in lister.told] == ["learn", "learn", "rank"]
    assert list(result.per_period[""]) == [2]


def test_joint_is_trained_at_every_fourth_cycle_and_the_last() -> None:
    assert joint_cycles(16, 4) == [4, 8, 12, 16]
    assert joint_cycles(6, 4) == [4, 6]
    assert joint_cycles(2, 4) == [2]


def test_joints_cost_is_extrapolated_by_the_targets_read() -> None:
    # Targets 10, 20, 10, 5: cycles 1 to 3 read 10, 30 and 40. Cycle 2 took 60 s: 2 a target; cycle 3
    # 160 s: 4 a target. Cycle 1, before the first measured, is taken at 2: 20 s.
    periods = [sessions(*[[1, 2]] * count) for count in (10, 20, 10, 5)]
    found = extrapolated([60.0, 160.0], [2, 3], periods)
    assert found["cpu_s"] == pytest.approx(20 + 60 + 160)
    assert found["cpu_s_measured"] == pytest.approx(220)
    assert "cycles 2, 3 only" in found["cpu_s_note"]


def line(cycle: int, recall: float, cpu: float) -> dict[str, object]:
    metrics = dict.fromkeys(("recall@20", "recall@10", "mrr@20", "mrr@10"), recall)
    return {
        "cycle": cycle, "metrics": {"": metrics}, "train_cpu_s": cpu, "test_cpu_s": 1.0,
        "targets": 3, "peak_mb": 100.0,
    }  # fmt: skip


def test_means_over_seeds_and_periods_and_the_ratio_of_costs() -> None:
    mine = summary(
        "", [[line(1, 0.2, 1), line(2, 0.4, 2)], [line(1, 0.4, 3), line(2, 0.6, 2)]], [1, 2]
    )
    assert mine["per_period"]["recall@20"] == pytest.approx([0.3, 0.5])
    assert mine["recall@20"] == pytest.approx(0.4)
    assert mine["cpu_s"] == pytest.approx(4.0)
    joint = summary("", [[line(2, 0.45, 36)]], [2])
    found = ratios({"default": mine, "joint": joint})
    assert found["cpu_s joint : default"] == pytest.approx(9.0)
    assert found["recall@20 default - joint"] == pytest.approx(0.05)


def test_a_run_that_is_cut_short_or_whose_system_fails_keeps_what_it_measured(
    tmp_path, monkeypatch
) -> None:  # type: ignore[no-untyped-def]
    for period in range(4):
        (tmp_path / f"period_{period}.txt").write_text("1 1\n1 2\n")
    ends = {"finetune": (1, bench.RunFailed("finetune broke.")), "ader": (2, KeyboardInterrupt())}

    def run(folder, name, seed, cycles, lines):  # type: ignore[no-untyped-def]
        count, error = ends.get(name, (len(cycles), None))
        lines += [line(cycle, 0.2, 3.0) for cycle in cycles[:count]]
        if error is not None:
            raise error

    monkeypatch.setattr(bench, "_run", run)
    kept: list[str] = []
    names = ["default", "finetune", "ader", "joint"]
    with pytest.raises(KeyboardInterrupt):
        measure(tmp_path, names, [0], 4, lambda found: kept.append(json.dumps(found)))
    found = json.loads(kept[-1])
    assert {name: entry["periods"] for name, entry in found["systems"].items()} == {
        "default": [1, 2, 3], "finetune": [1], "ader": [1, 2],
    }  # fmt: skip
    assert found["unfinished"] == ["finetune", "ader", "joint"]
    assert found["ratios"] == {}, "costs of fewer periods are not compared"
    assert "finetune, ader, joint" in bench.draw(found, tmp_path / "page.html").read_text()
    with pytest.raises(bench.RunFailed, match="finetune broke"):
        measure(tmp_path, ["finetune", "default"], [0], 4, lambda found: kept.append(found))
    assert list(kept[-1]["systems"]) == ["finetune", "default"]  # type: ignore[index]


@pytest.mark.parametrize(
    ("files", "words"),
    [
        ({}, "has 0 file"),
        ({"period_0.txt": "1 2\n"}, "has 1 file"),
        ({"period_0.txt": "1 2\n", "period_2.txt": "1 2\n"}, "no period_1.txt"),
        ({"period_0.txt": "1 2\n1 x\n", "period_1.txt": "1 2\n"}, r"period_0.txt:2: .*'1 x'"),
        ({"period_0.txt": "1 2 3\n", "period_1.txt": "1 2\n"}, r"period_0.txt:1: "),
        ({"period_0.txt": "1 2\n", "period_1.txt": "1 2\n1 0\n"}, r"period_1.txt:2: "),
        ({"period_0.txt": "1 2\n", "period_1.txt": ""}, "period_1.txt is empty"),
    ],
)
def test_input_that_cannot_be_used_is_named(tmp_path, files, words) -> None:  # type: ignore[no-untyped-def]
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    with pytest.raises(BadInput, match=words):
        read_periods(tmp_path)


def test_a_missing_folder_and_an_unknown_system_are_named(tmp_path) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(BadInput, match="is not a folder"):
        read_periods(tmp_path / "nowhere")
    with pytest.raises(BadInput, match="best"):
        measure(tmp_path, ["best"], [0], 4, print)


def test_sessions_that_alternate_in_a_file_are_told_apart(tmp_path) -> None:  # type: ignore[no-untyped-def]
    (tmp_path / "period_0.txt").write_text("9 1\n4 2\n9 3\n4 2\n")
    (tmp_path / "period_1.txt").write_text("1 1\n")
    assert lists_of(read_periods(tmp_path)[0]) == [[1, 3], [2, 2]]


def test_the_systems_run_end_to_end_on_a_small_folder(tmp_path) -> None:  # type: ignore[no-untyped-def]
    # Items 2n - 1 and 2n go together: whoever learns anything finds the other half.
    rng = np.random.default_rng(0)
    for period in range(3):
        pairs = rng.integers(1, 31, 80)
        text = [f"{s} {item}" for s, p in enumerate(pairs) for item in (2 * p - 1, 2 * p)]
        (tmp_path / f"period_{period}.txt").write_text("\n".join(text) + "\n")
    kept: list[dict] = []
    found = measure(tmp_path, ["default"], [0], 4, kept.append)
    assert kept == [found]
    assert found["unfinished"] == []
    json.dumps(found, allow_nan=False)
    assert set(found["systems"]) == {"default", "default, network alone"}
    assert found["systems"]["default"]["mrr@20"] > 0.4
    assert len(found["systems"]["default"]["per_period"]["recall@20"]) == 2
    alone = run(make("memory", 0, set()), read_periods(tmp_path))
    assert alone.per_period[""][2]["mrr@20"] > 0.4

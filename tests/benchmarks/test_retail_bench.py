"""`make bench-retail` from a CSV to JSON and page: reading, processes, resuming, means, intervals."""

from __future__ import annotations

import json
import os
import signal
from datetime import UTC, datetime
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from typer.testing import CliRunner

import benchmarks.retail as retail
from benchmarks.events import EventLog
from benchmarks.output import write_json
from benchmarks.reading import keep_dataset, read_dataset
from benchmarks.retail_protocol import SLICES, Result, Rows
from benchmarks.retail_report import report
from benchmarks.retail_systems import GROUPS
from benchmarks.retail_worker import load_result, save_result
from recloop.errors import BadInput
from recloop.settings import PROJECT

RETAIL = PROJECT / "config" / "datasets" / "online_retail.toml"
NOW = datetime(2026, 1, 1, tzinfo=UTC)
HEADER = "InvoiceNo,StockCode,Description,Quantity,InvoiceDate,UnitPrice,CustomerID,Country"
DAILY = """
name = "tiny"
[source]
kind = "file"
[window]
length = "day"
warm_up = 2
[columns]
user = "text"
item = "text"
at = "time"
[event]
user_id = "user"
item_id = "item"
timestamp = "at"
"""


@pytest.fixture
def shop(tmp_path: Path) -> tuple[Path, Path]:
    """A dataset TOML and six days of a shop with three users and four items."""
    dataset = tmp_path / "tiny.toml"
    dataset.write_text(DAILY)
    lines = [
        f"{user},{item},2024-03-0{day}T1{hour}:00:00"
        for day in range(1, 7)
        for hour, user in enumerate("abc")
        for item in {f"i{day % 4}", f"i{(day + hour) % 4}"}
    ]
    data = tmp_path / "events.csv"
    data.write_text("\n".join(["user,item,at", *sorted(lines)]) + "\n")
    return dataset, data


def test_all_that_the_dataset_learns_from_is_read(tmp_path: Path) -> None:
    lines = [
        "2,22222,WHITE CAFÉ,6,12/2/2010 8:26,1.5,17850,France",
        "1,22222,WHITE CAFE,2,12/1/2010 8:26,2.5,12345,France",
        "1,22222,WHITE CAFE,2,12/1/2010 8:26,2.5,12345,France",  # a copy counts again
        "3,POST,,1,12/2/2010 9:00,18,17850,France",  # no product, and no text: row rules don't matter
        "C4,22222,WHITE CAFE,-2,12/3/2010 9:00,2.5,17850,France",  # a cancellation
        "5,22222,WHITE CAFE,2,12/3/2010 9:00,2.5,,France",  # no customer
        "6,22222,WHITE CAFE,2,12/31/2012 9:00,2.5,17850,France",  # outside the period
    ]
    data = tmp_path / "sales.csv"
    data.write_bytes("\n".join([HEADER, *lines, ""]).encode("cp1252"))
    toml = tmp_path / "retail.toml"
    toml.write_text(RETAIL.read_text().replace("ordered = true", "ordered = false"))
    log = read_dataset(toml, data, NOW)
    assert log.events.user_keys.tolist() == [1, 1, 2, 2]
    assert log.events.item_keys.tolist() == [1, 1, 1, 2]
    assert log.events.values.tolist() == [2, 2, 6, 1]
    assert log.events.prices.tolist() == [2.5, 2.5, 1.5, 18]
    assert log.events.times[2] == np.datetime64("2010-12-02T08:26", "us")
    assert log.catalogue(4).texts == ["WHITE CAFÉ", ""]
    assert log.words[0].sum() == 0


def test_a_rating_below_the_dataset_s_limit_is_not_learnt_from(tmp_path: Path) -> None:
    data = tmp_path / "ratings.csv"
    data.write_text("userId,movieId,rating,timestamp\n1,10,3.5,1000000000\n1,11,3.0,1000000001\n")
    toml = PROJECT / "config" / "datasets" / "movielens.toml"
    log = read_dataset(toml, data, NOW)
    assert log.events.values.tolist() == [3.5]
    data.write_text("userId,movieId,rating,timestamp\n1,11,3.0,1000000001\n")
    with pytest.raises(BadInput, match="no line that is learnt from"):
        read_dataset(toml, data, NOW)


def test_a_log_is_kept_by_what_it_is_made_of(tmp_path: Path, shop: tuple[Path, Path]) -> None:
    dataset, data = shop
    kept = keep_dataset(dataset, data, NOW, tmp_path / "kept")
    assert keep_dataset(dataset, data, NOW, tmp_path / "kept") == kept
    again, read = EventLog.load(kept), read_dataset(dataset, data, NOW)
    assert again.texts == read.texts
    assert again.events.times.tolist() == read.events.times.tolist()
    assert again.events.item_keys.tolist() == read.events.item_keys.tolist()
    data.write_text(data.read_text() + "d,i9,2024-03-06T20:00:00\n")
    assert keep_dataset(dataset, data, NOW, tmp_path / "kept") != kept


def run(shop: tuple[Path, Path], out: Path, systems: str, *more: str) -> str:
    dataset, data = shop
    arguments = ["--dataset", str(dataset), "--data", str(data), "--out", str(out)]
    app = retail.typer.Typer()
    app.command()(retail.bench)
    result = CliRunner().invoke(app, [*arguments, "--systems", systems, "--jobs", "1", *more])
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return f"{result.exit_code} {result.output}"


def test_a_bench_writes_its_json_and_page_and_goes_on_where_it_stopped(
    tmp_path: Path, shop: tuple[Path, Path]
) -> None:
    out = tmp_path / "out" / "retail.json"
    assert run(shop, out, "own counts,popularity", "--seeds", "4,5").startswith("0")
    content = json.loads(out.read_text())
    assert list(content) == ["systems", "paired", "settings", "seeds", "unfinished"]
    assert content["unfinished"] == []
    assert content["seeds"] == [4, 5]
    assert list(content["settings"]["windows"].values()) == [
        f"2024-03-0{day}" for day in (3, 4, 5, 6)
    ]
    entry = content["systems"]["own counts"]
    assert {"recall@20", "ndcg@20", "hit@20"} == set(entry["a"]) == set(entry["b"])
    assert entry["a"]["hit@20"] == 1, "the four items fit into twenty places"
    assert entry["peak_mb"] > 10
    assert entry["cpu_s"] > 0
    assert entry["wall_s"] > 0
    assert list(entry["per_seed"]) == ["4"], "a seed changes nothing, so that one run is enough"
    pair = content["paired"]["own counts minus popularity"]
    assert len(pair["a.ndcg@20"]) == 3
    expected = entry["a"]["ndcg@20"] - content["systems"]["popularity"]["a"]["ndcg@20"]
    assert pair["a.ndcg@20"][0] == pytest.approx(expected, abs=2e-6)
    page = ElementTree.fromstring(out.with_suffix(".html").read_text())
    assert page.tag == "html"

    parts = {path.name.split("-")[0]: path for path in (out.parent / "parts").glob("*.npz")}
    before = parts["popularity"].stat().st_mtime_ns
    parts["own"].unlink()
    said = run(shop, out, "own counts,popularity", "--seeds", "4,5")
    assert "1 of 2 results are there already" in said
    assert parts["own"].exists()
    assert parts["popularity"].stat().st_mtime_ns == before
    assert json.loads(out.read_text())["systems"]["own counts"]["a"] == entry["a"]


def test_a_failed_system_names_its_reason_and_the_remedy(
    tmp_path: Path, shop: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(GROUPS, "tests", "tests.benchmarks.retail_broken")
    out = tmp_path / "out.json"
    said = " ".join(run(shop, out, "broken,popularity", "--seeds", "0").split())
    assert said.startswith("1")
    assert "No module named 'implicit_0'; `make install-bench`" in said
    # What came after it ran, and is written.
    content = json.loads(out.read_text())
    assert list(content["systems"]) == ["popularity"]
    assert content["unfinished"] == ["broken, seed 0"]


def test_an_interrupted_run_writes_the_results_that_there_are(
    tmp_path: Path, shop: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out.json"
    assert run(shop, out, "popularity", "--seeds", "0").startswith("0")
    out.unlink()

    def interrupted(planned: object, jobs: int) -> None:
        os.kill(os.getpid(), signal.SIGTERM)

    monkeypatch.setattr(retail, "execute", interrupted)
    assert not run(shop, out, "popularity,own counts", "--seeds", "0").startswith("0")
    content = json.loads(out.read_text())
    assert list(content["systems"]) == ["popularity"]
    assert content["unfinished"] == ["own counts, seed 0"]


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        (("popularity", "--seeds", "x"), "should be like 0,1,2"),
        (("popularity", "--warm-up", "60"), "fills 6 windows"),
        (("nothing",), "there is no system 'nothing'"),
    ],
)
def test_what_cannot_be_run_is_refused(
    tmp_path: Path, shop: tuple[Path, Path], options: tuple[str, ...], problem: str
) -> None:
    said = " ".join(run(shop, tmp_path / "out.json", *options).split())
    assert said.startswith("1")
    assert problem in said


def result(ndcg: list[float], windows: list[int], users: list[int], cpu: float) -> Result:
    values = np.stack([np.array(ndcg) * 2, np.array(ndcg), np.ones(len(ndcg))], axis=1)
    rows = Rows(np.array(windows), np.array(users), values)
    none = Rows(np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros((0, 3)))
    costs = {"cpu_s": cpu, "startup_cpu_s": 0.5, "wall_s": cpu, "peak_mb": 1.0}
    return Result({name: rows if name == "a" else none for name in SLICES}, costs)


def test_figures_are_means_over_users_then_windows_then_seeds() -> None:
    windows, users = [1, 1, 1, 2], [1, 2, 3, 1]
    settings = {"windows": {"1": "2024-03-03", "2": "2024-03-04"}}
    runs = {
        0: result([0.1, 0.2, 0.3, 0.4], windows, users, 2),  # windows: .2 and .4
        1: result([0.3, 0.3, 0.3, 0.5], windows, users, 4),  # windows: .3 and .5
    }
    content = report({"x": runs, "y": {0: result([0.1] * 4, windows, users, 1)}}, [0, 1], settings)
    entry = content["systems"]["x"]
    assert entry["a"]["ndcg@20"] == pytest.approx(0.35)
    assert entry["cpu_s"] == 3
    assert entry["end_to_end_cpu_s"] == 4, "two updates, each after half a second of imports"
    assert entry["per_seed"]["0"]["a"]["ndcg@20"] == pytest.approx(0.3)
    assert entry["per_window"]["a"]["2"]["ndcg@20"] == pytest.approx(0.45)
    delta, low, high = content["paired"]["x minus y"]["a.ndcg@20"]
    assert delta == pytest.approx(0.25)
    assert low < delta < high
    assert all(np.isnan(content["paired"]["x minus y"]["b.ndcg@20"]))


def test_a_user_s_rows_are_no_independent_evidence() -> None:
    # Two users, whose four rows each agree: the standard error is .5, as of two rows, and Student's t
    # with one degree of freedom 12.7. Of eight independent rows it would be .19, and 2.4.
    windows, users = [1, 1, 2, 2, 3, 3, 4, 4], [1, 2] * 4
    content = report(
        {
            "x": {0: result([1.0, 0.0] * 4, windows, users, 1)},
            "y": {0: result([0.0] * 8, windows, users, 1)},
        },
        [0],
        {"windows": {}},
    )
    mean, low, high = content["paired"]["x minus y"]["a.ndcg@20"]
    assert (mean, low, high) == pytest.approx((0.5, 0.5 - 6.353, 0.5 + 6.353), abs=0.001)


def test_results_and_json_survive_their_files(tmp_path: Path) -> None:
    saved = result([0.1, 0.2], [1, 2], [5, 6], 3.5)
    save_result(saved, tmp_path / "part.npz")
    again = load_result(tmp_path / "part.npz")
    assert again.costs == saved.costs
    np.testing.assert_array_equal(again.rows["a"].values, saved.rows["a"].values)
    assert again.rows["new_items"].values.shape == (0, 3)
    content = {"a": np.float64("nan"), "b": [np.int64(3), 1 / 3], "c": True, "d": None, "e": "é"}
    path = write_json(tmp_path / "new" / "out.json", content)
    assert json.loads(path.read_text()) == {
        "a": None, "b": [3, 0.333333], "c": True, "d": None, "e": "é",
    }  # fmt: skip

"""Arrays of training sets: padding, scaling, order, slices of time, and altered files."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from recloop.contracts import TrainingSet
from recloop.errors import BadData
from recloop.features.artefact import write_training_set
from recloop.features.examples import read_examples
from recloop.features.ranker_inputs import (
    OWN_LISTS,
    OWN_TOTALS,
    STATISTICS,
    scaled_statistics,
    schemas,
)


def moment(day: int, hour: int = 0) -> datetime:
    return datetime(2011, 1, day, hour, tzinfo=UTC)


def written(
    folder: Path, window: str, queries: list, interactions: list, items: list
) -> TrainingSet:
    """A set of queries (user, time, history, purchases_28d), interactions (query, item, time) and
    items (key, words).
    """
    nothing = dict.fromkeys(["purchases_7d", "purchases_28d", "buyers_28d", "price", "cancels_28d"])
    rows = {
        "queries": [
            {
                "query_id": n,
                "user_key": user,
                "event_timestamp": time,
                "day": int(time.timestamp()) // 86_400,
                "history": history,
                **dict.fromkeys(STATISTICS),
                "purchases_28d": purchases,
                **{f"own_{name}": [] for name in OWN_LISTS},
                **dict.fromkeys(OWN_TOTALS, 0),
            }
            for n, (user, time, history, purchases) in enumerate(queries)
        ],
        "interactions": [
            {"query_id": q, "item_key": i, "event_timestamp": t, "weight": 1.0}
            for q, i, t in interactions
        ],
        "items": [{"item_key": k, "name": "", "words": w, **nothing} for k, w in items],
        "item_days": [],
    }
    tables = {name: pa.Table.from_pylist(rows[name], schema=schemas()[name]) for name in rows}
    return write_training_set(folder, window, tables)


@pytest.fixture
def two_windows(tmp_path: Path) -> list[TrainingSet]:
    first = written(
        tmp_path,
        "2011-01-03",
        queries=[(1, moment(3, 9), [], None), (2, moment(4, 9), [7, 8], 1)],
        interactions=[(0, 10, moment(3, 9)), (0, 11, moment(3, 10)), (1, 10, moment(4, 9))],
        items=[(10, [1, 2]), (11, [3])],
    )
    second = written(
        tmp_path,
        "2011-01-10",
        queries=[(1, moment(10, 9), list(range(1, 51)), 2)],
        interactions=[(0, 10, moment(10, 9)), (0, 12, moment(10, 12))],
        items=[(10, [9]), (12, [])],
    )
    return [first, second]


def test_windows_are_joined_in_order(two_windows: list[TrainingSet]) -> None:
    examples = read_examples(two_windows)
    assert examples.user_keys.tolist() == [1, 2, 1]
    assert examples.query.tolist() == [0, 0, 1, 2, 2]
    assert examples.item_keys.tolist() == [10, 11, 10, 10, 12]
    assert examples.times[0] == np.datetime64("2011-01-03T09:00")
    assert examples.query_times[2] == np.datetime64("2011-01-10T09:00")
    assert examples.weights.tolist() == [1.0] * 5
    dtypes = {
        name: str(array.dtype)
        for name, array in vars(examples).items()
        if isinstance(array, np.ndarray)
    }
    assert dtypes == {
        "user_keys": "int64",
        "query_times": "datetime64[us]",
        "history": "int64",
        "statistics": "float32",
        "query": "int32",
        "item_keys": "int64",
        "times": "datetime64[us]",
        "weights": "float32",
        "catalogue": "int64",
        "words": "int32",
        "moments": "int32",
    }


def test_lists_are_padded_with_zeros(two_windows: list[TrainingSet]) -> None:
    examples = read_examples(two_windows)
    assert examples.history.shape == (3, 50)
    assert examples.history[0].tolist() == [0] * 50
    assert examples.history[1].tolist() == [7, 8] + [0] * 48
    assert examples.history[2].tolist() == list(range(1, 51))
    assert examples.words.shape == (3, 16)


def test_the_latest_words_of_an_item_count(two_windows: list[TrainingSet]) -> None:
    examples = read_examples(two_windows)
    assert examples.catalogue.tolist() == [10, 11, 12]
    assert examples.words[:, :2].tolist() == [[9, 0], [3, 0], [0, 0]]
    reverse = read_examples(two_windows[::-1])
    assert reverse.words[:, :2].tolist() == [[1, 2], [3, 0], [0, 0]]


def test_statistics_are_scaled_and_missing_ones_are_zero(two_windows: list[TrainingSet]) -> None:
    examples = read_examples(two_windows)
    at = STATISTICS.index("purchases_28d")
    np.testing.assert_allclose(examples.statistics[:, at], [0, np.log(2), np.log(3)], rtol=1e-6)
    assert examples.statistics.sum(axis=1).tolist() == examples.statistics[:, at].tolist()


def test_scaling_is_odd_and_knows_no_nan() -> None:
    scaled = scaled_statistics(np.array([[-9.0, 0.0, np.nan, np.e - 1]]))
    np.testing.assert_allclose(scaled, [[-np.log(10), 0, 0, 1]], rtol=1e-6)
    assert scaled.dtype == np.float32


def test_a_slice_of_time_holds_only_its_queries(two_windows: list[TrainingSet]) -> None:
    part = read_examples(two_windows).between(moment(3, 10), moment(10, 12))
    assert part.item_keys.tolist() == [11, 10, 10], "start inclusive, end exclusive"
    assert part.user_keys.tolist() == [1, 2, 1]
    assert part.query.tolist() == [0, 1, 2]
    assert part.catalogue.tolist() == [10, 11, 12]
    later = read_examples(two_windows).between(moment(10), moment(17))
    assert later.user_keys.tolist() == [1]
    assert later.query.tolist() == [0, 0]
    assert later.history.shape == (1, 50)
    none = read_examples(two_windows).between(moment(20), moment(21))
    assert (len(none.user_keys), len(none.query)) == (0, 0)


def test_nothing_gives_empty_arrays_of_the_same_form(tmp_path: Path) -> None:
    empty_set = written(tmp_path, "2011-01-03", [], [], [])
    for examples in (read_examples([]), read_examples([empty_set])):
        assert examples.history.shape == (0, 50)
        assert examples.words.shape == (0, 16)
        assert examples.statistics.shape == (0, len(STATISTICS))
        assert examples.query.dtype == np.int32


@pytest.mark.parametrize("name", ["queries", "interactions", "items"])
def test_altered_and_missing_files_are_refused(two_windows: list[TrainingSet], name: str) -> None:
    path = Path(two_windows[1].uri) / f"{name}.parquet"
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    with pytest.raises(BadData, match=r"2011-01-10 is not what was written.*have the hash"):
        read_examples(two_windows)
    path.unlink()
    with pytest.raises(BadData, match=rf"{name}.parquet is missing.*recloop ingest --window"):
        read_examples(two_windows)

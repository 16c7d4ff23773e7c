"""A plan says when the catalogue passes the bound beyond which the loss looks at a sample."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from models.recommenders import recommender_files
from models.storage import archive
from recloop.contracts import Release, TrainingSet
from recloop.planning.planning import loss_change


def champion(folder: Path, items: int, loss: str = "basket") -> Release:
    """Of a catalogue with keys 1 to `items`, whose loss looks at all of up to five."""
    header = {"config": {"loss": loss, "whole_catalogue": 5}}
    keys = np.arange(1, items + 1, dtype=np.int64)
    archive.write(folder / "checkpoint" / "towers", header, {"item_keys": keys})
    recommender_files.write_header("retrieve_and_rank", {}, folder / "checkpoint")
    return Release(version=1, update_id=1, parent_version=None, uri=str(folder))


def learnt(folder: Path, *keys: int) -> TrainingSet:
    folder.mkdir()
    pq.write_table(
        pa.table({"item_key": pa.array(keys, pa.int64())}), folder / "interactions.parquet"
    )
    return TrainingSet(
        window=folder.name, uri=str(folder), queries=1, interactions=len(keys),
        items=len(set(keys)), sha256="",
    )  # fmt: skip


@pytest.mark.parametrize(
    ("known", "keys", "anew", "says"),
    [
        (4, (3, 4, 5), False, ""),
        (4, (5, 6, 6), False, "from 4 items to 6, past the 5 of `whole_catalogue`"),
        (6, (7, 8), False, ""),
        (4, (1, 2, 3, 4, 5, 6), True, "from 4 items to 6"),
        (7, (1, 2, 3), True, "looks at all items again"),
    ],
)
def test_it_is_said_when_the_bound_is_passed(
    tmp_path: Path, known: int, keys: tuple[int, ...], anew: bool, says: str
) -> None:
    sets = [learnt(tmp_path / "a", *keys[:2]), learnt(tmp_path / "b", *keys[2:])]
    told = loss_change(champion(tmp_path / "r", known), sets, anew)
    assert says in told
    assert bool(told) == bool(says)


def test_another_loss_and_a_damaged_champion_say_nothing(tmp_path: Path) -> None:
    sets = [learnt(tmp_path / "a", 5, 6, 7)]
    assert loss_change(champion(tmp_path / "r", 4, "in_batch"), sets, False) == ""
    (tmp_path / "r" / "checkpoint" / "towers" / "manifest.json").write_text(json.dumps([]))
    assert loss_change(champion(tmp_path / "s", 4), sets, False) != ""
    broken = Release(version=1, update_id=1, parent_version=None, uri=str(tmp_path / "r"))
    assert loss_change(broken, sets, False) == ""

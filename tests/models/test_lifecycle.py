"""Ids come, are learned, wait, expire, are saved and come back: in any order, against a plain dict.

The oracle is `dict[key, row]` per table. It knows only what may change and what may not: the rows
that a step touched are read from the model, all others must be what they were, bit for bit.
"""

import copy
import shutil
import tempfile
from pathlib import Path

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from models.data.queries import Items
from models.ids.admission import expire, note_seen, seen_days, waiting
from models.ids.growth import add_ids
from models.ids.starts import NewIds
from models.storage import checkpoint
from models.tables.backend import tf
from models.tables.state import ModelState
from models.two_tower.tower_config import ModelConfig

CONFIG = ModelConfig(
    dimension=2, history_length=2, statistics_width=1, word_buckets=8, words_per_item=2
)
TABLES = {"user": "users", "item": "items", "history": "items", "item_bias": "items"}
KEYS = st.lists(st.integers(1, 12), max_size=6)
STEPS = st.one_of(
    st.tuples(st.just("grow"), KEYS, st.integers(1, 2)),
    st.tuples(st.just("train"), KEYS, st.booleans()),
    st.tuples(st.just("seen"), KEYS, st.integers(1, 9)),
    st.tuples(st.just("expire"), st.integers(1, 10), st.none()),
    st.tuples(st.just("save"), st.booleans(), st.none()),
    st.tuples(st.just("restore"), st.none(), st.none()),
)


class Oracle:
    """What the model should be."""

    def __init__(self) -> None:
        self.keys: dict[str, list[int]] = {"users": [], "items": []}
        self.counts: dict[str, dict[int, int]] = {"users": {}, "items": {}}
        self.seen: dict[str, dict[int, int]] = {"users": {}, "items": {}}
        self.rows: dict[tuple[str, int], bytes] = {}
        self.dense: dict[str, bytes] = {}


def rows_of(state: ModelState) -> tuple[dict[tuple[str, int], bytes], dict[str, bytes]]:
    """The model's rows and slots by (table, key), and its dense tables."""
    rows, dense = {}, {}
    parameters, slots = state.parameters(), state.slots()
    for name, array in parameters.items():
        slot = slots[f"{name}/accumulator"]
        if name not in TABLES:
            dense[name] = array.tobytes() + slot.tobytes()
            continue
        keys = [0, *state.vocabulary(TABLES[name]).keys.tolist()]
        assert len(array) == len(slot) == len(keys)
        for key, row, beside in zip(keys, array, slot, strict=True):
            rows[name, key] = row.tobytes() + beside.tobytes()
    for key, words in zip(
        [0, *state.items.keys.tolist()], state.network.content["item_words"].numpy(), strict=True
    ):
        rows["words", key] = words.tobytes()
    return rows, dense


def words_of(key: int) -> list[int]:
    return [1 + key % 7, 1 + key % 3]


def check(state: ModelState, oracle: Oracle) -> None:
    for entity, keys in oracle.keys.items():
        assert state.vocabulary(entity).keys.tolist() == keys
    rows, dense = rows_of(state)
    assert rows == oracle.rows
    assert dense == oracle.dense
    for entity, counts in oracle.counts.items():
        keys, waited, _ = waiting(state, entity)
        assert dict(zip(keys.tolist(), waited.tolist(), strict=True)) == counts
        days = zip([0, *oracle.keys[entity]], seen_days(state, entity).tolist(), strict=True)
        assert {key: day for key, day in days if day} == oracle.seen[entity]


def accept(state: ModelState, oracle: Oracle, may: set[tuple[str, int]], tables: set[str]) -> None:
    """Takes what may have changed from the model."""
    rows, dense = rows_of(state)
    oracle.rows |= {at: row for at, row in rows.items() if at in may}
    oracle.dense |= {name: array for name, array in dense.items() if name in tables}


def step_grow(state: ModelState, oracle: Oracle, keys: list[int], least: int) -> None:
    new = set()
    for entity, given_keys in (("items", list(dict.fromkeys(keys))), ("users", keys)):
        counts, known = oracle.counts[entity], oracle.keys[entity]
        for key in given_keys:
            if key not in known:
                counts[key] = counts.get(key, 0) + 1
        for key in given_keys:
            if key not in known and counts[key] >= least:
                known.append(key)
                del counts[key]
                new |= {(name, key) for name, of in TABLES.items() if of == entity}
                if entity == "items":
                    new.add(("words", key))
    unique = np.array(list(dict.fromkeys(keys)), np.int64)
    words = np.array([words_of(key) for key in unique], np.int32).reshape(-1, 2)
    add_ids(state, np.array(keys, np.int64), Items(unique, words), NewIds(minimum_events=least))
    accept(state, oracle, new, set())
    for at in new:
        assert at in oracle.rows
        if at[0] == "words":
            assert oracle.rows[at] == np.array(words_of(at[1]), np.int64).tobytes()


def step_train(state: ModelState, oracle: Oracle, keys: list[int], dense: bool) -> None:
    tables = state.network.tables
    gradients, may = {}, set()
    for name, entity in TABLES.items():
        rows = state.vocabulary(entity).rows(np.array(keys, np.int64))
        if len(rows):
            values = tf.constant(np.ones((len(rows), tables[name].shape[1])), tf.float32)
            gradients[name] = tf.IndexedSlices(values, tf.constant(rows))
            known = [key if key in oracle.keys[entity] else 0 for key in keys]
            may |= {(name, key) for key in known}
    if dense:
        gradients["statistics"] = tf.ones_like(tables["statistics"])
    if gradients:
        before = dict(oracle.rows)
        state.optimizer.apply(tables, gradients, tf.constant(0.5), tf.constant(0.0))
        accept(state, oracle, may, {"statistics"} if dense else set())
        assert all(oracle.rows[at] != before[at] for at in may)
    state.steps += 1


def step_expire(state: ModelState, oracle: Oracle, day: int) -> None:
    removed = []
    for entity in ("users", "items"):
        gone = {key for key, seen in oracle.seen[entity].items() if seen < day}
        removed.append(len(gone))
        oracle.keys[entity] = [key for key in oracle.keys[entity] if key not in gone]
        for key in gone:
            del oracle.seen[entity][key]
            for name, of in (*TABLES.items(), ("words", "items")):
                if of == entity:
                    del oracle.rows[name, key]
    assert expire(state, day) == tuple(removed)


@settings(max_examples=15, deadline=None)
@given(steps=st.lists(STEPS, min_size=1, max_size=14))
def test_any_life_keeps_every_row_under_its_key(steps) -> None:
    state = ModelState.create(CONFIG, seed=1)
    oracle = Oracle()
    oracle.rows, oracle.dense = rows_of(state)
    folder = Path(tempfile.mkdtemp())
    saved: list[Path] = []
    then = oracle
    try:
        # Whatever happened, the end is saved as a delta of the latest save, and read back.
        for step, first, second in [*steps, ("save", True, None), ("restore", None, None)]:
            if step == "grow":
                step_grow(state, oracle, first, second)
            elif step == "train":
                step_train(state, oracle, first, second)
            elif step == "seen":
                keys = np.array(first, np.int64)
                note_seen(state, keys, keys, second)
                for entity, seen in oracle.seen.items():
                    for key in first:
                        if key in oracle.keys[entity]:
                            seen[key] = max(second, seen.get(key, 0))
            elif step == "expire":
                step_expire(state, oracle, first)
            elif step == "save":
                directory = folder / f"save-{len(saved)}"
                base = saved[-1] if saved and first else None
                expected = "delta" if base and state.origin else "whole"
                assert checkpoint.save(state, directory, base) == expected
                saved.append(directory)
                then = copy.deepcopy(oracle)
            elif step == "restore" and saved:
                state, oracle = checkpoint.restore(saved[-1]), copy.deepcopy(then)
            check(state, oracle)
    finally:
        shutil.rmtree(folder)

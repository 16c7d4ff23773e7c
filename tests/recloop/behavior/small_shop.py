"""A shop of four lines, and its dataset file: inputs of tests about the forms that files have."""

from __future__ import annotations

from typing import Any

from recloop.config.dataset import DatasetSpec

NAMES = ("user", "item", "title", "ts", "price")
LINES = [
    ("u1", "i1", "Blue cup", "2011-01-03T08:00:00", "1.5"),
    ("u2", "i1", "Blue cup", "2011-01-03T09:00:00", "1.5"),
    ("u1", "i2", "Red cup", "2011-01-04T08:00:00", "2.25"),
    ("u3", "i2", "Red cup", "2011-01-05T08:00:00", "2.25"),
]
TEXT = "".join(",".join(line) + "\n" for line in [NAMES, *LINES]).encode()


def small_spec(kind: str = "file", **source: Any) -> DatasetSpec:
    """Its dataset file, with keys of [source]."""
    types = {"ts": "time", "price": "number"}
    return DatasetSpec.model_validate(
        {
            "name": "small",
            "source": {"kind": kind, **source},
            "columns": {name: types.get(name, "text") for name in NAMES},
            "event": {"user_id": "user", "item_id": "item", "timestamp": "ts", "price": "price"},
            "item_attributes": {"name": "title", "text": ["title"]},
        }
    )

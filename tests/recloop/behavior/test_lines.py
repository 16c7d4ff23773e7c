"""What one line means: its numbers, its type, who it is, and where a line without a window ends."""

from __future__ import annotations

import csv
import json
from datetime import UTC, datetime
from hashlib import md5
from typing import Any

from recloop.behavior.lines import LANDING_COLUMNS, Parsed, as_csv, chunk_times, parse_lines
from recloop.behavior.records import Chunk
from recloop.config.dataset import DatasetSpec
from tests.recloop.behavior.small_shop import LINES, NAMES, small_spec

NOW = datetime(2012, 1, 1, tzinfo=UTC)
Row = dict[str, Any]


def line(**changes: str) -> dict[str, str]:
    return dict(zip(NAMES, LINES[0], strict=True)) | changes


def parsed(*lines: dict[str, str], spec: DatasetSpec | None = None, **chunk: Any) -> Parsed:
    columns = {name: [one[name] for one in lines] for name in (lines[0] if lines else NAMES)}
    made = Chunk(range(1, len(lines) + 1), columns, **chunk)
    spec = spec or small_spec()
    return parse_lines(made, chunk_times(made, spec), spec, NOW)


def rows(found: Parsed) -> list[Row]:
    return [dict(zip(LANDING_COLUMNS[1:], row, strict=True)) for row in found.rows]


def test_a_text_that_is_no_finite_number_is_a_fault_and_an_empty_one_is_not() -> None:
    texts = [" 2 ", "", "-0", "1e400", "nan", "1,5"]
    found = rows(parsed(*(line(price=text) for text in texts)))
    assert [row["price"] for row in found] == ["2.0", r"\N", "0.0", r"\N", r"\N", r"\N"]
    assert [row["faults"] for row in found] == ["{}"] * 3 + ["{unparseable_number}"] * 3
    assert {row["value"] for row in found} == {r"\N"}, "no column is the value"


def test_a_line_is_the_same_whatever_form_its_ids_have_and_wherever_it_stands() -> None:
    first, again, other = rows(
        parsed(line(user="12346.0"), line(user=" 12346\ufeff"), line(user="12346", item="i2"))
    )
    assert first["event_id"] == again["event_id"] != other["event_id"]
    assert [row["user_id"] for row in (first, again)] == ["12346", "12346"]
    assert rows(parsed(line(user="12346")))[0]["content_hash"] == first["content_hash"]


ODD = ({"user": "a\x1fb", "item": "c"}, {"user": "a", "item": "b\x1fc"}, {"title": "\x1f\udce9"})
"""Joined by any one character, the first two would read the same."""


def test_a_line_is_the_same_whatever_other_lines_its_chunk_has() -> None:
    lines = [line(), *(line(**changes) for changes in ODD)]
    together = rows(parsed(*lines))
    for one, found in zip(lines, together, strict=True):
        (alone,) = rows(parsed(one))
        for name in ("event_id", "content_hash"):
            assert alone[name] == found[name]
    assert len({found["content_hash"] for found in together}) == len(lines)
    # As files that were read before have it: the texts, joined.
    joined = "\x1f".join(LINES[0]).encode()
    assert together[0]["content_hash"] == md5(joined, usedforsecurity=False).hexdigest()


def test_a_text_that_spells_the_encoding_of_another_line_is_another_line() -> None:
    said = small_spec().model_dump()
    said["event"]["id"] = ["title"]
    spec = DatasetSpec.model_validate(said)
    odd = ("a\x1fb",)
    titles = [*odd, repr(odd), ascii(odd), "\x1f" + ascii(odd), "a"]
    ids = [rows(parsed(line(title=title), spec=spec))[0]["event_id"] for title in titles]
    assert ids[1] == ids[2], "the same text"
    assert len(set(ids)) == len(set(titles))


def test_a_pattern_of_the_dataset_file_is_stronger_than_a_column_of_types() -> None:
    said = small_spec().model_dump()
    said["columns"]["kind"] = "text"
    said["event"] |= {
        "type": "view",
        "type_column": "kind",
        "type_when": [{"column": "item", "matches": "^C", "type": "cancel"}],
    }
    kinds = [("  buy ", "i1"), ("", "i1"), ("buy", "C7"), (r"\N", "iC")]
    lines = [line(kind=kind, item=item) for kind, item in kinds]
    found = rows(parsed(*lines, spec=DatasetSpec.model_validate(said)))
    assert [row["event_type"] for row in found] == ["buy", "view", "cancel", "view"]


def test_a_line_without_a_window_is_put_aside_with_what_is_known_of_its_place() -> None:
    texts = ["?", "2011-01-12T08:00:00", "2013-05-06T07:00:00+02:00"]
    lines = [line(ts=text, title="caf\udce9") for text in texts]
    found = parsed(*lines, undecodable=True, malformed=[(4, "x\0" + "y" * 10_000)])
    assert found.windows == {"2011-01-10"}
    assert rows(found)[0]["faults"] == "{undecodable_text}"
    malformed, undated, future = found.rejected
    number, event_id, rule, text, near, due = malformed
    assert (number, event_id, rule, near, due) == (4, None, "malformed_line", None, None)
    assert json.loads(text)["text"] == "x\ufffd" + "y" * 9_998
    assert (undated[0], undated[2]) == (1, "unparseable_timestamp")
    assert undated[4:] == ("2011-01-10", None)
    assert json.loads(undated[3])["title"] == "caf\ufffd"
    assert (future[0], future[2], future[5]) == (
        3, "future_timestamp", "2013-05-06 05:00:00+00:00",
    )  # fmt: skip


def test_no_lines_are_no_rows_and_csv_keeps_every_line_end() -> None:
    assert parsed() == Parsed()
    found = parsed(line(title="A\rB\nC\r\nD"))
    buffer = as_csv(7, found.rows)
    buffer.seek(0)
    (row,) = csv.reader(buffer)
    assert (row[0], row[1]) == ("7", "1")
    said = dict(zip(LANDING_COLUMNS, row, strict=True))["item_attributes"]
    assert json.loads(said) == {"title": "A\rB\nC\r\nD"}

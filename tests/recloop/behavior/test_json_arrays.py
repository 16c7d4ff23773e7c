"""Objects of an array, wherever its text is cut."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recloop.behavior import json_arrays
from recloop.behavior.json_arrays import is_array, objects_of

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)


def cut(text: str, size: int) -> Any:
    return iter([text[at : at + size] for at in range(0, len(text), size)])


@given(
    st.lists(st.dictionaries(st.text(), VALUES, max_size=4)),
    st.sampled_from([None, 0, 2]),
    st.integers(1, 40),
)
def test_objects_are_found_however_they_are_laid_out_and_cut(
    objects: list[dict[str, Any]], indent: int | None, size: int
) -> None:
    text = "\ufeff \n" + json.dumps(objects, indent=indent, ensure_ascii=False)
    assert [json.loads(one) for one in objects_of(cut(text, max(size, 4)))] == objects


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ('[{"a": 1}, {"a": }, {"a": 3}]', ['{"a": 1}', '{"a": }', '{"a": 3}']),
        ('[{"a": 1}, {"a": 2', ['{"a": 1}', '{"a": 2']),
        ('[{"a": 1},', ['{"a": 1}', "the array has no end"]),
        ('[{"a": 1} {"a": 2}] rest', ['{"a": 1}', '{"a": 2}']),
        ("[]", []),
        ('[1, {"a": 2}]', ["1", '{"a": 2}']),
    ],
)
def test_what_is_broken_is_a_line_of_its_own(
    text: str, found: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert list(objects_of(cut(text, 6))) == found
    monkeypatch.setattr(json_arrays, "LARGEST", 10)
    assert list(objects_of(cut(text, 99))) == found


@pytest.mark.parametrize(
    ("start", "array"),
    [
        (b"[{", True),
        (b"\n [\n  {", True),
        (b"[1", False),
        (b"{", False),
        (b"user", False),
        ("\ufeff[{".encode("utf-8"), True),
    ],
)
def test_an_array_is_known_by_its_beginning(start: bytes, array: bool) -> None:
    assert is_array(start, "utf-8") == array

"""What is remembered of each file, and the sentence that refuses one."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from recloop.behavior import source_files
from recloop.errors import SourceRefused
from tests.recloop.behavior.small_shop import NAMES, small_spec

SHA = {name: name * 64 for name in "abc"}


@pytest.fixture
def found(tmp_path: Path) -> os.stat_result:
    """Of a file of five bytes."""
    path = tmp_path / "a.csv"
    path.write_bytes(b"12345")
    os.utime(path, ns=(0, 77))
    return path.stat()


def test_a_version_counts_until_a_newer_one_makes_way_for_its_undecided_lines(
    cursor, found: os.stat_result
) -> None:
    old = source_files.begin(cursor, "small", "a.csv", SHA["a"], found)
    source_files.finish(cursor, old, 9, "read so")
    cursor.execute(
        "insert into behavior.landing (file_id, line_no, window_key, event_id, content_hash, "
        "event_timestamp) select %s, n, 'w', gen_random_uuid(), gen_random_uuid(), now() "
        "from generate_series(1, 3) n",
        (old,),
    )
    cursor.execute(
        "insert into behavior.quarantine (file_id, line_no, window_key, rule, rules, line) "
        "values (%s, 4, null, 'r', '{r}', '{}'), (%s, 5, 'w', 'r', '{r}', '{}')",
        (old, old),
    )
    assert source_files.current(cursor, "small", "a.csv", found) == (old, True)
    source_files.supersede(cursor, old)
    assert source_files.current(cursor, "small", "a.csv", found) is None
    cursor.execute("select state, lines, superseded from behavior.source_file")
    assert cursor.fetchall() == [("superseded", 9, 4)], "three that wait, one without a window"
    cursor.execute("select line_no from behavior.quarantine")
    assert cursor.fetchall() == [(5,)], "what was decided on stays"


def test_a_refused_version_is_remembered_once_and_forgotten_when_the_path_is_read(
    cursor, found: os.stat_result
) -> None:
    for reason in ("first", "second"):
        source_files.refuse(cursor, "small", "a.csv", SHA["b"], found, reason)
        source_files.refuse(cursor, "small", "shop.orders", "", None, reason)
    cursor.execute("select path, reason from behavior.source_file order by 1")
    assert cursor.fetchall() == [("a.csv", "second"), ("shop.orders", "second")]
    known = source_files.known_files(cursor, "small")
    assert (known.seen("a.csv", found), known.read("a.csv", found)) == (True, False)
    assert not known.seen("b.csv", found)
    source_files.begin(cursor, "small", "a.csv", SHA["c"], found)
    known = source_files.known_files(cursor, "small")
    assert (known.seen("a.csv", found), known.read("a.csv", found)) == (True, True)
    cursor.execute("select path from behavior.source_file where state = 'refused'")
    assert cursor.fetchall() == [("shop.orders",)]
    assert source_files.known_files(cursor, "another").read_looks == frozenset()


def test_a_copy_of_a_single_file_is_known_and_one_in_a_folder_is_another(
    cursor, found: os.stat_result
) -> None:
    source_files.begin(cursor, "small", "a.csv", SHA["a"], found)
    known = source_files.known_files(cursor, "small")
    for kind, copied in (("file", True), ("folder", False)):
        spec = small_spec(kind)
        for path, sha256, there in (
            ("a.csv", SHA["a"], True),
            ("copy.csv", SHA["a"], copied),
            ("a.csv", SHA["b"], False),
        ):
            assert source_files.known(cursor, spec, path, sha256) == there
            assert known.holds(spec, path, sha256) == there


@pytest.mark.parametrize(
    ("columns", "says"),
    [
        ([*NAMES[:4]], "it lacks 1 declared column(s) 'price'; found are 'user', 'item', "),
        ([*NAMES, "user"], "column 'user' appears twice. Remove one"),
        ([*NAMES, "a", "b", "c", "d", "e", "f"], "6 undeclared column(s) 'a', 'b', 'c', 'd', 'e'."),
        ([], "it lacks 5 declared column(s)"),
    ],
)
def test_columns_are_those_declared_and_the_sentence_names_what_is_not(
    columns: list[str], says: str
) -> None:
    source_files.check_columns(NAMES[::-1], small_spec(), "in any order")
    with pytest.raises(SourceRefused) as refused:
        source_files.check_columns(columns, small_spec(), Path("in") / "the" / "shop\x1b.csv")
    assert str(refused.value).startswith("schema: shop\\x1b.csv is refused, ")
    assert says in str(refused.value)
    assert str(refused.value).endswith(". None of its lines were taken.")


def test_a_name_is_written_so_that_a_terminal_and_a_database_can_take_it() -> None:
    folder = Path("data")
    assert source_files.name_of(folder / "b" / "a.csv", folder) == "b/a.csv"
    assert source_files.name_of(folder, folder) == "data"
    odd = folder / os.fsdecode(b"caf\xe9\n.csv")
    assert source_files.name_of(odd, folder) == "caf\\xe9\\x0a.csv"
    long = source_files.in_short(ValueError("  \x1b[31m" + "x" * 300 + "\nand more"))
    assert long.startswith("\\x1b[31mxx")
    assert len(long) == 200
    assert source_files.in_short(KeyError()) == "KeyError"
    assert source_files.in_short(OSError("gone. ")) == "gone"

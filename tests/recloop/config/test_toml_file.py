"""Files that a person wrote with an editor of their own."""

from __future__ import annotations

from pathlib import Path

import pytest

from recloop.config.toml_file import read_toml
from recloop.errors import BadInput

TEXT = 'name = "café"\r\n'


def test_a_mark_before_the_text_and_windows_line_ends_are_no_part_of_it(tmp_path: Path) -> None:
    path = tmp_path / "shop.toml"
    path.write_bytes(TEXT.encode("utf-8-sig"))
    assert read_toml(path) == {"name": "café"}


@pytest.mark.parametrize(
    ("encoding", "place"), [("utf-16", "0xff at position 0"), ("cp1252", "0xe9 at position 11")]
)
def test_another_encoding_is_told_with_the_byte_and_the_remedy(
    tmp_path: Path, encoding: str, place: str
) -> None:
    path = tmp_path / "shop.toml"
    path.write_bytes(TEXT.encode(encoding))
    with pytest.raises(BadInput, match=f"not UTF-8 text: byte {place}.*save the file"):
        read_toml(path)


def test_what_is_no_toml_is_told_with_its_line(tmp_path: Path) -> None:
    path = tmp_path / "shop.toml"
    path.write_text('name = "a"\nlength = day\n')
    with pytest.raises(BadInput, match=r"not valid TOML: .*line 2"):
        read_toml(path)

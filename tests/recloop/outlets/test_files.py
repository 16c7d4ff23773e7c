"""Files are the tables' rows, whole or not there; in a folder and in an object store."""

from __future__ import annotations

import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from pyarrow import csv, fs, parquet

from recloop.errors import BadInput
from recloop.outlets import files
from recloop.outlets.publication import Wanted, publish_recommendations
from recloop.settings import PROJECT, Settings
from tests.recloop.outlets.small_shop import Life, all_rows, life

SERVER = PROJECT / ".venv-s3" / "bin" / "moto_server"


@pytest.fixture
def shop(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Life:
    made = life(settings, monkeypatch, "sessions")
    for user in ("ann", 'b"o,b', "cid"):
        made.buy(user, 3, 0, 60)
    publish_recommendations(settings, Wanted(k=5))
    return made


def rows_of(table: pa.Table) -> list[tuple[Any, ...]]:
    return sorted(tuple(row.values()) for row in table.to_pylist())


@pytest.mark.parametrize("suffix", [".parquet", ".csv"])
@pytest.mark.parametrize("scheme", ["", "file://"])
def test_a_file_has_the_rows_of_the_table(
    settings: Settings, shop: Life, tmp_path: Path, suffix: str, scheme: str
) -> None:
    place = tmp_path / "given" / f"picks{suffix}"
    made = publish_recommendations(settings, Wanted(k=5, out=f"{scheme}{place}"))
    read = parquet.read_table if suffix == ".parquet" else csv.read_csv
    table = read(place)
    names = ["recommender", "release", "user_id", "rank", "item_id", "score", "reason"]
    assert table.column_names == names
    assert [row[:5] for row in rows_of(table)] == [row[:5] for row in all_rows(settings)]
    assert made.rows == len(table) == 20
    similar = read(place.with_name(f"picks.similar{suffix}"))
    assert made.similar_rows == len(similar) == 60
    assert similar.column_names[2:] == ["item_id", "rank", "similar_item_id", "score"]
    assert (
        sorted(path.name for path in place.parent.iterdir())
        == [
            f"picks{suffix}",
            f"picks.similar{suffix}",
        ]
        or suffix == ".parquet"
    )
    assert not list(place.parent.glob(".*"))


def test_a_file_is_replaced_when_the_new_one_is_whole(
    settings: Settings, shop: Life, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = tmp_path / "picks.parquet"
    publish_recommendations(settings, Wanted(k=5, out=str(place)))
    before = place.read_bytes()
    shop.promote()
    left = tmp_path / ".picks.parquet.default.writing"
    left.mkdir()  # by one that was killed
    (left / "picks.parquet").write_bytes(b"half")
    with monkeypatch.context() as patch:
        patch.setattr(files.Files, "swap", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            publish_recommendations(settings, Wanted(k=5, out=str(place)))
    assert place.read_bytes() == before
    assert not left.exists()
    publish_recommendations(settings, Wanted(k=5, out=str(place)))
    assert set(parquet.read_table(place)["release"].to_pylist()) == {shop.release}


def test_a_folder_that_cannot_be_written_is_told(settings: Settings, shop: Life) -> None:
    with pytest.raises(BadInput, match="a folder that can be written"):
        publish_recommendations(settings, Wanted(out="/proc/nowhere/picks.csv"))


def test_a_store_that_fsspec_knows_is_asked(settings: Settings, shop: Life) -> None:
    import fsspec

    publish_recommendations(settings, Wanted(k=5, out="memory://given/picks.csv"))
    with fsspec.open("memory://given/picks.csv", "rb") as file:
        assert len(csv.read_csv(file)) == 20


@pytest.fixture
def bucket(monkeypatch: pytest.MonkeyPatch) -> Iterator[fs.FileSystem]:
    """An S3 of this test's own, with a bucket; the environment says where."""
    if not SERVER.exists():
        pytest.skip("no S3 to test with: make install-s3")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    server = subprocess.Popen(
        [SERVER, "-H", "127.0.0.1", "-p", str(port)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            with socket.socket() as tried:
                if not tried.connect_ex(("127.0.0.1", port)):
                    break
            time.sleep(0.1)
        for name, value in (
            ("AWS_ENDPOINT_URL", f"http://127.0.0.1:{port}"),
            ("AWS_ACCESS_KEY_ID", "a"),
            ("AWS_SECRET_ACCESS_KEY", "b"),
            ("AWS_DEFAULT_REGION", "eu-west-1"),
        ):
            monkeypatch.setenv(name, value)
        store = fs.S3FileSystem(
            allow_bucket_creation=True, endpoint_override=f"127.0.0.1:{port}", scheme="http"
        )
        store.create_dir("shop")
        yield store
    finally:
        server.kill()
        server.wait()


@pytest.mark.parametrize("suffix", [".parquet", ".csv"])
def test_an_object_store_has_the_rows_of_the_table(
    settings: Settings, shop: Life, bucket: fs.FileSystem, suffix: str
) -> None:
    for _ in range(2):  # the second time it is replaced
        shop.promote()
        publish_recommendations(settings, Wanted(k=5))
        publish_recommendations(settings, Wanted(k=5, out=f"s3://shop/given/picks{suffix}"))
        with bucket.open_input_file(f"shop/given/picks{suffix}") as file:
            table = parquet.read_table(file) if suffix == ".parquet" else csv.read_csv(file)
        assert [row[:5] for row in rows_of(table)] == [row[:5] for row in all_rows(settings)]
    found = bucket.get_file_info(fs.FileSelector("shop", recursive=True))
    assert sorted(one.base_name for one in found if one.is_file) == sorted(
        [f"picks{suffix}", f"picks.similar{suffix}"]
    )

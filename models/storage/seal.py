"""A folder's seal: the digest of each of its files, so that damage is told by the file's name.

`models.storage.archive` does the same for checkpoints, whose arrays have digests of their own; what
TensorFlow writes has none that it checks before it loads, and a damaged file may load.
"""

import hashlib
import json
from pathlib import Path

from models.errors import CorruptCheckpoint

SEAL = Path("assets.extra") / "sha256.json"


def close(folder: Path) -> None:
    """Writes the digests of all files that are in the folder now."""
    path = folder / SEAL
    path.parent.mkdir(exist_ok=True)
    digests = {name: _digest(folder / name) for name in _files(folder)}
    path.write_text(json.dumps(digests, indent=1))


def check(folder: Path) -> None:
    """Raises CorruptCheckpoint, with the name of a file, unless the files are those that were sealed."""
    path = folder / SEAL
    try:
        sealed = dict(json.loads(path.read_bytes()))
    except FileNotFoundError:
        raise CorruptCheckpoint(f"{path.relative_to(folder)} is missing in {folder}") from None
    except (OSError, ValueError, TypeError):
        raise CorruptCheckpoint(f"{path.relative_to(folder)} in {folder} cannot be read") from None
    for name, digest in sealed.items():
        try:
            found = _digest(folder / name)
        except OSError:
            raise CorruptCheckpoint(f"{name} is missing in {folder}") from None
        if found != digest:
            raise CorruptCheckpoint(f"{name} in {folder} is not what was written")
    for name in _files(folder):
        if name not in sealed:
            raise CorruptCheckpoint(f"{name} in {folder} is not what was written")


def is_whole(folder: Path) -> bool:
    """Whether `check` would pass."""
    try:
        check(folder)
    except CorruptCheckpoint:
        return False
    return True


def _files(folder: Path) -> list[str]:
    """All files but the seal, relative to the folder."""
    names = (path.relative_to(folder) for path in sorted(folder.rglob("*")) if path.is_file())
    return [name.as_posix() for name in names if name != SEAL]


def _digest(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()

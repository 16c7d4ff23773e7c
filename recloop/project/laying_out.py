"""Laying a project out, and again after an upgrade: no file that somebody has edited is touched.

What was laid out is noted by its hash in `.recloop/laid_out.json`. A file that still has that hash is
the engineer's to keep or recloop's to renew; one with another is the engineer's.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from recloop.errors import BadInput
from recloop.project.project_file import FILE, FOLDERS, TEXT

HERE = Path(__file__).resolve().parent
PACKED = HERE / "files"
"""Where a wheel carries the folders; a checkout has them at its root."""
NOTE = Path(".recloop") / "laid_out.json"
TEXTS = {"README.md": HERE / "laid_out_readme.md", ".gitignore": HERE / "laid_out_gitignore.txt"}


def shipped() -> Path:
    """The folder in which this installation has dags/, plugins/, feature_repo/ and config/."""
    return PACKED if PACKED.is_dir() else HERE.parent.parent


def in_checkout() -> bool:
    """Whether this code runs from a checkout, which is a project itself."""
    return not PACKED.is_dir()


def home_of(project: Path) -> Path:
    """Where a project writes, unless a setting says another place.

    Raises:
        BadInput: there is no project, only what the wheel would lay out.
    """
    if project == PACKED:
        raise BadInput(
            "there is no recloop project here. Make one: `recloop init shop`, then `cd shop`; or name "
            "one by RECLOOP_PROJECT, or a folder to write to by RECLOOP_HOME."
        )
    return project / "var"


@dataclass
class Laid:
    """What became of each file, as paths relative to the project."""

    written: list[str] = field(default_factory=list)
    renewed: list[str] = field(default_factory=list)
    """Of an earlier version, not edited: this version's now."""
    kept: list[str] = field(default_factory=list)
    """Edited: this version's text is another."""
    removed: list[str] = field(default_factory=list)
    """Laid out once, then deleted by somebody: left so."""
    dropped: list[str] = field(default_factory=list)
    """Laid out once, and no file of this version: left where they are."""


def lay_out(folder: Path) -> Laid:
    """Make `folder` a project, or renew the one that it is.

    Raises:
        BadInput: the folder cannot be written, or holds something else.
    """
    note = folder / NOTE
    known = _noted(note)
    if folder.resolve() == shipped().resolve():
        raise BadInput(
            f"{folder} is recloop's own checkout, a project itself; name another folder."
        )
    begun = (folder / FILE).is_file()  # also by a command that was killed before it noted anything
    if folder.is_dir() and not begun and any(at.name != ".git" for at in folder.iterdir()):
        raise BadInput(
            f"{folder} holds files, and no recloop project. Name a new or an empty folder."
        )
    laid, hashes = Laid(), {}
    try:
        if not begun:
            folder.mkdir(parents=True, exist_ok=True)
            (folder / FILE).write_text(TEXT, encoding="utf-8")
        for name, source in _files():
            path, new = folder / name, source.read_bytes()
            hashes[name] = hashlib.sha256(new).hexdigest()
            if path.is_file():
                has = hashlib.sha256(path.read_bytes()).hexdigest()
                if has == hashes[name]:
                    continue
                if has != known.get(name):
                    laid.kept.append(name)
                    continue
                laid.renewed.append(name)
            elif name in known:
                laid.removed.append(name)
                continue
            else:
                laid.written.append(name)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(new)
        laid.dropped += [name for name in known if name not in hashes and (folder / name).exists()]
        note.parent.mkdir(exist_ok=True)
        note.write_text(json.dumps(hashes, indent=1), encoding="utf-8")
    except OSError as error:
        raise BadInput(f"{error.filename} cannot be written: {error.strerror}.") from error
    return laid


def _noted(note: Path) -> dict[str, str]:
    if not note.is_file():
        return {}
    try:
        return dict(json.loads(note.read_text(encoding="utf-8")))
    except ValueError as error:
        raise BadInput(f"{note} cannot be read: {error}. Restore it, or remove it.") from error


def source_of(name: str) -> Path:
    """The file of this installation that a project's file was laid out from."""
    return TEXTS.get(name, shipped() / name)


def _files() -> Iterator[tuple[str, Path]]:
    """Every file of a project: its path there, and the one it comes from."""
    yield from TEXTS.items()
    for top in FOLDERS:
        for path in sorted((shipped() / top).rglob("*")):
            if path.is_file() and "__pycache__" not in path.parts:
                yield str(path.relative_to(shipped())), path

"""Writing a folder whole or not at all."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def whole_directory(directory: Path) -> Iterator[Path]:
    """Gives an empty folder to write in; on success it becomes `directory`, on failure it is gone.

    The folder is made beside the destination, so that the last step is a rename in one file
    system. A `directory` that exists is replaced: a reader finds the old content, the new, or, for
    an instant, none; never half. Where that instant matters, write to a new name (releases do).

    >>> with whole_directory(Path("model")) as staging:            # doctest: +SKIP
    ...     (staging / "manifest.json").write_text("{}")
    """
    directory.parent.mkdir(parents=True, exist_ok=True)
    staging = Path(tempfile.mkdtemp(prefix=f".{directory.name}-", dir=directory.parent))
    try:
        yield staging
        if directory.exists():
            old = Path(tempfile.mkdtemp(prefix=f".{directory.name}-old-", dir=directory.parent))
            os.rename(directory, old / directory.name)
            os.rename(staging, directory)
            shutil.rmtree(old, ignore_errors=True)
        else:
            os.rename(staging, directory)
    finally:
        shutil.rmtree(staging, ignore_errors=True)

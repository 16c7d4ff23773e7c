"""The house: no import runs up a floor or in a circle, no two modules have one name, a test names each,
and what a text calls a file is one."""

from __future__ import annotations

import ast
import re
import shutil
import subprocess
import sys
from collections import Counter
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

from recloop.settings import PROJECT

pytestmark = pytest.mark.slow

PRODUCT = ("models", "recloop")
CODE = (*PRODUCT, "dags", "plugins", "benchmarks", "docsite", "feature_repo")
COMMON = {"__init__", "errors"}
"""File names that both packages may have."""


def modules(*tops: str, root: Path = PROJECT) -> dict[str, Path]:
    """The modules under these folders, by dotted name."""
    found = {}
    for top in tops:
        for path in sorted((root / top).rglob("*.py")):
            name = ".".join(path.relative_to(root).with_suffix("").parts)
            found[name.removesuffix(".__init__")] = path
    return found


def imported(path: Path, known: dict[str, Path]) -> set[str]:
    """The known modules that a file imports anywhere in it, for types too."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module:
            names = [f"{node.module}.{alias.name}" for alias in node.names]
            found |= {name if name in known else node.module for name in names}
        elif isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
    return found & set(known)


def test_no_module_imports_itself_by_way_of_others() -> None:
    known = modules(*PRODUCT)
    arrows = {name: imported(path, known) - {name} for name, path in known.items()}
    try:
        TopologicalSorter(arrows).prepare()
    except CycleError as circle:
        pytest.fail(f"imports run in a circle: {' -> '.join(circle.args[1])}")


@pytest.mark.parametrize(
    ("file", "arrow", "contract"),
    [
        ("models/data/ragged.py", "from models.two_tower import two_tower", "floors of models"),
        ("recloop/ledger/parts.py", "from recloop.stages import status", "floors of recloop"),
    ],
)
@pytest.mark.parametrize("for_types", [False, True])
def test_a_planted_arrow_breaks_the_contract(
    tmp_path: Path, file: str, arrow: str, contract: str, for_types: bool
) -> None:
    for top in (*PRODUCT, "benchmarks", "docsite"):
        shutil.copytree(
            PROJECT / top, tmp_path / top, ignore=shutil.ignore_patterns("__pycache__", "*.sql")
        )
    shutil.copy(PROJECT / "pyproject.toml", tmp_path)
    planted = f"from typing import TYPE_CHECKING\n\nif TYPE_CHECKING:\n    {arrow}\n"
    path = tmp_path / file
    path.write_text(f"{path.read_text()}\n{planted if for_types else arrow}\n")
    lint = Path(sys.executable).with_name("lint-imports")
    done = subprocess.run([lint, "--no-cache"], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 1
    assert re.search(rf"{contract} BROKEN", done.stdout)
    assert done.stdout.count("BROKEN") == 1


def test_no_two_modules_have_one_name() -> None:
    names = Counter(path.stem for path in modules(*PRODUCT).values())
    assert {name for name, count in names.items() if count > 1} <= COMMON


def test_a_file_that_a_text_names_is_there() -> None:
    files = {str(path.relative_to(PROJECT)) for path in modules(*CODE, "tests").values()}
    texts = [*modules(*CODE, "tests").values(), *PROJECT.glob("*.md")]
    texts += [*(PROJECT / "docs").rglob("*.md"), *(PROJECT / "config").rglob("*.toml")]
    gone = [
        f"{path.relative_to(PROJECT)}: {name}"
        for path in texts
        for name in re.findall(r"`([\w/]+\.py)`", path.read_text())
        if not any(file == name or file.endswith(f"/{name}") for file in files)
        and name != "airflow_local_settings.py"
    ]
    assert not gone


def test_a_module_that_a_text_names_is_there() -> None:
    known = modules(*CODE, "tests")
    gone = [
        f"{path.relative_to(PROJECT)}: {name}"
        for path in [*known.values(), PROJECT / "README.md"]
        for name in re.findall(r"`((?:models|recloop)\.[a-z_.]+)", path.read_text())
        if not any(name.rstrip(".").rsplit(".", cut)[0] in known for cut in range(3))
    ]
    assert not gone


def test_every_module_is_named_by_a_test() -> None:
    named: set[str] = set()
    known = modules(*PRODUCT)
    for path in modules("tests").values():
        named |= imported(path, known)
        named |= {name for name in re.findall(r"[\w.]+", path.read_text()) if name in known}
    mirrors = {
        name: PROJECT / "tests" / path.relative_to(PROJECT).with_name(f"test_{path.name}")
        for name, path in known.items()
        if path.stem != "__init__"
    }
    assert not [name for name in mirrors if name not in named and not mirrors[name].exists()]

"""The newcomer's test: lines drawn from the tree, and what folder and file name alone say of them.

    python -m tests.newcomer --seed 12

Prints, for each line, its place, the room's own sentence, and the rooms that it may import: those on
lower floors of `pyproject.toml`. The reader covers all but the place, and guesses.
"""

from __future__ import annotations

import ast
import random
import tomllib
from typing import Annotated

import typer

from recloop.settings import PROJECT


def floors() -> dict[str, list[list[str]]]:
    """Floors from the top, each of rooms, by container."""
    content = tomllib.loads((PROJECT / "pyproject.toml").read_text())
    return {
        contract["containers"][0]: [layer.split(" | ") for layer in contract["layers"]]
        for contract in content["tool"]["importlinter"]["contracts"]
        if contract["type"] == "layers"
    }


def may_import(container: str, room: str) -> list[str]:
    """The rooms of the container that stand lower, and, for recloop, models."""
    layers = floors()[container]
    (place,) = (n for n, layer in enumerate(layers) if room in layer)
    lower = [name for layer in layers[place + 1 :] for name in layer]
    return [*lower, "models"] if container == "recloop" else lower


def main(
    seed: Annotated[int, typer.Option()] = 12, lines: Annotated[int, typer.Option()] = 10
) -> None:
    """Draw lines of code and tell their rooms."""
    drawn = [
        (path, number, line.strip())
        for container in floors()
        for path in sorted((PROJECT / container).rglob("*.py"))
        for number, line in enumerate(path.read_text().splitlines(), 1)
        if line.strip() and not line.strip().startswith(("#", '"""'))
    ]
    for path, number, line in random.Random(seed).sample(drawn, lines):
        place = path.relative_to(PROJECT)
        container, room = place.parts[0], place.parts[1].removesuffix(".py")
        init = path if len(place.parts) == 2 else path.parent / "__init__.py"
        says = (ast.get_docstring(ast.parse(init.read_text())) or "").split("\n")[0]
        print(f"{place}:{number}   {line[:60]}")
        print(f"    room        {room}: {says}")
        print(f"    may import  {', '.join(may_import(container, room)) or 'none'}")


if __name__ == "__main__":
    typer.run(main)

"""The kinds of input there are, by name."""

from __future__ import annotations

from tests.fuzz.cases import Kind
from tests.fuzz.datasets import Datasets
from tests.fuzz.deltas import Deltas
from tests.fuzz.files import Files
from tests.fuzz.forms import Forms
from tests.fuzz.lines import Lines
from tests.fuzz.plans import Plans
from tests.fuzz.world import World

KINDS: dict[str, type] = {
    kind.name: kind for kind in (Lines, Files, Plans, Datasets, Deltas, Forms)
}


def make(name: str, world: World) -> Kind:
    """The kind of that name; costly things are made once."""
    made: Kind = KINDS[name](world)
    return made

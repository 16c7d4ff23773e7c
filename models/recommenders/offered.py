"""The families that come with recloop, and what a form may offer of each.

Imports nothing but the standard library: DAG files are parsed again and again, and read this. All else
that a family says of itself is in its `Family`, beside its configuration.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from typing import Any

SCOPES_OF_NETWORKS = ("everything", "embeddings", "ids", "users", "items", "touched")
PACKINGS = ("prune", "float16", "int8", "float32")
FEATURES = ("history", "own_items", "statistics")
"""Inputs that a feature store answers; a family without them pays for no features."""
DEFAULT = "retrieve_and_rank"


@dataclass(frozen=True)
class Offered:
    """What a family can be asked for.

    Attributes:
        place: `module:NAME` of its `Family`.
        inputs: what it needs of each event (`models.recommenders.family.INPUTS`).
        scopes: what an increment may be restricted to.
        maintenance: kinds of making a model smaller, beside none.
    """

    place: str
    inputs: tuple[str, ...]
    scopes: tuple[str, ...] = SCOPES_OF_NETWORKS
    maintenance: tuple[str, ...] = PACKINGS


FAMILIES = {
    "retrieve_and_rank": Offered(
        "models.retrieve_and_rank.two_stage_config:FAMILY",
        ("history", "own_items", "statistics", "content"),
        maintenance=(*PACKINGS, "student"),
    ),
    "click_through": Offered(
        "models.click_through.click_config:FAMILY",
        ("own_items", "statistics", "labels"),
        scopes=(*SCOPES_OF_NETWORKS, "head"),
    ),
    "ratings": Offered("models.factors.factorisation_config:FAMILY", ("values",)),
    "sessions": Offered(
        "models.sessions.transformer_config:FAMILY",
        ("sessions",),
        scopes=("everything", "embeddings", "ids", "items", "touched"),
    ),
}


def said_of(family: str) -> dict[str, Any]:
    """The fields of its `Family` that are said here, of one that comes with recloop."""
    found = FAMILIES[family]
    fields = {"inputs": found.inputs, "scopes": found.scopes, "maintenance": found.maintenance}
    return {"name": family, **fields}


def named(place: str) -> Any:
    """What stands at `module:NAME`."""
    module, _, name = place.partition(":")
    return getattr(import_module(module), name)


def declared(name: str) -> Any:
    """What stands where a family of this name, or of this place, should be declared.

    Raises:
        ValueError: nothing does; says what there is.
    """
    place = FAMILIES[name].place if name in FAMILIES else name
    if ":" not in place:
        raise ValueError(
            f"family {name!r} is not known; choose one of {', '.join(FAMILIES)}, or name a `Family` "
            "of your own as `package.module:NAME`."
        )
    try:
        return named(place)
    except (ImportError, AttributeError, ValueError) as error:
        raise ValueError(
            f"family {name!r} cannot be loaded: {error}. Correct the name, or make its module one "
            "that Python finds (PYTHONPATH) in every process of recloop."
        ) from error


def offered_by(family: str) -> Offered:
    """What a family offers; one of somebody's own is imported for it.

    Raises:
        ValueError: there is none of this name; says what there is.
    """
    if family in FAMILIES:
        return FAMILIES[family]
    found = declared(family)
    return Offered(family, found.inputs, found.scopes, found.maintenance)

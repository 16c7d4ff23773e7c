"""The families that come with recloop, and what a form may offer of each.

Imports nothing but the standard library: DAG files are parsed again and again, and read this. All else
that a family says of itself is in its `Family`, beside its configuration.
"""

from __future__ import annotations

from dataclasses import dataclass

SCOPES_OF_NETWORKS = ("everything", "embeddings", "ids", "users", "items", "touched")
PACKINGS = ("prune", "float16", "int8", "float32")
DEFAULT = "retrieve_and_rank"


@dataclass(frozen=True)
class Offered:
    """What a family can be asked for.

    Attributes:
        place: `module:NAME` of its `Family`.
        scopes: what an increment may be restricted to.
        maintenance: kinds of making a model smaller, beside none.
    """

    place: str
    scopes: tuple[str, ...] = SCOPES_OF_NETWORKS
    maintenance: tuple[str, ...] = PACKINGS


FAMILIES = {
    "retrieve_and_rank": Offered(
        "models.retrieve_and_rank.two_stage_config:FAMILY", maintenance=(*PACKINGS, "student")
    ),
    "ratings": Offered("models.factors.factorisation_config:FAMILY"),
    "sessions": Offered(
        "models.sessions.transformer_config:FAMILY",
        scopes=("everything", "embeddings", "ids", "items", "touched"),
    ),
}

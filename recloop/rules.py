"""The rule files `config/update.toml` and `config/gate.toml`, checked.

Belongs here: shapes and bounds of limits. Keep out: applying them (`update/policy.py`,
`update/gate.py`), and the limits of validation (`validation/`).
"""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from recloop.errors import BadInput
from recloop.settings import Settings


class _Table(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class PolicyRules(_Table):
    minimum_events: int = Field(ge=0)
    rebuild_after_windows: int = Field(ge=1)


class HoldoutRules(_Table):
    share: float = Field(gt=0, lt=1)
    top_up: bool


class RebuildRules(_Table):
    recent_days: int = Field(ge=0)


class BaselineRules(_Table):
    popularity_days: int = Field(ge=1)


class UpdateRules(_Table):
    """`config/update.toml`."""

    policy: PolicyRules
    holdout: HoldoutRules
    rebuild: RebuildRules
    baseline: BaselineRules


class BootstrapRules(_Table):
    samples: int = Field(ge=100)
    confidence: float = Field(gt=0.5, lt=1)


class GateLimits(_Table):
    """Limits of the gate; the file's comments say what each means."""

    minimum_users: int = Field(ge=1)
    largest_weight: float = Field(gt=0)
    catalogue_share: float = Field(ge=0)
    coverage_ratio: float = Field(ge=0)
    recall_difference: float
    ndcg_difference: float
    all_pairs_ndcg_difference: float
    difference_high: float
    new_users_difference: float
    new_items_difference: float
    minimum_slice_users: int = Field(ge=1)


class GateRules(_Table):
    """`config/gate.toml`."""

    bootstrap: BootstrapRules
    rules: GateLimits


T = TypeVar("T", bound=_Table)


def load_update_rules(settings: Settings) -> UpdateRules:
    """Read `update.toml`. Raises BadInput naming the key, the value and the remedy."""
    return read_rules(settings.config / "update.toml", UpdateRules)


def load_gate_rules(settings: Settings) -> GateRules:
    """Read `gate.toml`. Raises BadInput naming the key, the value and the remedy."""
    return read_rules(settings.config / "gate.toml", GateRules)


def read_rules(path: Path, shape: type[T]) -> T:
    """Read one TOML file into `shape`."""
    try:
        with path.open("rb") as file:
            return shape.model_validate(tomllib.load(file))
    except FileNotFoundError as error:
        raise BadInput(f"{path} is missing; restore it, or set RECLOOP_CONFIG.") from error
    except tomllib.TOMLDecodeError as error:
        raise BadInput(f"{path} is not valid TOML: {error}. Mend that line.") from error
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(part) for part in first["loc"])
        raise BadInput(
            f"{path}: `{key}` cannot be used: {first['msg']}. Received: {first['input']!r}. "
            "The comments in the file say what each key means."
        ) from error

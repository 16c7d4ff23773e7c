"""The rule files `config/update.toml` and `config/gate.toml`, checked.

Belongs here: shapes and bounds of limits. Keep out: applying them (`update/policy.py`,
`update/gate.py`), and the limits of validation (`validation/`).
"""

from __future__ import annotations

from pydantic import Field

from recloop.settings import Settings
from recloop.toml_file import Section, read_toml, to_model


class PolicyRules(Section):
    minimum_events: int = Field(ge=0)
    rebuild_after_windows: int = Field(ge=1)


class HoldoutRules(Section):
    share: float = Field(gt=0, lt=1)
    top_up: bool


class RebuildRules(Section):
    recent_days: int = Field(ge=0)


class BaselineRules(Section):
    popularity_days: int = Field(ge=1)


class UpdateRules(Section):
    """`config/update.toml`."""

    policy: PolicyRules
    holdout: HoldoutRules
    rebuild: RebuildRules
    baseline: BaselineRules


class BootstrapRules(Section):
    samples: int = Field(ge=100)
    confidence: float = Field(gt=0.5, lt=1)


class GateLimits(Section):
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


class GateRules(Section):
    """`config/gate.toml`."""

    bootstrap: BootstrapRules
    rules: GateLimits


def load_update_rules(settings: Settings) -> UpdateRules:
    """Read `update.toml`. Raises BadInput naming the key, the value and the remedy."""
    path = settings.config / "update.toml"
    return to_model(UpdateRules, read_toml(path), path)


def load_gate_rules(settings: Settings) -> GateRules:
    """Read `gate.toml`. Raises BadInput naming the key, the value and the remedy."""
    path = settings.config / "gate.toml"
    return to_model(GateRules, read_toml(path), path)

"""Limits of the rules: `config/validation.toml`, with a dataset's own `[limits]` over them.

Belongs here: shapes and bounds of limits. Keep out: what the rules are (see `row_rules.py`, `suite.py`).
"""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, field_validator

from recloop.config.dataset import DatasetSpec
from recloop.config.toml_file import Section, read_toml, to_model
from recloop.settings import Settings

Share = Annotated[float, Field(ge=0, le=1)]
Range = tuple[float, float]


class RowLimits(Section):
    """`[rows]`: single lines, and how many of a window may break one rule."""

    price_ratio: float = Field(gt=1)
    share: Share
    """Of a window's lines, that one row rule may quarantine; beyond, the window is refused."""
    shares: dict[str, Share] = Field(default_factory=dict)
    """The same for single rules."""

    def share_of(self, rule: str) -> float:
        return self.shares.get(rule, self.share)


class WindowLimits(Section):
    """`[window]`: a window outside one of these is refused. The file says what each one is."""

    trailing_windows: int = Field(ge=1)
    minimum_trailing: int = Field(ge=1)
    minimum_compared: int = Field(ge=1)
    minimum_lines: int = Field(ge=0)
    volume_ratio: Range
    missing_days: int = Field(ge=0)
    closed_day_lines: int = Field(ge=0)
    silent_hours: float = Field(ge=0)
    freshness_days: float = Field(gt=0)
    quarantined_share: Share
    quarantined_share_rise: Share
    duplicate_share: Share
    copied_share: Share
    price_median_ratio: Range
    price_shift: float = Field(ge=0)
    value_median_ratio: Range
    item_drift_rise: float = Field(ge=0)
    changed_text_share: Share
    repeat_pair_ratio: Range
    late_share: Share

    @field_validator(
        "volume_ratio", "price_median_ratio", "value_median_ratio", "repeat_pair_ratio"
    )
    @classmethod
    def _ordered(cls, given: Range) -> Range:
        if not 0 <= given[0] < given[1]:
            raise ValueError(
                f"{list(given)} should be [lowest, highest] with 0 <= lowest < highest."
            )
        return given


class Limits(Section):
    """`config/validation.toml`."""

    rows: RowLimits
    window: WindowLimits


def load_limits(settings: Settings, spec: DatasetSpec) -> Limits:
    """The limits for this dataset.

    Raises:
        BadInput: a file or key cannot be used; the message names it.
    """
    path = settings.config / "validation.toml"
    content = read_toml(path)
    if not spec.limits:
        return to_model(Limits, content, path)
    to_model(Limits, content, path)  # so that a mistake is blamed on the file that has it
    for section, values in spec.limits.items():
        own = content.get(section)
        merged = {**own, **values} if isinstance(own, dict) and isinstance(values, dict) else values
        content[section] = merged
    return to_model(Limits, content, settings.dataset_file)


def place_of(rules: list[str], settings: Settings) -> str:
    """A sentence that says where the limits of these rules can be set."""
    window = [rule for rule in rules if rule in WindowLimits.model_fields]
    rows = [rule for rule in rules if rule not in window]
    keys = [f"[limits.window] {', '.join(window)}"] * bool(window)
    keys += [f"[limits.rows.shares] {', '.join(rows)}"] * bool(rows)
    return (
        f"Limits of this dataset: {' and '.join(keys)} in {settings.dataset_file}; what it does not "
        f"set is in {settings.config / 'validation.toml'}."
    )

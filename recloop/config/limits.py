"""Limits of the rules: `config/validation.toml`, with a dataset's own `[limits]` over them.

Belongs here: shapes and bounds of limits. Keep out: what the rules are (see `row_rules.py`, `suite.py`).
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, field_validator

from recloop.config.dataset import DatasetSpec
from recloop.config.toml_file import Section, read_toml, to_model
from recloop.errors import BadInput
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
    minimum_compared: int = Field(ge=1)
    minimum_lines: int = Field(ge=0)
    missing_days: int = Field(ge=0)
    closed_day_lines: int = Field(ge=0)
    freshness_days: float = Field(gt=0)
    late_share: Share


class LearntLimits(Section):
    """`[learnt]`: how limits are learnt from the windows so far."""

    false_alarms: float = Field(default=0.015, gt=0, le=0.5)
    history_windows: int = Field(default=60, ge=4)
    bootstrap_windows: int = Field(default=8, ge=0)
    confirm_after: int = Field(default=3, ge=0)


class FixedLimits(Section):
    """`[fixed]`: `[lowest, highest]` in place of what would be learnt, in the measure's own unit."""

    lines_per_day: Range | None = None
    lines_per_user: Range | None = None
    top_user_share: Range | None = None
    top_item_share: Range | None = None
    new_user_share: Range | None = None
    new_item_share: Range | None = None
    seen_pair_share: Range | None = None
    repeat_pair_share: Range | None = None
    item_drift: Range | None = None
    hour_shift: Range | None = None
    hour_drift: Range | None = None
    silent_share: Range | None = None
    price_level: Range | None = None
    price_shift: Range | None = None
    value_level: Range | None = None
    foreign_text_share: Range | None = None
    changed_text_share: Range | None = None
    quarantined_share: Range | None = None
    duplicate_share: Range | None = None
    copied_share: Range | None = None

    @field_validator("*")
    @classmethod
    def _ordered(cls, given: Range | None) -> Range | None:
        if given is not None and not given[0] < given[1]:
            raise ValueError(f"{list(given)} should be [lowest, highest] with lowest < highest.")
        return given

    def of(self, name: str) -> Range | None:
        """The limits of a rule, if they are fixed."""
        found: Range | None = getattr(self, name, None)
        return found


class Limits(Section):
    """`config/validation.toml`."""

    rows: RowLimits
    window: WindowLimits
    learnt: LearntLimits = LearntLimits()
    fixed: FixedLimits = FixedLimits()


LEARNT_NOW = {
    "volume_ratio": "lines_per_day",
    "silent_hours": "silent_share",
    "quarantined_share": "quarantined_share",
    "quarantined_share_rise": "quarantined_share",
    "duplicate_share": "duplicate_share",
    "copied_share": "copied_share",
    "price_median_ratio": "price_level",
    "price_shift": "price_shift",
    "value_median_ratio": "value_level",
    "item_drift_rise": "item_drift",
    "changed_text_share": "changed_text_share",
    "repeat_pair_ratio": "repeat_pair_share",
}
"""Limits that used to be set by hand, and the learnt rules in their places."""


def load_limits(settings: Settings, spec: DatasetSpec) -> Limits:
    """The limits for this dataset.

    Raises:
        BadInput: a file or key cannot be used; the message names it.
    """
    path = settings.config / "validation.toml"
    content = read_toml(path)
    for file, limits in ((path, content), (settings.dataset_file, spec.limits)):
        _refuse_retired(file, limits)
    if not spec.limits:
        return to_model(Limits, content, path)
    to_model(Limits, content, path)  # so that a mistake is blamed on the file that has it
    for section, values in spec.limits.items():
        own = content.get(section)
        merged = {**own, **values} if isinstance(own, dict) and isinstance(values, dict) else values
        content[section] = merged
    return to_model(Limits, content, settings.dataset_file)


def _refuse_retired(file: Path, limits: dict[str, Any]) -> None:
    window = limits.get("window")
    for key in window if isinstance(window, dict) else ():
        if key in LEARNT_NOW:
            raise BadInput(
                f"{file}: window.{key} is learnt from the shop's own windows now: remove it. To fix its "
                f"limit by hand, set {LEARNT_NOW[key]} = [lowest, highest] under [limits.fixed] of the "
                "dataset file; `recloop profile` shows what is usual."
            )


def place_of(rules: list[str], settings: Settings) -> str:
    """A sentence that says where the limits of these rules can be set."""
    window = [rule for rule in rules if rule in WindowLimits.model_fields]
    fixed = [rule for rule in rules if rule in FixedLimits.model_fields]
    rows = [rule for rule in rules if rule not in (*window, *fixed)]
    keys = [f"[limits.window] {', '.join(window)}"] * bool(window)
    keys += [f"[limits.fixed] {', '.join(fixed)}"] * bool(fixed)
    keys += [f"[limits.rows.shares] {', '.join(rows)}"] * bool(rows)
    return (
        f"Limits of this dataset: {' and '.join(keys)} in {settings.dataset_file}; what it does not "
        f"set is learnt, or in {settings.config / 'validation.toml'}."
    )

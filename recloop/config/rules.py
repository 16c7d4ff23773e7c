"""The rule files `config/update.toml` and `config/gate.toml`, and when the DAGs that they time are due.

Belongs here: shapes and bounds of limits, and the few lines of a dataset file that DAG files need, no
more of it, because the dag-processor parses DAG files again and again. Keep out: applying limits
(`planning/policy.py`, `evaluation/gate.py`), those of validation (`serve_file.py`).
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

from models.recommenders.offered import DEFAULT, Offered, offered_by
from recloop.calendar import DAY_KEY, HOUR_KEY, WindowCalendar
from recloop.config.dataset import Period, WindowSection
from recloop.config.event_spec import known_zone
from recloop.config.recommenders import checked, own_file
from recloop.config.toml_file import Section, read_toml, to_model
from recloop.errors import BadInput
from recloop.settings import Settings


class AdaptiveRules(Section):
    """What the adaptive policy goes by; `config/update.toml` says what each means."""

    price: float = Field(default=0.02, gt=0, le=1)
    longest_wait: int = Field(default=8, ge=1)
    explore: int = Field(default=20, ge=1)
    budget_cpu_s: float = Field(default=0.0, ge=0)
    unscorable: float = Field(default=0.3, gt=0, le=1)
    gap: float = Field(default=0.02, gt=0)
    frozen: float = Field(default=0.9, gt=0, le=1)
    surge: float = Field(default=2.5, gt=1)


class PolicyRules(Section):
    name: Literal["every-window", "every-n-windows", "volume", "never", "adaptive"] = "adaptive"
    minimum_events: int = Field(ge=0)
    every: int = Field(default=2, ge=1)
    volume: int = Field(default=5000, ge=1)
    rebuild_after_windows: int = Field(ge=1)
    adaptive: AdaptiveRules = AdaptiveRules()


class HoldoutRules(Section):
    share: float = Field(gt=0, lt=1)
    enough: int = Field(default=10_000, ge=1)
    """Events that are enough to judge by. A window of many would otherwise hold out what its challenger
    could have learnt, for an interval that is narrow already."""
    top_up: bool

    def of(self, events: int) -> float:
        """The share of a window of so many events, more than none."""
        return min(self.share, self.enough / events)


class RebuildRules(Section):
    recent_days: int = Field(ge=0)


class BaselineRules(Section):
    popularity_days: int = Field(ge=1)


class MaintenanceRules(Section):
    keep_releases: int = Field(default=5, ge=2)
    keep_impressions_days: int = Field(default=90, ge=0, le=36_500)


class ScheduleRules(Section):
    """A cron line (UTC) for each DAG that runs by the clock; empty: from its form only."""

    periodic_update: str = "30 4 * * 1"
    full_rebuild: str = "0 3 1 * *"
    shadow_rebuild: str = "0 5 15 * *"
    maintain_models: str = "30 5 1 * *"
    publish_recommendations: str = "30 6 * * *"


class UpdateRules(Section):
    """`config/update.toml`."""

    policy: PolicyRules
    holdout: HoldoutRules
    rebuild: RebuildRules
    baseline: BaselineRules
    maintenance: MaintenanceRules = MaintenanceRules()
    schedules: ScheduleRules = ScheduleRules()


class GateErrors(Section):
    """How much a challenger may lose, and how often the gate may be wrong; shares of 1."""

    margin: float = Field(default=0.05, ge=0)
    slice_margin: float = Field(default=0.15, ge=0)
    wrongly_promoted: float = Field(default=0.05, gt=0, lt=0.5)
    wrongly_refused: float = Field(default=0.05, gt=0, lt=0.5)
    patience: int = Field(default=3, ge=1)


class GateLimits(Section):
    """Limits of the gate; the file's comments say what each means."""

    minimum_users: int = Field(ge=1)
    largest_weight: float = Field(gt=0)
    catalogue_share: float = Field(ge=0)
    coverage_ratio: float = Field(ge=0)
    minimum_slice_users: int = Field(ge=1)
    largest_skew: float = Field(default=0.01, ge=0, le=1)
    minimum_served: int = Field(default=20, ge=1)


class ApprovalRules(Section):
    """When a person is asked before promotion, beside the form, and what silence means."""

    rebuild: bool = False
    grey_zone: float = Field(default=0.0, ge=0)
    patience_hours: float = Field(default=72.0, gt=0, le=160)
    unanswered: Literal["reject", "approve"] = "reject"


class GateRules(Section):
    """`config/gate.toml`."""

    errors: GateErrors = GateErrors()
    rules: GateLimits
    approval: ApprovalRules = ApprovalRules()


def load_update_rules(settings: Settings) -> UpdateRules:
    """Read `update.toml`. Raises BadInput naming the key, the value and the remedy."""
    path, own = settings.config / "update.toml", own_file(settings).update
    return checked(UpdateRules, read_toml(path), path, own, f"{settings.recommender_file} [update]")


def load_gate_rules(settings: Settings) -> GateRules:
    """Read `gate.toml`. Raises BadInput naming the key, the value and the remedy."""
    path = settings.config / "gate.toml"
    content = read_toml(path)
    limits = content.get("rules")
    retired: list[str] = [
        name for name in ("bootstrap", "next_item", "ratings", "clicks") if name in content
    ]
    retired += [
        f"rules.{k}" for k in (limits if isinstance(limits, dict) else ()) if "difference" in k
    ]
    if retired:
        raise BadInput(
            f"{path}: {retired[0]} is no longer set by hand: remove it. What a challenger may lose is a "
            "share of the champion's quality now, the same for every measure: margin and slice_margin "
            "under [errors] (docs/adr/0021-a-gate-with-stated-errors.md)."
        )
    own, owner = own_file(settings).gate, f"{settings.recommender_file} [gate]"
    return checked(GateRules, content, path, own, owner)


CRON = {"hour": "{minute} * * * *", "day": "0 0 * * *", "week": "0 0 * * 1", "month": "0 0 1 * *"}
EPOCH = datetime(2000, 1, 1, tzinfo=UTC)


class Schedule(BaseModel):
    """A run after each hour, day, week or month, and so after each window.

    Attributes:
        start: of the first window.
        end: None while data keeps coming, else the end of the last window, after which nothing is
            scheduled (backfills still are).
    """

    model_config = ConfigDict(frozen=True)

    window: WindowSection
    shop: str
    start: datetime
    end: datetime | None

    @property
    def calendar(self) -> WindowCalendar:
        """How time is cut into windows."""
        return self.window.calendar(self.shop)

    @property
    def zone(self) -> str:
        """The zone of `cron` and of partitions' keys: that of windows; of hours, which have no other
        name where the clock repeats them, UTC."""
        return "UTC" if self.window.length == "hour" else self.calendar.zone.key

    @property
    def cron(self) -> str:
        """When runs are due. Where the shop is half an hour off UTC, so are its hours."""
        offset = self.start.astimezone(self.calendar.zone).utcoffset() or timedelta()
        return CRON[self.window.length].format(minute=-int(offset.total_seconds()) // 60 % 60)

    @property
    def key_format(self) -> str:
        """strftime's form of a partition's key: of a window's, where a window is one hour, day …"""
        return HOUR_KEY if self.window.length == "hour" else DAY_KEY

    def partitions(self, first: str, last: str) -> tuple[str, str]:
        """The first and the last partition of two windows: between which a backfill goes."""
        unit = WindowCalendar(self.window.length, 1, self.calendar.zone.key)
        end = self.calendar.parse(last).end - timedelta(microseconds=1)
        return unit.at(self.calendar.parse(first).start).key, unit.at(end).key

    def over(self, partition: str, now: datetime) -> str:
        """The partition, or the one before it if it is not over: on a day whose midnight the clock
        skips, Airflow's cron takes the day that begins for the one that ends."""
        unit = WindowCalendar(self.window.length, 1, self.calendar.zone.key)
        found = unit.parse(partition)
        return (
            found.key if found.end <= now else unit.at(found.start - timedelta(microseconds=1)).key
        )

    def window_of(self, partition: str) -> str | None:
        """The window that ends with a partition; None: it goes on.

        Raises:
            BadInput: no such partition.
        """
        unit = WindowCalendar(self.window.length, 1, self.calendar.zone.key).parse(partition)
        window = self.calendar.at(unit.start)
        return window.key if window.end <= unit.end else None


class _Zone(BaseModel):
    timezone: str = "UTC"

    _zone = field_validator("timezone")(known_zone)


class _Calendar(BaseModel):
    """What of a dataset file says when DAGs run; the rest of it may be wrong."""

    window: WindowSection = WindowSection()
    period: Period = Period()
    event: _Zone = _Zone()


def read_schedule(settings: Settings) -> Schedule:
    """The schedule of the dataset that `settings` names.

    Raises:
        BadInput: the dataset file is missing or is not TOML, or its window or period cannot be used.
    """
    path = settings.dataset_file
    asked = to_model(_Calendar, read_toml(path), path)
    start, end = asked.period.start, asked.period.end
    calendar = asked.window.calendar(asked.event.timezone)
    return Schedule(
        window=asked.window,
        shop=asked.event.timezone,
        start=calendar.at(start or EPOCH).start,
        end=calendar.at(end - timedelta(microseconds=1)).end if end else None,
    )


def read_family(settings: Settings) -> Offered:
    """What the dataset's family can be asked for: [model] of the dataset file, and no more of it.

    Raises:
        BadInput: the dataset file is missing or is not TOML, or names no family.
    """
    path, model = settings.recommender_file, own_file(settings).model
    if not model:
        path = settings.dataset_file
        model = read_toml(path).get("model", {})
    if not isinstance(model, dict):
        raise BadInput(
            f"{path}: `model` should be a table; write [model] and, below it, family = {model!r}. "
            f"Received: model = {model!r}."
        )
    name = model.get("family", DEFAULT)
    try:
        return offered_by(str(name))
    except ValueError as error:
        raise BadInput(f"{path}: model.family: {error}") from error


def read_clock(settings: Settings) -> ScheduleRules:
    """When each DAG that runs by the clock does: `[schedules]` of `config/update.toml`, and no more of
    that file, so that a mistake elsewhere in it does not take the DAGs out of the UI.

    Raises:
        BadInput: the file is missing or is not TOML, or the table has a key that is no such DAG.
    """
    path = settings.config / "update.toml"
    own = own_file(settings).update.get("schedules", {})
    owner = f"{settings.recommender_file} [update.schedules]"
    return checked(ScheduleRules, read_toml(path).get("schedules", {}), path, own, owner)

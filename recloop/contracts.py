"""What passes between stages: small frozen records of URIs, counts, hashes and decisions.

JSON both ways (`model_dump(mode="json")`, `model_validate`), because Airflow carries them between
processes and the ledger keeps them. Never a data frame, never an open resource.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal, get_args

from pydantic import BaseModel, ConfigDict, Field, model_validator

Decision = Literal["skip", "increment", "rebuild", "maintain"]
Maintenance = Literal["none", "prune", "float16", "int8", "float32", "student"]
MAINTENANCE: tuple[str, ...] = get_args(Maintenance)


class Contract(BaseModel):
    """Frozen, and refuses unknown fields."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    def to_json(self) -> dict[str, Any]:
        """Plain JSON types only."""
        return self.model_dump(mode="json")


class RuleResult(Contract):
    """One rule held against one value; `value` is None when there was too little to judge."""

    name: str
    value: float | str | None
    limit: str
    passed: bool
    undecided: bool = False
    """Of a rule that has not passed: more evidence may still let it."""
    message: str = ""


class LandingReport(Contract):
    """What reading the source brought: lines read, and the windows that now have pending lines."""

    lines: int
    windows: tuple[str, ...]
    files: tuple[str, ...] = ()
    refused: tuple[str, ...] = ()


class Acceptance(Contract):
    """A person's word that a window is right although it breaks `rules`."""

    by: str
    reason: str
    at: datetime
    rules: tuple[str, ...] = ()


class ValidationReport(Contract):
    """What validation decided on one window. `rules` that are broken in a window that passed were
    overruled by a person: `acceptance` says by whom."""

    window: str
    passed: bool
    lines: int
    accepted: int
    duplicates: int
    quarantined: dict[str, int]
    data_hash: str
    rules: tuple[RuleResult, ...] = ()
    data_docs: str = ""
    returned: int = 0
    """Of the accepted lines, those that had been in the quarantine before a setting was mended."""
    acceptance: Acceptance | None = None
    kinds: dict[str, int] = Field(default_factory=dict)
    """Accepted events of each type that is learnt from, where there are several; else empty."""


class FeatureReport(Contract):
    """Which days' feature rows were written, and how many."""

    window: str
    days: int
    rows: dict[str, int]


class TrainingSet(Contract):
    """A window's examples on disk: `queries.parquet`, `interactions.parquet`, `items.parquet`."""

    window: str
    uri: str
    queries: int
    interactions: int
    items: int
    sha256: str


class Strategy(Contract):
    """How an update is done, beyond its kind. Empty tables: the defaults of
    `models/learning/recipes.py`."""

    recipe: dict[str, Any] = Field(default_factory=dict)
    """Overrides of the towers' recipe."""
    ranker: dict[str, Any] = Field(default_factory=dict)
    """Overrides of the ranker's recipe."""
    rank: bool = True
    """Whether an increment teaches the ranker, too; false: it rests, and the towers learn alone."""
    ids: dict[str, Any] = Field(default_factory=dict)
    """Overrides of `models.learning.recipes.NewIds`."""
    average_releases: int = 1
    """The challenger's weights are averaged with those of so many latest releases, itself included."""
    maintain: Maintenance = "none"
    """What is done to the trained challenger before it is judged."""
    shards: int = 1
    """An increment's events are split by user into so many shards, trained side by side."""
    shard_wait: float = 600.0
    """Seconds after which the merge takes over the shards that have not reported."""
    shard_staleness: int = 0
    """A shard that was trained from a release so many versions before the parent is still merged, the
    less the older; one from before that is not."""
    silos: tuple[str, ...] = ()
    """Folders of deltas that federated silos learned (`recloop.silos`), merged in as shards are."""


class UpdatePlan(Contract):
    """What the model needs, and why. `windows` are those the update would learn from, in order: none
    for `maintain`, which only makes the champion smaller."""

    decision: Decision
    target: str
    windows: tuple[str, ...]
    judged_on: tuple[str, ...] = ()
    """Parts of windows whose newest events judge, and are held out of training; empty: those of the
    target among `windows`."""
    rematch: int | None = None
    """The update whose candidate is the opponent, on the events that were held out of that update;
    None: the champion is. So a rebuild is judged when the champion has learnt every window."""
    parent_release: int | None
    strategy: Strategy = Strategy()
    signals: dict[str, float | str | None] = Field(default_factory=dict)
    decided_by: str = "policy"
    reason: str
    approval: bool = False
    dry_run: bool = False


class Lease(Contract):
    """The right to work on an update. Only the current token may commit."""

    update_id: int
    token: int
    holder: str


class Candidate(Contract):
    """A trained challenger on disk."""

    update_id: int
    uri: str
    parent_release: int | None
    windows: tuple[str, ...]
    holdout_from: datetime
    examples: int
    cpu_seconds: float
    sha256: str


class ShardReport(Contract):
    """What a worker learned from its shard of an update's events, on disk."""

    update_id: int
    number: int
    uri: str
    """Empty: the shard has no events."""
    parent_release: int | None
    """The release that it was trained from."""
    examples: int
    cpu_seconds: float


class Metrics(Contract):
    """A model's metrics on held-out events; `users` is how many units (users, clicks, …) were scored."""

    values: dict[str, float]
    users: int

    @model_validator(mode="before")
    @classmethod
    def _of_older_reports(cls, given: Any) -> Any:
        """Those of before there were families: recall@20 and NDCG@20 on new pairs."""
        if isinstance(given, dict) and "recall" in given:
            values = {"recall@20": given["recall"], "ndcg@20": given["ndcg"]}
            return {"values": values, "users": given["users"]}
        return given


class Served(Contract):
    """What a model costs to serve: bytes of its tables, and milliseconds per query (top 20)."""

    bytes: int
    milliseconds: float


class Gap(Contract):
    """A difference of two models' means over users, with its paired 95 % interval; None where nobody
    could be compared."""

    name: str
    mean: float | None
    low: float | None
    high: float | None
    users: int
    error: float | None = None
    """Standard error of the mean."""
    level: float | None = None
    """How good the opponent is by this measure, above knowing nothing."""


class GateReport(Contract):
    """Every rule, its value, its limit; the challenger is promoted only if all passed."""

    update_id: int
    window: str
    passed: bool
    deferred: bool = False
    """Neither passed nor refused: there is not enough evidence yet."""
    rules: tuple[RuleResult, ...]
    champion: Metrics | None
    challenger: Metrics
    champion_served: Served | None = None
    challenger_served: Served | None = None
    differences: tuple[Gap, ...] = ()
    """Challenger minus champion (or popularity, before the first release), on this window alone."""
    slices: tuple[Gap, ...] = ()
    """The same, of parts of its users."""
    evidence: tuple[str, ...] = ()
    """Windows before it whose users judged, too: their updates were deferred."""
    ask: str = ""
    """Why a person is to be asked before promotion, by a rule; empty: no rule wants one."""
    uri: str = ""

    @property
    def answer(self) -> str:
        """`passed`, `refused` or `deferred`."""
        return "passed" if self.passed else "deferred" if self.deferred else "refused"


class Release(Contract):
    """A promoted model."""

    version: int
    update_id: int
    parent_version: int | None
    uri: str
    windows: tuple[str, ...] = ()


class ShadowReport(Contract):
    """What a full retraining would have given: the incremental gap on one window.

    `gaps` are retrained minus champion-of-then on the window's users: above zero, increments have
    lost something that a full retraining would have had.
    """

    window: str
    """What both were scored on, before either had learnt from it."""
    version: int
    """The release that was champion then."""
    windows: int
    """How many windows the retrained model learnt from."""
    champion: dict[str, float]
    """Metric: the champion's mean over users."""
    retrained: dict[str, float]
    gaps: tuple[Gap, ...]
    cpu_seconds: float
    """Of the full retraining."""
    champion_cpu_seconds: float | None
    """Of the update that had made the champion."""
    summary: str
    uri: str = ""


class Thinning(Contract):
    """What was deleted, and what stays."""

    kept: tuple[int, ...]
    """Releases whose files stay."""
    thinned: tuple[int, ...]
    """Releases whose files were deleted now."""
    folders: int
    bytes: int
    registry_versions: int
    impressions: int = 0
    """Old answers of `recloop serve` that were deleted now."""
    impressions_needed: int = 0
    """Answers as old that stay, because their windows are still to be read or learnt."""
    feedback: int = 0
    """What was told of answers that are gone, deleted now."""


class Publication(Contract):
    """What an outlet was given: every user's list of one release, whole."""

    id: int
    target: str
    """`published`, a table's name, or a file's address."""
    release: int
    moment: datetime | None
    """As of which features are; None: of a family without."""
    k: int
    filters: list[dict[str, Any]]
    users: int
    """That have a list, strangers' not counted."""
    computed: int
    """Of them, those whose list was computed anew."""
    rows: int
    similar_rows: int
    """Rows of similar items."""
    sha256: str
    finished_at: datetime
    why: str = ""
    """Why all were computed anew; empty: only those whose list could have changed."""

"""Two pages: the gate's verdict, each rule with its value; and a shadow rebuild's comparison."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from recloop.contracts import Candidate, GateReport, ShadowReport, Strategy, UpdatePlan
from recloop.evaluation.challenge import judge_of
from recloop.page import template, write_page
from recloop.settings import Settings

PAGE = template(Path(__file__).with_suffix(".html"))
SYSTEMS = {
    "champion": "the champion",
    "static": "the release from scratch that its lineage began with",
    "popularity": "recent popularity",
    "own_counts": "what each user chose before",
}
SIGNALS = {
    "events": "learnable events",
    "users": "scored: users, clicks or ratings",
    "users_new": "of them, never seen before",
    "quality_all": "the champion's quality, the broader measure",
    "quality_new": "the champion's quality, the narrower measure",
    "popularity_drift": "change of the items' shares: 0 none, 1 complete",
    "feature_drift": "largest population stability index of a statistic: above 0.25 is a shift",
    "new_users": "share of events by users never seen before",
    "new_items": "share of events on items never seen before",
    "unscorable": "share of events on items that the champion cannot score",
    "repeated": "share of the user-item pairs that the window before had, too",
    "serving_compared": "impressions that can be compared with the training set",
    "serving_users": "of so many users",
    "serving_skew": "share of them that were answered with other features than are learnt from",
    "serving_late": "further ones that differ because of events that came after the answer",
    "serving_example": "the feature that differs most often",
}


def write_gate_report(
    settings: Settings, plan: UpdatePlan, candidate: Candidate, report: GateReport, reason: str
) -> GateReport:
    """Write the page to `artifacts/gate_reports`; returns the report with its path."""
    path = settings.artifacts / "gate_reports" / f"{report.window}-update-{report.update_id}.html"
    models = [("challenger", report.challenger, report.challenger_served)]
    if report.champion is not None:
        models.insert(0, ("champion", report.champion, report.champion_served))
    judge = judge_of(settings)
    whats = {one.name: one.what for one in judge.measures}
    page = PAGE.render(
        names={name: whats.get(name, name) for name in report.challenger.values},
        metrics=judge.metrics,
        unit=judge.unit,
        report=report,
        gaps=(*report.differences, *(gap for gap in report.slices if gap.users)),
        plan=plan,
        candidate=candidate,
        reason=reason.removeprefix("refused: ").rstrip("."),
        models=models,
        opponent=judge.baseline if report.champion is None else "champion",
        strategy=told(plan.strategy),
        baselines=_baselines(plan.signals, judge.metrics),
        signals=[(n, plan.signals[n], what) for n, what in SIGNALS.items() if n in plan.signals],
    )
    write_page(path, page)
    return report.model_copy(update={"uri": str(path)})


def told(strategy: Strategy) -> list[str]:
    """What a strategy asks for beyond the defaults, one phrase each: `recipe.epochs = 2`."""
    phrases = []
    for name, value in strategy.model_dump(exclude_defaults=True).items():
        if isinstance(value, dict):
            phrases += [f"{name}.{key} = {_plain(one)}" for key, one in value.items()]
        else:
            phrases.append(f"{name} = {_plain(value)}")
    return phrases


def _plain(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list | tuple):
        return ", ".join(map(str, value))
    return f"{value:g}" if isinstance(value, float) else str(value)


def _baselines(signals: dict[str, Any], metrics: tuple[str, ...]) -> list[tuple[str, list[Any]]]:
    """Each system that was scored on the whole window, with its metrics in the table's order."""
    found = []
    for system, name in SYSTEMS.items():
        keys = [f"{system}_{metric}" for metric in metrics]
        if any(key in signals for key in keys):
            found.append((name, [signals.get(key) for key in keys]))
    return found


SHADOW_PAGE = template(Path(__file__).with_name("shadow_page.html"))


def write_shadow_page(settings: Settings, report: ShadowReport) -> ShadowReport:
    """Write the page to `artifacts/shadow_reports`; returns the report with its path."""
    path = settings.artifacts / "shadow_reports" / f"{report.window}-release-{report.version}.html"
    write_page(path, SHADOW_PAGE.render(report=report))
    return report.model_copy(update={"uri": str(path)})

"""Champion against challenger, on the same held-out events and candidates; and the champion alone on
a whole window before anything learns from it.

Prequential ("test, then train") evaluation: Gama, Sebastião, Rodrigues, On evaluating stream learning
algorithms, Machine Learning 90, 2013.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np

from models.data.events import Events
from models.recommenders.family import Recommender
from recloop.calendar import Window
from recloop.config.learnable import Meaning
from recloop.config.rules import GateRules, UpdateRules
from recloop.contracts import Candidate, GateReport, Release, Served, TrainingSet, UpdatePlan
from recloop.database.connection import transaction
from recloop.evaluation.asking import why_ask
from recloop.evaluation.differences import paired_difference
from recloop.evaluation.gate import Soundness, measure, results_of, verdict
from recloop.evaluation.scoring import HeldOutEvents, Judge, Scores, judge_named
from recloop.evaluation.serving_rule import serving_rule
from recloop.features.damping import damping
from recloop.features.examples import read_examples
from recloop.features.heldout import Past
from recloop.settings import Settings
from recloop.training.material import FOREVER
from recloop.training.recommender import family_of, restore_model


@dataclass(frozen=True)
class Opponent:
    """What a challenger is held against.

    Attributes:
        uri: folder of the champion, or of the candidate that it was before it learnt the events that
            judge; None, where there is no champion: popularity is the opponent.
        earlier: reports of deferred challengers of the same kind against it, on other windows.
    """

    uri: str | None
    earlier: tuple[GateReport, ...] = ()


def challenge(
    settings: Settings,
    plan: UpdatePlan,
    candidate: Candidate,
    against: Opponent,
    target: Sequence[TrainingSet],
    window: Window,
    meaning: Meaning,
    rules: UpdateRules,
    gate: GateRules,
) -> tuple[GateReport, str]:
    """Judge a candidate. Returns the report, and one sentence that says why.

    Args:
        target: training sets of the parts whose newest events judge.
        window: the one that these are of.
    """
    from models.errors import ModelError

    judge, cut = judge_of(settings), candidate.holdout_from
    events = read_examples(target).between(cut, FOREVER)
    heldout = hold_out(settings, events, cut, window, meaning, rules)
    opponent = "champion" if against.uri else judge.baseline
    champion_served = challenger_served = None
    if against.uri:
        reigning = restore_model(against.uri)
        theirs = judge.score(reigning, heldout)
        champion_served = _served(reigning, heldout)
        scorable = int(np.isin(heldout.catalogue, reigning.item_keys).sum())
    else:
        theirs = judge.baselines()[opponent](heldout)
        scorable = len(heldout.catalogue) if theirs.scorable is None else theirs.scorable
    try:
        challenger = restore_model(candidate.uri, float("inf"))
        ours = judge.score(challenger, heldout)
        challenger_served = _served(challenger, heldout)
        weights = [array for array in challenger.parameters().values() if array.size]
        soundness = Soundness(
            max((float(np.abs(array).max()) for array in weights), default=float("nan")),
            int(np.isin(heldout.catalogue, challenger.item_keys).sum()),
            scorable,
        )
    except ModelError as error:
        # NaNs do not restore: the gate refuses, and says what the check said.
        nothing = {name: np.full(len(values), np.nan) for name, values in theirs.values.items()}
        ours, soundness = Scores(nothing), Soundness(float("nan"), 0, scorable)
        detail = f" ({error})"
    else:
        detail = ""
    measured = measure(judge, heldout, ours, theirs)
    shown, earlier = (ours.shown, theirs.shown), against.earlier
    results = results_of(judge, measured, shown, soundness, gate, opponent, earlier)
    results += serving_rule(plan.signals, gate.rules)
    answer, reason = verdict(results)
    passed = answer == "promote"
    report = GateReport(
        update_id=candidate.update_id,
        window=plan.target,
        passed=passed,
        deferred=answer == "defer",
        rules=results,
        champion=theirs.metrics(judge.headline) if against.uri else None,
        challenger=ours.metrics(judge.headline),
        champion_served=champion_served,
        challenger_served=challenger_served,
        differences=measured.reported(),
        slices=measured.reported(slices=True),
        evidence=tuple(one.window for one in earlier),
        ask=why_ask(plan, measured, gate) if passed and against.uri else "",
    )
    return report, reason + detail


def judge_of(settings: Settings) -> Judge:
    """The evaluation that the dataset's family names."""
    return judge_named(family_of(settings).judged_by)


def hold_out(
    settings: Settings,
    events: Events,
    cut: datetime,
    window: Window,
    meaning: Meaning,
    rules: UpdateRules,
) -> Any:
    """These events of a window (all at or after `cut`), arranged by its judge (`HeldOutEvents`), without
    those of robots and bursts."""
    sound = damping(events.user_keys[events.query], events.item_keys) == 1
    events = events if sound.all() else events.where(sound)
    if len(events.times) and np.ptp(events.times) < np.timedelta64(1, "s"):
        cut = cut.replace(microsecond=0)  # one moment, cut between users (`examples.spread`)
    with transaction(settings.database_url) as cursor:
        past = Past(cut, window.start, meaning, rules.baseline.popularity_days)
        return judge_of(settings).hold_out(cursor, events, past)


def scores_of(settings: Settings, window: str, version: int) -> Path:
    """Where the scores of a release on a window that it had not learnt are kept."""
    return settings.artifacts / "prequential" / window / f"{version}.npz"


def evaluate_prequentially(
    settings: Settings,
    champion: Release,
    base: Release,
    target: TrainingSet,
    window: Window,
    meaning: Meaning,
    rules: UpdateRules,
) -> tuple[dict[str, float | str | None], np.ndarray]:
    """Score the champion on a window that it has not learnt from, beside its baselines: the release
    from scratch that its lineage began with (`static`), and those of the judge.

    Scores are kept as `artifacts/prequential/<window>/<release>.npz`, for paired tests.

    Returns:
        Means by `<system>_recall@20` and the like, None where nobody was scored, and the items that the
        champion can score (int64).
    """
    judge, events = judge_of(settings), read_examples([target])
    heldout = hold_out(settings, events, window.start, window, meaning, rules)
    reigning = restore_model(champion.uri)
    systems = {"champion": judge.score(reigning, heldout)}
    systems |= {name: baseline(heldout) for name, baseline in judge.baselines().items()}
    systems["static"] = systems["champion"]
    if base.version != champion.version:
        systems["static"] = judge.score(restore_model(base.uri), heldout)
    path = scores_of(settings, window.key, champion.version)
    path.parent.mkdir(parents=True, exist_ok=True)
    arrays: dict[str, np.ndarray] = {"user_keys": judge.owners(heldout)}
    signals: dict[str, float | str | None] = {"scores": str(path)}
    for name, scores in systems.items():
        arrays |= {f"{name}/{metric}": scores.values[metric] for metric in judge.metrics}
        signals |= {f"{name}_{metric}": said for metric, said in scores.said(judge.metrics).items()}
        signals |= {
            f"{name}_{one}": error for one, error in _errors(judge, scores, heldout).items()
        }
    signals |= judge.counts(heldout)
    temporary = path.with_suffix(".tmp.npz")
    np.savez(temporary, **arrays)  # type: ignore[arg-type]
    temporary.replace(path)
    return signals, np.array(reigning.item_keys)


def _errors(judge: Judge, scores: Scores, heldout: HeldOutEvents) -> dict[str, float]:
    """Standard errors of the means that the gate decides by, over users, as `<metric>_error`; none of a
    root of a mean or a total, nor where fewer than two users say anything."""
    found = {}
    for name in (set(judge.quality) & set(scores.values)) - set(scores.roots):
        values = scores.values[name]
        error = paired_difference(values, np.zeros_like(values), judge.owners(heldout)).error
        if np.isfinite(error):
            found[f"{name}_error"] = round(error, 6)
    return found


def _served(model: Recommender, heldout: HeldOutEvents) -> Served:
    from models.recommenders.learner import footprint

    cost = footprint(model, heldout.queries)
    return Served(bytes=cost.bytes, milliseconds=round(cost.milliseconds, 3))

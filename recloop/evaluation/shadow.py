"""Shadow rebuilds: what would a full retraining have given? Measured, never promoted.

For the newest window that the champion's lineage learnt by itself, the release that was champion until
then had been scored on it before anything learnt from it (`challenge.evaluate_prequentially`). Here a
new model learns everything before that window from scratch and is scored on the same users. Their
paired difference is the incremental gap: above zero, retraining would have been better.

Keep out: choosing when (see `dags/shadow_rebuild.py`), the page (see `gate_page.py`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from recloop.calendar import counted, part_number, whole
from recloop.config.dataset import load_dataset
from recloop.config.learnable import meaning_of
from recloop.config.rules import load_update_rules
from recloop.contracts import Gap, Release, ShadowReport, UpdatePlan
from recloop.database.connection import transaction
from recloop.evaluation.challenge import hold_out, judge_of, scores_of
from recloop.evaluation.differences import paired_difference
from recloop.evaluation.scoring import Int64, Judge
from recloop.features.examples import read_examples
from recloop.ledger import parts, releases, verdicts
from recloop.settings import Settings
from recloop.training.fitting import Recipes, rebuild, seed_of
from recloop.training.recommender import family_of, new_model

OLDER = {
    "recall@20": "recall_new",
    "ndcg@20": "ndcg_new",
    "all_pairs_recall@20": "recall",
    "all_pairs_ndcg@20": "ndcg",
}
"""Names of recorded scores before there were families."""
Float64 = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Chosen:
    """What to compare: a window, who was champion until then, what a retraining would have learnt.

    Attributes:
        cost: CPU seconds of the update that had made that champion, if they were recorded.
        windows: keys of the windows and late parts before `window`, oldest first.
        scores: the champion's recorded scores.
    """

    window: str
    version: int
    cost: float | None
    windows: tuple[str, ...]
    scores: Path


def choose(settings: Settings, window: str | None = None) -> tuple[Chosen | None, str]:
    """The newest comparison that is possible (or that on `window`), or None and why there is none.

    Raises:
        BadInput: the window's key is malformed.
    """
    wanted = load_dataset(settings).calendar.parse(window).key if window else None
    with transaction(settings.database_url) as cursor:
        champion = releases.champion(cursor)
        if champion is None:
            return None, "there is no champion yet, so nothing to compare with"
        for key, version, cost in verdicts.scored_windows(cursor, champion.version):
            if wanted is not None and key != wanted:
                continue
            scores = scores_of(settings, key, version)
            before = _before(champion, releases.release_of(cursor, version), key)
            if scores.exists() and before:
                return Chosen(key, version, cost, before, scores), ""
    which = f"window {wanted}" if wanted else "no window of the champion's lineage"
    return None, f"{which} {'has' if not wanted else 'lacks'} scores from before it was learnt"


def _before(champion: Release, then: Release, window: str) -> tuple[str, ...]:
    """Windows of the champion before `window`; of late parts those that had come by then."""
    return tuple(
        key
        for key in champion.windows
        if whole(key) < window and (not part_number(key) or key in then.windows)
    )


def compare(settings: Settings, chosen: Chosen, progress: Callable[[Any], None]) -> ShadowReport:
    """Train from scratch, score on the chosen window, hold against the recorded scores.

    Raises:
        models.errors.NonFiniteWeights: the loss exploded.
    """
    rules, judge = load_update_rules(settings), judge_of(settings)
    window = load_dataset(settings).calendar.parse(chosen.window)
    with transaction(settings.database_url) as cursor:
        learnt = [parts.training_set_of(cursor, key) for key in chosen.windows]
        target = parts.training_set_of(cursor, chosen.window)
    meaning, events = meaning_of(settings), read_examples([target])
    heldout = hold_out(settings, events, window.start, window, meaning, rules)
    plan = UpdatePlan(
        decision="rebuild",
        target=whole(chosen.windows[-1]),
        windows=chosen.windows,
        parent_release=None,
        decided_by="shadow",
        reason=f"what would a retraining before {chosen.window} have given?",
    )
    past = read_examples(learnt)
    model = new_model(settings, seed_of(settings.seed, "create"), past)
    recent = timedelta(days=rules.rebuild.recent_days)
    recipes = Recipes(family_of(settings), plan, settings.seed)
    trained = rebuild(model, past, window.start, recent, recipes, progress)
    scores = judge.score(model, heldout)
    with np.load(chosen.scores) as recorded:
        owners = judge.owners(heldout)
        ours, theirs = _paired(owners, recorded["user_keys"])
        retrained = {name: scores.values[name][ours] for name in judge.metrics}
        keys = {name: f"champion/{name}" for name in judge.metrics}
        keys |= {n: f"champion/{OLDER[n]}" for n, key in keys.items() if key not in recorded}
        champion = {name: recorded[key][theirs] for name, key in keys.items()}

    def means(values: Mapping[str, Float64]) -> dict[str, float]:
        found = replace(scores, values=values)
        return {name: round(found.mean(name), 6) for name in values}

    gaps = measure_gaps(
        retrained,
        champion,
        owners[ours],
        {one.name: one.sign for one in judge.measures},
        scores.roots,
    )
    return ShadowReport(
        window=chosen.window,
        version=chosen.version,
        windows=len(chosen.windows),
        champion=means(champion),
        retrained=means(retrained),
        gaps=gaps,
        cpu_seconds=round(trained.cpu_seconds, 3),
        champion_cpu_seconds=chosen.cost,
        summary=summarise(chosen, gaps, trained.cpu_seconds, judge, len(ours)),
    )


def measure_gaps(
    retrained: dict[str, Float64],
    champion: dict[str, Float64],
    owners: npt.NDArray[np.int64],
    signs: dict[str, int],
    roots: tuple[str, ...] = (),
) -> tuple[Gap, ...]:
    """Retrained minus champion for each metric, paired by unit, above 0 where the retrained is
    better."""
    return tuple(
        paired_difference(values, champion[name], owners, name in roots)
        .times(signs.get(name, 1))
        .to_gap(name)
        for name, values in retrained.items()
    )


def summarise(
    chosen: Chosen, gaps: tuple[Gap, ...], cpu_seconds: float, judge: Judge, units: int
) -> str:
    """One sentence that a person can read."""
    name = judge.quality[1]
    what = next(one.what for one in judge.measures if one.name == name)
    found = {gap.name: gap for gap in gaps}[name]
    if found.mean is None or found.low is None or found.high is None:
        return f"none of the {units} {judge.unit} of window {chosen.window} says anything of {what}"
    if found.low > 0:
        verdict = "retraining would have been better"
    elif found.high < 0:
        verdict = "increments were better"
    else:
        verdict = "no difference beyond chance"
    own = (
        f", where that release's own update took {chosen.cost:.1f}"
        if chosen.cost is not None
        else ""
    )
    return (
        f"{verdict}: a retraining on {counted(len(chosen.windows))} would have had {found.mean:+z.4f} "
        f"[{found.low:+z.4f}, {found.high:+z.4f}] against release {chosen.version} in {what} of window "
        f"{chosen.window}, for {cpu_seconds:.1f} CPU s{own}"
    )


def _paired(ours: Int64, theirs: Int64) -> tuple[Int64, Int64]:
    """Places, in two lists of whose each unit is, of those who have as many units here as there: a
    judge keeps a user's units in order. Late events and deletions change how many somebody has."""
    if np.array_equal(ours, theirs):
        return np.arange(len(ours)), np.arange(len(theirs))
    counts = [dict(zip(*np.unique(one, return_counts=True), strict=True)) for one in (ours, theirs)]
    kept = [user for user, count in counts[0].items() if counts[1].get(user) == count]

    def places(owners: Int64) -> Int64:
        found = np.flatnonzero(np.isin(owners, kept))
        return found[np.argsort(owners[found], kind="stable")]

    return places(ours), places(theirs)

"""Champion against challenger, on the same held-out events and candidates; and the champion alone on
a whole window before anything learns from it.

Prequential ("test, then train") evaluation: Gama, Sebastião, Rodrigues, On evaluating stream learning
algorithms, Machine Learning 90, 2013.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from models.recommenders.family import Recommender
from recloop.calendar import Window
from recloop.config.learnable import Meaning
from recloop.config.rules import GateRules, UpdateRules
from recloop.contracts import Candidate, GateReport, Release, Served, TrainingSet, UpdatePlan
from recloop.database.connection import transaction
from recloop.evaluation.gate import Soundness, judge, measure, verdict, why_ask
from recloop.evaluation.scoring import Scores, by_model, by_own_counts, by_popularity, score
from recloop.features.examples import read_examples
from recloop.features.heldout import HeldOut, read_heldout
from recloop.settings import Settings
from recloop.training.fitting import seed_of
from recloop.training.material import FOREVER
from recloop.training.recommender import restore_model


def challenge(
    settings: Settings,
    plan: UpdatePlan,
    candidate: Candidate,
    opponent_uri: str | None,
    target: Sequence[TrainingSet],
    window: Window,
    meaning: Meaning,
    rules: UpdateRules,
    gate: GateRules,
) -> tuple[GateReport, str]:
    """Judge a candidate. Returns the report, and one sentence that says why.

    Args:
        opponent_uri: folder of the champion, or of the candidate that it was before it learnt the
            events that judge; None, where there is no champion: popularity is the opponent.
        target: training sets of the parts whose newest events judge.
        window: the one that these are of.
    """
    from models.errors import ModelError

    held_out = read_examples(target).between(candidate.holdout_from, FOREVER)
    with transaction(settings.database_url) as cursor:
        heldout = read_heldout(
            cursor,
            held_out,
            cut=candidate.holdout_from,
            window_start=window.start,
            meaning=meaning,
            popularity_days=rules.baseline.popularity_days,
        )
    opponent = "champion" if opponent_uri else "popularity"
    champion_served = challenger_served = None
    if opponent_uri:
        reigning = restore_model(opponent_uri)
        theirs = score(by_model(reigning), heldout)
        champion_served = _served(reigning, heldout)
        scorable = int(np.isin(heldout.catalogue, reigning.item_keys).sum())
    else:
        theirs = score(by_popularity, heldout)
        scorable = len(heldout.popular)
    try:
        challenger = restore_model(candidate.uri, float("inf"))
        ours = score(by_model(challenger), heldout)
        challenger_served = _served(challenger, heldout)
        soundness = Soundness(
            largest_weight=max(
                (float(np.abs(a).max()) for a in challenger.parameters().values() if a.size),
                default=float("nan"),
            ),
            catalogue=int(np.isin(heldout.catalogue, challenger.item_keys).sum()),
            champion_catalogue=scorable,
        )
    except (
        ModelError
    ) as error:  # NaNs do not restore: the gate refuses, and says what the check said
        ours, soundness = _nothing(len(heldout)), Soundness(float("nan"), 0, scorable)
        detail = f" ({error})"
    else:
        detail = ""
    seed = seed_of(settings.seed, plan.target)
    measured = measure(heldout, ours, theirs, gate, seed)
    results = judge(heldout, ours, theirs, soundness, gate, seed, opponent, measured)
    passed, reason = verdict(results)
    report = GateReport(
        update_id=candidate.update_id,
        window=plan.target,
        passed=passed,
        rules=results,
        champion=theirs.metrics() if opponent_uri else None,
        challenger=ours.metrics(),
        champion_served=champion_served,
        challenger_served=challenger_served,
        differences=measured.reported(),
        ask=why_ask(plan, measured, gate) if passed and opponent_uri else "",
    )
    return report, reason + detail


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
    from scratch that its lineage began with (`static`), recent popularity, and counting what each
    user purchased.

    Per-user scores are kept as `artifacts/prequential/<window>/<release>.npz`, for paired tests.

    Returns:
        Means by `<system>_recall@20` and the like, and the items that the champion can score (int64).
    """
    with transaction(settings.database_url) as cursor:
        heldout = read_heldout(
            cursor,
            read_examples([target]),
            cut=window.start,
            window_start=window.start,
            meaning=meaning,
            popularity_days=rules.baseline.popularity_days,
        )
    reigning = restore_model(champion.uri)
    systems = {
        "champion": score(by_model(reigning), heldout),
        "popularity": score(by_popularity, heldout),
        "own_counts": score(by_own_counts, heldout),
    }
    systems["static"] = (
        systems["champion"]
        if base.version == champion.version
        else score(by_model(restore_model(base.uri)), heldout)
    )
    path = settings.artifacts / "prequential" / window.key / f"{champion.version}.npz"
    path.parent.mkdir(parents=True, exist_ok=True)
    arrays: dict[str, np.ndarray] = {
        "user_keys": heldout.queries.user_keys,
        "new_users": heldout.new_users,
    }
    signals: dict[str, float | str | None] = {"scores": str(path)}
    for name, scores in systems.items():
        for metric in ("recall", "ndcg", "recall_new", "ndcg_new"):
            arrays[f"{name}/{metric}"] = getattr(scores, metric)
        for prefix, metrics in (
            (name, scores.metrics()),
            (f"{name}_all_pairs", scores.metrics(new=False)),
        ):
            signals[f"{prefix}_recall@20"] = round(metrics.recall, 6)
            signals[f"{prefix}_ndcg@20"] = round(metrics.ndcg, 6)
    signals["users"] = float(len(heldout))
    signals["users_new"] = float(heldout.new_users.sum())
    temporary = path.with_suffix(".tmp.npz")
    np.savez(temporary, **arrays)  # type: ignore[arg-type]
    temporary.replace(path)
    return signals, np.array(reigning.item_keys)


def _served(model: Recommender, heldout: HeldOut) -> Served:
    from models.recommenders.learner import footprint

    cost = footprint(model, heldout.queries)
    return Served(bytes=cost.bytes, milliseconds=round(cost.milliseconds, 3))


def _nothing(users: int) -> Scores:
    none = np.full(users, np.nan)
    return Scores(none, none, none, none, none, 0)

"""recloop's own gate, asked about rows of scores instead of held-out events in a database."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np

from benchmarks.gate_rows import METRICS
from benchmarks.retail_protocol import Float64
from recloop.config.rules import GateRules, load_gate_rules
from recloop.contracts import GateReport, Metrics
from recloop.evaluation.gate import Answer, Soundness, measure, results_of, verdict
from recloop.evaluation.ranking_judge import JUDGE
from recloop.evaluation.scoring import Scores
from recloop.settings import Settings

RULES = load_gate_rules(Settings())
SOUND = Soundness(largest_weight=1.0, catalogue=1, champion_catalogue=1)


def decide(
    champion: Float64,
    challenger: Float64,
    new_users: np.ndarray,
    earlier: tuple[GateReport, ...] = (),
    rules: GateRules = RULES,
) -> tuple[Answer, GateReport, str]:
    """The gate's answer, its report as later windows need it, and why.

    Args:
        champion, challenger: float64 [U, 6] by `METRICS`.
        new_users: bool [U].
        earlier: reports of deferred challengers.
    """
    users = SimpleNamespace(user_keys=np.arange(len(champion)))
    heldout: Any = SimpleNamespace(queries=users, new_users=new_users, kinds={})
    measured = measure(JUDGE, heldout, _scores(challenger), _scores(champion))
    answer, why = verdict(results_of(JUDGE, measured, (1, 1), SOUND, rules, "champion", earlier))
    report = GateReport(
        update_id=0,
        window=f"{len(earlier)}",
        passed=answer == "promote",
        deferred=answer == "defer",
        rules=(),
        champion=None,
        challenger=Metrics(values={}, users=len(champion)),
        differences=measured.reported(),
        slices=measured.reported(slices=True),
    )
    return answer, report, why


def _scores(values: Float64) -> Scores:
    return Scores(dict(zip(METRICS, values.T, strict=True)))

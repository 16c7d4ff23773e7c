"""When a person is asked before a promotion although nobody asked to be: `[approval]` of
`config/gate.toml`. Pure: a plan and measurements in, one sentence out.

Neighbour: `gate.py`, which refuses; this only asks about what has passed.
"""

from __future__ import annotations

from recloop.contracts import UpdatePlan
from recloop.rules import GateRules
from recloop.update.gate import Differences


def why_ask(plan: UpdatePlan, measured: Differences, rules: GateRules) -> str:
    """Why a person should look at a challenger that has passed against a champion; empty: no need."""
    if plan.decision == "rebuild" and rules.approval.rebuild:
        return "a rebuild would replace the champion, and [approval] rebuild asks for a person"
    zone = rules.approval.grey_zone
    limits = rules.rules
    for name, found, limit in (
        ("recall@20 on new pairs", measured.recall, limits.recall_difference),
        ("NDCG@20 on new pairs", measured.ndcg, limits.ndcg_difference),
        ("NDCG@20 on all pairs", measured.everything, limits.all_pairs_ndcg_difference),
    ):
        if found.users and found.mean < limit + zone:
            return (
                f"{name} differs by {found.mean:+.4f}, within {zone:g} of the gate's limit "
                f"{limit:+g}: [approval] grey_zone asks for a person"
            )
    return ""

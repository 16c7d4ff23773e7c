"""When a person is asked before a promotion although nobody asked to be: `[approval]` of
`config/gate.toml`. Pure: a plan and measurements in, one sentence out.
"""

from __future__ import annotations

from recloop.config.rules import GateRules
from recloop.contracts import UpdatePlan
from recloop.evaluation.gate import Differences


def why_ask(plan: UpdatePlan, measured: Differences, rules: GateRules) -> str:
    """Why a person should look at a challenger that has passed against a champion; empty: no need."""
    if plan.decision == "rebuild" and rules.approval.rebuild:
        return "a rebuild would replace the champion, and [approval] rebuild asks for a person"
    zone = rules.approval.grey_zone
    for one in measured.compared:
        if not one.is_slice and one.found.users and one.found.mean < -zone * one.found.level < 0:
            return (
                f"{one.what} differs by {one.found.mean:+z.4f}, worse by more than {zone:.1%} of the "
                "champion's: [approval] grey_zone asks for a person"
            )
    return ""

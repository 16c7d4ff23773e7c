"""The gate's rule about serving: of the impressions that can be compared with the training set, how many
were answered with other features than are learnt from. Pure: signals in, a rule's result out.

It says nothing of a challenger's quality, so it takes no share of the chances of error that the rules of
quality have among them (`gate.py`), and what it refuses is no lesson for the policy.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from recloop.config.rules import GateLimits
from recloop.contracts import RuleResult

SERVING = "serving_skew"


def serving_rule(
    signals: Mapping[str, float | str | None], limits: GateLimits
) -> tuple[RuleResult, ...]:
    """The rule, by an update's signals (`features.skew.Skew.to_json`); none, if nothing was served."""
    compared, share = signals.get("serving_compared"), signals.get(SERVING)
    if not isinstance(compared, int | float) or not isinstance(share, int | float):
        return ()
    if compared < limits.minimum_served:
        why = f"{compared:g} impressions could be compared, fewer than {limits.minimum_served}"
        return (_result(None, True, f"not judged: {why}"),)
    told = f"share of {compared:,.0f} impressions answered with other features than are learnt from"
    if late := signals.get("serving_late"):
        told += f" (beside {late:,.0f} that late events changed since)"
    passed = share <= limits.largest_skew
    if share:
        told += f"; most in {signals.get('serving_example')}"
    if not passed:
        told += (
            ". Look for a feature table that was stale or filled late (the DAG `ingest_behavior`, "
            "started with a window, computes its features anew), and for a server that runs another "
            "version of the code"
        )
    return (_result(share, passed, told, limits.largest_skew),)


def refused_for_serving(rules: Sequence[RuleResult]) -> bool:
    """Whether nothing but this rule was broken: that says nothing of the challenger."""
    broken = [rule.name for rule in rules if not rule.passed]
    return broken == [SERVING]


def _result(
    share: float | None, passed: bool, message: str, limit: float | None = None
) -> RuleResult:
    told = "" if limit is None else f"<= {limit:g}"
    return RuleResult(name=SERVING, value=share, limit=told, passed=passed, message=message)

"""An approval that a run may ask for, and usually doesn't.

Airflow's `ApprovalOperator` always waits for a person. This one reads at run time whether the plan
wants one, and otherwise succeeds at once.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from airflow.providers.standard.operators.hitl import ApprovalOperator

from recloop_airflow.links import GateReportLink

PATIENCE = timedelta(days=3)


class OptionalApproval(ApprovalOperator):
    """Waits for "Approve" or "Reject" if `plan["approval"]`, else goes straight on.

    A rejection is recorded in the ledger, so that the window's events reach the next plan, and what
    is downstream is skipped. Nobody answering for `PATIENCE` counts as a rejection.

    :param plan: what `stages.plan` returned
    :param report: the `GateReport` that `stages.evaluate` returned
    """

    template_fields: Sequence[str] = (*ApprovalOperator.template_fields, "plan", "report")
    operator_extra_links = (GateReportLink(),)

    def __init__(self, *, plan: Any, report: Any, **kwargs: Any) -> None:
        super().__init__(
            subject="Promote the challenger?",
            defaults=self.REJECT,
            response_timeout=PATIENCE,
            **kwargs,
        )
        self.plan = plan
        self.report = report

    def execute(self, context: Any) -> Any:
        """Ask, or go straight on."""
        if not self.plan["approval"]:
            self.log.info("No approval wanted for this run: going on.")
            return None
        self.subject = f"Promote the challenger of window {self.report.get('window', '?')}?"
        self.body = describe(self.report)
        return super().execute(context)

    def execute_complete(self, context: Any, event: dict[str, Any]) -> Any:
        """Record a rejection before Airflow skips what follows."""
        if "error" not in event and self.REJECT in event["chosen_options"]:
            from recloop import stages

            user = (event.get("responded_by_user") or {}).get("name") or f"nobody in {PATIENCE}"
            reason = f"rejected in Airflow by {user}"
            stages.reject(self.plan["update_id"], context["run_id"], reason)
        return super().execute_complete(context, event)


def describe(report: dict[str, Any]) -> str:
    """The gate report as Markdown: both models' metrics, their difference, every rule."""
    champion, challenger = report.get("champion") or {}, report.get("challenger") or {}
    lines = ["| metric | champion | challenger | difference |", "| --- | --- | --- | --- |"]
    for name in ("recall", "ndcg"):
        old, new = champion.get(name), challenger.get(name)
        gain = None if old is None or new is None else new - old
        lines.append(f"| {name}@20 | {_number(old)} | {_number(new)} | {_number(gain, '+.4f')} |")
    lines += ["", "| rule | value | limit | |", "| --- | --- | --- | --- |"]
    for rule in report.get("rules", ()):
        verdict = "passed" if rule["passed"] else "**refused**"
        lines.append(f"| {rule['name']} | {_number(rule['value'])} | {rule['limit']} | {verdict} |")
    return "\n".join(lines)


def _number(value: float | str | None, form: str = ".4f") -> str:
    if isinstance(value, float | int):
        return format(value, form)
    return "–" if value is None else str(value)

"""An approval that a run may ask for, and usually doesn't.

Airflow's `ApprovalOperator` always waits for a person. This one reads at run time whether the form or
a rule wants one, and otherwise succeeds at once.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

from airflow.providers.standard.operators.hitl import ApprovalOperator
from airflow.sdk import Param

from recloop_airflow.links import GateReportLink
from recloop_airflow.notes import note

WHY = "why"
"""The field in which a person says why; no DAG's form has one of this name."""
LONGEST = 1000


class OptionalApproval(ApprovalOperator):
    """Waits for "Approve" or "Reject" if `plan["approval"]` or `report["ask"]`, else goes straight on.

    The answer, the person's name and reason are kept in the ledger. After a rejection the window's
    events reach the next plan, and what is downstream is skipped. How long an answer is waited for,
    and what silence means, is in `[approval]` of `config/gate.toml`.

    :param plan: what `stages.plan` returned
    :param report: the `GateReport` that `stages.evaluate` returned
    """

    template_fields: Sequence[str] = (
        *ApprovalOperator.template_fields,
        "plan",
        "report",
    )
    operator_extra_links = (GateReportLink(),)

    def __init__(self, *, plan: Any, report: Any, **kwargs: Any) -> None:
        why = Param(
            None,
            type=["null", "string"],
            maxLength=LONGEST,
            source="task",
            title="Why",
            description_md="For the ledger, above all of a rejection.",
        )
        kwargs["params"] = {
            WHY: why
        }  # the DAG's own fields, which Airflow put here, are not asked again
        # No `defaults`: Airflow would paint that option as the button to press.
        super().__init__(subject="Promote the challenger?", **kwargs)
        self.plan = plan
        self.report = report

    def execute(self, context: Any) -> Any:
        """Ask, or go straight on."""
        if not self.plan["approval"] and not self.report.get("ask"):
            self.log.info("No approval wanted for this run: going on.")
            return None
        from recloop.stages import approval_stages

        terms = approval_stages.terms()
        self.response_timeout = timedelta(hours=terms["patience_hours"])
        self.subject = f"Promote the challenger of window {self.report.get('window', '?')}?"
        self.body = describe(self.report, self.plan)
        return super().execute(context)

    def execute_complete(self, context: Any, event: dict[str, Any]) -> Any:
        """Record the answer before Airflow goes on, or skips what follows."""
        from recloop.stages import approval_stages

        terms = approval_stages.terms()
        if event.get("error_type") == "timeout":
            silence = self.APPROVE if terms["unanswered"] == "approve" else self.REJECT
            now = datetime.now(UTC)
            event = {"chosen_options": [silence], "responded_at": now, "params_input": {}}
            event["responded_by_user"] = None
        if "error" not in event:
            said: Literal["approved", "rejected"]
            said = "approved" if self.APPROVE in event["chosen_options"] else "rejected"
            name = (event.get("responded_by_user") or {}).get("name")
            by = name or f"nobody within {terms['patience_hours']:g} hours"
            why = str((event.get("params_input") or {}).get(WHY) or "").strip()[:LONGEST]
            run = context["dag_run"]
            holder = f"{run.dag_id} {run.run_id}"  # as `recloop_params.holder` says
            done = approval_stages.answer(
                self.plan["update_id"], holder, said, by, "in Airflow", why=why
            )
            note(f"window {self.report.get('window', '?')}: {done['reason']}")
        return super().execute_complete(context, event)


def describe(report: dict[str, Any], plan: dict[str, Any] | None = None) -> str:
    """The question as Markdown: why it is asked, both models' metrics, their differences with
    intervals, every rule."""
    lines = []
    if plan:
        lines += [f"{plan['decision'].capitalize()}: {plan['reason']}.", ""]
    if report.get("ask"):
        lines += [f"A person is asked because {report['ask']}.", ""]
    champion, challenger = (
        (report.get(name) or {}).get("values", {}) for name in ("champion", "challenger")
    )
    gaps = {gap["name"]: gap for gap in report.get("differences", ())}
    lines += [
        "| metric | champion | challenger | difference | interval | users |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for name in dict.fromkeys([*champion, *challenger, *gaps]):
        old, new = champion.get(name), challenger.get(name)
        gap = gaps.get(name, {})
        lines.append(
            f"| {name} | {_number(old)} | {_number(new)} | {_number(gap.get('mean'), '+.4f')} "
            f"| {_interval(gap)} | {gap.get('users', '–')} |"
        )
    lines += ["", "| rule | value | limit | |", "| --- | --- | --- | --- |"]
    for rule in report.get("rules", ()):
        failed = "undecided" if rule.get("undecided") else "**refused**"
        verdict = "passed" if rule["passed"] else failed
        lines.append(f"| {rule['name']} | {_number(rule['value'])} | {rule['limit']} | {verdict} |")
    return "\n".join(lines).replace("![", "! [")  # no picture of another host


def _interval(gap: dict[str, Any]) -> str:
    if gap.get("low") is None or gap.get("high") is None:
        return "–"
    return f"{gap['low']:+z.4f} to {gap['high']:+z.4f}"


def _number(value: float | str | None, form: str = ".4f") -> str:
    if isinstance(value, float | int):
        return format(value, form)
    return "–" if value is None else str(value)

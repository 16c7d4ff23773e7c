"""What a button of the page does: a run of Airflow is started or answered in the reader's name, or the
champion is pinned in the ledger.

Airflow is asked by its own REST API, inside this process and with the reader's own rights, so that it
checks them again, notes who it was, and shows the run. The reason goes with the run and ends in the
ledger.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from fastapi import HTTPException
from starlette.concurrency import run_in_threadpool

from recloop.config.dag_ids import dag_id
from recloop.settings import Settings, process_environment

LONGEST = 1000
LARGEST = 2**63 - 1
PLANS = ("auto", "increment", "rebuild", "skip")
MINUTE = 60
"""Seconds for which the token is good with which Airflow is asked."""


@dataclass(frozen=True)
class Done:
    """What an action led to: a sentence, and `<dag> <run>` where a run was started or answered."""

    said: str
    run: str = ""


class Refused(Exception):
    """Nothing was done: the sentence that says why, and an HTTP status."""

    def __init__(self, said: str, status: int = 422) -> None:
        super().__init__(said)
        self.status = status


async def act(action: str, form: dict[str, str], user: Any, settings: Settings) -> Done:
    """Do what a form asks for.

    Raises:
        Refused: the form cannot be used, or Airflow refuses.
        recloop.errors.RecloopError: the ledger does.
    """
    reason = form.get("reason", "").strip()
    if not 3 <= len(reason) <= LONGEST:
        raise Refused(f"A reason of 3 to {LONGEST} characters is needed; the ledger keeps it.")
    if action in ("pin", "unpin"):
        return await _pin(action, reason, user, settings)
    if action == "answer":
        return await _answer(form, reason, user, settings)
    if action == "accept":
        conf: dict[str, Any] = {"window": form.get("window", ""), "accept": reason}
        return await _start(
            user, dag_id(settings, "ingest_behavior"), conf, "The window is ingested"
        )
    if action == "rollback":
        conf = {"version": _number(form.get("version", "")), "reason": reason}
        return await _start(user, dag_id(settings, "rollback_release"), conf, "The rollback begins")
    plan = form.get("plan", "auto")
    if plan not in PLANS:
        raise Refused(f"The plan should be one of {', '.join(PLANS)}.")
    conf = {"plan": plan, "approval": form.get("approval") == "yes", "reason": reason}
    if window := form.get("window", "").strip():
        conf["window"] = window
    return await _start(user, dag_id(settings, "incremental_update"), conf, "The update begins")


async def _pin(action: str, reason: str, user: Any, settings: Settings) -> Done:
    from recloop.stages import update_stages

    by = str(user.get_name())
    if action == "pin":
        version = await run_in_threadpool(update_stages.pin, by, reason, settings)
        return Done(f"Release {version} is pinned.")
    await run_in_threadpool(update_stages.unpin, by, reason, settings)
    return Done("The champion is not pinned any more.")


async def _answer(form: dict[str, str], reason: str, user: Any, settings: Settings) -> Done:
    from recloop.dashboard.offered_actions import run_of
    from recloop.stages.update_stages import holder_of
    from recloop_airflow.access import may
    from recloop_airflow.approval import WHY

    said = {"approve": "Approve", "reject": "Reject"}.get(form.get("answer", ""))
    if said is None:
        raise Refused("The answer should be approve or reject.")
    update = _number(form.get("update", ""))
    holder = await run_in_threadpool(holder_of, update, settings)
    run = run_of(holder)
    if run is None:
        raise Refused(f"Update {update} waits for no answer in Airflow.", 409)
    if not may(user, settings, "answer", run[0]):
        raise HTTPException(403, "Your role may not answer this.")
    where = f"dags/{quote(run[0])}/dagRuns/{quote(run[1], safe='')}/taskInstances/approve/-1"
    body = {"chosen_options": [said], "params_input": {WHY: reason}}
    await _airflow(user, "PATCH", f"{where}/hitlDetails", body)
    return Done(f"{said}: your answer is with the run.", holder)


async def _start(user: Any, dag: str, conf: dict[str, Any], said: str) -> Done:
    body = {"logical_date": None, "conf": conf}
    made = await _airflow(user, "POST", f"dags/{quote(dag)}/dagRuns", body)
    paused = (await _airflow(user, "GET", f"dags/{quote(dag)}"))["is_paused"]
    later = f", once {dag} is unpaused" if paused else ""
    return Done(f"{said}{later}.", f"{dag} {made['dag_run_id']}")


async def _airflow(user: Any, method: str, path: str, body: Any = None) -> Any:
    """What Airflow's REST API answers this person."""
    import httpx
    from airflow.api_fastapi.app import cached_app, get_auth_manager

    token = get_auth_manager().generate_jwt(user, expiration_time_in_seconds=MINUTE)
    apps = process_environment().get(
        "AIRFLOW_API_APPS", "all"
    )  # as `airflow.api_fastapi.main` has it
    transport = httpx.ASGITransport(app=cached_app(apps=apps))
    headers = {"Authorization": f"Bearer {token}"}
    async with httpx.AsyncClient(transport=transport, base_url="http://airflow") as client:
        answer = await client.request(method, f"/api/v2/{path}", json=body, headers=headers)
    if answer.is_success:
        return answer.json()
    try:
        why = answer.json().get("detail")
    except ValueError:
        why = answer.text
    raise Refused(f"Airflow refuses: {why}", answer.status_code)


def _number(text: str) -> int:
    if not (text.isascii() and text.isdecimal() and 0 < int(text[:19]) <= LARGEST):
        raise Refused(f"A number is needed. Received: {text[:40]!r}.")
    return int(text[:19])

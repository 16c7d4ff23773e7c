"""A small client of Airflow's REST API: backfill, wait, read states.

Belongs here: requests and waiting. Keep out: starting Airflow (see `airflow_process.py`) and what a
run means (the ledger knows). Used by `recloop up` and `recloop demo`.
"""

from __future__ import annotations

import json
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from recloop.errors import BadInput, ServiceAway

DIRECT = urllib.request.build_opener(urllib.request.ProxyHandler({}))
"""To this machine no proxy leads."""

Value = TypeVar("Value")


class AirflowClient:
    """Talks to one api-server. Every method raises `ServiceAway` when it does not answer."""

    def __init__(self, url: str, username: str = "admin", password: str = "admin") -> None:
        self.url = url.rstrip("/")
        self._login = {"username": username, "password": password}
        self._token: str | None = None

    def ensure_pool(self, name: str, slots: int, description: str) -> None:
        """Create the pool unless it is there; a pool that somebody resized stays as it is."""
        body = {"name": name, "slots": slots, "description": description, "include_deferred": False}
        try:
            self._send("POST", "/api/v2/pools", body)
        except BadInput as error:
            if "409" not in str(error):
                raise

    def dag_ids(self) -> list[str]:
        """The DAGs that the dag-processor has parsed."""
        found: list[str] = []
        while True:
            page = self._send("GET", f"/api/v2/dags?limit=100&order_by=dag_id&offset={len(found)}")
            found += [dag["dag_id"] for dag in page["dags"]]
            if not page["dags"] or len(found) >= page["total_entries"]:
                return found

    def import_errors(self) -> dict[str, str]:
        """`{file: traceback}` of DAG files that cannot be imported."""
        answer = self._send("GET", "/api/v2/importErrors")
        return {e["filename"]: e["stack_trace"] for e in answer["import_errors"]}

    def pause(self, dag_id: str, paused: bool = True) -> None:
        """Pause or unpause a DAG. Events for a paused DAG are dropped by Airflow, not queued."""
        self._send("PATCH", f"/api/v2/dags/{dag_id}", {"is_paused": paused})

    def backfill(self, dag_id: str, from_date: str, to_date: str, reprocess: str = "none") -> int:
        """Replay the partitions from `from_date` to `to_date` (keys, both inclusive), one at a time.

        `reprocess` is none, failed or completed. Returns the backfill's id. Airflow marks a backfill
        as complete up to 30 s after its last run, and until then refuses another one: that is waited
        for.

        Raises:
            BadInput: another backfill of this DAG has runs to do.
        """
        body = {
            "dag_id": dag_id,
            "from_date": _wall_clock(from_date),
            "to_date": _wall_clock(to_date),
            "max_active_runs": 1,
            "reprocess_behavior": reprocess,
            "run_backwards": False,
            "dag_run_conf": {},
        }

        def create() -> int | bool:
            try:
                return int(self._send("POST", "/api/v2/backfills", body)["id"])
            except BadInput as error:
                if "already a running backfill" in str(error) and self.backfill_finished(dag_id):
                    return False
                raise

        return self.wait_until(create, 60, f"the last backfill of {dag_id} to be closed")

    def backfill_finished(self, dag_id: str) -> bool:
        """Whether no run of a backfill of this DAG is queued or running."""
        active = self.runs(dag_id, ("queued", "running"))
        return not any(run["run_type"] == "backfill" for run in active)

    def runs(
        self, dag_id: str, states: Sequence[str] = (), limit: int = 100
    ) -> list[dict[str, Any]]:
        """Runs, oldest first: `dag_run_id, state, partition_key, start_date, end_date, conf …`."""
        wanted = "".join(f"&state={state}" for state in states)
        path = f"/api/v2/dags/{dag_id}/dagRuns?limit={limit}&order_by=id{wanted}"
        runs: list[dict[str, Any]] = self._send("GET", path)["dag_runs"]
        return runs

    def wait_until_idle(self, dag_ids: Sequence[str], timeout: float, calm: float = 2.0) -> None:
        """Wait until none of the DAGs has had a queued or running run for `calm` seconds.

        Raises:
            ServiceAway: not within `timeout` seconds; the message names the runs that are left.
        """
        since: list[float] = []

        def idle() -> bool:
            if any(self.runs(dag_id, ("queued", "running"), 1) for dag_id in dag_ids):
                since.clear()
            else:
                since.append(time.monotonic())
            return bool(since) and time.monotonic() - since[0] >= calm

        try:
            self.wait_until(idle, timeout, f"no more runs of {', '.join(dag_ids)}")
        except ServiceAway as error:
            left = [
                f"{dag_id} {run['dag_run_id']} ({run['state']})"
                for dag_id in dag_ids
                for run in self.runs(dag_id, ("queued", "running"))
            ]
            raise ServiceAway(f"{error} Left: {', '.join(left) or 'none by now'}.") from error

    def wait_until(
        self, ready: Callable[[], Value | bool], timeout: float, what: str, every: float = 0.5
    ) -> Value:
        """Poll `ready` until it returns something true, and return that.

        Raises:
            ServiceAway: not within `timeout` seconds.
        """
        deadline = time.monotonic() + timeout
        failure = ""
        while time.monotonic() < deadline:
            try:
                value = ready()
            except ServiceAway as error:
                failure = f" Last error: {error}"
            else:
                if value:
                    return value  # type: ignore[return-value]
                failure = ""
            time.sleep(every)
        raise ServiceAway(f"waited {timeout:.0f} s in vain for {what} at {self.url}.{failure}")

    def _send(
        self, method: str, path: str, body: dict[str, Any] | None = None, login: bool = True
    ) -> dict[str, Any]:
        headers = {"Content-Type": "application/json", "Accept": "application/json"}
        if login:
            headers["Authorization"] = f"Bearer {self._token or self._log_in()}"
        request = urllib.request.Request(
            self.url + path,
            data=None if body is None else json.dumps(body).encode(),
            headers=headers,
            method=method,
        )
        try:
            with DIRECT.open(request, timeout=30) as response:
                text = response.read()
        except urllib.error.HTTPError as error:
            detail = error.read().decode(errors="replace")[:2000]
            if error.code == 401 and self._token:  # the token has expired
                self._token = None
                return self._send(method, path, body, login)
            kind = ServiceAway if error.code >= 500 else BadInput
            raise kind(f"Airflow answered {error.code} to {method} {path}: {detail}") from None
        except (urllib.error.URLError, OSError) as error:
            raise ServiceAway(
                f"Airflow at {self.url} does not answer: {error}. Start it with `recloop up`."
            ) from error
        answer: dict[str, Any] = json.loads(text) if text else {}
        return answer

    def _log_in(self) -> str:
        answer = self._send("POST", "/auth/token", self._login, login=False)
        self._token = str(answer["access_token"])
        return self._token


def _wall_clock(key: str) -> str:
    """A partition's key as a time of day, which Airflow reads in the schedule's zone."""
    day, _, hour = key.rstrip("Z").partition("T")
    return f"{day}T{hour[:2] or '00'}:{hour[2:] or '00'}:00Z"

"""What tests ask of a running Airflow, beyond what the product asks."""

from __future__ import annotations

from typing import Any

from recloop.errors import BadInput, ServiceAway
from recloop.runtime import airflow_process
from recloop.runtime.airflow_client import AirflowClient
from recloop.settings import Settings


class AskedAirflow(AirflowClient):
    """A client that also tells of single runs and their tasks."""

    @classmethod
    def start(cls, settings: Settings) -> AskedAirflow:
        """Start Airflow on a free port."""
        client = airflow_process.start(settings, airflow_process.free_port())
        asked = cls(client.url)
        vars(asked).update(vars(client))  # its login
        return asked

    def trigger(
        self, dag_id: str, conf: dict[str, Any] | None = None, partition_key: str | None = None
    ) -> str:
        """Start a run; returns its id.

        Raises:
            BadInput: a parameter against its schema.
        """
        body: dict[str, Any] = {"logical_date": None, "conf": conf or {}}
        if partition_key is not None:
            body["partition_key"] = partition_key
        return str(self._send("POST", f"/api/v2/dags/{dag_id}/dagRuns", body)["dag_run_id"])

    def unpaused(self, dag_id: str) -> bool:
        """Let a DAG run; False while its file has not been parsed."""
        try:
            self.pause(dag_id, paused=False)
        except BadInput:
            return False
        return True

    def dag(self, dag_id: str) -> dict[str, Any]:
        """`{"is_paused", "next_dagrun_run_after", "timetable_summary", "file_token" …}`."""
        return self._send("GET", f"/api/v2/dags/{dag_id}")

    def read_again(self, dag_id: str) -> None:
        """Have the DAG's file parsed now: a settings file that it reads has changed."""
        self._send("PUT", f"/api/v2/parseDagFile/{self.dag(dag_id)['file_token']}")

    def run_state(self, dag_id: str, run_id: str) -> str:
        """queued, running, success or failed."""
        return str(self._send("GET", f"/api/v2/dags/{dag_id}/dagRuns/{run_id}")["state"])

    def tasks(self, dag_id: str, run_id: str) -> list[dict[str, Any]]:
        """Task instances of a run: `task_id, state, try_number, start_date, duration, pid …`."""
        path = f"/api/v2/dags/{dag_id}/dagRuns/{run_id}/taskInstances?limit=100"
        found: list[dict[str, Any]] = self._send("GET", path)["task_instances"]
        return found

    def task_states(self, dag_id: str, run_id: str) -> dict[str, str]:
        """`{task_id: state}` of a run; a task without a state yet is `"none"`."""
        return {t["task_id"]: t["state"] or "none" for t in self.tasks(dag_id, run_id)}

    def xcom(self, dag_id: str, run_id: str, task_id: str) -> Any:
        """What a task returned."""
        path = (
            f"/api/v2/dags/{dag_id}/dagRuns/{run_id}/taskInstances/{task_id}/xcomEntries/return_value"
            "?deserialize=false&stringify=false"
        )
        return self._send("GET", path)["value"]

    def links(self, dag_id: str, run_id: str, task_id: str) -> dict[str, str | None]:
        """`{name: address}` of the pages that a task points to."""
        path = f"/api/v2/dags/{dag_id}/dagRuns/{run_id}/taskInstances/{task_id}/links"
        found: dict[str, str | None] = self._send("GET", path)["extra_links"]
        return found

    def wait_for_run(self, dag_id: str, run_id: str, timeout: float) -> str:
        """Wait until the run has ended; returns its state."""
        return self.wait_until(
            lambda: (s := self.run_state(dag_id, run_id)) in ("success", "failed") and s,
            timeout,
            f"run {run_id} of {dag_id}",
        )


def is_running(settings: Settings) -> bool:
    """Whether all of Airflow works now."""
    try:
        started = airflow_process.read_state(settings)["processes"]
        return bool(started) and not airflow_process.complaints(settings)
    except ServiceAway:
        return False

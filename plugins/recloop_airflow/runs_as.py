"""As which recommender a task runs: the one whose DAG it is in.

Airflow tells this listener of a task before the task begins, in the task's own process, and stages read
their settings from the environment there. So a task that somebody adds to a DAG of `home_page` works on
`home_page`, too.
"""

from __future__ import annotations

from typing import Any

from airflow.listeners import hookimpl


class RunsAs:
    """Airflow's listener: names the recommender in the task's environment."""

    @hookimpl
    def on_task_instance_running(self, previous_state: Any, task_instance: Any) -> None:  # noqa: ARG002
        """Airflow calls this in the task's process."""
        run_as(task_instance.dag_id)


def run_as(dag_id: str) -> None:
    """Let this process be of the recommender whose DAG this is; of a DAG that is none of recloop's, what
    the environment says stays."""
    from recloop.config.dag_ids import recommender_of
    from recloop.settings import Settings, choose_recommender

    name = recommender_of(Settings.from_environment(), dag_id)
    if name:
        choose_recommender(name)

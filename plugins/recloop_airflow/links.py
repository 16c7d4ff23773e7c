"""Links from a task to the page that explains its outcome.

A link is computed in the task's own process and kept as an XCom, so it may read what the task
returned; the api-server only shows it.
"""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

from airflow.configuration import conf
from airflow.sdk import BaseOperatorLink

PREFIX = "/recloop"
"""Under which the plugin's app is mounted."""


def served(path: str) -> str:
    """The address of a path of ours on Airflow's server, which may be served under a path of its own
    (`[api] base_url`)."""
    return f"{urlsplit(conf.get('api', 'base_url', fallback='')).path.rstrip('/')}{PREFIX}{path}"


def own_pages() -> str:
    """The folder of the pages of the recommender as which this process runs (see `runs_as.py`)."""
    from recloop.config.dag_ids import prefix_of
    from recloop.settings import Settings

    name = prefix_of(Settings.from_environment())
    return served(f"/{name}" if name else "")


class GateReportLink(BaseOperatorLink):
    """Every rule of the gate, its value and its limit."""

    name = "Gate report"

    def get_link(self, operator: Any, *, ti_key: Any) -> str:  # noqa: ARG002
        """`/recloop/gate/<update_id>`, or nothing while there is no update."""
        update_id = _returned(ti_key, "update_id")
        return "" if update_id is None else f"{own_pages()}/gate/{update_id}"


class ShadowReportLink(BaseOperatorLink):
    """What a full retraining would have given, on one window."""

    name = "Shadow report"

    def get_link(self, operator: Any, *, ti_key: Any) -> str:  # noqa: ARG002
        """`/recloop/shadow/<window>`, or nothing before there is one."""
        window = _returned(ti_key, "window", "retrain")
        return "" if window is None else f"{own_pages()}/shadow/{window}"


class DataDocsLink(BaseOperatorLink):
    """What validation found on the run's window: every rule, its value and its limit."""

    name = "Data Docs"

    def get_link(self, operator: Any, *, ti_key: Any) -> str:  # noqa: ARG002
        """`/recloop/data-docs/<window>`; of a task that is about no window, the overview.

        The window is taken from `land`, since a refused validation returns nothing.
        """
        window = _returned(ti_key, "window", "land")
        return f"{own_pages()}/" if window is None else f"{own_pages()}/data-docs/{window}"


def linked(output: Any, link: BaseOperatorLink) -> Any:
    """The same output of a `@task`, whose page in the UI now shows `link`."""
    output.operator.operator_extra_links = (link,)
    return output


def _returned(ti_key: Any, field: str, elsewhere: str = "evaluate") -> Any:
    from airflow.sdk.execution_time.xcom import XCom

    for task_id in (ti_key.task_id, elsewhere):
        value = XCom.get_one(
            key="return_value",
            dag_id=ti_key.dag_id,
            task_id=task_id,
            run_id=ti_key.run_id,
        )
        if isinstance(value, dict) and field in value:
            return value[field]
    return None

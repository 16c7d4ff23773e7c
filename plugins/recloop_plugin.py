"""Registers with Airflow what recloop adds to it; what it adds lives in `recloop_airflow/`.

Airflow imports this file in every component: nothing heavy, and never TensorFlow (the scheduler's
children would inherit it half-started).
"""

from __future__ import annotations

from airflow.plugins_manager import AirflowPlugin
from recloop_airflow.links import DataDocsLink, GateReportLink, ShadowReportLink, served
from recloop_airflow.notes import RunNotes
from recloop_airflow.reports import PREFIX, create_app
from recloop_airflow.runs_as import RunsAs


class RecloopPlugin(AirflowPlugin):
    """Pages under /recloop, in the navigation and as a tab of DAGs and runs; links to them from tasks;
    a note for each run."""

    name = "recloop"
    fastapi_apps = [{"app": create_app(), "url_prefix": PREFIX, "name": "recloop reports"}]
    external_views = [
        {"name": "Recommenders", "href": served("/"), "destination": "nav", "url_route": "recloop"},
        {
            "name": "Recommender",
            "href": served("/?dag={DAG_ID}"),
            "destination": "dag",
            "url_route": "recommender",
        },
        {
            "name": "Recommender",
            "href": served("/?dag={DAG_ID}&run={RUN_ID}"),
            "destination": "dag_run",
            "url_route": "recommender_run",
        },
    ]
    listeners = [RunNotes(), RunsAs()]
    operator_extra_links = [GateReportLink(), ShadowReportLink(), DataDocsLink()]

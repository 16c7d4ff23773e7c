"""Registers with Airflow what recloop adds to it; what it adds lives in `recloop_airflow/`.

Airflow imports this file in every component: nothing heavy, and never TensorFlow (the scheduler's
children would inherit it half-started).
"""

from __future__ import annotations

from airflow.plugins_manager import AirflowPlugin
from recloop_airflow.links import DataDocsLink, GateReportLink, ShadowReportLink
from recloop_airflow.notes import RunNotes
from recloop_airflow.reports import PREFIX, create_app
from recloop_airflow.runs_as import RunsAs


class RecloopPlugin(AirflowPlugin):
    """Report pages under /recloop, an entry in the navigation, links to them from tasks, and
    a note for each run."""

    name = "recloop"
    fastapi_apps = [{"app": create_app(), "url_prefix": PREFIX, "name": "recloop reports"}]
    external_views = [{"name": "recloop", "href": f"{PREFIX}/", "destination": "nav"}]
    listeners = [RunNotes(), RunsAs()]
    operator_extra_links = [GateReportLink(), ShadowReportLink(), DataDocsLink()]

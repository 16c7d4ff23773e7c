"""Airflow's own api-server with recloop's pages and DAGs, and no scheduler, for a browser.

    python -m tests.plugins.page_server PORT

Where it is served from, and who may log in, is in the environment, as `child_environment` gives it.
"""

from __future__ import annotations

import sys


def serve(port: int) -> None:
    """Make an empty metadata database, with the DAGs in it, and serve until killed."""
    import uvicorn
    from airflow.api_fastapi.app import cached_app
    from airflow.configuration import conf
    from airflow.dag_processing.bundles.manager import DagBundlesManager
    from airflow.dag_processing.dagbag import DagBag, sync_bag_to_db
    from airflow.utils.db import initdb

    initdb()
    DagBundlesManager().sync_bundles_to_db()
    bag = DagBag(dag_folder=conf.get("core", "dags_folder"), bundle_name="dags-folder")
    assert not bag.import_errors, bag.import_errors
    sync_bag_to_db(bag, "dags-folder", None)
    uvicorn.run(cached_app(apps="core"), host="127.0.0.1", port=port, log_level="warning")


if __name__ == "__main__":
    serve(int(sys.argv[1]))

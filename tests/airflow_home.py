"""Prepares this process for `import airflow`: a home of its own, recloop's dags/ and plugins/.

Imported by the conftest files of tests that import Airflow, before they do.
"""

from __future__ import annotations

import atexit
import os
import shutil
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent

AIRFLOW = {
    "AIRFLOW_HOME": tempfile.mkdtemp(prefix="recloop-airflow-"),
    "AIRFLOW__CORE__DAGS_FOLDER": str(ROOT / "dags"),
    "AIRFLOW__CORE__PLUGINS_FOLDER": str(ROOT / "plugins"),
    "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
    "AIRFLOW__CORE__UNIT_TEST_MODE": "False",
    "AIRFLOW__API_AUTH__JWT_SECRET": "only-for-tests-" * 6,
    "AIRFLOW__API__SECRET_KEY": "only-for-tests-" * 4,
}

atexit.register(shutil.rmtree, AIRFLOW["AIRFLOW_HOME"], ignore_errors=True)
os.environ.update(AIRFLOW)  # noqa: TID251
for folder in (ROOT / "plugins", ROOT / "dags", ROOT):
    if str(folder) not in sys.path:
        sys.path.insert(0, str(folder))


def child_environment() -> dict[str, str]:
    """The same for a child process."""
    paths = os.pathsep.join(str(p) for p in (ROOT, ROOT / "plugins", ROOT / "dags"))
    return {**os.environ, "PYTHONPATH": paths}  # noqa: TID251

"""The forms of the DAGs, asked of Airflow in a process and a home of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from typing import Any

from recloop.settings import PROJECT, process_environment

SCRIPT = """
import json, sys
from pathlib import Path
from airflow.dag_processing.dagbag import DagBag
found = DagBag(dag_folder=sys.argv[1])
assert not found.import_errors, found.import_errors
told = []
for dag_id, dag in sorted(found.dags.items()):
    params = []
    for name in dag.params:
        param = dag.params.get_param(name)
        params.append({"name": name, "value": param.value, "schema": param.schema})
    told.append({"id": dag_id, "doc": dag.doc_md or "", "params": params})
print("FORMS" + json.dumps(told, default=str))
"""


def forms() -> list[dict[str, Any]]:
    """Each DAG's id, page and fields."""
    with tempfile.TemporaryDirectory(prefix="recloop-forms-") as home:
        given = {name: v for name, v in process_environment().items() if "RECLOOP_" not in name}
        paths = [str(PROJECT), str(PROJECT / "plugins"), str(PROJECT / "dags")]
        environment = {
            **given,
            "AIRFLOW_HOME": home,
            "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
            "AIRFLOW__CORE__PLUGINS_FOLDER": str(PROJECT / "plugins"),
            "RECLOOP_HOME": home,
            "PYTHONPATH": os.pathsep.join(paths),
        }
        done = subprocess.run(
            [sys.executable, "-W", "ignore", "-c", SCRIPT, str(PROJECT / "dags")],
            env=environment, capture_output=True, text=True, check=False,
        )  # fmt: skip
    lines = [line for line in done.stdout.splitlines() if line.startswith("FORMS")]
    if not lines:
        raise RuntimeError(f"Airflow could not read the DAGs: {done.stderr[-2000:]}")
    return [
        {**dag, "params": [_field(param) for param in dag["params"]]}
        for dag in json.loads(lines[0].removeprefix("FORMS"))
    ]


def _field(param: dict[str, Any]) -> dict[str, str]:
    schema, default = param["schema"], param["value"]
    kinds = schema.get("type") or []
    kinds = [kinds] if isinstance(kinds, str) else kinds
    values = [f"`{one}`" for one in schema.get("enum") or [] if one is not None]
    return {
        "name": param["name"],
        "title": schema.get("title", ""),
        "values": ", ".join(values) or ", ".join(one for one in kinds if one != "null"),
        "default": "–" if default is None else f"`{json.dumps(default)}`",
        "description": schema.get("description_md", ""),
    }

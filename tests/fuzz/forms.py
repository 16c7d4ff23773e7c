"""Forms of the DAGs: what the field's schema lets through is planned as the task would, as a dry run on
an empty ledger, and has to end in a plan, in a reason why there is none, or in an error of recloop's.
"""

from __future__ import annotations

import contextlib
import copy
import math
import random
import sys
from collections.abc import Iterator, Sequence
from types import SimpleNamespace
from typing import Any
from unittest import mock

from recloop.errors import RecloopError
from recloop.settings import process_environment
from tests.fuzz import world
from tests.fuzz.cases import Outcome, chance, of_error, raw_error
from tests.fuzz.values import listed

TASKS = {
    "incremental_update": "plan",
    "full_rebuild": "plan",
    "periodic_update": "plan",
    "maintain_models": "plan",
    "rollback_release": "roll_back",
}
TEXTS = (
    "{{ 7 * 7 }}", "{{ var.value.x }}", "{% for %}", "", " ", "x" * 3000, "not a date", "'; --",
    "\x1b[2J",
    *listed("123 4711.0 None True null [1] ${x} abc é <script>alert(1)</script> -1 increment head"),
    *listed("2024-01-01 2024-01-08 2024-01-03 0001-01-01 9999-12-31 2024-02-30 2024-1-1 20240101"),
)  # fmt: skip
OTHERS: tuple[Any, ...] = (
    *(None, True, False, 0, 1, -1, 2, 64, 65, 10**6, 10**30, 1.5, math.nan, [], [1], {}),
    {"recipe": {"epochs": 2}},
    {"recipe": {"epochs": 99_999_999_999}},
    {"recipe": {"optimizer": {"a": 1}}},
    {"recipe": {"scope": "head"}},
    {"recipe": 3},
    {"silos": ["/etc"]},
    {"shards": 4, "rank": "no"},
    {"ids": {"start": "mean"}, "average_releases": 3},
    {"x": 1},
)


class Forms:
    """See the module."""

    name, share, batch = "form", 0.1, 500

    def __init__(self, where: world.World) -> None:
        from tests.airflow_home import ROOT  # before Airflow is imported

        # isort: split
        import airflow.sdk
        from airflow.dag_processing.dagbag import DagBag

        self._world = where
        self._bag: Any = DagBag(dag_folder=str(ROOT / "dags"))
        if self._bag.import_errors:
            raise RuntimeError(f"DAG files cannot be imported: {self._bag.import_errors}")
        asks = airflow.sdk.get_current_context
        loaded = list(sys.modules.values())
        self._asking = [m for m in loaded if vars(m).get("get_current_context") is asks]

    def tried(self, seed: int, numbers: Sequence[int]) -> Iterator[Outcome]:
        settings = self._world.settings(world.toml())
        kept = {k: v for k, v in process_environment().items() if not k.startswith("RECLOOP_")}
        with mock.patch.dict("os.environ", kept | settings.environment(), clear=True):
            for number in numbers:
                dice = chance(seed, self.name, number)
                dag_id = dice.choice(sorted(TASKS))
                conf = self._conf(dice, dag_id)
                fate, problem = self._run(dag_id, conf)
                shown = f"{dag_id} {conf!r}"[:500]
                yield Outcome(self.name, number, "fault" if problem else fate, problem, shown)  # type: ignore[arg-type]

    def _conf(self, dice: random.Random, dag_id: str) -> dict[str, Any]:
        """Values for some fields: of the schema, at its edges, and of any other kind."""
        made: dict[str, Any] = {}
        params = self._bag.dags[dag_id].params
        for name in dice.sample(sorted(params), dice.randint(1, len(params))):
            schema = params.get_param(name).schema
            kinds = schema.get("type", "string")
            if dice.random() < 0.15:
                made[name] = dice.choice((*TEXTS, *OTHERS))
            elif "enum" in schema:
                made[name] = dice.choice(schema["enum"])
            elif "integer" in kinds:
                most = schema.get("maximum", 10**9)
                made[name] = dice.choice((schema.get("minimum", 1), 3, most, most + 1, None))
            elif "boolean" in kinds:
                made[name] = dice.choice((True, False, None))
            elif "object" in kinds:
                made[name] = dice.choice([one for one in OTHERS if isinstance(one, dict)])
            else:
                made[name] = dice.choice(TEXTS)
        return made

    def _run(self, dag_id: str, conf: dict[str, Any]) -> tuple[str, str]:
        from airflow.sdk.exceptions import (
            AirflowException,
            AirflowSkipException,
            DownstreamTasksSkipped,
            ParamValidationError,
        )

        dag = self._bag.dags[dag_id]
        params = copy.deepcopy(dag.params)
        try:
            params.update(conf)
            form = params.validate()
        except (ParamValidationError, ValueError, TypeError):
            return "refused", ""
        if "dry_run" in form:
            form["dry_run"] = True
        context = {
            "params": form,
            "dag_run": SimpleNamespace(dag_id=dag_id, run_id="fuzz", partition_key=None, conf=conf),
            "task": SimpleNamespace(downstream_task_ids=set()),
            "ti": SimpleNamespace(xcom_push=lambda **_: None),
        }
        task = dag.get_task(TASKS[dag_id])
        with contextlib.ExitStack() as stack:
            for module in self._asking:
                stack.enter_context(
                    mock.patch.object(module, "get_current_context", return_value=context)
                )
            try:
                task.python_callable(*task.op_args, **task.op_kwargs)
            except (DownstreamTasksSkipped, AirflowSkipException):
                return "accepted", ""  # nothing to do, and it says so
            except RecloopError as error:
                return "refused", of_error(error)
            except AirflowException as error:
                return "refused", raw_error(error)
            except Exception as error:
                return "refused", raw_error(error)
        return "accepted", ""

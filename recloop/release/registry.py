"""The model registry: MLflow model versions with lineage tags, aliases `champion`, `challenger`,
`previous`. Its tables live in schema `mlflow` of the same PostgreSQL.
"""

from __future__ import annotations

import logging
import subprocess
from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING

from recloop import __version__
from recloop.addresses import with_setting, without_setting
from recloop.contracts import Candidate, GateReport, Release, TrainingSet, UpdatePlan
from recloop.settings import MODEL, PROJECT, RECOMMENDER, Settings, switch_telemetry_off

if TYPE_CHECKING:
    from mlflow import MlflowClient

EXPERIMENT = "recloop"


def client(settings: Settings) -> MlflowClient:
    """An MLflow client on the recloop database; creates its tables on first use."""
    switch_telemetry_off()
    from mlflow import MlflowClient

    for name in ("mlflow", "alembic"):  # importing MLflow sets its own loggers to INFO
        logging.getLogger(name).setLevel(logging.WARNING)

    uri = with_setting(without_setting(settings.database_url, RECOMMENDER), "search_path", "mlflow")
    return MlflowClient(tracking_uri=uri, registry_uri=uri)


def register(
    settings: Settings,
    plan: UpdatePlan,
    candidate: Candidate,
    report: GateReport,
    target: Sequence[TrainingSet],
    folder: str,
) -> str:
    """Log the run and make a model version of `folder`, alias `challenger`; returns its number.

    Repeating it for the same folder returns the same version.
    """
    mlflow, name = client(settings), settings.model_name
    _ensure_model(mlflow, name)
    for version in mlflow.search_model_versions(f"name = '{name}'"):
        if version.source == folder:
            return str(version.version)
    title = EXPERIMENT if name == MODEL else f"{EXPERIMENT} {name}"
    known, place = mlflow.get_experiment_by_name(title), str(settings.artifacts / "mlflow")
    experiment = known.experiment_id if known else mlflow.create_experiment(title, place)
    lineage = {
        "window": plan.target,
        "windows": ",".join(plan.windows) if len(plan.windows) < 60 else f"{len(plan.windows)}",
        "data_hash": ",".join(one.sha256 for one in target),
        "parent_release": str(plan.parent_release or ""),
        "plan": plan.decision,
        "reason": plan.reason,
        "update_id": str(candidate.update_id),
        "weights_sha256": candidate.sha256,
        "code_version": code_version(),
    }
    run = mlflow.create_run(experiment, run_name=f"update {candidate.update_id}", tags=lineage)
    for metric, value in metrics_of(report).items():
        mlflow.log_metric(run.info.run_id, metric, value)
    mlflow.set_terminated(run.info.run_id)
    made = mlflow.create_model_version(
        name,
        source=folder,
        run_id=run.info.run_id,
        tags=lineage | {metric: f"{value:.6f}" for metric, value in metrics_of(report).items()},
    )
    mlflow.set_registered_model_alias(name, "challenger", made.version)
    return str(made.version)


def metrics_of(report: GateReport) -> dict[str, float]:
    """The gate's metrics, by MLflow-safe name."""
    models = {"challenger": report.challenger, "champion": report.champion}
    return {
        f"{model}_{name.replace('@', '_at_')}": value
        for model, metrics in models.items()
        if metrics is not None
        for name, value in metrics.values.items()
    }


def point_aliases(settings: Settings, champion: Release, previous: Release | None) -> None:
    """Make the aliases agree with the ledger. Each moves in one step."""
    mlflow, name = client(settings), settings.model_name
    by_source = {v.source: v.version for v in mlflow.search_model_versions(f"name = '{name}'")}
    for alias, release in (("champion", champion), ("previous", previous)):
        if release is not None and release.uri in by_source:
            mlflow.set_registered_model_alias(name, alias, by_source[release.uri])


def forget(settings: Settings, folders: Collection[str]) -> int:
    """Delete the model versions of these folders, their aliases with them; runs and their metrics
    stay. Returns how many."""
    mlflow, name = client(settings), settings.model_name
    every = mlflow.search_model_versions(f"name = '{name}'")
    gone = [version for version in every if version.source in folders]
    for version in gone:
        mlflow.delete_model_version(name, version.version)
    return len(gone)


def code_version() -> str:
    """recloop's version, with the commit when it runs from a checkout."""
    if not (PROJECT / ".git").exists():  # installed, perhaps inside of somebody else's repository
        return __version__
    try:
        commit = subprocess.run(
            ["git", "-C", str(PROJECT), "rev-parse", "--short", "HEAD"],
            capture_output=True,
            text=True,
            check=True,
            timeout=5,
        ).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return __version__
    return f"{__version__}+{commit}"


def _ensure_model(mlflow: MlflowClient, name: str) -> None:
    from mlflow.exceptions import MlflowException

    try:
        mlflow.get_registered_model(name)
    except MlflowException:
        try:
            mlflow.create_registered_model(name)
        except MlflowException:  # another process was faster
            mlflow.get_registered_model(name)

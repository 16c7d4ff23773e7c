"""Tables are swapped whole: whoever reads sees one release, and whoever is killed changes nothing."""

from __future__ import annotations

import subprocess
import sys
import threading

import pytest

from recloop.database.connection import transaction
from recloop.errors import BadInput, ServiceAway
from recloop.outlets import tables
from recloop.outlets.publication import Wanted, outlet_of, publish_recommendations
from recloop.settings import Settings
from tests.recloop.outlets.small_shop import Life, all_rows, life, own_schema

WANTED = Wanted(k=5)
KILLED = """
import os, signal, sys
from pathlib import Path
import pytest
from recloop.config.learnable import Meaning
from recloop.ledger import publications
from recloop.outlets import lists, publication, tables
from recloop.settings import Settings
from models.recommenders.family import family_named
from tests.recloop.outlets.small_shop import CALENDAR, Life

def die(*_):
    os.kill(os.getpid(), signal.SIGKILL)

url, home, release, where = sys.argv[1:]
settings = Settings(home=Path(home), database_url=url)
shop = Life(settings, Meaning(calendar=CALENDAR, session_gap=3600.0), family_named("sessions"))
shop.release = int(release)
shop.take_over(pytest.MonkeyPatch())
if where == "lists":
    lists.Asking._answers = die
elif where == "swap":
    tables.Tables.swap = die
elif where == "conclude":
    publications.conclude = die
else:
    publication.publications.begin, begin = (lambda *a: (begin(*a), die())), publications.begin
publication.publish_recommendations(settings, publication.Wanted(k=5))
"""


@pytest.fixture
def shop(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Life:
    """Three users, published."""
    made = life(settings, monkeypatch, "sessions")
    for user in ("ann", "bob", "cid"):
        made.buy(user, 3, 0, 60)
    publish_recommendations(settings, WANTED)
    return made


@pytest.mark.parametrize("where", ["lists", "swap", "conclude", "begin"])
@pytest.mark.parametrize("whole", [True, False])
def test_killed_anywhere_nothing_has_changed_and_a_repeat_is_whole(
    settings: Settings, shop: Life, where: str, whole: bool
) -> None:
    if whole:
        shop.promote()
    else:
        shop.buy("bob", 7, 0, 90)
    before = all_rows(settings), all_rows(settings, "published.similar_item")
    given = [settings.database_url, str(settings.home), str(shop.release), where]
    done = subprocess.run(
        [sys.executable, "-c", KILLED, *given], capture_output=True, text=True, check=False
    )
    if where == "swap" and not whole:  # in place
        assert done.returncode == 0, done.stderr
        return
    assert done.returncode == -9, done.stderr
    assert (all_rows(settings), all_rows(settings, "published.similar_item")) == before
    made = publish_recommendations(settings, WANTED)
    own_schema(settings, "other")
    again = publish_recommendations(settings, Wanted(k=5, out="other.whole"), anew=True)
    assert all_rows(settings) == all_rows(settings, "other.whole") != before[0]
    assert made.sha256 == again.sha256
    with transaction(settings.database_url) as cursor:
        cursor.execute(
            "select state from ledger.publication where target = 'published' order by id"
        )
        begun = [] if where == "begin" else ["abandoned"]
        states = [state for (state,) in cursor.fetchall()]
        assert states == ["replaced", *begun, "published"]
        cursor.execute("select count(*) from pg_tables where schemaname = 'published'")
        assert cursor.fetchone() == (4,)  # two, and a partition of each


def test_readers_see_one_release_while_it_is_published_again_and_again(
    settings: Settings, shop: Life
) -> None:
    seen, ended = set(), threading.Event()

    def read() -> None:
        while not ended.is_set():
            with transaction(settings.database_url) as cursor:
                cursor.execute(
                    "select array_agg(distinct release), count(*) from published.recommendation"
                )
                releases, rows = cursor.fetchone() or ((), 0)
                seen.add((len(releases), rows))

    readers = [threading.Thread(target=read) for _ in range(2)]
    for reader in readers:
        reader.start()
    try:
        for _ in range(12):
            shop.promote()
            publish_recommendations(settings, WANTED)
    finally:
        ended.set()
        for reader in readers:
            reader.join()
    assert seen == {(1, 20)}  # three users and strangers, five items each


def test_a_reader_who_holds_the_table_is_waited_for_and_then_told_of(
    settings: Settings, shop: Life, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tables, "PATIENCE", 0.1)
    monkeypatch.setattr(tables, "LOCK_SECONDS", 1)
    before = all_rows(settings)
    shop.promote()
    with transaction(settings.database_url) as cursor:
        cursor.execute("select 1 from published.recommendation limit 1")
        with pytest.raises(ServiceAway, match="somebody has been reading published"):
            publish_recommendations(settings, WANTED)
        assert all_rows(settings) == before
    assert publish_recommendations(settings, WANTED).release == shop.release


def test_recommenders_have_a_partition_each(
    settings: Settings, shop: Life, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = f"{settings.database_url}&options=-c%20recloop.recommender%3Dhome_page"
    other = settings.model_copy(update={"recommender": "home_page", "database_url": url})
    second = Life(other, shop.meaning, shop.family, lines=100)
    second.promote()
    second.take_over(monkeypatch)
    assert publish_recommendations(other, Wanted(k=2)).users == 3
    rows = all_rows(settings)
    assert {row[:2] for row in rows} == {("default", shop.release), ("home_page", second.release)}
    assert len(rows) == 4 * 5 + 4 * 2
    shop.take_over(monkeypatch)
    assert publish_recommendations(settings, WANTED).computed == 0


def test_a_table_of_ones_own_follows_and_anothers_is_left_alone(
    settings: Settings, shop: Life
) -> None:
    mine = Wanted(k=3, out="shop.picks")
    with pytest.raises(BadInput, match="there is no schema 'shop'"):
        publish_recommendations(settings, mine)
    with pytest.raises(BadInput, match="there is no schema 'lists'"):
        publish_recommendations(
            settings, Wanted(out="lists.xlsx")
        )  # a file of a kind it cannot write
    own_schema(settings, "shop")
    assert publish_recommendations(settings, mine).computed == 3
    shop.buy("bob", 7, 0, 90)
    assert publish_recommendations(settings, mine).why == ""
    assert len(all_rows(settings, "shop.picks")) == 12
    with transaction(settings.database_url) as cursor:
        cursor.execute("create table shop.theirs (a int)")
        cursor.execute("create table shop.half_similar_item (a int)")
    for name in ("shop.theirs", "shop.half"):
        with pytest.raises(BadInput, match="somebody else made"):
            publish_recommendations(settings, Wanted(out=name))
    with transaction(settings.database_url) as cursor:
        cursor.execute("drop table shop.picks")
    again = publish_recommendations(settings, mine)
    assert (again.why, again.computed) == ("nothing is there yet", 3)


@pytest.mark.parametrize("out", ["picks", "ledger.update", "a.b.c", 'a."b"', "A.b", "x.txt; drop"])
def test_what_is_neither_a_file_nor_a_table_is_told(settings: Settings, out: str) -> None:
    with pytest.raises(BadInput, match="`out` should be a file"):
        outlet_of(settings, out)

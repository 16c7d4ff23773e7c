"""Two recommenders on one log: a lineage each, of the same windows and parts."""

from __future__ import annotations

import json
from typing import Any

import psycopg2
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recloop.addresses import with_setting
from recloop.calendar import whole
from recloop.database.connection import asked, column, transaction
from recloop.errors import PlanOutdated, UpdateInProgress
from recloop.ledger import deletions, parts, releases, updates, window_states
from tests.conftest import copy_database
from tests.recloop.ledger.builders import (
    accept,
    defer,
    feature,
    note_featured,
    plan,
    promote,
    window,
)

FIRST, SECOND = window(0).key, window(1).key


@pytest.fixture
def urls(database_url: str) -> tuple[str, str]:
    """Of a home page's and a product page's sessions."""
    return _both(database_url)


def _both(url: str) -> tuple[str, str]:
    home, product = (
        with_setting(url, "recloop.recommender", name) for name in ("home_page", "product_page")
    )
    return home, product


def test_what_one_has_learnt_the_other_has_not(urls: tuple[str, str]) -> None:
    home, product = urls
    with transaction(home) as cursor:
        feature(cursor, 0, 1)
        first = promote(cursor, 1, "rebuild")
        assert releases.pending(cursor) == []
    with transaction(product) as cursor:
        assert releases.champion(cursor) is None
        assert updates.all_updates(cursor) == []
        assert releases.pending(cursor) == [], "it has no training sets yet"
        assert parts.unprepared(cursor) == [FIRST, SECOND]
        for key in (FIRST, SECOND):
            assert note_featured(cursor, key)
        assert parts.unprepared(cursor) == []
        assert releases.pending(cursor) == releases.undecided(cursor) == [FIRST, SECOND]
        own = promote(cursor, 1, "rebuild")
        assert own.version != first.version
    with transaction(home) as cursor:
        assert releases.champion(cursor) == first
        assert [row["version"] for row in releases.all_releases(cursor)] == [first.version]


def test_late_events_are_a_late_part_for_both_once_either_has_learnt(urls: tuple[str, str]) -> None:
    home, product = urls
    with transaction(home) as cursor:
        feature(cursor, 0)
        promote(cursor, 0, "rebuild")
        late = accept(cursor, 0, 7)
        assert late == f"{FIRST}+1"
        note_featured(cursor, late)
        assert releases.pending(cursor) == [late]
    with transaction(product) as cursor:
        assert parts.unprepared(cursor) == [FIRST]
        for key in (FIRST, late):
            note_featured(cursor, key)
        assert set(promote(cursor, 0, "rebuild").windows) == {FIRST, late}


def test_each_works_on_one_update_at_a_time_beside_the_other(urls: tuple[str, str]) -> None:
    home, product = urls
    with transaction(home) as cursor:
        feature(cursor, 0)
        updates.begin_update(cursor, plan(cursor, 0, "rebuild"), "one run")
    with transaction(product) as cursor:
        note_featured(cursor, FIRST)
        updates.begin_update(cursor, plan(cursor, 0, "rebuild"), "another run")
    with transaction(home) as cursor, pytest.raises(UpdateInProgress, match="'one run'"):
        updates.begin_update(cursor, plan(cursor, 0, "rebuild"), "a second run")


def test_a_set_that_late_events_overtook_makes_nobody_elses_plan_outdated(
    urls: tuple[str, str],
) -> None:
    home, product = urls
    with transaction(home) as cursor:
        feature(cursor, 0)
        made = plan(cursor, 0, "rebuild")
    with transaction(product) as cursor:
        with pytest.raises(PlanOutdated):
            updates.begin_update(cursor, made, "with another's plan")
        note_featured(cursor, FIRST)
        accept(cursor, 0, 5)
    for url in urls:
        with transaction(url) as cursor, pytest.raises(PlanOutdated):
            updates.begin_update(cursor, made, "without the five")
    with transaction(product) as cursor:
        note_featured(cursor, FIRST)
        updates.begin_update(cursor, plan(cursor, 0, "rebuild"), "with the five")


def test_signals_comparisons_and_evidence_are_ones_own(urls: tuple[str, str]) -> None:
    home, product = urls
    with transaction(home) as cursor:
        feature(cursor, 0, 1, 2)
        version = promote(cursor, 0, "rebuild").version
        window_states.note_signals(cursor, FIRST, {"drift": 1})
        said = {"window": FIRST, "version": version, "uri": "/s", "summary": "s"}
        defer(cursor, 1)
        _note_shadow(cursor, said)
    with transaction(product) as cursor:
        assert window_states.signals_before(cursor, SECOND, 9) == []
        window_states.note_signals(cursor, FIRST, {"drift": 2})
        assert column(cursor, "select report from ledger.shadow") == []
        for number in range(3):
            note_featured(cursor, window(number).key)
        promote(cursor, 0, "rebuild")
        made = updates.begin_update(cursor, plan(cursor, 2), "run")
        assert updates.deferred_before(cursor, made.update_id) == ()
    with transaction(home) as cursor:
        assert window_states.signals_before(cursor, SECOND, 9) == [{"drift": 1}]
        assert column(cursor, "select report from ledger.shadow") == [said]


def _note_shadow(cursor: Any, report: dict[str, Any]) -> None:
    cursor.execute(
        "insert into ledger.shadow (window_key, version, report) values (%s, %s, %s)",
        (report["window"], report["version"], json.dumps(report)),
    )


def test_thinning_and_rolling_back_leave_the_other_alone(urls: tuple[str, str]) -> None:
    home, product = urls
    with transaction(home) as cursor:
        feature(cursor, 0, 1, 2, 3)
    made = {url: [] for url in urls}
    for number in range(4):
        for url in urls:
            with transaction(url) as cursor:
                for key in parts.unprepared(cursor):
                    note_featured(cursor, key)
                decision = "increment" if number else "rebuild"
                made[url].append(promote(cursor, number, decision).version)
    with transaction(home) as cursor:
        kept, fresh = deletions.mark(cursor, 2)
        assert set(kept.kept) | set(fresh) == set(made[home])
        assert releases.roll_back(cursor, None, "a test").version == made[home][-2]
    with transaction(product) as cursor:
        assert (
            column(cursor, "select version from ledger.release where thinned_at is null")
            == (made[product])
        )
        assert releases.champion(cursor).version == made[product][-1]
        assert releases.rollbacks(cursor) == []


def test_nobody_writes_into_anothers_rows(urls: tuple[str, str]) -> None:
    home, product = urls
    with transaction(home) as cursor:
        feature(cursor, 0)
        version = promote(cursor, 0, "rebuild").version
    with transaction(product) as cursor:
        for statement in (
            "update ledger.release set uri = 'theirs'",
            "update ledger.update set state = 'abandoned'",
            "delete from ledger.reign",
        ):
            cursor.execute(statement)
            assert cursor.rowcount == 0
    assert asked(home, releases.champion).version == version
    with (
        pytest.raises(psycopg2.errors.UniqueViolation, match="one_champion"),
        transaction(home) as cursor,
    ):
        cursor.execute("insert into ledger.reign (version, reason) values (%s, 'b')", (version,))


STEPS = st.lists(
    st.tuples(
        st.sampled_from(["events", "features", "update", "update", "back"]),
        st.sampled_from([0, 1]),
        st.integers(0, 2),
    ),
    max_size=25,
)


@settings(max_examples=25, deadline=None)
@given(steps=STEPS)
def test_in_any_order_each_has_learnt_or_awaits_every_part_once(
    server_url: str, steps: Any
) -> None:
    urls = _both(copy_database(server_url))
    for what, who, number in steps:
        with transaction(urls[who]) as cursor:
            if what == "events":
                accept(cursor, number)
            elif what == "features":
                for key in column(cursor, "select part_key from ledger.part"):
                    note_featured(cursor, key)
            elif what == "update" and (waiting := releases.pending(cursor)):
                numbers = [n for n in range(3) if window(n).key == whole(waiting[-1])]
                promote(cursor, numbers[0], "increment" if releases.champion(cursor) else "rebuild")
            elif what == "back":
                champion = releases.champion(cursor)
                if champion is not None and champion.parent_version is not None:
                    releases.roll_back(cursor, None, "a test")
    for url in urls:
        with transaction(url) as cursor:
            every = {row["part_key"]: row for row in parts.all_parts(cursor)}
            champion = releases.champion(cursor)
            learnt = list(champion.windows) if champion else []
            waiting = releases.pending(cursor)
            unready = [key for key, row in every.items() if not row["ready"]]
            assert sorted([*learnt, *waiting, *unready]) == sorted(every)

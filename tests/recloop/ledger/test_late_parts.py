"""Late parts: events that come after their window was learnt are learnt once, by a later update."""

from __future__ import annotations

import threading

import psycopg2
import pytest

from recloop.calendar import part_key, part_number, whole
from recloop.contracts import TrainingSet
from recloop.database.connection import transaction
from recloop.database.schema import migrate
from recloop.errors import BadInput, LedgerConflict, PlanOutdated
from recloop.ledger import parts, releases, updates, window_states
from recloop.ledger.window_states import note_signals, signals_before
from recloop.settings import Settings
from recloop.stages.status import read_status
from tests.recloop.ledger.builders import (
    accept,
    feature,
    judge,
    note_featured,
    plan,
    promote,
    train,
    window,
)

FIRST, SECOND = window(0).key, window(1).key
LATE = f"{FIRST}+1"


def begin(cursor, target: int):
    made = plan(cursor, target)
    return made, updates.begin_update(cursor, made, "run")


def reject(cursor, target: int) -> None:
    made, lease = begin(cursor, target)
    train(cursor, lease, made)
    judge(cursor, lease, made, passed=False)


def test_keys_of_parts() -> None:
    assert (part_key(FIRST, 0), part_key(FIRST, 2)) == (FIRST, f"{FIRST}+2")
    assert (whole(LATE), part_number(LATE), part_number(FIRST)) == (FIRST, 1, 0)
    assert FIRST < LATE < SECOND
    for key in (f"{FIRST}+", f"{FIRST}+0", f"{FIRST}+01", f"{FIRST}+x"):
        with pytest.raises(BadInput, match="late parts are called 2011-05-30\\+1"):
            part_number(key)


def test_late_events_of_a_window_that_nothing_learnt_from_join_it(cursor) -> None:
    feature(cursor, 0)
    assert accept(cursor, 0, 10) == FIRST
    assert releases.pending(cursor) == []
    assert window_states.state_of(cursor, FIRST) == "validated"
    note_featured(cursor, FIRST)
    assert releases.pending(cursor) == [FIRST]
    assert parts.training_set_of(cursor, FIRST).interactions == 110


@pytest.mark.parametrize("outcome", ["rejected", "skipped", "abandoned"])
def test_an_update_without_a_release_leaves_its_windows_open(cursor, outcome: str) -> None:
    feature(cursor, 0)
    _, lease = begin(cursor, 0)
    updates.conclude(cursor, lease, outcome, "test")
    assert accept(cursor, 0, 10) == FIRST


def test_events_that_come_while_their_window_is_trained_are_a_late_part(cursor) -> None:
    feature(cursor, 0)
    made, lease = begin(cursor, 0)
    assert accept(cursor, 0, 10) == LATE
    assert accept(cursor, 0, 5) == LATE
    assert [key for key, _, _ in parts.to_feature(cursor, FIRST)] == [FIRST, LATE]
    train(cursor, lease, made)
    judge(cursor, lease, made, passed=True)
    assert list(releases.promote(cursor, lease, "/r").windows) == [FIRST]
    note_featured(cursor, LATE)
    assert releases.pending(cursor) == [LATE]


def test_a_late_part_is_learnt_with_the_next_window_and_once(cursor) -> None:
    feature(cursor, 0)
    promote(cursor, 0, "rebuild")
    feature(cursor, 0, events=7)
    assert releases.pending(cursor) == [LATE]
    assert releases.undecided(cursor) == [], "a late part is never a target by itself"
    feature(cursor, 1)
    release = promote(cursor, 1)
    assert list(release.windows) == [FIRST, LATE, SECOND]
    assert releases.pending(cursor) == []
    twice = plan(cursor, 1).model_copy(update={"windows": (LATE,)})
    lease = updates.begin_update(cursor, twice, "run")
    train(cursor, lease, twice)
    judge(cursor, lease, twice, passed=True)
    with pytest.raises(LedgerConflict, match="twice"):
        releases.promote(cursor, lease, "/r")


def test_what_comes_after_a_late_part_was_learnt_is_another(cursor) -> None:
    feature(cursor, 0)
    promote(cursor, 0, "rebuild")
    feature(cursor, 0)
    feature(cursor, 1)
    promote(cursor, 1)
    assert accept(cursor, 0, 3) == f"{FIRST}+2"


def test_a_rollback_makes_the_window_and_its_late_part_pending_each(cursor) -> None:
    feature(cursor, 0)
    first = promote(cursor, 0, "rebuild")
    feature(cursor, 1)
    promote(cursor, 1)
    feature(cursor, 1)
    feature(cursor, 2)
    third = promote(cursor, 2)
    releases.roll_back(cursor, first.version, "test")
    assert releases.pending(cursor) == [SECOND, f"{SECOND}+1", window(2).key]
    assert accept(cursor, 1, 3) == f"{SECOND}+2", "the release may come back"
    releases.roll_back(cursor, third.version, "back")
    note_featured(cursor, f"{SECOND}+2")
    assert releases.pending(cursor) == [f"{SECOND}+2"]


def test_a_rejected_update_leaves_late_parts_pending(cursor) -> None:
    feature(cursor, 0)
    promote(cursor, 0, "rebuild")
    feature(cursor, 0)
    feature(cursor, 1)
    reject(cursor, 1)
    assert releases.pending(cursor) == [LATE, SECOND]
    assert accept(cursor, 0, 3) == LATE


def test_a_plan_that_late_events_overtook_is_refused(cursor) -> None:
    feature(cursor, 0)
    made = plan(cursor, 0)
    accept(cursor, 0, 5)
    with pytest.raises(PlanOutdated, match=f"late events came for {FIRST}"):
        updates.begin_update(cursor, made, "run")
    note_featured(cursor, FIRST)
    assert updates.begin_update(cursor, made, "run")


def test_a_plan_made_under_another_champion_is_refused(cursor) -> None:
    feature(cursor, 0)
    made = plan(cursor, 0, "rebuild")
    promote(cursor, 0, "rebuild")
    with pytest.raises(PlanOutdated, match="champion moved from release None to 1"):
        updates.begin_update(cursor, made, "another run")


def test_an_update_waits_for_events_that_are_being_accepted(database_url: str) -> None:
    """And finds that its plan is outdated: it would forget them."""
    with transaction(database_url) as cursor:
        feature(cursor, 0)
        made = plan(cursor, 0)
    outcome: list[BaseException | None] = []

    def trigger() -> None:
        try:
            with transaction(database_url) as other:
                updates.begin_update(other, made, "run")
            outcome.append(None)
        except PlanOutdated as error:
            outcome.append(error)

    with transaction(database_url) as cursor:
        accept(cursor, 0, 5)
        thread = threading.Thread(target=trigger)
        thread.start()
        thread.join(0.3)
        assert thread.is_alive()
    thread.join(10)
    assert len(outcome) == 1
    assert isinstance(outcome[0], PlanOutdated)


def test_a_training_set_that_events_overtook_is_not_recorded(cursor) -> None:
    accept(cursor, 0, 5)
    made = TrainingSet(window=FIRST, uri="/s", queries=1, interactions=5, items=1, sha256="s")
    accept(cursor, 0, 2)
    assert not parts.note_featured(cursor, made, 5)
    assert releases.pending(cursor) == []
    assert parts.note_featured(cursor, made, 7)


def test_status_tells_of_late_parts(database_url: str, settings: Settings) -> None:
    def late() -> list[dict]:
        (row,) = (r for r in read_status(settings)["windows"] if r["window"] == FIRST)
        return row["late"]

    with transaction(database_url) as cursor:
        feature(cursor, 0)
        promote(cursor, 0, "rebuild")
    assert late() == []
    with transaction(database_url) as cursor:
        accept(cursor, 0, 7)
    told = {"part": LATE, "events": 7, "release": None}
    assert late() == [{**told, "state": "accepted"}]
    with transaction(database_url) as cursor:
        note_featured(cursor, LATE)
        feature(cursor, 1)
    assert late() == [{**told, "state": "pending"}]
    assert LATE in read_status(settings)["pending"]
    with transaction(database_url) as cursor:
        version = promote(cursor, 1).version
    assert late() == [{**told, "state": "trained", "release": version}]


BEFORE_RECOMMENDERS = """
drop view ledger.update, ledger.release, ledger.reign, ledger.shadow, ledger.training_set,
    ledger.signals, ledger.pin;
drop table lineage.pin;
alter table ledger.part add column training_set jsonb, add column featured bigint not null default 0;
update ledger.part p set training_set = t.training_set, featured = t.featured
    from lineage.training_set t where t.part_key = p.part_key;
alter table ledger.window add column signals jsonb;
update ledger.window w set signals = s.signals from lineage.signals s
    where s.window_key = w.window_key;
drop table lineage.training_set, lineage.signals;
drop index lineage.one_live_update, lineage.one_champion;
alter table lineage.update drop column recommender; alter table lineage.update set schema ledger;
alter table lineage.release drop column recommender; alter table lineage.release set schema ledger;
alter table lineage.reign drop column recommender; alter table lineage.reign set schema ledger;
alter table lineage.shadow drop column recommender; alter table lineage.shadow set schema ledger;
create unique index one_live_update on ledger.update ((true))
    where state in ('planned', 'training', 'evaluated');
create unique index one_champion on ledger.reign ((true)) where ended_at is null;
drop schema lineage cascade;
"""
BEFORE_PARTS = """
alter table ledger.window add column training_set jsonb;
update ledger.window w set training_set = p.training_set
    from ledger.part p where p.part_key = w.window_key;
alter table ledger.update_window drop constraint update_window_part,
    add foreign key (window_key) references ledger.window;
alter table ledger.trained drop constraint trained_part,
    add foreign key (window_key) references ledger.window;
drop table ledger.part;
alter table behavior.event drop column part;
"""


@pytest.mark.parametrize(
    "before_parts", ["", BEFORE_PARTS], ids=["before_recommenders", "before_parts"]
)
def test_a_database_of_an_earlier_version_is_carried_over(
    database_url: str, before_parts: str
) -> None:
    with transaction(database_url) as cursor:
        feature(cursor, 0)
        promote(cursor, 0, "rebuild")
        feature(cursor, 1)
        accept(cursor, 2)
        note_signals(cursor, FIRST, {"drift": 0.5})
        before = parts.all_parts(cursor)
    with transaction(
        database_url
    ) as cursor:  # one of its own: foreign keys wait for the end of theirs
        cursor.execute(BEFORE_RECOMMENDERS)
        if before_parts:
            cursor.execute(before_parts)
    for _ in range(2):
        migrate(f"{database_url}&options=-c%20recloop.recommender%3Danother")
    with transaction(database_url) as cursor:
        assert parts.all_parts(cursor) == before
        assert releases.pending(cursor) == [SECOND]
        assert signals_before(cursor, SECOND, 9) == [{"drift": 0.5}]
        assert parts.training_set_of(cursor, FIRST).interactions == 100
        assert accept(cursor, 0, 1) == LATE
        cursor.execute("select part from behavior.event")
    with pytest.raises(psycopg2.errors.ForeignKeyViolation), transaction(database_url) as cursor:
        cursor.execute("update ledger.trained set window_key = '2011-05-30+9'")

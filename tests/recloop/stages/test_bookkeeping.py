"""Around a stage: its seconds, its lease, its shard, the window it was asked for."""

from __future__ import annotations

import logging
from typing import Any

import pytest

from recloop.config.recommenders import settings_of
from recloop.contracts import ShardReport
from recloop.database.connection import transaction
from recloop.errors import BadInput, LeaseLost, LedgerConflict
from recloop.ledger import shards, updates
from recloop.settings import Settings
from recloop.stages import bookkeeping
from tests.recloop.conftest import Query
from tests.recloop.ledger.builders import feature, plan, promote, window


def test_a_stage_leaves_its_seconds_only_if_it_succeeds(settings: Settings, query: Query) -> None:
    with transaction(settings.database_url) as cursor:
        feature(cursor, 0)
        held = updates.begin_update(cursor, plan(cursor, 0, "rebuild"), "run")
    key = window(0).key
    with bookkeeping.timed_window(settings, key, "validate"):
        pass
    with pytest.raises(ZeroDivisionError), bookkeeping.timed_window(settings, key, "features"):
        _ = 1 / 0
    with bookkeeping.leased(settings, held.update_id, "run", "train") as (lease, check):
        check()
        assert lease.token > held.token, "a retry fences the try before it"
    gate = bookkeeping.leased(settings, held.update_id, "run", "gate")
    with pytest.raises(ZeroDivisionError), gate:
        _ = 1 / 0
    ((of_window,),) = query("select seconds from ledger.window")
    ((of_update,),) = query("select seconds from ledger.update")
    assert (set(of_window), set(of_update)) == ({"validate"}, {"train"})
    assert 0 <= of_update["train"] < 60


def test_an_update_that_has_concluded_or_never_was_is_leased_to_nobody(settings: Settings) -> None:
    with transaction(settings.database_url) as cursor:
        feature(cursor, 0)
        made = promote(cursor, 0, "rebuild")
    for number, error, says in (
        (made.update_id, LedgerConflict, r"has concluded \(promoted\)"),
        (made.update_id + 7, BadInput, "has no update"),
    ):
        with (
            pytest.raises(error, match=says),
            bookkeeping.leased(settings, number, "run", "train"),
        ):
            pytest.fail("the block was entered")


def test_a_shard_is_held_until_it_has_reported_and_not_once_the_merge_has_it(
    settings: Settings,
) -> None:
    with transaction(settings.database_url) as cursor:
        feature(cursor, 0)
        held = updates.begin_update(cursor, plan(cursor, 0, "rebuild"), "run")
        updates.note_training(cursor, held)
        shards.open_shards(cursor, held, 2)
    with bookkeeping.shard_held(settings, held.update_id, 0) as (token, check):
        check()
        assert token is not None
        report = ShardReport(
            update_id=held.update_id, number=0, uri="", parent_release=None, examples=0,
            cpu_seconds=0,
        )  # fmt: skip
        with transaction(settings.database_url) as cursor:
            shards.report_shard(cursor, report, token)
    with bookkeeping.shard_held(settings, held.update_id, 0) as (token, check):
        assert token is None
        check()
    with transaction(settings.database_url) as cursor:
        shards.take_shards(cursor, held)
    with pytest.raises(LeaseLost), bookkeeping.shard_held(settings, held.update_id, 1):
        pytest.fail("the block was entered")


def test_progress_is_told_after_the_lease_was_looked_at() -> None:
    happened: list[Any] = []
    bookkeeping.both(lambda: happened.append("looked"), happened.append)("step 1")
    bookkeeping.both(lambda: happened.append("looked"), None)("step 2")
    assert happened == ["looked", "step 1", "looked"]

    def lost() -> None:
        raise LeaseLost("gone")

    with pytest.raises(LeaseLost):
        bookkeeping.both(lost, happened.append)("step 3")
    assert "step 3" not in happened


def test_a_named_window_can_have_lines_and_only_what_was_just_put_aside_is_logged(
    settings: Settings,
    monkeypatch: pytest.MonkeyPatch,
    query: Query,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """The shipped shop's lines are from 2010-12-01 to 2011-12-09 13:00."""
    for variable, value in settings.environment().items():
        monkeypatch.setenv(variable, value)
    assert bookkeeping.current_settings() == settings_of(settings, "default")
    for key in ("2010-11-29", "2011-12-05"):
        found = bookkeeping.named_window(settings, key)
        assert found == bookkeeping.calendar(settings).parse(key)
    for key, says in (("2010-11-22", "ends before"), ("2011-12-12", "begins after")):
        with pytest.raises(BadInput, match=f"'{key}' {says} period"):
            bookkeeping.named_window(settings, key)
    query(
        "insert into behavior.quarantine (file_id, line_no, rule, rules, line, quarantined_at) values "
        "(1, 1, 'old', '{old}', '{}', now() - interval '1 hour'), (1, 2, 'new', '{new}', '{}', now())"
    )
    with caplog.at_level(logging.INFO, "recloop"):
        bookkeeping.log_quarantined(settings, seconds=60)
    assert [r.getMessage() for r in caplog.records if "quarantined" in r.getMessage()] == [
        "quarantined: new: 1 lines, for example line 2: {}. See the line in behavior.quarantine."
    ]

"""A backfill through a real scheduler: ingested, validated, featured, decided, in the ledger's order."""

from __future__ import annotations

import pytest

from recloop.stages import update_stages
from recloop.stages.status import count_lines
from tests.conftest import LOOP_END, LOOP_LAST
from tests.conftest import LOOP_NEXT as WEEK
from tests.end_to_end.conftest import Loop

pytestmark = pytest.mark.airflow


def test_a_backfilled_window_goes_through_the_whole_loop(loop: Loop) -> None:
    champion = loop.one("select version from ledger.reign where ended_at is null")
    waiting = update_stages.undecided(loop.settings)
    loop.client.backfill("ingest_behavior", WEEK, WEEK)
    loop.client.wait_until(
        lambda: (
            not update_stages.undecided(loop.settings)
            and loop.one(
                f"select state = 'featured' from ledger.window where window_key = '{WEEK}'"
            )
        ),
        300,
        f"a decision on {WEEK}",
    )
    loop.client.wait_until_idle(["ingest_behavior", "incremental_update"], 300)

    loop.assert_trained_once(WEEK)
    decided = loop.rows(
        "select target from ledger.update where state = 'promoted' order by update_id"
    )
    assert [key for (key,) in decided][-len(waiting) - 1 :] == [*waiting, WEEK]
    assert loop.one("select version from ledger.reign where ended_at is null") > champion

    lines = count_lines(loop.settings)
    assert loop.rows("select distinct window_key from behavior.landing") == [(LOOP_LAST,)]
    assert lines["total"] == lines["pending"] + (
        lines["accepted"] + lines["duplicates"] + sum(lines["quarantined"].values())
    )
    assert LOOP_END.strftime("%Y-%m-%d") not in dict(
        loop.rows("select window_key, lines from ledger.window where lines > 0")
    )

    runs = loop.client.runs("ingest_behavior")
    again = len(loop.rows("select 1 from ledger.update"))
    loop.client.backfill("ingest_behavior", WEEK, WEEK, reprocess="completed")
    loop.client.wait_until_idle(["ingest_behavior", "incremental_update"], 300)
    assert len(loop.client.runs("ingest_behavior")) >= len(runs)
    assert len(loop.rows("select 1 from ledger.update")) == again, (
        "a repeated backfill changes nothing"
    )

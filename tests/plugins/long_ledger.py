"""A ledger of years, written by SQL: what a page has to show quickly, and text that wants to run."""

from __future__ import annotations

import json
import math
from datetime import UTC, datetime, timedelta
from typing import Any

from psycopg2.extras import execute_values

from recloop.database.connection import transaction

RUN = "incremental_update manual__2026-01-01T00:00:00+00:00"
END = datetime(2026, 11, 29, tzinfo=UTC)
EVIL = "http://evil.example"
HOSTILE = f'"><script>alert(1)</script><img src={EVIL}/x.png><form action={EVIL}><button>'

WINDOWS = """
insert into ledger.window (window_key, starts, ends, state, lines, accepted, duplicates, quarantined,
    validation)
select to_char(day, 'YYYY-MM-DD'), day, day + interval '1 day',
    case when n = %(windows)s - 3 then 'refused' when n > %(learnt)s + 4 then 'landed'
         else 'featured' end,
    1000 + n %% 7, 900 + n %% 7, 10,
    case when n %% 5 = 0 then '{"missing_user": 12, "price": 3}' else '{}' end::jsonb,
    jsonb_build_object('rules', case when n = %(windows)s - 3 then jsonb_build_array(jsonb_build_object(
        'name', 'volume', 'value', 12, 'limit', '>= 300', 'passed', false, 'message', %(hostile)s::text))
        else '[]' end)
from (select n, timestamptz '2026-11-29 00:00+00' - make_interval(days => %(windows)s + 1 - n) as day
      from generate_series(1, %(windows)s) n) days
"""
PARTS = """
insert into ledger.part (part_key, window_key, number, accepted)
select window_key, window_key, 0, accepted from ledger.window where state = 'featured'
union all
select window_key || '+1', window_key, 1, 7 from ledger.window
where starts between timestamptz '2026-11-09 00:00+00' and timestamptz '2026-11-11 00:00+00'
"""
TRAINED = """
insert into ledger.trained (version, window_key, update_id)
select r.version, w.window_key, (%(first)s + (w.n - 1) / %(each)s)
from (select window_key, row_number() over (order by starts) as n from ledger.window) w
    join ledger.release r on w.n <= r.version * %(each)s
"""
QUARANTINE = """
insert into behavior.quarantine (file_id, line_no, window_key, rule, rules, line)
select 1, n, (select max(window_key) from ledger.window where quarantined ? 'missing_user'),
    case when n %% 4 = 0 then 'price' else 'missing_user' end, '{missing_user}',
    jsonb_build_object('CustomerID', %s::text, 'Description', 'line ' || n)
from generate_series(1, 40) n
"""


def fill(url: str, releases: int = 1000, windows: int = 10_020) -> None:
    """A lineage of `releases`, each of which learnt as many windows as the others; the newest windows
    wait, one of them refused. The champion is the newest release."""
    each = (windows - 20) // releases
    learnt = each * releases
    with transaction(url) as cursor:
        cursor.execute("set session_replication_role = replica")  # no look-up for five million keys
        cursor.execute(WINDOWS, {"windows": windows, "learnt": learnt, "hostile": HOSTILE})
        cursor.execute(PARTS)
        made = [
            (target, n or None, n + 1, json.dumps(plan), json.dumps(report), reason, 8.0 + n % 5)
            for n, (target, plan, report, reason) in enumerate(_updates(releases, windows, each))
        ]
        execute_values(
            cursor,
            "insert into ledger.update (target, parent_release, state, holder, token, lease_until, "
            "plan, candidate, gate_report, reason, cost_cpu_s, concluded_at) values %s",
            made,
            f"(%s, %s, 'promoted', '{RUN}', %s, now(), %s, '{{}}', %s, %s, %s, now())",
            page_size=1000,
        )
        cursor.execute("select min(update_id) from ledger.update")
        (first,) = cursor.fetchone() or (1,)
        cursor.execute(
            "insert into ledger.release (update_id, parent_version, uri, champion_from, thinned_at) "
            "select update_id, parent_release, '/gone', "
            "now() - make_interval(days => %s - token::int, secs => 5000), case when "
            "token < %s then now() end from ledger.update order by update_id",
            (releases, releases - 12),
        )
        cursor.execute(
            "insert into ledger.reign (version, began_at, ended_at, reason) select version, "
            "champion_from, case when version < %s then champion_from + interval '1 day' end, "
            "'promoted' from ledger.release order by version",
            (releases,),
        )
        cursor.execute(
            "insert into ledger.update_window (update_id, window_key) "
            "select %s + (n - 1) / %s, window_key from (select window_key, row_number() over "
            "(order by starts) as n from ledger.window) w where n <= %s",
            (first, each, learnt),
        )
        cursor.execute(TRAINED, {"first": first, "each": each})
        cursor.execute(QUARANTINE, (HOSTILE,))
    with transaction(url) as cursor:
        cursor.execute("analyze")


def _updates(
    releases: int, windows: int, each: int
) -> list[tuple[str, dict[str, Any], dict[str, Any], str]]:
    found = []
    for n in range(releases):
        day = END - timedelta(days=windows + 1 - (n + 1) * each)
        target, wave = f"{day:%Y-%m-%d}", math.sin(n / 9)
        quality = 0.18 + 0.02 * wave
        reason = HOSTILE if n == releases - 1 else f"{900 * each} events wait, and a wait costs 2 %"
        signals = {
            "champion_ndcg@20": quality, "champion_ndcg@20_error": 0.006,
            "static_ndcg@20": quality - 0.03 - 0.01 * wave, "static_ndcg@20_error": 0.006,
            "popularity_ndcg@20": 0.05 + 0.005 * wave, "champion_recall@20": quality + 0.1,
            "static_recall@20": quality, "popularity_recall@20": 0.1,
            "popularity_drift": 0.1 + 0.05 * wave, "feature_drift": 0.12, "new_users": 0.08,
            "new_items": 0.02, "unscorable": 0.01,
        }  # fmt: skip
        plan = {"decision": "rebuild" if n == 0 else "increment", "target": target, "windows": [],
                "parent_release": n or None, "signals": signals, "decided_by": "policy",
                "reason": reason}  # fmt: skip
        gap = {"name": "ndcg@20", "mean": 0.004, "low": -0.002, "high": 0.01, "users": 400}
        rules = [{"name": "ndcg@20", "value": 0.004, "limit": ">= -0.009", "passed": True,
                  "undecided": False, "message": "no worse for sure"}]  # fmt: skip
        report = {"update_id": n + 1, "window": target, "passed": True, "rules": rules,
                  "champion": None, "challenger": {"values": {"ndcg@20": quality}, "users": 400},
                  "differences": [gap]}  # fmt: skip
        found.append((target, plan, report, reason))
    return found

"""Lines by the rule that they broke."""

from __future__ import annotations

from recloop.dashboard.quarantined_lines import EXAMPLES, LONGEST, read_quarantine
from tests.recloop.dashboard.lives import key, live

INSERT = (
    "insert into behavior.quarantine (file_id, line_no, window_key, rule, rules, line) "
    "select 1, n, %s, %s, '{}', jsonb_build_object('item', %s::text) "
    "from generate_series(%s, %s) n"
)


def test_each_rule_with_its_lines_and_a_few_of_them(cursor) -> None:
    live(cursor)
    cursor.execute(INSERT, (key(4), "price", "<b>" + "x" * 1000, 1, 4))
    cursor.execute(INSERT, (None, "timestamp", "no time", 5, 6))
    price, undated = read_quarantine(cursor)
    assert (price["rule"], price["lines"], price["newest"]) == ("price", 4, key(4))
    assert [one["line_no"] for one in price["examples"]] == [1, 2, 3][:EXAMPLES]
    assert all(len(one["line"]) == LONGEST + 1 for one in price["examples"]), "cut, with a mark"
    assert (undated["rule"], undated["lines"], undated["newest"]) == ("timestamp", 2, None)
    assert undated["examples"][0]["line"] == '{"item": "no time"}'


def test_no_quarantine_is_no_rule(cursor) -> None:
    assert read_quarantine(cursor) == []

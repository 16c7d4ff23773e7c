"""One SQL statement that finds, for every line of a window, the rules it breaks.

It fills `behavior.checked` from `behavior.landing`: the line, an array of broken rules, whether it is
an exact duplicate. Nothing is decided here.
"""

from __future__ import annotations

from collections.abc import Callable, Collection

from psycopg2 import DataError, errors
from psycopg2.extensions import cursor as Cursor

from recloop.behavior.lines import LANDING_COLUMNS
from recloop.behavior.shown import VIEWS
from recloop.calendar import Window
from recloop.config.dataset import LARGEST, SMALLEST, DatasetSpec
from recloop.config.limits import Limits
from recloop.errors import BadInput
from recloop.validation.row_rules import CONFLICT, UNCHECKABLE, parameters, row_rules

OWN_PRICES = 3
"""Lines of an item within the window that make a usual price, where the item has none yet."""

# A table with statistics of its own: estimates for a window new to `behavior.landing` can be a thousand
# times too low, and the plans made from them a thousand times too slow.
# Ids that stand for nobody are none here; the quarantine keeps them as they were landed.
LINE = """
create temp table line on commit drop as
select {columns} from behavior.landing l where window_key = %(window)s and not exists (
    select from unnest(%(files)s::bigint[], %(numbers)s::bigint[]) odd (file_id, line_no)
    where (odd.file_id, odd.line_no) = (l.file_id, l.line_no));
alter table line add primary key (file_id, line_no);
analyze line
"""

# Without the values on which something cannot be computed; the quarantine keeps the line as it landed.
ODD = """
insert into behavior.checked
    (file_id, line_no, window_key, event_id, content_hash, event_timestamp, faults, rules, duplicate)
select file_id, line_no, window_key, event_id, content_hash, event_timestamp, faults,
    array['{odd}'], false
from behavior.landing join unnest(%(files)s::bigint[], %(numbers)s::bigint[]) odd (file_id, line_no)
    using (file_id, line_no)
where window_key = %(window)s
"""

SOMEBODY = {
    name: f"case when lower({name}) <> all(%(nobody)s) then {name} end as {name}"
    for name in ("user_id", "item_id")
}

CHECK = """
insert into behavior.checked ({columns}, rules, duplicate, price_ratio)
with usual as (
    select item_id, percentile_cont(0.5) within group (order by price) as usual_price
    from behavior.event join behavior.item using (item_key)
    where window_key = any(%(trailing)s) and price between {smallest} and {largest}
        and event_timestamp >= %(since)s and event_timestamp < %(start)s
    group by item_id
), own as (
    select item_id, percentile_cont(0.5) within group (order by price) as own_price
    from line where price between {smallest} and {largest}
    group by item_id having count(*) >= {own_prices}
), accepted as (
    select event_id, content_hash from behavior.event
    where event_id in (select event_id from line) {same_time}
), known as (
    select event_id, content_hash from accepted
    union
    select event_id, (line ->> 'content_hash')::uuid from behavior.quarantine
    where event_id in (select event_id from line) {same_window}
), compared as (
    select line.*, case when abs(price) between {smallest} and {largest}  -- no overflow; NULL of a gift
            then abs(price) / coalesce(usual_price, own_price) end as price_ratio,
        row_number() over (partition by event_id, content_hash order by file_id, line_no) > 1
            or known.content_hash is not null as duplicate
    from line left join known using (event_id, content_hash)
        left join usual using (item_id) left join own using (item_id)
), judged as (
    select *, array_remove(array[{predicates}]::text[], null) as rules from compared
), ranked as (
    select *, event_id in (select event_id from accepted)
        or row_number() over (partition by event_id, duplicate, rules = '{{}}'
                              order by file_id, line_no) > 1 as taken
    from judged
)
select {columns},
    case when rules = '{{}}' and taken and not duplicate then array['{conflict}'] else rules end,
    duplicate, price_ratio
from ranked
"""


# If an event's id includes its time, its copies are in the same window: no need to look elsewhere,
# unless some were dated under other settings.
SAME_TIME = "and event_timestamp >= %(start)s and event_timestamp < %(end)s"


def check_lines(
    cursor: Cursor,
    window: Window,
    trailing: list[str],
    spec: DatasetSpec,
    limits: Limits,
    without: Collection[Line] = (),
) -> int:
    """Check the window's landed lines; returns how many there are.

    Args:
        trailing: keys of accepted windows before it; they say what an item usually costs.
        without: lines that are left out.
    """
    predicates = ", ".join(
        f"case when {rule.predicate} then '{rule.name}' end" for rule in row_rules(spec, limits)
    )
    says_when = {spec.event.timestamp, spec.event.time_of_day or spec.event.timestamp}
    timed = says_when <= set(spec.identity) and not _dated_otherwise(cursor, spec)
    cursor.execute("delete from behavior.checked where window_key = %s", (window.key,))
    cursor.execute(
        LINE.format(columns=", ".join(SOMEBODY.get(name, name) for name in LANDING_COLUMNS)),
        {"window": window.key, "nobody": spec.ids.nobody_in_sql, **_arrays(without)},
    )
    statement = CHECK.format(
        columns=", ".join(LANDING_COLUMNS),
        own_prices=OWN_PRICES,
        smallest=SMALLEST,
        largest=LARGEST,
        predicates=predicates,
        conflict=CONFLICT.name,
        same_time=SAME_TIME if timed else "",
        same_window="and window_key = %(window)s" if timed else "",
    )
    values = {
        **parameters(spec, limits),
        "window": window.key,
        "since": spec.calendar.parse(min(trailing)).start if trailing else window.start,
        "start": window.start,
        "end": window.end,
        "trailing": trailing,
    }
    try:
        cursor.execute(statement, values)
    except errors.InvalidRegularExpression as error:
        raise BadInput(
            f"a pattern under [rules] of dataset {spec.name!r} is too much for PostgreSQL: "
            f"{str(error).splitlines()[0]}. Simplify item_pattern, user_pattern or text_pattern."
        ) from error
    count = cursor.rowcount
    cursor.execute("drop table line; analyze behavior.checked")
    return count


def add_uncheckable(cursor: Cursor, window: Window, odd: Collection[Line]) -> int:
    """Put lines that were left out beside the others, as `uncheckable_line`; how many there are."""
    if not odd:
        return 0
    cursor.execute(ODD.format(odd=UNCHECKABLE.name), {"window": window.key, **_arrays(odd)})
    return cursor.rowcount


def _arrays(lines: Collection[Line]) -> dict[str, list[int]]:
    return {"files": [file for file, _ in lines], "numbers": [number for _, number in lines]}


def _dated_otherwise(cursor: Cursor, spec: DatasetSpec) -> bool:
    """Whether lines were accepted under settings that may have given them another time."""
    cursor.execute(
        "select exists (select from behavior.source_file where dataset = %s and landed_under <> %s "
        "and split_part(path, ' ', 1) <> all(%s))",  # whose times nothing in the file can change
        (spec.name, spec.reading, list(VIEWS)),
    )
    return bool((cursor.fetchone() or (False,))[0])


def clear(cursor: Cursor, window: Window) -> None:
    """Forget the checked lines."""
    cursor.execute("delete from behavior.checked where window_key = %s", (window.key,))


# Finding the lines on which the database cannot compute a check, so that they block no window.

Line = tuple[int, int]
"""(file_id, line_no)"""
Trial = Callable[[list[Line]], str | None]
"""All that a validation does to lines in SQL, rolled back; returns what the database says about them, or
None if all can be computed."""

OF_THE_DATA = DataError, errors.ProgramLimitExceeded, errors.NotNullViolation, errors.CheckViolation
"""Errors of the database that values cause: overflow, division by zero, too long for an index …"""
MOST = 100
"""Lines that are looked for in one window. With more, the check is at fault, not some odd lines."""


class TooMany(Exception):
    """The check fails on more than `MOST` lines, or without any."""


def uncheckable(lines: list[Line], trial: Trial) -> dict[Line, str]:
    """The lines without which the trial of all others succeeds, each with what the database says of it.

    Lines that fail by themselves are found by halving; lines that fail only together (two values
    whose sum is too large), by the shortest beginning of `lines` that fails: its last line goes.

    Raises:
        TooMany: see there.
    """
    if trial([]) is not None:
        raise TooMany
    found: dict[Line, str] = {}

    def note(line: Line, why: str) -> None:
        found[line] = why
        if len(found) > MOST:
            raise TooMany

    def halve(part: list[Line]) -> None:
        why = trial(part)
        if why is not None and len(part) == 1:
            note(part[0], why)
        elif why is not None:
            halve(part[: len(part) // 2])
            halve(part[len(part) // 2 :])

    halve(lines)
    rest = [line for line in lines if line not in found]
    while (why := trial(rest)) is not None:
        low, high = 0, len(rest)  # rest[:low] can be computed, rest[:high] cannot
        while high - low > 1:
            middle = (low + high) // 2
            said = trial(rest[:middle])
            if said is None:
                low = middle
            else:
                high, why = middle, said
        note(rest.pop(high - 1), why)
    return found

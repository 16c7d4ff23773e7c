"""Which window a line's time puts it in, and the rules that leave a line without one.

Belongs here: plausible times, the names and remedies of these rules, and the refusal of a file that
dates nowhere. Keep out: parsing times (see `times.py`), and rules on lines that have a window (see
`validation/row_rules.py`).
"""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from recloop.behavior.records import TOLERATED_LINES
from recloop.behavior.source_files import refusal
from recloop.calendar import Window
from recloop.config.dataset import DatasetSpec
from recloop.errors import BadInput

if TYPE_CHECKING:
    import numpy
    import pandas

EARLIEST = datetime(1990, 1, 1, tzinfo=UTC)
"""Earlier times are defaults (1970, 1900, 1) or of another unit, unless `period.start` is earlier."""
UNDATED = {
    "unparseable_timestamp": "Write times as event.timestamp_format = {form!r} says, or correct that.",
    "implausible_timestamp": "0 and other defaults are no times, nor are seconds where "
    "event.timestamp_format = {form!r} says otherwise; if the lines are that old, set period.start.",
    "future_timestamp": "Check the source's clock and event.timezone, the unit of times "
    "(event.timestamp_format = {form!r}), and the clock of this machine.",
    "misplaced_timestamp": "Check the date: the lines before and after it are of another time.",
}
"""Rules of lines that have no window and ought to have one, and what to do."""
OUTSIDE = "outside_period"
"""The rule of lines that the dataset file leaves out on purpose."""


def remedies(spec: DatasetSpec) -> dict[str, str]:
    """What to do about lines without a window, by rule."""
    texts = {rule: text.format(form=spec.event.timestamp_format) for rule, text in UNDATED.items()}
    if spec.event.time_of_day:
        texts["unparseable_timestamp"] += (
            f" It is of {spec.event.timestamp} and {spec.event.time_of_day}, a blank between them."
        )
    return texts | {OUTSIDE: "Check the date; if it is right, widen [period] in the dataset file."}


def floor_of(spec: DatasetSpec) -> datetime:
    """The earliest plausible time (UTC)."""
    return min(EARLIEST, spec.period.start) if spec.period.start else EARLIEST


def named_window(spec: DatasetSpec, key: str, as_of: datetime) -> Window:
    """The window that somebody named, if lines can be in it.

    Args:
        as_of: aware; a window that begins later has no lines yet.

    Raises:
        BadInput: not the key of a window, outside [period], not begun, or before plausible times.
    """
    window, period = spec.calendar.parse(key), spec.period
    if period.start is not None and window.end <= period.start:
        problem = f"ends before period.start = {period.start.isoformat()}"
    elif period.end is not None and window.start >= period.end:
        problem = f"begins after period.end = {period.end.isoformat()}"
    elif window.start > as_of:
        problem = f"has not begun; it is {as_of.astimezone(UTC):%Y-%m-%d %H:%M} UTC"
    elif window.end <= floor_of(spec):
        problem = f"lies before {floor_of(spec):%Y-%m-%d}"
    else:
        return window
    raise BadInput(
        f"window {window.key!r} {problem}, so that dataset {spec.name!r} has no lines in it; "
        "`recloop status` lists the windows."
    )


def time_faults(
    times: pandas.Series, spec: DatasetSpec, as_of: datetime, misplaced: numpy.ndarray | None = None
) -> numpy.ndarray:
    """`[n]` object array: the rule that a time breaks, or None where it has a window.

    Args:
        times: `[n]` in UTC, as of `times.parse_times`.
        as_of: aware; later ones are `future_timestamp`.
        misplaced: `[n]` bool, lines out of the order of time.
    """
    import numpy as np

    rules = np.full(len(times), None, dtype=object)
    if misplaced is not None:
        rules[misplaced] = "misplaced_timestamp"
    if spec.period.start is not None:
        rules[(times < spec.period.start).to_numpy()] = OUTSIDE
    if spec.period.end is not None:
        rules[(times >= spec.period.end).to_numpy()] = OUTSIDE
    rules[(times < floor_of(spec)).to_numpy()] = "implausible_timestamp"
    rules[(times > as_of).to_numpy()] = "future_timestamp"
    rules[times.isna().to_numpy()] = "unparseable_timestamp"
    return rules


def window_keys(times: pandas.Series, spec: DatasetSpec) -> list[str]:
    """`[n]` keys of windows. None of the times breaks a rule of `time_faults`."""
    import numpy as np
    import pandas as pd

    if not len(times):
        return []
    day, windows = timedelta(days=1), dict[datetime, str]()
    for start in pd.DatetimeIndex(times.dt.floor("D").unique()).to_pydatetime():
        windows |= {one.start: one.key for one in spec.calendar.between(start, start + day)}
    starts = sorted(windows)
    moments = times.dt.tz_convert("UTC").dt.tz_localize(None).to_numpy("datetime64[us]")
    begun = np.array([start.replace(tzinfo=None) for start in starts], "datetime64[us]")
    keys = [windows[start] for start in starts]
    return [keys[place] for place in (np.searchsorted(begun, moments, "right") - 1).tolist()]


def nearest_windows(keys: list[str | None]) -> list[str | None]:
    """`[n]` for each line the window of the nearest line before it that has one, else after it.

    That is where a line without a time most likely belongs: in which window its loss counts.

    >>> nearest_windows([None, "a", None, "b", None])
    ['a', 'a', 'a', 'b', 'b']
    """
    near = next((key for key in keys if key), None)
    found = []
    for key in keys:
        near = key or near
        found.append(near)
    return found


def refuse_undated(
    path: Path | str, spec: DatasetSpec, undated: Counter[str], lines: int, example: str
) -> None:
    """Refuse a source of which most lines date nowhere.

    Args:
        undated: lines by rule; only those of `UNDATED` count.
        lines: how many there are in all.
        example: one of them.

    Raises:
        SourceRefused: more than half (and more than `TOLERATED_LINES`), or all. Lines of the future
            count only if there is no other: they will have a window when their time has come.
    """
    counts = Counter({rule: undated[rule] for rule in UNDATED if undated[rule]})
    if counts.total() < lines:
        del counts["future_timestamp"]
    lost = counts.total()
    if not lost or (lost < lines and lost <= max(TOLERATED_LINES, lines / 2)):
        return
    rule, _ = counts.most_common(1)[0]
    told = ", ".join(f"{name} {count}" for name, count in counts.most_common())
    raise refusal(
        rule,
        path,
        f"{lost} of {lines} lines have no usable time ({told}); one reads {example[:200]}. "
        f"{remedies(spec)[rule].rstrip('.')}",
    )

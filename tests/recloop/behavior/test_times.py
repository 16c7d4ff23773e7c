"""Times: no text and no number raises, and none opens a window that cannot be."""

from __future__ import annotations

import string
from datetime import UTC, datetime
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from recloop.behavior.dating import time_faults, window_keys
from recloop.behavior.landing import land
from recloop.behavior.times import parse_times
from recloop.calendar import FIRST_DAY, LAST_DAY, WindowCalendar
from recloop.config.dataset import DatasetSpec, load_dataset
from recloop.config.source_spec import DIRECTIVES, usable_format
from recloop.errors import BadInput, SourceRefused
from recloop.settings import Settings
from recloop.stages.status import count_lines
from tests.recloop.config.test_id_rules import made_up
from tests.recloop.conftest import Query

NOW = datetime(2024, 6, 1, tzinfo=UTC)
GOOD = ["2024-01-02T10:00:00", "2024-01-03T10:00:00", "2024-01-04T10:00:00", "2024-01-05T10:00:00"]
SPEC = DatasetSpec.model_validate(
    {
        "name": "made_up",
        "source": {"kind": "file"},
        "columns": {"user": "text", "item": "text", "at": "time"},
        "event": {"user_id": "user", "item_id": "item", "timestamp": "at"},
    }
)
ODD_TIMES = {
    "iso": {
        "unparseable_timestamp": [
            "", "now", "today", "tomorrow", "Infinity", "nan", "NaT", "2024", "2024-01", "12:30",
            "0000-00-00", "20000-01-01", "2024-13-01", "1700000000", "99999999999999999999",
            "2024-01-02T10:00:00+99:99", "0044-03-15 BC", "\x00", "٢٠٢٤-٠١-٠٢",
        ],
        "implausible_timestamp": [
            "1970-01-01", "1969-12-31T23:59:59Z", "0001-01-01", "1677-09-21", "1900-01-01 00:00:00+00",
        ],
        "future_timestamp": ["9999-12-31", "9999-12-31T23:59:59.9-14:00", "2262-04-12", "2101-01-01"],
    },
    "unix": {
        "unparseable_timestamp": ["inf", "-inf", "nan", "", "1_000", "now", "0x10"],
        "implausible_timestamp": ["0", "-1", "-99999999999999999999", "-1e300", "1.7e6", "1e-300"],
        "future_timestamp": ["99999999999999999999", "1e300", "1700000000000", "253402300799"],
    },
    "unix_ms": {
        "unparseable_timestamp": ["inf", "yesterday"],
        "implausible_timestamp": ["0", "1700000000", "-0.0"],
        "future_timestamp": ["1e18", "1700000000000000"],
    },
    "%Y-%m-%d": {
        "unparseable_timestamp": ["now", "today", "2024-01", "", "2024-02-30"],
        "implausible_timestamp": ["0001-01-01", "1970-01-01"],
        "future_timestamp": ["9999-12-31"],
    },
}  # fmt: skip


def rules(texts: list[str], form: str) -> list[object]:
    return time_faults(parse_times(texts, form, "America/New_York"), SPEC, NOW).tolist()


@pytest.mark.parametrize("form", ODD_TIMES)
def test_an_odd_time_breaks_the_rule_that_says_what_is_odd(form: str) -> None:
    for rule, texts in ODD_TIMES[form].items():
        assert rules(texts, form) == [rule] * len(texts)
        assert [rules([text], form) for text in texts] == [[rule]] * len(texts)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2024-01-02 10:00:00+05", "2024-01-02T05:00Z"),  # as PostgreSQL writes it
        ("2024-01-02 10:00:00.5+0530", "2024-01-02T04:30:00.5Z"),
        ("2024/1/2 9:05", "2024-01-02T14:05Z"),
        ("20240102", "2024-01-02T05:00Z"),
        ("20240102T100000Z", "2024-01-02T10:00Z"),
        ("2024-01-02", "2024-01-02T05:00Z"),
    ],
)
def test_iso_times_as_others_write_them(text: str, expected: str) -> None:
    together = parse_times([text, "2024-01-02T10:00:00Z", "?"], "iso", "America/New_York")
    assert together[0] == pd.Timestamp(expected)


ODD = st.text() | st.integers().map(str) | st.floats().map(str) | st.datetimes().map(str)
SHAPED = st.text(alphabet=string.digits + "-:T +.Z/eWinfa")


@given(
    st.lists(ODD | SHAPED, max_size=5),
    st.sampled_from(["iso", "unix", "unix_ms", "%d/%m/%Y %H:%M", "%Y%j%z"]),
)
@example(["2024-01-02T10:00:00+99:99", "2024-01-02"], "iso")
@example(["9999-12-31T23:59:59.999999-14:00"], "iso")
def test_any_text_is_a_time_in_a_possible_window_or_breaks_one_rule(
    texts: list[str], form: str
) -> None:
    times = parse_times(texts, form, "Europe/London")
    found = time_faults(times, SPEC, NOW)
    assert len(times) == len(found) == len(texts)
    for key in window_keys(times[[rule is None for rule in found]], SPEC):
        assert "1990" <= key < "2024-06-02"


@given(st.datetimes(timezones=st.just(UTC)))
def test_a_calendar_has_a_window_of_whole_days_or_says_that_it_has_none(moment: datetime) -> None:
    for calendar in (WindowCalendar("day"), WindowCalendar("week")):
        try:
            window = calendar.at(moment)
        except BadInput:
            assert not FIRST_DAY <= moment.date() <= LAST_DAY
        else:
            assert window.start <= moment < window.end
            assert calendar.parse(window.key) == window


@pytest.mark.parametrize("key", ["0001-01-01", "9999-12-27", "1-01-01", "2500-01-06", "now"])
def test_a_key_that_no_window_can_have_is_bad_input(key: str) -> None:
    with pytest.raises(BadInput, match="window"):
        WindowCalendar("week").parse(key)


def lines(folder: Path, times: list[str], more: str, settings: Settings) -> Settings:
    data = folder / "feed.csv"
    rows = [f'u{n},i{n},"{time}"' for n, time in enumerate(times)]
    data.write_text("\n".join(["user,item,at", *rows]) + "\n")
    return made_up(settings, folder, data, more)


def test_one_odd_time_costs_its_line_and_opens_no_window(
    settings: Settings, tmp_path: Path, query: Query
) -> None:
    odd = [text for texts in ODD_TIMES["iso"].values() for text in texts if "\0" not in text]
    settings = lines(tmp_path, [t for text in odd for t in (text, *GOOD)], "", settings)
    assert land(settings, as_of=NOW).windows == ("2024-01-01",)
    assert query("select window_key from ledger.window") == [("2024-01-01",)]
    counts = count_lines(settings)
    assert counts["pending"] == len(odd) * len(GOOD)
    expected = {rule: len(ODD_TIMES["iso"][rule]) for rule in ODD_TIMES["iso"]}
    assert counts["quarantined"] == expected | {"unparseable_timestamp": 18}


def test_a_file_that_dates_nowhere_is_refused_until_the_dataset_file_is_mended(
    settings: Settings, tmp_path: Path
) -> None:
    milliseconds = [str(1_704_189_600_000 + n) for n in range(60)]
    settings = lines(tmp_path, milliseconds, "", settings)
    path = Path(settings.dataset)
    mistaken = path.read_text().replace('"at"\n', '"at"\ntimestamp_format = "unix"\n')
    path.write_text(mistaken)
    for _ in range(2):
        with pytest.raises(SourceRefused, match=r"future_timestamp: feed.csv.*60 of 60.*'unix'"):
            land(settings)
    assert count_lines(settings)["total"] == 0
    path.write_text(mistaken.replace('"unix"', '"unix_ms"'))
    assert land(settings).lines == 60


def test_a_file_is_refused_for_a_wrong_clock_until_it_is_right(
    settings: Settings, tmp_path: Path
) -> None:
    settings = lines(tmp_path, GOOD, "", settings)
    with pytest.raises(SourceRefused, match=r"future_timestamp.*clock"):
        land(settings, as_of=datetime(2005, 1, 1, tzinfo=UTC))
    assert land(settings).lines == len(GOOD)


def test_an_old_start_makes_old_times_plausible(settings: Settings, tmp_path: Path) -> None:
    settings = lines(tmp_path, ["1955-01-03", *GOOD], "", settings)
    path = Path(settings.dataset)
    start = "[period]\nstart = 1950-01-01T00:00:00Z"
    path.write_text(path.read_text().replace("[period]", start))
    assert land(settings).windows == ("1955-01-03", "2024-01-01")


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("timestamp_format", "%Q"),
        ("timestamp_format", "%Y-%m-%d %Z"),
        ("timestamp_format", "%d/%m %H:%M"),
        ("timestamp_format", "%Y"),
        ("timestamp_format", "%Y %Y-%m-%d"),
        ("timestamp_format", "%I:%M %Y-%m-%d"),
        ("timestamp_format", "%Y-%m-%d%"),
        ("timestamp_format", "seconds"),
        ("timestamp_format", ""),
        ("encoding", "zip"),
        ("encoding", "rot13"),
        ("encoding", "idna"),
        ("encoding", "a\\u0000b"),
        ("pattern", "/etc/*"),
        ("pattern", "../*.csv"),
        ("pattern", "~/*.csv"),
        ("pattern", "**x"),
        ("pattern", ""),
        ("delimiter", "\\n"),
        ("delimiter", '\\"'),
        ("user_pattern", "(?P<n>u)"),
        ("item_pattern", "a++"),
        ("text_pattern", "[[:alpha:]]"),
        ("user_pattern", "\\\\bu"),
        ("user_pattern", "u{,3}"),
        ("start", "0001-01-01"),
        ("end", "9999-12-31"),
    ],
)
def test_what_cannot_be_used_is_refused_when_the_dataset_file_is_read(
    settings: Settings, tmp_path: Path, key: str, value: str
) -> None:
    line = f'{key} = "{value}"\n'
    sections = {
        "timestamp_format": ("[event]\n", line),
        "user_pattern": ("[event]\n", "[rules]\n" + line + "[event]\n"),
        "item_pattern": ("[event]\n", "[rules]\n" + line + "[event]\n"),
        "text_pattern": ("[event]\n", "[rules]\n" + line + "[event]\n"),
        "start": ("[period]\n", f"[period]\nstart = {value}T00:00:00Z\n"),
        "end": ("end = 2030-01-01", f"end = {value}"),
    }
    old, new = sections.get(key, ("[source]\n", "[source]\n" + line))
    settings = lines(tmp_path, GOOD, "", settings)
    path = Path(settings.dataset)
    text = path.read_text().replace(old, new if old in new or key == "end" else old + new, 1)
    path.write_text(text.replace("[event]\n[event]\n", "[event]\n"))
    with pytest.raises(BadInput, match=key) as told:
        load_dataset(settings)
    assert "\n" not in str(told.value)


@pytest.mark.parametrize("code", sorted(set(DIRECTIVES) - set("%jGVuUW")))
def test_pandas_reads_what_a_usable_format_writes(code: str) -> None:
    form = usable_format(
        f"%Y-%m-%d %H:%M %{code}" if code not in "YmdHMIyBb" else "%d %B %y %I:%M %p"
    )
    moment = datetime(2011, 7, 23, 15, 47, tzinfo=UTC)
    assert parse_times([moment.strftime(form)], form, "UTC").tolist() == [pd.Timestamp(moment)]


@pytest.mark.parametrize("form", ["%Y-%j", "%G-W%V-%u", "%Y %U %w", "%Y %W %a"])
def test_pandas_reads_days_of_years_and_of_weeks(form: str) -> None:
    moment = datetime(2011, 7, 23, tzinfo=UTC)
    assert (
        parse_times([moment.strftime(usable_format(form))], form, "UTC")[0].date() == moment.date()
    )

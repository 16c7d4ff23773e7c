"""Ingesting windows in order: what stops, what goes on, what is built again."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from recloop.calendar import WindowCalendar
from recloop.database.connection import asked, column, transaction
from recloop.errors import BadData, BadInput, CheckCrashed
from recloop.features.artefact import read_training_set
from recloop.ledger import parts
from recloop.settings import Settings
from recloop.stages import ingest_stages
from recloop.stages.ingest_stages import arrivals, ingest_windows
from tests.recloop.behavior.datasets import customised
from tests.recloop.behavior.shop import FORMAT, WEEKS, shop_week, write

pytestmark = pytest.mark.slow


def test_a_damaged_training_set_is_built_anew_by_the_command_that_the_message_names(
    settings: Settings, tmp_path: Path
) -> None:
    source = settings.model_copy(update={"data": write(tmp_path / "a.csv", shop_week(WEEKS[0]))})
    assert ingest_windows(source)["done"] == [WEEKS[0]]

    def training_set():
        with transaction(settings.database_url) as cursor:
            return parts.training_set_of(cursor, WEEKS[0])

    whole = read_training_set(training_set())
    for damage in (lambda p: p.write_bytes(p.read_bytes()[:-9] + b"damaged!!"), Path.unlink):
        path = Path(training_set().uri) / "interactions.parquet"
        path.chmod(0o644)
        damage(path)
        with pytest.raises(BadData, match=f"`recloop ingest --window {WEEKS[0]}`"):
            read_training_set(training_set())
        assert ingest_windows(source, window=WEEKS[0])["done"] == [WEEKS[0]]
        assert read_training_set(training_set()) == whole


def test_a_window_that_a_check_crashes_on_does_not_stop_the_later_ones(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = shop_week(WEEKS[0]) + shop_week(WEEKS[1])
    source = settings.model_copy(update={"data": write(tmp_path / "a.csv", lines)})
    validate = ingest_stages.validate

    def crash(key: str, *rest: object) -> object:
        if key == WEEKS[0]:
            raise CheckCrashed("a rule divides by zero")
        return validate(key, *rest)

    monkeypatch.setattr(ingest_stages, "validate", crash)
    report = ingest_windows(source)
    behind = "select 1 from features.built_window where online_as_of is distinct from built_at"
    assert asked(source.database_url, column, behind) == []
    assert report["done"] == [WEEKS[1]]
    assert report["crashed"] == [{"window": WEEKS[0], "message": "a rule divides by zero"}]
    monkeypatch.undo()
    assert ingest_windows(source)["done"] == [WEEKS[0]]


def test_a_live_window_is_not_judged_before_it_is_over_unless_it_is_named(
    settings: Settings, tmp_path: Path
) -> None:
    live = customised(settings, "online_retail", tmp_path, period={"end": None})
    now = datetime.now(UTC)
    window = WindowCalendar("week").at(now)
    moment = max(window.start, now - timedelta(minutes=1))
    lines = [{**line, "InvoiceDate": moment.strftime(FORMAT)} for line in shop_week(WEEKS[0])]
    source = live.model_copy(
        update={"data": write(tmp_path / "a.csv", shop_week(WEEKS[0]) + lines)}
    )
    first = ingest_windows(source, through=WEEKS[0])
    assert first["done"] == [WEEKS[0]]
    for _ in range(2):
        assert window.key in ingest_windows(source)["open"]
    named = ingest_windows(source, window=window.key)
    assert [one["window"] for one in named["refused"]] == [window.key], "one moment is no week"
    assert named["open"] == []


@pytest.mark.parametrize(
    ("name", "length", "says"),
    [
        ("mine", "week", "holds the data of dataset 'online_retail'"),
        (
            "online_retail",
            "day",
            "is day in zone UTC, and window 2011-01-10 .* to 2011-01-17 00:00 UTC",
        ),
    ],
)
def test_a_home_is_of_one_dataset_cut_in_one_way(
    settings: Settings, tmp_path: Path, name: str, length: str, says: str
) -> None:
    data = write(tmp_path / "a.csv", shop_week(WEEKS[0]))
    ingest_windows(settings.model_copy(update={"data": data}))
    other = customised(settings, "online_retail", tmp_path, name=name, window={"length": length})
    other = other.model_copy(update={"data": write(tmp_path / "b.csv", shop_week(WEEKS[1]))})
    for work in (ingest_windows, arrivals):
        with pytest.raises(BadInput, match=says):
            work(other)


def test_a_refused_window_is_accepted_once_and_a_retry_changes_nothing(
    settings: Settings, tmp_path: Path
) -> None:
    few = shop_week(WEEKS[0])[:9]
    source = settings.model_copy(update={"data": write(tmp_path / "a.csv", few)})
    assert [one["window"] for one in ingest_windows(source)["refused"]] == [WEEKS[0]]
    report = ingest_stages.accept(WEEKS[0], "a holiday", "vera", source)
    assert (report["passed"], report["acceptance"]["by"]) == (True, "vera")
    assert report["acceptance"]["reason"] == "a holiday"
    again = ingest_stages.accept(WEEKS[0], "another reason", "ole", source)
    assert again == report
    with transaction(source.database_url) as cursor:
        cursor.execute("select acceptance->>'by', accepted > 0, state from ledger.window")
        assert cursor.fetchall() == [("vera", True, "featured")]

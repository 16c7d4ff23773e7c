"""A dataset file that was guessed is one that recloop reads."""

from __future__ import annotations

import json
import tomllib
from datetime import UTC, datetime
from pathlib import Path

import pytest
from typer.testing import CliRunner

from recloop.behavior.dating import remedies
from recloop.behavior.landing import land
from recloop.behavior.new_dataset import _kinds, describe
from recloop.config.dataset import load_dataset
from recloop.database.connection import transaction
from recloop.main import app
from recloop.settings import Settings
from tests.recloop.behavior.shop import WEEKS, shop_week, write

pytestmark = pytest.mark.slow

NOW = datetime(2024, 6, 1, tzinfo=UTC)


def clicks(path: Path, kinds: str = "view,cart,purchase,refund") -> Path:
    rows = [
        f"u{n % 40},i{n % 30},2024-03-{1 + n % 28:02}T10:{n % 60:02}:00,{kinds.split(',')[n % 4]}"
        for n in range(400)
    ]
    path.write_text("\n".join(["user,item,at,event_type", *rows]) + "\n")
    return path


def test_every_line_of_a_described_file_lands(settings: Settings, tmp_path: Path) -> None:
    data = clicks(tmp_path / "My clicks.csv")
    found = describe(data, NOW)
    assert found.name == "my_clicks"
    (tmp_path / "clicks.toml").write_text(found.text)
    shop = settings.model_copy(update={"dataset": str(tmp_path / "clicks.toml"), "data": data})
    spec = load_dataset(shop)
    assert (spec.event.user_id, spec.event.item_id, spec.window.length) == ("user", "item", "day")
    assert spec.event.positives.types == ("view", "cart", "purchase"), "a refund is not learnt from"
    assert spec.event.positives.negatives == ("refund",)
    assert spec.event.goal.types == ("purchase",)
    assert land(shop).lines == 400


PLAIN = [
    (f"u{n % 40}", f"i{n % 30}", f"2024-03-{1 + n % 28:02} 10:{n % 60:02}") for n in range(400)
]
NAMES = ("user", "item", "time")


def joined(sign: str, rows: list[tuple[str, ...]], end: str = "\n") -> str:
    return "".join(sign.join(row) + end for row in rows)


WAYS = {
    "an index of pandas": joined(",", [("", *NAMES), *[(str(n), *r) for n, r in enumerate(PLAIN)]]),
    "a delimiter at the end": joined(",", [(*NAMES, ""), *[(*row, "") for row in PLAIN]]),
    "a blank after each comma": joined(", ", [NAMES, *PLAIN]),
    "names in quotes": joined(";", [('"user"', '"item id"', '"the; time"'), *PLAIN]),
    "empty lines": "\n\n" + joined("\t", [NAMES, *PLAIN], "\n\n"),
    "lines of Windows": joined("|", [NAMES, *PLAIN], "\r\n"),
    "blanks within": joined(",", [NAMES, *[(f"{u} x", i, t) for u, i, t in PLAIN]]),
    "no names": joined("\t", PLAIN),
    "two signs": joined("::", [NAMES, *PLAIN]),
    "an array of objects": json.dumps([dict(zip(NAMES, row, strict=True)) for row in PLAIN]),
    "an array over many lines": json.dumps(
        [dict(zip(NAMES, row, strict=True)) for row in PLAIN], indent=2
    ),
    "umlauts": joined(";", [("Käufer", "Artikel", "Zeit"), *PLAIN]),
}


@pytest.mark.parametrize("encoding", ["utf-8-sig", "cp1252", "utf-16"])
@pytest.mark.parametrize("way", WAYS)
def test_however_it_is_written_all_lines_land(
    settings: Settings, tmp_path: Path, way: str, encoding: str
) -> None:
    data, described = tmp_path / "events.txt", tmp_path / "events.toml"
    data.write_bytes(WAYS[way].encode(encoding))
    described.write_text(describe(data, NOW).text)
    shop = settings.model_copy(update={"dataset": str(described), "data": data})
    assert land(shop).lines == 400
    with transaction(shop.database_url) as cursor:
        cursor.execute(
            "select count(distinct user_id), count(distinct item_id), count(*) from behavior.landing"
        )
        assert cursor.fetchone() == (40, 30, 400)


def test_a_shop_by_its_own_column_names(settings: Settings, tmp_path: Path) -> None:
    data = write(tmp_path / "shop.csv", [line for week in WEEKS for line in shop_week(week)])
    found = describe(data, NOW)
    (tmp_path / "shop.toml").write_text(found.text)
    spec = load_dataset(settings.model_copy(update={"dataset": str(tmp_path / "shop.toml")}))
    assert (spec.event.user_id, spec.event.item_id) == ("CustomerID", "StockCode")
    assert (spec.event.value, spec.event.price) == ("Quantity", "UnitPrice")
    assert spec.item_attributes.text == ("Description",)
    assert spec.period.end is not None, "of 2011: nothing more comes"


def test_all_events_of_a_kind_count_as_much_as_purchases_do(tmp_path: Path) -> None:
    told = _kinds({"view": 2000, "add to cart": 400, "order": 200, "returned": 9, "impression": 9})
    event = tomllib.loads("\n".join(told))["event"]
    assert event["learn_from"]["weights"] == {"view": 0.1, "add to cart": 0.5, "order": 1}
    assert event["learn_from"]["negatives"] == ["returned"]
    assert event["goal"]["types"] == ["order"]


def test_of_kinds_that_are_known_by_values_alone_weights_and_goal_are_proposed() -> None:
    told = "\n".join(_kinds({"view": 2000, "order": 200, "returned": 9}, named=False))
    event = tomllib.loads(told)["event"]
    assert event == {"learn_from": {"types": ["view", "order"], "negatives": ["returned"]}}
    assert '# in place of types: weights = { "view" = 0.1, "order" = 1 }' in told
    assert "# [event.goal]" in told


@pytest.mark.parametrize("counts", [{"view": 2000, "order": 20}, {"order": 500}, {"play": 300}])
def test_too_few_purchases_or_nothing_else_is_learnt_from_alike(counts: dict[str, int]) -> None:
    event = tomllib.loads("\n".join(_kinds(counts)))["event"]
    assert event == {"learn_from": {"types": list(counts)}}


def test_recent_lines_are_live(tmp_path: Path) -> None:
    data = clicks(tmp_path / "clicks.csv")
    assert "\nend = " in describe(data, NOW).text
    assert "\nend = " not in describe(data, datetime(2024, 4, 1, tzinfo=UTC)).text


def test_the_command_writes_once_and_says_what_to_check(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    data = clicks(tmp_path / "clicks.csv")
    done = CliRunner().invoke(app, ["new-dataset", str(data)])
    assert done.exit_code == 0, done.output
    assert "a guess" in done.output
    assert (tmp_path / "clicks.toml").exists()
    again = CliRunner().invoke(app, ["new-dataset", str(data)])
    assert "is there already" in str(again.exception)
    missing = CliRunner().invoke(app, ["new-dataset", "nowhere.csv"])
    assert "is no file" in str(missing.exception)


def test_columns_that_no_role_was_found_for_are_told(tmp_path: Path) -> None:
    """A library's: returns would be learnt as choices, were nobody told of the column."""
    rows = [
        f"r{n % 40};b{n % 30};{('out', 'due', 'back')[n % 3]};{n % 90},50;x{n};"
        f"{1 + n % 28:02}.03.2024 10:00"
        for n in range(400)
    ]
    path = tmp_path / "loans.csv"
    path.write_text("\n".join(["Leser;Buch;Vorgang;Betrag;Beleg;Zeitpunkt", *rows]) + "\n")
    told = {
        column: why for what, column, _, why in describe(path, NOW).guesses if what == "not used"
    }
    assert set(told) == {"Vorgang", "Betrag", "Beleg"}
    assert "out" in told["Vorgang"]
    assert told["Vorgang"].endswith("name it as event.type_column")
    assert 'event.price (source.numbers = "1234,5")' in told["Betrag"]
    assert told["Beleg"].startswith("400 values, as ")


def test_words_are_told_and_the_time_of_day_is_joined_to_the_day(
    settings: Settings, tmp_path: Path
) -> None:
    rows = [
        f"{1 + n % 28:02}/03/2024,{8 + n % 12}:30,c{n % 40},p{n % 30},Thing {n % 30},"
        f"{('DE', 'FR')[n % 40 % 2]}"
        for n in range(400)
    ]
    path = tmp_path / "till.csv"
    path.write_text("\n".join(["Date,Time,Customer,Product,Product Name,Country", *rows]) + "\n")
    found = describe(path, NOW)
    guesses = {(what, column) for what, column, _, _ in found.guesses}
    assert {("words of the item", "Product Name"), ("of the user", "Country")} <= guesses
    assert {("time", "Date"), ("time of day", "Time")} <= guesses
    (tmp_path / "till.toml").write_text(found.text)
    shop = settings.model_copy(update={"dataset": str(tmp_path / "till.toml"), "data": path})
    assert "Date and Time" in remedies(load_dataset(shop))["unparseable_timestamp"]
    land(shop)
    with transaction(shop.database_url) as cursor:
        cursor.execute("select min(event_timestamp), max(event_timestamp) from behavior.landing")
        first, last = cursor.fetchone()
    assert (first, last) == (
        datetime(2024, 3, 1, 8, 30, tzinfo=UTC),
        datetime(2024, 3, 28, 19, 30, tzinfo=UTC),
    )


def test_of_ratings_it_is_told_that_all_are_learnt_and_how_to_learn_likes(
    settings: Settings, tmp_path: Path
) -> None:
    data, described = tmp_path / "reviews.csv", tmp_path / "reviews.toml"
    rows = [(*row, str(1 + n % 5)) for n, row in enumerate(PLAIN)]
    data.write_text(joined(",", [(*NAMES, "stars"), *rows]))
    found = describe(data, NOW)
    [told] = [guess for guess in found.guesses if guess[0] == "learnt from"]
    assert "event.learn_from.minimum_value = 3 learns the better half alone" in told[3]
    commented = found.text.replace("# [event.learn", "[event.learn").replace("# types", "types")
    described.write_text(commented.replace("# minimum", "minimum"))
    spec = load_dataset(settings.model_copy(update={"dataset": str(described), "data": data}))
    assert spec.event.learn_from is not None
    assert spec.event.learn_from.minimum_value == 3
    data.write_text(joined(",", [(*NAMES, "quantity"), *rows]))
    assert not [guess for guess in describe(data, NOW).guesses if guess[0] == "learnt from"]

"""Which column is what, by names and by what is in it."""

from __future__ import annotations

import random

import pandas as pd
import pytest

from recloop.behavior.column_contents import could_be_id
from recloop.behavior.column_names import words
from recloop.behavior.roles import roles_of
from recloop.behavior.time_forms import form_of
from recloop.errors import BadInput


def frame(**columns: list[str]) -> pd.DataFrame:
    return pd.DataFrame(columns, dtype=object)


def ids(letter: str, many: int, rows: int = 200) -> list[str]:
    chance = random.Random(letter)
    return [f"{letter}{chance.randrange(many)}" for _ in range(rows)]


def days(form: str = "%Y-%m-%d %H:%M:%S", rows: int = 200) -> list[str]:
    return [f"{day:{form}}" for day in pd.date_range("2023-01-01", periods=rows, freq="7h")]


@pytest.mark.parametrize(
    ("user", "item", "time"),
    [
        ("CustomerID", "StockCode", "InvoiceDate"),
        ("user_id:token", "item_id:token", "timestamp:float"),
        ("visitorid", "itemid", "timestamp"),
        ("reviewerID", "asin", "unixReviewTime"),
        ("member", "track", "played_at"),
        ("Kunde", "Artikel", "Datum"),
        ("Kundennummer", "Artikel-Nr", "Bestelldatum"),
        ("id_utilisateur", "produit", "quand"),
        ("a", "b", "c"),
    ],
)
def test_users_items_and_times_of_known_and_unknown_names(user: str, item: str, time: str) -> None:
    found = roles_of(frame(**{user: ids("u", 40), item: ids("i", 30), time: days()}))
    assert (found.user.column, found.item.column, found.time.column) == (user, item, time)
    assert (found.user.sure == "a guess") == (user == "a")


def test_the_number_of_an_order_is_neither_user_nor_item() -> None:
    """Its lines are of one moment; users and items come again on other days."""
    times = [f"{day:%Y-%m-%d %H:%M}" for day in pd.date_range("2023-01-01", periods=70, freq="7h")]
    found = roles_of(
        frame(
            a=[f"n{line // 3}" for line in range(200)],
            b=ids("u", 40),
            c=ids("i", 30),
            d=[times[line // 3] for line in range(200)],
        )
    )
    assert (found.user.column, found.item.column, found.time.column) == ("b", "c", "d")


def test_kinds_values_prices_and_texts() -> None:
    items = ids("i", 30)
    found = roles_of(
        frame(
            event_type=["view", "view", "cart", "purchase"] * 50,
            user=ids("u", 40),
            product_id=items,
            price=[f"{n}.5" for n in range(200)],
            quantity=["1", "2"] * 100,
            product_name=[f"name of {item}" for item in items],
            ts=days(),
        )
    )
    assert found.kind.column == "event_type"
    assert found.kinds == {"view": 100, "cart": 50, "purchase": 50}
    assert (found.item.column, found.price.column, found.value.column) == (
        "product_id", "price", "quantity",
    )  # fmt: skip
    assert found.texts == ["product_name"]


def test_a_session_stands_for_a_user_where_there_is_none() -> None:
    found = roles_of(frame(session_id=ids("s", 40), item_id=ids("i", 30), time=days()))
    assert found.user.column == found.session.column == "session_id"


@pytest.mark.parametrize(
    ("form", "found"),
    [
        ("%Y-%m-%d", "iso"), ("%Y%m%d", "iso"), ("%m/%d/%Y %H:%M", "%m/%d/%Y %H:%M"),
        ("%d.%m.%Y %H:%M", "%d.%m.%Y %H:%M"), ("%B %d, %Y", "%B %d, %Y"),
    ],
)  # fmt: skip
def test_forms_of_times(form: str, found: str) -> None:
    assert form_of(pd.Series(days(form))) == found


def test_numbers_of_seconds_and_milliseconds_are_times() -> None:
    seconds = [str(1_600_000_000 + 3600 * n) for n in range(100)]
    assert form_of(pd.Series(seconds)) == "unix"
    assert form_of(pd.Series([one + "000" for one in seconds])) == "unix_ms"
    assert form_of(pd.Series([str(n) for n in range(100)])) is None


def test_ids_that_look_like_seconds_are_no_times_where_there_are_others() -> None:
    found = roles_of(
        frame(code=[str(1_500_000_000 + n % 30) for n in range(200)], user=ids("u", 40), day=days())
    )
    assert (found.time.column, found.item.column) == ("day", "code")


def test_what_cannot_be_told_says_what_to_do() -> None:
    with pytest.raises(
        BadInput, match=r"times that could be read\. Received.*: user = 'u\d+', item = 'i\d+'"
    ):
        roles_of(frame(user=ids("u", 40), item=ids("i", 30)))
    with pytest.raises(BadInput, match="could name users and items"):
        roles_of(frame(user=ids("u", 40), at=days()))


def test_words_of_a_name() -> None:
    assert {"unit", "price", "unitprice"} <= words("UnitPrice")
    assert {"user", "id", "userid"} <= words("user_id:token")


@pytest.mark.parametrize(
    ("values", "guessed"),
    [
        (["pv", "cart", "buy", "fav"], True),
        (["product_viewed", "added_to_cart", "order_completed"], True),
        (["Ordered", "shipped", "Cancelled", "Returned"], True),
        (["mobile", "desktop"], False),
        (["red", "green", "order"], False),
        (["1", "2", "3"], False),
    ],
)
def test_kinds_are_known_by_their_values_where_no_name_tells(
    values: list[str], guessed: bool
) -> None:
    found = roles_of(
        frame(
            user=ids("u", 40),
            item=ids("i", 30),
            x=[values[n % len(values)] for n in range(200)],
            at=days(),
        )
    )
    assert (found.kind is not None) is guessed
    assert not found.kind or (found.kind.column, found.kind.sure) == ("x", "a guess")


def test_a_named_column_is_an_id_whatever_its_values_look_like() -> None:
    found = roles_of(
        frame(
            user_pseudo_id=[f"{n % 40}.16900{n % 40:02}" for n in range(200)],
            item_id=ids("i", 30),
            item_name=[f"Thing {n % 30}" for n in range(200)],
            day=days(),
        )
    )
    assert (found.user.column, found.user.sure) == ("user_pseudo_id", "sure")


def test_a_title_or_a_country_is_neither_user_nor_item() -> None:
    who, what = ids("p", 40), ids("i", 30)
    by_item = frame(Book=what, Label=[f"Novel {one}" for one in what], Someone=who, day=days())
    assert roles_of(by_item).user.column == "Someone"
    by_user = frame(User=who, Land=[f"L{int(one[1:]) % 9}" for one in who], what=what, day=days())
    assert roles_of(by_user).item.column == "what"


def test_of_artist_and_track_the_track_is_the_item() -> None:
    tracks = [n * 7 % 60 for n in range(200)]
    found = roles_of(
        frame(
            user=ids("u", 40),
            a=[f"a{one % 12}" for one in tracks],
            b=[f"b{one}" for one in tracks],
            day=days(),
        )
    )
    assert found.item.column == "b"


def test_of_two_times_the_closest_and_no_day_for_an_item() -> None:
    seconds = [str((1_750_000_000 + 3600 * n) * 1_000_000) for n in range(200)]
    found = roles_of(
        frame(event_date=days("%Y%m%d"), event_timestamp=seconds, user=ids("u", 40), x=ids("x", 30))
    )
    assert (found.time.column, found.form, found.item.column) == ("event_timestamp", "unix_us", "x")


def test_events_in_lists_are_refused_with_a_remedy() -> None:
    items = [str([{"item_id": n % 30}]) for n in range(200)]
    with pytest.raises(BadInput, match=r"lists or objects in 'items': write one event a line"):
        roles_of(frame(user=ids("u", 40), items=items, day=days()))


def test_the_end_of_a_compound_says_what_it_is() -> None:
    what = ids("i", 30)
    found = roles_of(
        frame(
            Kundennummer=ids("k", 40),
            Artikelnummer=what,
            Artikelname=[f"Ding {one}" for one in what],
            Artikelpreis=[f"{n % 30},90 €" for n in range(200)],
            Datum=days(),
        )
    )
    assert found.price is not None
    assert (found.price.column, found.item.column) == ("Artikelpreis", "Artikelnummer")
    assert found.texts == ["Artikelname"]
    assert found.name is not None
    assert found.name.column == "Artikelname"


def test_the_name_of_items_is_short_and_tells_them_apart() -> None:
    what = [n % 30 for n in range(200)]
    found = roles_of(
        frame(
            user=ids("u", 40),
            item=[f"i{one}" for one in what],
            category=[f"c{one % 5}" for one in what],
            description=[f"a long description of thing number {one}" for one in what],
            title=[f"Thing {one}" for one in what],
            day=days(),
        )
    )
    assert found.texts == ["category", "description", "title"]
    assert found.name is not None
    assert found.name.column == "title"


@pytest.mark.parametrize(
    ("values", "named", "could"),
    [
        (["1.25", "2.75"], False, False),
        (["1.25", "2.75"], True, True),
        (["x" * 70, "y" * 70], True, False),
        (["same", "same"], True, False),
        (["a", "b"], False, True),
    ],
)
def test_what_could_be_an_id(values: list[str], named: bool, could: bool) -> None:
    assert could_be_id(pd.Series(values * 20, dtype=object), named) == could


@pytest.mark.parametrize("rows", [2, 200])
def test_columns_that_are_called_so_count_though_no_value_comes_again(rows: int) -> None:
    users = [f"u{n}" for n in range(rows)]
    found = roles_of(frame(user=users, item=["i1"] * rows, time=days(rows=rows)))
    assert (found.user.column, found.item.column) == ("user", "item")
    assert found.user.why == found.item.why == "its name; hardly any value comes again"


def test_of_two_that_are_called_so_the_one_whose_values_come_again() -> None:
    lines = [f"l{n}" for n in range(200)]
    found = roles_of(
        frame(order_item_id=lines, product_id=ids("p", 30), user=ids("u", 40), at=days())
    )
    assert found.item.column == "product_id"


def test_times_that_lie_ahead_are_told() -> None:
    ahead = [f"{day:%Y-%m-%d}" for day in pd.date_range("2091-01-01", periods=200)]
    with pytest.raises(BadInput, match=r"column 'at' lie between 2091-01-01 and 2091-07-19"):
        roles_of(frame(user=ids("u", 40), item=ids("i", 30), at=ahead))


def test_a_browser_is_no_user_where_there_are_sessions() -> None:
    agents = [
        f"Mozilla/5.0 (X11; Linux x86_64; rv:{n % 9}) AppleWebKit/{n % 5}" * 2 for n in range(200)
    ]
    found = roles_of(
        frame(user_agent=agents, session_id=ids("s", 40), item=ids("i", 30), at=days())
    )
    assert found.user.column == "session_id"


def test_a_type_is_the_item_where_nothing_else_could_be_and_nobody_acts() -> None:
    rooms = [f"room {n * 7 % 6}" for n in range(200)]
    found = roles_of(frame(guest_id=ids("g", 40), room_type=rooms, arrival=days("%d-%m-%Y")))
    assert (found.item.column, found.kind) == ("room_type", None)
    acted = [("view", "buy")[n % 2] for n in range(200)]
    with pytest.raises(BadInput, match="could name users and items"):
        roles_of(frame(guest_id=ids("g", 40), event_type=acted, at=days()))


def test_a_user_column_that_is_nearly_empty_is_told() -> None:
    users = ["u1" if n % 50 == 0 else "" for n in range(200)]
    with pytest.raises(BadInput, match="Column 'customer' is empty in 98% of the lines: fill it"):
        roles_of(frame(customer=users, product=ids("p", 30), at=days()))


def test_days_of_excel_are_told() -> None:
    serials = [f"{46082 + n * 0.3:.4f}" for n in range(200)]
    with pytest.raises(
        BadInput, match=r"'date' \(46082.0000\) look like numbers of days, as Excel"
    ):
        roles_of(frame(user=ids("u", 40), item=ids("i", 30), date=serials))

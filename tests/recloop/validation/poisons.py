"""Ways in which a delivery goes wrong, made from a clean one. Each is a function of lines."""

from __future__ import annotations

import random
from collections.abc import Callable
from datetime import datetime, timedelta

from tests.recloop.behavior.shop import FORMAT, Line, as_text

Poison = Callable[[list[Line]], list[Line]]


def _half(count: int) -> list[int]:
    return sorted(random.Random(3).sample(range(count), count // 2))


def _set(lines: list[Line], where: list[int], **values: Callable[[Line], str]) -> list[Line]:
    found = [dict(line) for line in lines]
    for i in where:
        found[i].update({name: make(lines[i]) for name, make in values.items()})
    return found


def _moved(lines: list[Line], names: list[str]) -> list[Line]:
    """Half of the lines get the `names` of another line of that half."""
    where = _half(len(lines))
    sources = random.Random(4).sample(where, len(where))
    found = [dict(line) for line in lines]
    for i, j in zip(where, sources, strict=True):
        found[i].update({name: lines[j][name] for name in names})
    return found


def item_ids_shuffled_among_lines(lines: list[Line]) -> list[Line]:
    return _moved(lines, ["StockCode"])


def items_shuffled_with_their_texts(lines: list[Line]) -> list[Line]:
    return _moved(lines, ["StockCode", "Description"])


def items_shuffled_among_customers(lines: list[Line]) -> list[Line]:
    return _moved(lines, ["StockCode", "Description", "UnitPrice"])


def half_of_the_items_renamed(lines: list[Line]) -> list[Line]:
    """Half of the catalogue swap their ids in a ring."""
    codes = sorted({line["StockCode"] for line in lines})
    ring = random.Random(5).sample(codes, len(codes) // 2)
    renamed = dict(zip(ring, ring[1:] + ring[:1], strict=True))
    everywhere = list(range(len(lines)))
    return _set(
        lines, everywhere, StockCode=lambda line: renamed.get(line["StockCode"], line["StockCode"])
    )


def prices_times_1000(lines: list[Line]) -> list[Line]:
    everywhere = list(range(len(lines)))
    return _set(lines, everywhere, UnitPrice=lambda line: f"{float(line['UnitPrice']) * 1000:.2f}")


def three_prices_times_1000(lines: list[Line]) -> list[Line]:
    sold = [
        i for i, line in enumerate(lines) if line["CustomerID"] and float(line["UnitPrice"]) > 0
    ]
    good = [i for i in sold if line_is_product(lines[i])][10:13]
    return _set(lines, good, UnitPrice=lambda line: f"{float(line['UnitPrice']) * 1000:.2f}")


def line_is_product(line: Line) -> bool:
    return line["StockCode"][:5].isdigit() and len(line["StockCode"]) in (5, 6, 7)


def negative_prices(lines: list[Line]) -> list[Line]:
    return _set(lines, _half(len(lines)), UnitPrice=lambda line: "-" + line["UnitPrice"])


def decimal_commas(lines: list[Line]) -> list[Line]:
    everywhere = list(range(len(lines)))
    return _set(lines, everywhere, UnitPrice=lambda line: line["UnitPrice"].replace(".", ","))


def customers_blanked(lines: list[Line]) -> list[Line]:
    where = random.Random(6).sample(range(len(lines)), len(lines) * 7 // 10)
    return _set(lines, where, CustomerID=lambda line: "")


def _weekday(line: Line) -> int:
    return datetime.strptime(line["InvoiceDate"], FORMAT).weekday()


def wednesday_missing(lines: list[Line]) -> list[Line]:
    return [line for line in lines if _weekday(line) != 2]


def wednesday_morning_only(lines: list[Line]) -> list[Line]:
    def hour(line: Line) -> int:
        return datetime.strptime(line["InvoiceDate"], FORMAT).hour

    return [line for line in lines if _weekday(line) != 2 or hour(line) < 12]


def a_day_later(lines: list[Line]) -> list[Line]:
    def later(line: Line) -> str:
        moment = datetime.strptime(line["InvoiceDate"], FORMAT) + timedelta(days=1)
        return moment.strftime(FORMAT)

    return _set(lines, list(range(len(lines))), InvoiceDate=later)


def every_fifth_line_twice(lines: list[Line]) -> list[Line]:
    return [copy for i, line in enumerate(lines) for copy in [line] * (2 if i % 5 == 0 else 1)]


def wednesday_twice_with_new_ids(lines: list[Line]) -> list[Line]:
    return [
        copy
        for line in lines
        for copy in (
            [line, {**line, "InvoiceNo": "9" + line["InvoiceNo"][-5:]}]
            if _weekday(line) == 2
            else [line]
        )
    ]


def one_line_in_2099(lines: list[Line]) -> list[Line]:
    return _set(lines, [len(lines) // 2], InvoiceDate=lambda line: "1/5/2099 10:00")


def columns_swapped(lines: list[Line]) -> list[Line]:
    everywhere = list(range(len(lines)))
    return _set(
        lines,
        everywhere,
        StockCode=lambda line: line["CustomerID"],
        CustomerID=lambda line: line["StockCode"],
    )


def extra_column(lines: list[Line]) -> bytes:
    return as_text([{**line, "Channel": "web"} for line in lines]).encode("cp1252")


def utf_16(lines: list[Line]) -> bytes:
    return as_text(lines).encode("utf-16")


def bad_bytes(lines: list[Line], noise: bytes) -> bytes:
    """Two lines' text starts with bytes that no text has."""
    rows = as_text(lines).encode("cp1252").splitlines(keepends=True)
    picked = [n for n, line in enumerate(lines) if line["CustomerID"] and line_is_product(line)][
        5:7
    ]
    for n in picked:
        text = lines[n]["Description"].encode("cp1252")
        rows[n + 1] = rows[n + 1].replace(text, noise + text)
    return b"".join(rows)

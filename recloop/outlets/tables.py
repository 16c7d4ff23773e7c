"""Recommendations as tables of recloop's database: `published`, or two of a person's own.

All rows come into a new table, which takes the place of the old one in the transaction that computed
them. Whoever reads waits for the end of that step at most, and then sees the new rows; a statement that
has begun sees the old ones. Lists of some users are changed in place: of rows PostgreSQL shows to each
statement those of one moment.
"""

from __future__ import annotations

import logging
import re
import time
from dataclasses import dataclass
from functools import cached_property

import pyarrow as pa
from psycopg2 import errors

from recloop.database.connection import Cursor, first
from recloop.database.copying import copy_table
from recloop.errors import BadInput, ServiceAway

log = logging.getLogger("recloop")
PUBLISHED = "published"
"""The target of who names none."""
OURS = (
    *("behavior", "features", "feast_online", "feast_registry", "ledger", "lineage", "mlflow"),
    *("published", "pg_catalog", "information_schema"),
)
NAME = re.compile(r"([a-z_][a-z0-9_]{0,40})\.([a-z_][a-z0-9_]{0,40})")
LISTS, SIMILAR = "recommendation", "similar_item"
KEY = {LISTS: "user_id", SIMILAR: "item_id"}
PATIENCE, LOCK_SECONDS = 600.0, 2
"""Seconds that readers are waited for, and how long new ones wait behind each try."""
Row = tuple[str, int, str, float, str]


@dataclass(frozen=True)
class Table:
    """One of the two.

    Attributes:
        kind: `LISTS` or `SIMILAR`.
        schema, name: where its rows are.
        parent: of which table it is a partition; empty: of none.
    """

    kind: str
    schema: str
    name: str
    parent: str = ""

    @property
    def place(self) -> str:
        """As SQL names it."""
        return f'"{self.schema}"."{self.name}"'

    @property
    def fresh(self) -> str:
        """Where new rows are collected: seen by nobody before the transaction ends."""
        return f'"{self.schema}"."{self.name}_new"'


@dataclass(frozen=True)
class Tables:
    """Where lists and similar items of a recommender go."""

    target: str
    recommender: str

    @cached_property
    def both(self) -> tuple[Table, Table]:
        """That of lists and that of similar items."""
        if self.target == PUBLISHED:
            lists, similar = (
                Table(kind, PUBLISHED, f"{kind}_{self.recommender}", f"{PUBLISHED}.{kind}")
                for kind in (LISTS, SIMILAR)
            )
        else:
            schema, name = self.target.split(".")
            lists = Table(LISTS, schema, name)
            similar = Table(SIMILAR, schema, f"{name}_{SIMILAR}")
        return lists, similar

    def stands(self, cursor: Cursor) -> bool:
        """Whether both are there, so that lists can be changed in place."""
        there = [first(cursor, "select to_regclass(%s)", (one.place,)) for one in self.both]
        return None not in there

    def check(self, cursor: Cursor, ours: bool) -> None:
        """Check that the schema is there, and that nobody else's table would be replaced.

        Args:
            ours: whether the ledger knows that recloop has written there.

        Raises:
            BadInput: it is not, or one would.
        """
        for one in self.both:
            if not one.parent and not first(cursor, "select to_regnamespace(%s)", (one.schema,)):
                raise BadInput(
                    f"`out` should be a file ending in .parquet or .csv, or a table in a schema that is "
                    f"there. Received: {one.schema}.{one.name}, and there is no schema {one.schema!r}; "
                    f"make it with `create schema {one.schema}`, or correct the file's name."
                )
            if (
                not ours
                and not one.parent
                and first(cursor, "select to_regclass(%s)", (one.place,))
            ):
                raise BadInput(
                    f"`out` should name a table that is not there yet, or that recloop wrote. Received: "
                    f"{one.schema}.{one.name}, which somebody else made; choose another name."
                )

    def begin(self, cursor: Cursor, release: int) -> None:
        """Make new, empty tables."""
        for one in self.both:
            cursor.execute(f"drop table if exists {one.fresh}")
            cursor.execute(f"create table {one.fresh} (like {PUBLISHED}.{one.kind})")
            # So that neither is sent with each row.
            cursor.execute(
                f"alter table {one.fresh} alter recommender set default %s, "
                "alter release set default %s",
                (self.recommender, release),
            )

    def add(self, cursor: Cursor, kind: str, rows: pa.Table, anew: bool) -> None:
        """Append rows, to the new table or to the one that is read."""
        (one,) = (one for one in self.both if one.kind == kind)
        copy_table(cursor, one.fresh if anew else one.place, rows)

    def take_away(self, cursor: Cursor, user_ids: list[str]) -> list[Row]:
        """Delete the lists of these users from the table that is read; returns their rows."""
        cursor.execute(
            f"delete from {self.both[0].place} where user_id = any(%s) "
            "returning user_id, rank, item_id, score, reason",
            (user_ids,),
        )
        return cursor.fetchall()

    def swap(self, cursor: Cursor) -> None:
        """Put the new tables in the place of the old ones.

        Raises:
            ServiceAway: somebody has been reading for too long.
        """
        for one in self.both:
            cursor.execute(f"alter table {one.fresh} add primary key ({KEY[one.kind]}, rank)")
            if one.parent:  # which spares a look at each row while readers wait
                cursor.execute(
                    f"alter table {one.fresh} add constraint ours check (recommender = %s)",
                    (self.recommender,),
                )
            cursor.execute(f"analyze {one.fresh}")
        deadline = time.monotonic() + PATIENCE
        cursor.execute("select set_config('lock_timeout', %s, true)", (f"{LOCK_SECONDS}s",))
        while True:
            cursor.execute("savepoint swapping")
            try:
                for one in self.both:
                    self._put(cursor, one)
            except errors.LockNotAvailable as error:
                cursor.execute("rollback to savepoint swapping")
                if time.monotonic() > deadline:
                    raise ServiceAway(
                        f"somebody has been reading {self.target} for {PATIENCE:.0f} s, so that the new "
                        "recommendations could not take the old ones' place. Publish again later."
                    ) from error
                log.info("waiting for somebody who reads %s", self.target)
                time.sleep(1.0)
            else:
                return

    def close(self) -> None:
        """The transaction's end leaves nothing."""

    def _put(self, cursor: Cursor, one: Table) -> None:
        if first(cursor, "select to_regclass(%s)", (one.place,)):
            if one.parent:
                cursor.execute(f"alter table {one.parent} detach partition {one.place}")
            cursor.execute(f"drop table {one.place}")
        cursor.execute(f'alter table {one.fresh} rename to "{one.name}"')
        if one.parent:
            cursor.execute(
                f"alter table {one.parent} attach partition {one.place} for values in (%s)",
                (self.recommender,),
            )
            cursor.execute(f"alter table {one.place} drop constraint ours")


def table_named(target: str, recommender: str) -> Tables:
    """Of a table's name.

    Raises:
        BadInput: it is none, or in a schema of recloop's own.
    """
    named = NAME.fullmatch(target)
    if not named or named[1] in OURS:
        raise BadInput(
            "`out` should be a file (its name ends with .parquet or .csv), or a table: schema.table, of "
            f"small letters, in a schema that is there and not recloop's own. Received: {target!r}."
        )
    return Tables(target, recommender)

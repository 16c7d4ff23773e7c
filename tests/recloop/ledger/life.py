"""A shop's life on the real ledger: lines are delivered, windows ingested, updates made and undone.

All of recloop's own functions run, from `stages` down to SQL. The model is of a family of the
tests' own (`moments.py`). In place of what needs Feast or Great Expectations stand features that
are empty, and a judge that refuses a window for one item.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from recloop.behavior.landing import land
from recloop.calendar import part_key
from recloop.contracts import GateReport, Metrics, RuleResult
from recloop.database.connection import connect, transaction
from recloop.errors import WindowRefused
from recloop.evaluation import challenge
from recloop.features import daily, online, ranker_inputs, training_set
from recloop.ledger import parts, releases
from recloop.planning import history, targets
from recloop.release import promotion
from recloop.settings import Settings
from recloop.stages import ingest_stages, update_stages
from recloop.stages.status import count_lines, read_status
from recloop.validation import statistics, window
from tests.recloop.behavior.datasets import customised
from tests.recloop.behavior.shop import write
from tests.recloop.ledger.moments import Moments
from tests.recloop.ledger.oracle import LATE_LINES, LATE_SHARE, POISON, Fates, Line

Json = dict[str, Any]
LIVE = "state in ('planned', 'training', 'evaluated')"


class Life:
    """One shop, its database, and the oracle beside it."""

    def __init__(self, url: str, home: Path) -> None:
        _empty(url)
        home.mkdir()
        (home / "incoming").mkdir()
        self.settings = customised(
            Settings(home=home, database_url=url, data=home / "incoming"),
            "online_retail",
            home,
            source={"kind": "folder", "sha256": None},
            event={"ordered": False},
            model={"family": "tests.recloop.ledger.moments:FAMILY"},
            limits={"window": {"minimum_compared": LATE_LINES, "late_share": LATE_SHARE}},
        )
        for file, name, limit in (
            ("gate", "minimum_users", 2),
            ("update", "minimum_events", 1),
        ):
            path = self.settings.config / f"{file}.toml"
            path.write_text(
                re.sub(rf"^{name} = \d+", f"{name} = {limit}", path.read_text(), flags=re.M)
            )
        self.fates = Fates()
        self.files: dict[str, list[Line]] = {}
        self.verdict = True
        self.meanwhile: Callable[[], object] | None = None
        """What happens, once, while a plan is made or a training set is built."""

    def deliver(self, lines: list[Line], name: str | None = None) -> None:
        """A file arrives, or a newer version of one, and is landed."""
        name = name or f"{len(self.files)}.csv"
        self.files[name] = lines
        write(self.settings.data / name, [line.columns() for line in lines])
        land(self.settings)
        self.fates.land(name, lines)

    def known_weeks(self) -> list[str]:
        return [row[0] for row in self.rows("select window_key from ledger.window order by starts")]

    def validate(self, week: str) -> bool:
        expected = self.fates.validate(week)
        try:
            ingest_stages.validate(week, self.settings)
        except WindowRefused:
            assert not expected
        else:
            assert expected
        return expected

    def featurize(self, week: str) -> None:
        if week in self.fates.judged:
            ingest_stages.featurize(week, self.settings)

    def ingest(self, week: str) -> None:
        if self.validate(week):
            self.featurize(week)

    def plan(self, requested: str, holder: str, week: str | None = None) -> Json:
        return update_stages.plan(week, requested, holder, settings=self.settings)

    def live(self) -> tuple[int, str, str] | None:
        """Id, state and holder of the update that is alive."""
        found = self.rows(f"select update_id, state, holder from ledger.update where {LIVE}")
        assert len(found) <= 1
        return found[0] if found else None

    def rows(self, statement: str) -> list[tuple[Any, ...]]:
        with transaction(self.settings.database_url) as cursor:
            cursor.execute(statement)
            return cursor.fetchall() if cursor.description else []

    def whatever_happens_meanwhile(self) -> None:
        happening, self.meanwhile = self.meanwhile, None
        if happening:
            happening()

    def pending(self) -> list[str]:
        """What the ledger lists, in its functions and in its status."""
        listed: list[str] = read_status(self.settings)["pending"]
        with transaction(self.settings.database_url) as cursor:
            assert sorted(releases.pending(cursor)) == listed
        return listed

    def check(self) -> None:
        """Every line is where the oracle has it; every accepted event is learnt once, or listed."""
        lines = count_lines(self.settings)
        with transaction(self.settings.database_url) as cursor:
            champion = releases.champion(cursor)
            pending = releases.pending(cursor)
            unready = {p["part_key"] for p in parts.all_parts(cursor) if not p["ready"]}
            cursor.execute("select event_timestamp, window_key, part from behavior.event")
            events = {moment: part_key(key, part) for moment, key, part in cursor.fetchall()}
            cursor.execute(f"select count(*) from ledger.update where {LIVE}")
            assert cursor.fetchone() in ((0,), (1,)), "two updates are alive"
        accepted = {line.moment for line in self.fates.accepted}
        assert set(events) == accepted
        assert lines["duplicates"] == self.fates.duplicates
        refused = lines["quarantined"].pop("window_refused", 0)
        assert sum(lines["quarantined"].values()) == len(self.fates.quarantined)
        assert refused + lines["pending"] == len(self.fates.landed)

        learnt = Counter(restored(champion.uri).moments() if champion else ())
        assert set(learnt.values()) <= {1}, "an event was learnt twice"
        listed = {moment for moment, key in events.items() if key in {*pending, *unready}}
        assert not set(learnt) & listed, "an event is both learnt and pending"
        assert set(learnt) | listed == accepted, "an event is nowhere"


def restored(uri: str | Path, limit: float | None = None) -> Moments:
    return Moments.restore(Path(uri) / "checkpoint")


def stand_in(patch: pytest.MonkeyPatch, life: Life) -> None:
    """Put the stand-ins in place."""

    def judge(case: Any, measured: Any, lines: int) -> list[RuleResult]:
        found = life.rows(
            f"select 1 from behavior.landing where window_key = '{case.window.key}' "
            f"and item_id = '{POISON}'"
        )
        passed = measured is None or not found
        return [RuleResult(name="poison", value=None, limit="none", passed=passed)]

    def scores(*_: Any, **__: Any) -> tuple[Json, np.ndarray]:
        life.whatever_happens_meanwhile()
        return {}, np.zeros(0, np.int64)

    def challenged(
        settings: Settings, plan: Any, candidate: Any, *_: Any
    ) -> tuple[GateReport, str]:
        report = GateReport(
            update_id=candidate.update_id,
            window=plan.target,
            passed=life.verdict,
            rules=(),
            champion=None,
            challenger=Metrics(recall=0.1, ndcg=0.1, users=10),
        )
        return report, "a verdict"

    def queries(settings: Settings, cursor: Any, part: Any) -> Any:
        table = training_set._interactions(cursor, part)
        life.whatever_happens_meanwhile()
        first = {}
        for row in table.to_pylist():
            first.setdefault(row["query_id"], row["event_timestamp"])
        return _table("queries", [{"query_id": n, "event_timestamp": t} for n, t in first.items()])

    def items(settings: Settings, cursor: Any, part: Any) -> Any:
        keys = training_set._interactions(cursor, part)["item_key"].unique().to_pylist()
        return _table("items", [{"item_key": key} for key in sorted(keys)])

    def nothing(*_: Any, **__: Any) -> None:
        return None

    patch.setattr(window, "_judge", judge)
    patch.setattr(statistics, "measure", lambda *_: object())
    patch.setattr(daily, "build_features", nothing)
    patch.setattr(online, "materialize", nothing)
    patch.setattr(training_set, "_queries", queries)
    patch.setattr(training_set, "_items", items)
    patch.setattr(training_set, "join_item_days", lambda *_: _table("item_days", []))
    patch.setattr(history, "evaluate_prequentially", scores)
    patch.setattr(challenge, "challenge", challenged)
    patch.setattr(targets, "is_intact", lambda uri: (uri / "checkpoint" / "learnt.json").exists())
    patch.setattr(promotion, "write_export", nothing)
    patch.setattr(promotion, "mend_export", lambda *_: False)
    patch.setattr(promotion.registry, "register", lambda *_: "1")
    patch.setattr(promotion, "publish", nothing)


def _table(name: str, rows: list[Json]) -> Any:
    """A table of a training set; what a row does not say is zero or empty."""
    import pyarrow as pa

    schema = ranker_inputs.schemas()[name]
    filled = [
        {
            field.name: row.get(field.name, [] if pa.types.is_list(field.type) else _zero(field))
            for field in schema
        }
        for row in rows
    ]
    return pa.Table.from_pylist(filled, schema)


def _zero(field: Any) -> Any:
    import pyarrow as pa

    return "" if pa.types.is_string(field.type) else 0


def _empty(url: str) -> None:
    """A ledger and a behavior log without rows."""
    with connect(url) as connection, connection.cursor() as cursor:
        cursor.execute("set local session_replication_role = replica")  # in any order
        cursor.execute(
            "select format('delete from %I.%I', schemaname, tablename) from pg_tables "
            "where schemaname in ('behavior', 'ledger', 'lineage')"
        )
        cursor.execute("; ".join(statement for (statement,) in cursor.fetchall()))
    connection.close()

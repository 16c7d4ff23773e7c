"""The steps of a shop's life: what may happen to its lines, windows and updates, in any order.

Each step says what must come of it at once; what must hold after every step is `Life.check`.
"""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from recloop.calendar import whole
from recloop.database.connection import transaction
from recloop.errors import BadInput, LeaseLost, LedgerConflict, ReleaseMissing
from recloop.ledger import releases, updates
from recloop.stages import update_stages
from tests.recloop.ledger.life import LIVE, Life
from tests.recloop.ledger.oracle import LATE_LINES, POISON, WEEKS, Line


@dataclass(frozen=True)
class Step:
    """One step; which of its values matter depends on what is done."""

    what: str
    week: str = WEEKS[0]
    plan: str = "increment"
    pick: int = 0
    yes: bool = True


class Shop:
    """A shop and the runs that keep its recommender fresh."""

    def __init__(self, url: str, home: Path) -> None:
        self.life = Life(url, home)
        self.numbers = itertools.count()
        self.runs = itertools.count()
        self.last_run = "run"
        self.begun: set[str] = set()
        self.orphans: list[Any] = []

    def begin(self) -> None:
        """A champion that knows the first week."""
        self.ingest(Step("ingest"))
        self.whole_update(Step("whole_update", plan="rebuild"))
        self.life.check()

    def take(self, step: Step) -> None:
        getattr(self, step.what)(step)

    def some(self, week: str, count: int, **how: Any) -> list[Line]:
        """New lines; with them, when the week has none yet, enough to hold some out."""
        lines = [Line(week, next(self.numbers), **how) for _ in range(count)]
        if week in self.begun:
            return lines
        self.begun.add(week)
        return self.some(week, 3) + lines

    def new_run(self) -> str:
        self.last_run = f"run {next(self.runs)}"
        return self.last_run

    # ── lines ────────────────────────────────────────────────────────────────────────────────────
    def ingest(self, step: Step) -> None:
        """New lines of any week come and are ingested; late ones if it was accepted before."""
        self.life.deliver(self.some(step.week, 1 + step.pick % 4))
        self.life.ingest(step.week)

    def late_lines(self, step: Step) -> None:
        """Lines of the first week, whatever became of it: one of them not fit."""
        self.life.deliver(self.some(WEEKS[0], 2) + self.some(WEEKS[0], 1, price="0.00"))
        self.life.ingest(WEEKS[0])

    def lines_come(self, step: Step) -> None:
        """So many, for some steps, that they are quarantined if they are late."""
        self.life.deliver(self.some(step.week, 1 if step.yes else LATE_LINES + 2))

    def file_again(self, step: Step) -> None:
        names = sorted(self.life.files)
        self.life.deliver(list(self.life.files[names[step.pick % len(names)]]))

    def poisoned_file(self, step: Step) -> None:
        self.life.deliver(self.some(step.week, 1, item=POISON) + self.some(step.week, 1))
        self.life.ingest(step.week)

    def corrected_file(self, step: Step) -> None:
        names = sorted(self.life.files)
        name = names[step.pick % len(names)]
        lines = [line for line in self.life.files[name] if line.item != POISON]
        self.life.deliver(lines + self.some(self.life.files[name][0].week, 1), name)

    # ── windows ──────────────────────────────────────────────────────────────────────────────────
    def validate(self, step: Step) -> None:
        """With or without features."""
        if step.week in self.life.known_weeks():
            self.life.validate(step.week)
            if step.yes:
                self.life.featurize(step.week)

    def backfill(self, step: Step) -> None:
        """Everything that is known is ingested once more."""
        for week in self.life.known_weeks():
            self.life.ingest(week)

    def lines_while_building(self, step: Step) -> None:
        """Events of a week are accepted while its features are written."""
        self.life.deliver(self.some(step.week, 1))
        if self.life.validate(step.week):
            self.life.deliver(self.some(step.week, 1))
            self.life.meanwhile = lambda: self.life.validate(step.week)
            self.life.featurize(step.week)
            self.life.meanwhile = None

    # ── updates ──────────────────────────────────────────────────────────────────────────────────
    def plan(self, step: Step) -> None:
        """By a new run or, if not `yes`, by the last one again."""
        alive = self.life.live()
        run = self.new_run() if step.yes else self.last_run
        began = self.planned(step.plan, run)
        if alive and began and alive[2] != run:
            assert self.life.live() != alive, "two updates are alive"
        if began and began != (alive or [None])[0]:
            with transaction(self.life.settings.database_url) as cursor:
                made = updates.plan_of(cursor, began)
                waiting = [k for k in releases.pending(cursor) if whole(k) <= made.target]
            assert made.decision == "rebuild" or list(made.windows) == waiting

    def planned(self, requested: str, run: str) -> int | None:
        """The update that a run has begun, if any."""
        try:
            began: int | None = self.life.plan(requested, run)["update_id"]
        except BadInput:  # before the first release
            assert requested == "increment"
            return None
        return began

    def lines_while_planning(self, step: Step) -> None:
        """Events of a week are accepted, with features or without, while a plan is made."""
        self.life.deliver(self.some(step.week, 1))
        act = self.life.ingest if step.yes else self.life.validate
        self.life.meanwhile = lambda: act(step.week)
        self.planned(step.plan, self.new_run())
        self.life.meanwhile = None

    def go_on(self, step: Step) -> None:
        """The update that is alive, one stage further: trained, then judged, then promoted."""
        alive = self.life.live()
        if alive is None:
            return
        update_id, state, holder = alive
        self.life.verdict = step.yes
        if state == "planned":
            update_stages.train(update_id, holder, self.life.settings)
        elif state == "training":
            with transaction(self.life.settings.database_url) as cursor:
                self.orphans.append(updates.take_over(cursor, update_id, holder))
            update_stages.evaluate(update_id, holder, self.life.settings)
        else:
            self.promote(update_id, holder)

    def promote(self, update_id: int, holder: str) -> None:
        (parent,) = self.life.rows(
            f"select parent_release from ledger.update where update_id = {update_id}"
        )
        reigning = self.life.rows("select version from ledger.reign where ended_at is null")
        moved = [parent] != (reigning or [(None,)])
        try:
            update_stages.promote(update_id, holder, self.life.settings)
        except LeaseLost:
            assert moved
            self.run_dies(Step("run_dies"))
        else:
            assert not moved

    def whole_update(self, step: Step) -> None:
        self.plan(Step("plan", plan=step.plan))
        for _ in range(3):
            self.go_on(step)

    def late_lines_while_updating(self, step: Step) -> None:
        """Lines of a week that an update covers come between two of its stages."""
        self.ingest(step)
        self.plan(Step("plan", plan=step.plan))
        for stage in range(3):
            if stage == step.pick % 3:
                self.ingest(step)
            self.go_on(step)

    def run_dies(self, step: Step) -> None:
        """Nobody renews its lease any more; the next plan abandons its update."""
        self.life.rows(
            f"update ledger.update set lease_until = now() - interval '1 s' where {LIVE}"
        )

    def person_says_no(self, step: Step) -> None:
        alive = self.life.live()
        if alive:
            with transaction(self.life.settings.database_url) as cursor:
                lease = updates.take_over(cursor, alive[0], alive[2])
                updates.conclude(cursor, lease, "rejected", "a person said no")

    def orphans_wake(self, step: Step) -> None:
        """Attempts that lost their lease try to promote what they have."""
        for orphan in self.orphans:
            with (
                pytest.raises(LedgerConflict),
                transaction(self.life.settings.database_url) as cursor,
            ):
                releases.promote(cursor, orphan, "/orphan")

    def roll_back(self, step: Step) -> None:
        """To the release before or, if not `yes`, to any, newer ones included."""
        versions = [
            row[0] for row in self.life.rows("select version from ledger.release order by 1")
        ]
        version = None if step.yes or not versions else versions[step.pick % len(versions)]
        try:
            update_stages.roll_back(version, "a test", self.life.settings)
        except ReleaseMissing:
            assert version is None

    # ── at once ──────────────────────────────────────────────────────────────────────────────────
    def two_triggers(self, step: Step) -> None:
        alive = self.life.live()
        runs = [self.new_run(), self.new_run()]
        began = at_once(*(lambda run=run: self.planned(step.plan, run) for run in runs))
        assert sum(update_id is not None for update_id in began) <= 1, "two leases"
        now = self.life.live()
        assert now is None or now == alive or now[0] in began

    def lines_and_trigger(self, step: Step) -> None:
        self.life.deliver(self.some(step.week, 1))
        run = self.new_run()
        at_once(lambda: self.life.ingest(step.week), lambda: self.planned(step.plan, run))

    # ── the end ──────────────────────────────────────────────────────────────────────────────────
    def finish(self) -> None:
        """Nothing is stuck: after one more week that is promoted, everything accepted is learnt."""
        self.run_dies(Step("run_dies"))
        self.life.deliver(self.some(WEEKS[-1], 5))
        self.backfill(Step("backfill"))
        for _ in WEEKS:
            if not self.life.pending():
                break
            champion = self.life.rows("select from ledger.reign")
            self.whole_update(Step("whole_update", plan="increment" if champion else "rebuild"))
        assert not self.life.pending()
        self.life.check()


LINES = ["ingest", "ingest", "late_lines", "lines_come", "file_again", "poisoned_file"]
WINDOWS = ["validate", "backfill", "lines_while_building", "corrected_file"]
UPDATES = ["whole_update", "whole_update", "plan", "go_on", "go_on", "lines_while_planning"]
UPDATES += ["late_lines_while_updating", "late_lines_while_updating"]
MISHAPS = ["run_dies", "person_says_no", "orphans_wake", "roll_back", "roll_back"]
RACES = ["two_triggers", "lines_and_trigger"]
STEPS = LINES + WINDOWS + UPDATES + MISHAPS + RACES


def at_once(*acts: Callable[[], Any]) -> list[Any]:
    """What each act answers; all begin together, each on connections of its own."""
    barrier = threading.Barrier(len(acts))
    answers: list[Any] = []

    def act(one: Callable[[], Any]) -> None:
        barrier.wait()
        try:
            answers.append(one())
        except BaseException as error:
            answers.append(error)

    threads = [threading.Thread(target=act, args=(one,)) for one in acts]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for answer in answers:
        if isinstance(answer, BaseException):
            raise answer
    return answers

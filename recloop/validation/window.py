"""Validating one window: check its lines, let Great Expectations judge, accept or refuse.

Belongs here: the order of these steps, and the report. Keep out: rules (`row_rules.py`, `suite.py`), SQL
(`checking.py`, `accepting.py`).
"""

from __future__ import annotations

import json
import logging
from collections.abc import Collection, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass

from psycopg2.extensions import connection as Connection
from psycopg2.extensions import cursor as Cursor

from recloop.behavior.dating import remedies
from recloop.calendar import Window
from recloop.config.dataset import DatasetSpec, load_dataset
from recloop.config.limits import Limits, load_limits, place_of
from recloop.contracts import Acceptance, RuleResult, ValidationReport
from recloop.database.connection import connect, first
from recloop.errors import BadInput, CheckCrashed, WindowRefused
from recloop.ledger import window_states as ledger
from recloop.settings import Settings
from recloop.validation import accepting, checking, statistics
from recloop.validation.again import BOUNDED, judging
from recloop.validation.checking import MOST, OF_THE_DATA, Line, TooMany, uncheckable
from recloop.validation.judging import (
    Judge,
    Verdict,
    crashes_told_apart,
    page_of,
    write_validation_page,
)
from recloop.validation.row_rules import RowRule, row_rules
from recloop.validation.statistics import Statistics
from recloop.validation.suite import (
    WindowRule,
    rows_query,
    rows_suite,
    tolerated,
    window_query,
    window_rules,
    window_suite,
)

log = logging.getLogger(__name__)
UNUSUAL = "Unusual, and accepted: "
"""Before the message of a rule that refuses nothing, of the first windows or on this side."""
ATTEMPTS = 3
"""Judgements of a window whose lines keep changing while they are judged."""


@dataclass
class _Case:
    """What one validation works with."""

    settings: Settings
    spec: DatasetSpec
    limits: Limits
    window: Window
    word: Acceptance | None


def validate_window(
    settings: Settings, key: str, word: Acceptance | None = None
) -> ValidationReport:
    """Accept the landed lines of a window, quarantine rows of it, or refuse it.

    Late lines of an accepted window are held against the row rules only; window rules judged it
    before. A window with nothing new returns its stored report. Two runs take turns.

    Args:
        word: of a person who takes the window as it is. Broken rules then refuse nothing, and the
            report and the ledger keep which they were; broken lines go to the quarantine as ever.

    Raises:
        BadInput: the ledger does not know the window: nothing landed in it.
        WindowRefused: a window rule was broken; the lines stay landed.
        CheckCrashed, ServiceAway: nothing was decided.
    """
    spec = load_dataset(settings)
    case = _Case(settings, spec, load_limits(settings, spec), spec.calendar.parse(key), word)
    with crashes_told_apart(f"the validation of window {key}"), _locked(settings, key) as held:
        odd: dict[Line, str] = {}
        for _ in range(ATTEMPTS):
            try:
                return _validate(case, held, odd)
            except accepting.LandingChanged:
                held.rollback()
                log.info("lines of window %s changed while they were judged; judging again", key)
            except OF_THE_DATA as error:
                held.rollback()
                odd = _odd_lines(case, held, error)
        raise CheckCrashed(f"lines of window {key} keep changing; run it again when they rest.")


def _odd_lines(case: _Case, held: Connection, error: Exception) -> dict[Line, str]:
    """The window's lines that something cannot be computed on, with what the database says of each.

    Raises:
        CheckCrashed: it is not for some odd lines that `error` was raised.
    """
    with held.cursor() as cursor:
        cursor.execute(
            "select file_id, line_no from behavior.landing where window_key = %s order by 1, 2",
            (case.window.key,),
        )
        lines: list[Line] = cursor.fetchall()

        def trial(part: list[Line]) -> str | None:
            cursor.execute("savepoint trial")
            kept = set(part)
            try:
                _measure(case, cursor, [line for line in lines if line not in kept], trial=True)
                accepting.move_lines(cursor, case.window, case.spec, "")
            except OF_THE_DATA as found:
                return str(found).splitlines()[0]
            finally:
                cursor.execute("rollback to savepoint trial")
            return None

        try:
            odd = uncheckable(lines, trial)
        except TooMany:
            raise CheckCrashed(
                f"window {case.window.key} cannot be checked: {str(error).splitlines()[0]}. It is so "
                f"without any line, or for more than {MOST} lines each by itself: a rule or a "
                "setting is at fault rather than some odd lines; mend it, then run it again."
            ) from error
        finally:
            held.rollback()
    log.warning(
        "window %s: %s lines cannot be checked and are quarantined, the first for this reason: %s",
        case.window.key, len(odd), next(iter(odd.values()), ""),
    )  # fmt: skip
    return odd


@contextmanager
def _locked(settings: Settings, key: str) -> Iterator[Connection]:
    """A connection that holds the window's advisory lock; waits for another run to finish."""
    with closing(connect(settings.database_url)) as connection:
        with connection, connection.cursor() as cursor:
            cursor.execute("select pg_advisory_lock(hashtextextended(%s, 0))", (f"validate {key}",))
        yield connection


def _validate(case: _Case, held: Connection, odd: dict[Line, str]) -> ValidationReport:
    with held, held.cursor() as cursor:
        state = ledger.state_of(cursor, case.window.key)
        if state is None:
            raise BadInput(
                f"window {case.window.key} has no landed lines; `recloop ingest` reads the source, "
                "`recloop status` lists the windows."
            )
        waits = "select exists (select from behavior.landing where window_key = %s)"
        pending = first(cursor, waits, (case.window.key,))
        stored = ledger.validation_of(cursor, case.window.key)
        if state in ("validated", "featured") and stored is not None and not pending:
            return stored.model_copy(update={"returned": 0})  # nothing came this time
        lines, measured = _measure(case, cursor, odd)
    results = _judge(case, measured, lines)
    with held, held.cursor() as cursor:
        good, duplicates, quarantined = accepting.count_fates(cursor, case.window)
        broken = tuple(result.name for result in results if not result.passed)
        word = case.word
        report = ValidationReport(
            window=case.window.key,
            passed=not broken or word is not None,
            lines=lines,
            accepted=good,
            duplicates=duplicates,
            quarantined=quarantined,
            data_hash="",
            returned=accepting.count_returned(cursor, case.window),
            rules=tuple(results),
            data_docs=str(page_of(case.settings, case.window.key)),
            acceptance=word.model_copy(update={"rules": broken}) if word and broken else None,
            kinds=accepting.count_kinds(cursor, case.window, case.spec.event.positives.types),
        )
        if report.passed:
            rules = judging(case.spec, case.limits)
            data_hash = accepting.move_lines(cursor, case.window, case.spec, rules)
            accepting.note_why(cursor, odd)
            report = report.model_copy(update={"data_hash": data_hash})
            ledger.note_accepted(cursor, report)
        else:
            report = report.model_copy(update={"accepted": 0, "returned": 0, "kinds": {}})
            ledger.note_refused(cursor, report)
        checking.clear(cursor, case.window)
    write_validation_page(case.settings, report)
    for rule in report.rules:
        if rule.message.startswith(UNUSUAL):
            log.warning("window %s: %s", report.window, rule.message)
    if not report.passed:
        raise WindowRefused(_refusal(case, report))
    return report


def _measure(
    case: _Case, cursor: Cursor, odd: Collection[Line], trial: bool = False
) -> tuple[int, Statistics | None]:
    """Check the window's lines, and measure the window if it was not accepted before (else None).

    Args:
        odd: `uncheckable_line`s. trial: leave them out altogether.
    """
    trailing = ledger.trailing(cursor, case.window, case.limits.window.trailing_windows)
    lines = checking.check_lines(cursor, case.window, trailing, case.spec, case.limits, odd)
    if not trial:
        lines += checking.add_uncheckable(cursor, case.window, odd)
    if ledger.state_of(cursor, case.window.key) in ("validated", "featured"):
        _bound_late_lines(cursor, case)
        return lines, None
    return lines, statistics.measure(cursor, case.window, trailing, case.spec, case.limits)


def _refusal(case: _Case, report: ValidationReport) -> str:
    """Every broken rule of a refused window: name, value, limit, remedy; and where the limits stand."""
    broken = [rule for rule in report.rules if not rule.passed]
    told = "\n".join(f"- {rule.message}" for rule in broken)
    return (
        f"window {report.window} ({report.lines} lines) is refused by {len(broken)} rule(s):\n"
        f"{told}\nIts lines wait. If they are right as they are, `recloop accept {report.window} "
        '--reason "…"`; else correct the source, or the limit, and `recloop ingest`. '
        f"{place_of([rule.name for rule in broken], case.settings)} Data Docs: {report.data_docs}"
    )


def _judge(case: _Case, measured: Statistics | None, lines: int) -> list[RuleResult]:
    """Great Expectations' verdicts as rule results.

    Without `measured`, lines are late: rows are judged for the page, and shares refuse nothing.
    """
    window, results = case.window, list[RuleResult]()
    with closing(Judge(case.settings)) as judge:
        if lines:
            rules, bands = row_rules(case.spec, case.limits), measured.bands if measured else {}
            query, suite = rows_query(window.key, rules), rows_suite(rules, case.limits, bands)
            total = measured.raw["lines"] if measured else lines
            enough = measured is not None and total >= case.limits.window.minimum_compared
            by_name = {rule.name: rule for rule in rules}
            verdicts = judge.judge(window, query, suite)
            for verdict in verdicts:
                most = tolerated(verdict.rule, case.limits, bands)
                results.append(_of_rows(verdict, by_name[verdict.rule], most, total, enough))
        if measured is not None:
            results += _of_undated(measured, case)
            expected = window_rules(case.limits, case.spec, measured.bands)
            query, suite = window_query(window.key, expected), window_suite(expected)
            passed = {v.rule: v.success for v in judge.judge(window, query, suite)}
            results += [
                _of_window(rule, measured, passed.get(rule.name, True)) for rule in expected
            ]
    return results


def _of_rows(verdict: Verdict, rule: RowRule, most: float, lines: int, judged: bool) -> RuleResult:
    share = round(verdict.broken / lines, 6) if lines else 0.0
    message = (
        f"{rule.name} = {share:.1%} of lines ({verdict.broken} of {lines}), limit {100 * most:.3g}%: "
        f"{rule.meaning}. {rule.remedy}"
    )
    if not judged:
        message += " (Quarantined; too few or late lines, so that the share is not judged.)"
    return RuleResult(
        name=rule.name,
        value=share,
        limit=f"at most {most:.3g}",
        passed=verdict.success or not judged,
        message=message,
    )


def _of_undated(measured: Statistics, case: _Case) -> list[RuleResult]:
    """Lines without a usable time, beside lines of the window: the shares of row rules bind them."""
    counts, results = measured.raw["undated"], []
    total = measured.raw["lines"] + sum(counts.values())
    judged = total >= case.limits.window.minimum_compared
    for rule, count in counts.items():
        most, share = tolerated(rule, case.limits, measured.bands), count / total
        message = (
            f"{rule} = {share:.1%} of lines ({count} of {total}, with those beside the window's lines "
            f"that have no window), limit {100 * most:.3g}%. {remedies(case.spec)[rule]}"
        )
        results.append(
            RuleResult(
                name=rule,
                value=round(share, 6),
                limit=f"at most {most:.3g}",
                passed=share <= most or not judged,
                message=message,
            )
        )
    return results


def _of_window(rule: WindowRule, measured: Statistics, passed: bool) -> RuleResult:
    value = measured.values.get(rule.name)
    if value is None or not rule.judges:
        message = f"{rule.name} was not judged: there is too little to compare."
    else:
        told = [measured.details.get(rule.name, "")]
        if rule.learnt is not None:
            told.append(f"usually {rule.learnt.usual:.4g}, by {rule.learnt.windows} windows")
        detail = f" ({'; '.join(filter(None, told))})" if any(told) else ""
        message = (
            f"{rule.name} = {value:.4g}{detail}, limit {rule.limit}: {rule.meaning}. {rule.remedy}"
        )
        if passed and rule.learnt and not rule.learnt.odd[0] <= value <= rule.learnt.odd[1]:
            message = f"{UNUSUAL}{message}"
    return RuleResult(
        name=rule.name,
        value=None if value is None else round(value, 6),
        limit=rule.limit,
        passed=passed,
        message=message,
    )


LATE = """
c.window_key = %(w)s and not c.duplicate and c.rules = '{}' and not exists (
    select from behavior.returned r where (r.file_id, r.line_no) = (c.file_id, c.line_no))
"""
"""SQL: good lines that were not there when the window was judged, as those were that come back from the
quarantine."""


def _bound_late_lines(cursor: Cursor, case: _Case) -> None:
    """More late lines than a share of the window's events would change it unjudged: quarantine."""
    cursor.execute(
        f"select (select count(*) from behavior.checked c where {LATE}), "
        "(select accepted from ledger.window where window_key = %(w)s)",
        {"w": case.window.key},
    )
    late, accepted = cursor.fetchone() or (0, 0)
    limit = case.limits.window
    if late < limit.minimum_compared or late <= limit.late_share * accepted:
        return
    excess = f"update behavior.checked c set rules = array['{BOUNDED}'] where {LATE}"
    cursor.execute(excess, {"w": case.window.key})
    log.warning(
        "excess_late_lines: %s late lines for window %s, which has %s events (limit: %s of them); "
        "they are quarantined, because window rules judged the window without them. Look for a "
        "delivery that came twice, or raise window.late_share in config/validation.toml.",
        late, case.window.key, accepted, json.dumps(limit.late_share),
    )  # fmt: skip

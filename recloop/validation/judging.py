"""Running suites with Great Expectations on PostgreSQL.

Belongs here: the only contact with Great Expectations' contexts, stores and results, and the page that
tells of them. Keep out: what is expected (`suite.py`), what follows from it (`window.py`).
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from recloop.calendar import Window
from recloop.contracts import ValidationReport
from recloop.database.connection import transaction
from recloop.errors import CheckCrashed, RecloopError, ServiceAway
from recloop.ledger.window_states import all_windows
from recloop.page import template, write_page
from recloop.settings import Settings

logging.getLogger("great_expectations").setLevel(logging.WARNING)  # else 200 lines under Airflow
SOURCE = "behavior"
COUNTS_ONLY = {"result_format": "BASIC", "partial_unexpected_count": 0}
"""Results hold how many rows break a rule, and none of what stands in them: that is a stranger's text,
and personal data. The quarantine keeps the lines themselves."""


@dataclass(frozen=True)
class Verdict:
    """Great Expectations' word on one rule. `broken`: rows that do not meet it."""

    rule: str
    success: bool
    broken: int


class Judge:
    """One Great Expectations context: judges suites, and keeps its results as JSON."""

    def __init__(self, settings: Settings) -> None:
        with crashes_told_apart("opening Great Expectations"):
            self._context = _context(settings.validations)
            self._source = self._context.data_sources.add_postgres(
                SOURCE, connection_string=settings.database_url, create_temp_table=False
            )

    def judge(self, window: Window, query: str, suite: Any) -> list[Verdict]:
        """Validate the rows of `query`; one verdict per expectation, in the suite's order.

        Judging a window again replaces its stored result.

        Raises:
            CheckCrashed: an expectation could not be computed.
            ServiceAway: the database went away meanwhile.
        """
        import great_expectations as gx
        from great_expectations.core.run_identifier import RunIdentifier

        with crashes_told_apart(f"suite {suite.name!r} on window {window.key}"):
            asset = self._source.add_query_asset(f"{suite.name} {window.key}", query=query)
            batch = asset.add_batch_definition_whole_table("all")
            suite = self._context.suites.add(suite)
            definition = self._context.validation_definitions.add(
                gx.ValidationDefinition(name=asset.name, data=batch, suite=suite)
            )
            run = RunIdentifier(run_name=window.key, run_time=window.start)
            outcome = definition.run(run_id=run, result_format=COUNTS_ONLY)
            return [_verdict(result, suite.name, window.key) for result in outcome.results]

    def close(self) -> None:
        """Give the database connections back: two pools, which would stay open otherwise."""
        from sqlalchemy.exc import SQLAlchemyError

        with suppress(SQLAlchemyError):  # of a server that went away
            self._source.get_execution_engine().close()
            self._source.get_engine().dispose()


@contextmanager
def crashes_told_apart(what: str) -> Iterator[None]:
    """Turn whatever goes wrong in a check into `ServiceAway` or `CheckCrashed`, with its cause."""
    try:
        yield
    except RecloopError:
        raise
    except Exception as error:
        away = away_cause(error)
        if away is not None:
            raise ServiceAway(
                f"the database went away during {what}: {str(away).strip().splitlines()[0]}. "
                "Nothing was decided; run it again."
            ) from error
        raise CheckCrashed(
            f"{what} could not be carried out: {type(error).__name__}: {error}. "
            "This says nothing about the data; correct the check, then run it again."
        ) from error


def away_cause(error: BaseException | None) -> BaseException | None:
    """The lost or refused connection among an error and its causes, if there is one."""
    import psycopg2

    seen = set[int]()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        original = getattr(error, "orig", None)  # SQLAlchemy's wrapper
        for candidate in (error, original):
            if isinstance(candidate, psycopg2.InterfaceError) or (
                isinstance(candidate, psycopg2.OperationalError)
                # SQLSTATE: class 08 (connection), 57P (shutdown), or none: the server never answered
                and (candidate.pgcode or "08").startswith(("08", "57P"))
            ):
                return candidate
        error = error.__cause__ or error.__context__
    return None


def _verdict(result: Any, suite: str, window_key: str) -> Verdict:
    rule = str((result.expectation_config.meta or {}).get("rule"))
    raised = result.exception_info or {}
    infos = [raised] if "raised_exception" in raised else list(raised.values())
    for info in infos:
        if info.get("raised_exception"):
            text = f"{info.get('exception_message')} {info.get('exception_traceback') or ''}"
            if "OperationalError" in text and _sounds_away(text):
                raise ServiceAway(
                    f"the database went away while rule {rule!r} was judged. "
                    "Nothing was decided; run it again."
                )
            raise CheckCrashed(
                f"rule {rule!r} of suite {suite!r} could not be judged on window {window_key}: "
                f"{info.get('exception_message')}. This says nothing about the data; correct the "
                "rule, then run it again."
            )
    return Verdict(rule, bool(result.success), int(result.result.get("unexpected_count") or 0))


def _sounds_away(text: str) -> bool:
    """Great Expectations keeps only the text of an exception that a metric raised."""
    signs = ("server closed the connection", "could not connect", "connection to server",
             "terminating connection", "connection refused", "SSL connection has been closed",
             "Connection reset", "No such file or directory")  # fmt: skip
    return any(sign.lower() in text.lower() for sign in signs)


def _context(results: Path) -> Any:
    """An ephemeral context whose results lie in files, so that windows accumulate."""
    import great_expectations as gx
    from great_expectations.data_context.types.base import DataContextConfig, ProgressBarsConfig

    results.mkdir(parents=True, exist_ok=True)
    files = {"class_name": "TupleFilesystemStoreBackend", "base_directory": str(results)}
    config = DataContextConfig(
        stores={
            "expectations_store": {"class_name": "ExpectationsStore"},
            "checkpoint_store": {"class_name": "CheckpointStore"},
            "validation_definition_store": {"class_name": "ValidationDefinitionStore"},
            "validation_results_store": {
                "class_name": "ValidationResultsStore",
                "store_backend": files,
            },
        },
        expectations_store_name="expectations_store",
        checkpoint_store_name="checkpoint_store",
        validation_results_store_name="validation_results_store",
        data_docs_sites={},
        progress_bars=ProgressBarsConfig(globally=False),
        analytics_enabled=False,
    )
    return gx.get_context(mode="ephemeral", project_config=config)


# A window's validation as a page, made from the report that the ledger keeps. Great Expectations' own
# site, Data Docs, is not used: it puts samples of the feed's text into its pages unescaped, and loads
# scripts from other hosts.

PAGE = template(Path(__file__).with_suffix(".html"))


def page_of(settings: Settings, window_key: str) -> Path:
    """Where the page of a window lies."""
    return settings.data_docs / f"{window_key}.html"


def write_validation_page(settings: Settings, report: ValidationReport) -> None:
    """Write the page of a report; judging a window again replaces it."""
    fates = [
        ("accepted", report.accepted),
        ("exact copies of others", report.duplicates),
        *((f"quarantined: {rule}", count) for rule, count in sorted(report.quarantined.items())),
    ]
    broken = [rule for rule in report.rules if not rule.passed]
    text = PAGE.render(report=report, fates=fates, broken=broken)
    write_page(page_of(settings, report.window), text)


def write_all_pages(settings: Settings) -> int:
    """Write every window's page anew from the ledger; returns how many."""
    with transaction(settings.database_url) as cursor:
        reports = [row["validation"] for row in all_windows(cursor) if row["validation"]]
    for report in reports:
        write_validation_page(settings, ValidationReport.model_validate(report))
    return len(reports)

"""Ingesting many windows in order, in one process: what a backfill of `ingest_behavior` does, for the
command line and the warm-up. Accepting windows that wait for a person is the same, without reading.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from recloop.contracts import Acceptance, LandingReport
from recloop.database.connection import transaction
from recloop.errors import BadInput, CheckCrashed, WindowRefused
from recloop.ledger import parts, window_states
from recloop.settings import Settings
from recloop.stages import bookkeeping, ingest_stages

Json = dict[str, Any]
OnWindow = Callable[[str, int, int], None]
"""Called before each window with (key, windows done, windows due)."""


def ingest_windows(
    settings: Settings,
    window: str | None = None,
    through: str | None = None,
    on_lines: Callable[[int, int | None], None] | None = None,
    on_window: OnWindow | None = None,
) -> Json:
    """Land what is new, then validate and featurise each window that is due, oldest first.

    A window that is refused, or that no check could be carried out on, does not stop the others; its
    message is in the answer.

    Args:
        window: only this one. through: all up to this one, inclusive. Neither: all.
        on_lines: called with lines read so far, and the total if known.

    Returns:
        `{"lines" that were read, new "events" among them, "done": [key],
        "refused": [{"window", "message"}], "crashed": [{"window", "message"}],
        "quarantined": [{"rule", "lines", "example", "remedy", "message"}],
        "sources_refused": [message], "again": {"lines" from the quarantine that were judged anew, those
        "accepted" of them}, "stuck": [why lines could not be judged again]}`

    Raises:
        BadInput: a setting, or a window that no line can be in; nothing was written.
    """
    only = bookkeeping.named_window(settings, window) if window else None
    last = bookkeeping.calendar(settings).parse(through).key if through else None
    began, known = _before(settings)
    landed, again = ingest_stages.read(settings, only.key if only else None, on_lines)
    if only:
        with transaction(settings.database_url) as cursor:
            window_states.note_landed(cursor, [only])
    due = [only.key] if only else _due(settings, last)
    judged = _judge_each(settings, due, {}, on_window)
    told = _told(settings, landed, judged, began, known)
    accepted = sum(judged["returned"])
    return told | {"again": {"lines": again.lines, "accepted": accepted}, "stuck": [*again.stuck]}


def accept_windows(
    settings: Settings,
    keys: list[str],
    through: str | None,
    reason: str,
    by: str,
    on_window: OnWindow | None = None,
) -> Json:
    """Accept refused windows on a person's word, then judge anew the later ones that were refused:
    what is usual has moved. Repeating it changes nothing.

    Args:
        keys: of refused windows. through: all refused windows up to this one, inclusive.
        by: who says so. reason: why; the ledger keeps both.

    Returns:
        As `ingest_windows`; `"accepted": [key]` are the windows that only the person's word let pass.

    Raises:
        BadInput: there is no reason, or a window is not refused; nothing was changed.
    """
    if not reason.strip():
        raise BadInput(
            'accepting a window needs a reason, which the ledger keeps; add --reason "…".'
        )
    calendar = bookkeeping.calendar(settings)
    named = {calendar.parse(key).key for key in keys}
    last = calendar.parse(through).key if through else ""
    waiting = refused_windows(settings)
    refused = [one["window"] for one in waiting]
    for key in sorted(named):
        if key not in refused:
            with transaction(settings.database_url) as cursor:
                state = window_states.state_of(cursor, key) or "unknown"
            raise BadInput(
                f"window {key} does not wait to be accepted (its state is {state!r}); refused are "
                f"{', '.join(refused) or 'none'}."
            )
    named |= {key for key in refused if key <= last}
    if not named:
        raise BadInput(f"no refused window lies before or on {last}; nothing waits there.")
    word = Acceptance(by=by, reason=reason.strip(), at=datetime.now(UTC))
    began, known = _before(settings)
    due = [key for key in refused if key >= min(named)]
    judged = _judge_each(settings, due, dict.fromkeys(named, word), on_window)
    told = _told(settings, LandingReport(lines=0, windows=()), judged, began, known)
    return told | {"accepted": [key for key in judged["done"] if key in named]}


def refused_windows(settings: Settings) -> list[Json]:
    """`window`, `lines` and `rules` (the broken ones) of each refused window, oldest first."""
    with transaction(settings.database_url) as cursor:
        return [
            {
                "window": report.window,
                "lines": report.lines,
                "rules": [rule.to_json() for rule in report.rules if not rule.passed],
            }
            for report in window_states.refused(cursor)
        ]


def _before(settings: Settings) -> tuple[datetime, int]:
    """The server's clock, and how many events all windows have."""
    with transaction(settings.database_url) as cursor:
        cursor.execute("select now()")
        (began,) = cursor.fetchone() or (datetime.now(UTC),)
        return began, window_states.accepted(cursor)


def _judge_each(
    settings: Settings, due: list[str], word: dict[str, Acceptance], on_window: OnWindow | None
) -> dict[str, list[Any]]:
    """Validate and featurise each window of `due` in order; `word`: what a person said of some."""
    judged: dict[str, list[Any]] = {"done": [], "refused": [], "crashed": [], "returned": []}
    for index, key in enumerate(due):
        if on_window:
            on_window(key, index, len(due))
        try:
            report = ingest_stages.validate(key, settings, word.get(key))
        except WindowRefused as error:
            judged["refused"].append({"window": key, "message": str(error)})
            continue
        except CheckCrashed as error:
            judged["crashed"].append({"window": key, "message": str(error)})
            continue
        if not _featured(settings, key):
            ingest_stages.featurize(key, settings)
        judged["done"].append(key)
        judged["returned"].append(report["returned"])
    return judged


def _told(
    settings: Settings,
    landed: LandingReport,
    judged: dict[str, list[Any]],
    began: datetime,
    known: int,
) -> Json:
    from recloop.config.dataset import load_dataset
    from recloop.config.limits import load_limits
    from recloop.validation.quarantine import quarantined_since

    spec = load_dataset(settings)
    with transaction(settings.database_url) as cursor:
        broken = quarantined_since(cursor, began, spec, load_limits(settings, spec))
        events = window_states.accepted(cursor) - known
    return {
        "lines": landed.lines,
        "events": events,
        "done": judged["done"],
        "refused": judged["refused"],
        "crashed": judged["crashed"],
        "quarantined": [one.to_json() | {"message": str(one)} for one in broken],
        "sources_refused": list(landed.refused),
    }


def _due(settings: Settings, last: str | None) -> list[str]:
    """Windows that wait for validation or features, or have late lines, oldest first."""
    with transaction(settings.database_url) as cursor:
        cursor.execute(
            "select w.window_key from ledger.window w where (w.state in ('landed', 'validated') "
            "or exists (select 1 from behavior.landing l where l.window_key = w.window_key)) "
            "and (%(last)s::text is null or w.window_key <= %(last)s) order by w.starts",
            {"last": last},
        )
        return [row[0] for row in cursor.fetchall()]


def _featured(settings: Settings, key: str) -> bool:
    """Whether the window's features hold (validation found no new event) and each of its training sets
    is on disk as it was written."""
    from recloop.features.artefact import is_intact

    with transaction(settings.database_url) as cursor:
        if window_states.state_of(cursor, key) != "featured":
            return False
        sets = parts.training_sets(cursor, key)
    return all(map(is_intact, sets))

"""The stages of a window before anything learns from it: plain JSON in and out.

    land → validate → featurize

Each can be repeated: what is done is a no-op that says so. `ingest_windows` runs them for many windows.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Any

from recloop.contracts import Acceptance, LandingReport
from recloop.database.connection import asked, column, first, transaction
from recloop.errors import BadInput, CheckCrashed, WindowRefused
from recloop.ledger import parts, window_states
from recloop.settings import Settings
from recloop.stages import bookkeeping
from recloop.stages.bookkeeping import Json, calendar, current_settings, named_window

log = logging.getLogger("recloop")

if TYPE_CHECKING:
    from recloop.validation.again import Again


def land(window: str | None = None, settings: Settings | None = None) -> Json:
    """Read what is new in the source, for `window` or for all (LandingReport)."""
    settings = settings or current_settings()
    began = time.monotonic()
    key = calendar(settings).parse(window).key if window else None
    report, _ = read(settings, key)  # first: a run for a refused file has to say that it is
    bookkeeping.log_quarantined(settings, time.monotonic() - began)
    if key is not None:
        named = named_window(settings, key)
        with transaction(settings.database_url) as cursor:
            window_states.note_landed(cursor, [named])
            window_states.note_seconds(cursor, key, "land", time.monotonic() - began)
    return report.to_json()


def read(
    settings: Settings,
    window: str | None,
    progress: Callable[[int, int | None], None] | None = None,
) -> tuple[LandingReport, Again]:
    """Read what is new in the source, and judge again what today's settings judge otherwise."""
    from recloop.behavior.landing import land as read_source
    from recloop.behavior.shown import joined, land_told
    from recloop.config.dataset import load_dataset

    spec = load_dataset(settings)
    if spec.source.kind == "table":  # it forgets, and the source is read again
        again = judge_again(settings)
        landed = read_source(settings, window, progress)
    else:
        landed = read_source(settings, window, progress)
        again = judge_again(settings)
    told = land_told(settings, spec, window, datetime.now(UTC))
    return joined([landed, told]), again


def judge_again(settings: Settings | None = None) -> Again:
    """Let quarantined lines wait again that today's settings, or the clock, judge otherwise: `arrivals`
    then names their windows."""
    from recloop.validation import again

    found = again.judge_again(settings or current_settings(), datetime.now(UTC))
    if found.lines:
        log.info("%s quarantined lines are judged again by today's settings", found.lines)
    for sentence in found.stuck:
        log.info("%s", sentence)
    return found


def validate(window: str, settings: Settings | None = None, word: Acceptance | None = None) -> Json:
    """Accept a window's lines, quarantine rows, or refuse the window (ValidationReport).

    Where it and the windows before it are refused for the same and alike, that is the shop's new level:
    all are accepted, those before it featurised, too.

    Args:
        word: of a person who takes the window as it is, whatever window rules it breaks.

    Raises:
        WindowRefused, CheckCrashed, ServiceAway: never merged.
    """
    from recloop.validation.confirming import confirmed, word_for
    from recloop.validation.window import validate_window

    settings = settings or current_settings()
    began = time.monotonic()
    with bookkeeping.timed_window(settings, window, "validate"):
        try:
            report = validate_window(settings, window, word=word)
        except WindowRefused:
            alike = confirmed(settings, window)
            if not alike:
                raise
            word = word_for(alike)
            log.warning("%s", word.reason)
            for key in alike[:-1]:
                validate_window(settings, key, word)
                featurize(key, settings)
            report = validate_window(settings, window, word)
    bookkeeping.log_quarantined(settings, time.monotonic() - began)
    return report.to_json()


def accept(window: str, reason: str, by: str, settings: Settings | None = None) -> Json:
    """Take a refused window on a person's word (ValidationReport); later ones that were refused are
    judged anew, for what is usual has moved. One that is not refused any more is validated as ever, so
    that a retry changes nothing.
    """
    settings = settings or current_settings()
    if asked(settings.database_url, window_states.state_of, window) != "refused":
        return validate(window, settings)
    accept_windows(settings, [window], None, reason, by)
    report = asked(settings.database_url, window_states.validation_of, window)
    assert report is not None
    return report.to_json()


def featurize(window: str, settings: Settings | None = None, more_follow: bool = False) -> Json:
    """Write the window's feature rows, materialise them online, build the training sets of its parts;
    the newest part's is returned (TrainingSet).

    What an update has learnt from, or is learning from, keeps its training set. Where `more_follow`, the
    caller materialises.
    """
    from recloop.features.featuring import featured

    known = settings or current_settings()
    timed = partial(bookkeeping.timed_window, known, window)
    return featured(known, window, timed, more_follow).to_json()


def arrivals(settings: Settings | None = None) -> list[str]:
    """Windows for which new lines arrived; cheap enough to poll."""
    from recloop.behavior.arrivals import windows_with_new_lines

    return windows_with_new_lines(settings or current_settings())


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
    message is in the answer. The newest window of a live dataset waits until it is over, or is named:
    what came after its validation would be late.

    Args:
        window: only this one. through: all up to this one, inclusive. Neither: all.
        on_lines: called with lines read so far, and the total if known.

    Returns:
        `{"lines" that were read, new "events" among them, "done": [key],
        "refused": [{"window", "message"}], "crashed": [{"window", "message"}],
        "quarantined": [{"rule", "lines", "example", "remedy", "message"}],
        "sources_refused": [message], "again": {"lines" from the quarantine that were judged anew, those
        "accepted" of them}, "stuck": [why lines could not be judged again], "open": [key] that wait
        until they are over}`

    Raises:
        BadInput: a setting, or a window that no line can be in; nothing was written.
    """
    only = named_window(settings, window) if window else None
    last = calendar(settings).parse(through).key if through else None
    began, known = _before(settings)
    landed, again = read(settings, only.key if only else None, on_lines)
    if only:
        asked(settings.database_url, window_states.note_landed, [only])
    due, still_open = ([only.key], []) if only else _due(settings, last)
    judged = _judge_each(settings, due, {}, on_window)
    told = _told(settings, landed, judged, began, known)
    accepted = sum(judged["returned"])
    told |= {"again": {"lines": again.lines, "accepted": accepted}, "stuck": [*again.stuck]}
    return told | {"open": still_open}


def accept_windows(
    settings: Settings,
    keys: list[str],
    through: str | None,
    reason: str,
    by: str,
    on_window: OnWindow | None = None,
) -> Json:
    """Accept refused windows (`keys`, and all up to `through`) on a person's word, then judge anew the
    later ones that were refused: what is usual has moved. Repeating it changes nothing.

    Returns:
        As `ingest_windows`; `"accepted": [key]` are the windows that only the person's word let pass.

    Raises:
        BadInput: there is no reason, or a window is not refused; nothing was changed.
    """
    if not reason.strip():
        raise BadInput(
            'accepting a window needs a reason, which the ledger keeps; add --reason "…".'
        )
    parse = calendar(settings).parse
    named = {parse(key).key for key in keys}
    last = parse(through).key if through else ""
    waiting = refused_windows(settings)
    refused = [one["window"] for one in waiting]
    for key in sorted(named):
        if key not in refused:
            state = asked(settings.database_url, window_states.state_of, key) or "unknown"
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
        return first(cursor, "select now()"), window_states.accepted(cursor)


def _judge_each(
    settings: Settings, due: list[str], word: dict[str, Acceptance], on_window: OnWindow | None
) -> dict[str, list[Any]]:
    """Validate and featurise each window of `due` in order, and bring the online store up to them;
    `word`: what a person said of some."""
    judged: dict[str, list[Any]] = {"done": [], "refused": [], "crashed": [], "returned": []}
    for index, key in enumerate(due):
        if on_window:
            on_window(key, index, len(due))
        try:
            report = validate(key, settings, word.get(key))
        except (WindowRefused, CheckCrashed) as error:
            kind = "refused" if isinstance(error, WindowRefused) else "crashed"
            judged[kind].append({"window": key, "message": str(error)})
            continue
        if not _featured(settings, key):
            featurize(key, settings, more_follow=True)
        judged["done"].append(key)
        judged["returned"].append(report["returned"])
        if judged["refused"]:  # may have been accepted with it
            still = {one["window"] for one in refused_windows(settings)}
            confirmed = [one["window"] for one in judged["refused"] if one["window"] not in still]
            judged["refused"] = [one for one in judged["refused"] if one["window"] in still]
            judged["done"] += confirmed
    if due:
        from recloop.features.online import materialize

        materialize(settings)
    return judged


def _told(
    settings: Settings,
    landed: LandingReport,
    judged: dict[str, list[Any]],
    began: datetime,
    known: int,
) -> Json:
    broken = bookkeeping.quarantined(settings, began)
    return {
        **{outcome: judged[outcome] for outcome in ("done", "refused", "crashed")},
        "lines": landed.lines,
        "events": asked(settings.database_url, window_states.accepted) - known,
        "quarantined": [one.to_json() | {"message": str(one)} for one in broken],
        "sources_refused": list(landed.refused),
    }


def _due(settings: Settings, last: str | None) -> tuple[list[str], list[str]]:
    """Windows that wait for validation or features, or have late lines, oldest first; and those of
    them that are not over yet."""
    from recloop.behavior.arrivals import is_over
    from recloop.config.dataset import load_dataset

    with transaction(settings.database_url) as cursor:
        newest = first(cursor, "select coalesce(max(window_key), '') from ledger.window")
        now = first(cursor, "select now()")
    waiting = asked(
        settings.database_url,
        column,
        "select w.window_key from ledger.window w where (w.state in ('landed', 'validated') "
        "or exists (select 1 from behavior.landing l where l.window_key = w.window_key)) "
        "and (%(last)s::text is null or w.window_key <= %(last)s) order by w.starts",
        {"last": last},
    )
    spec = load_dataset(settings)
    over = [key for key in waiting if is_over(spec, key, newest, now)]
    return over, [key for key in waiting if key not in over]


def _featured(settings: Settings, key: str) -> bool:
    """Whether the window's features hold (validation found no new event) and each of its training sets
    is on disk as it was written."""
    from recloop.features.artefact import is_intact

    with transaction(settings.database_url) as cursor:
        if window_states.state_of(cursor, key) != "featured":
            return False
        sets = parts.training_sets(cursor, key)
    return all(map(is_intact, sets))

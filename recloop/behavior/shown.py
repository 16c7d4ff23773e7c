"""What servers were told of their answers, and what they showed, as further sources of a dataset.

Both are views of the dataset's own database, read as a shop's table is (`table.py`): window by window,
under a name of their own, each line once. What is fed back is there at once, while the shop's own lines
of the window may be to come: it waits for them, so that a feed that broke is not hidden by it
(docs/adr/0030-what-was-shown-comes-back.md).
"""

from __future__ import annotations

import json
import re
from datetime import datetime
from hashlib import md5

from recloop.behavior.loading import log
from recloop.behavior.table import NO_TIME, changed_windows, land_table
from recloop.config.dataset import DatasetSpec
from recloop.config.event_spec import TypeWhen
from recloop.config.source_spec import Source
from recloop.contracts import LandingReport
from recloop.database.connection import Cursor, transaction
from recloop.errors import SourceRefused
from recloop.settings import Settings

FEEDBACK, SHOWN = "lineage.feedback_line", "lineage.shown_line"
VIEWS = (FEEDBACK, SHOWN)
UNMAPPED = "unmapped"
"""Type of events whose kind of feedback the dataset file did not name when they were told."""
COLUMNS = {"request_id": "text", "user_id": "text", "item_id": "text", "kind": "text",
           "value": "number", "at": "time"}  # fmt: skip

_OWN = """
    with told as (
        select file_id from behavior.source_file where split_part(path, ' ', 1) = any(%(views)s)
    )
    select exists (
        select from behavior.landing
        where window_key = %(key)s and file_id not in (select file_id from told)
    ) or exists (
        select from behavior.event where event_timestamp >= %(start)s and event_timestamp < %(end)s
            and file_id not in (select file_id from told)
    )
"""


class Told(DatasetSpec):
    """A dataset as one of its views gives it."""

    of_dataset: str
    """`reading` of the dataset's own file, which says what this view's lines mean, too."""

    @property
    def reading(self) -> str:
        types = [(when.matches, when.type) for when in self.event.type_when]
        said = json.dumps([self.of_dataset, types])
        return md5(said.encode(), usedforsecurity=False).hexdigest()


def is_told(path: str) -> bool:
    """Whether a `source_file` of this path is one of these views."""
    return path.partition(" ")[0] in VIEWS


def told_sources(settings: Settings, spec: DatasetSpec) -> list[Told]:
    """The views that the dataset file asks for, each as a dataset with a table for a source."""
    asked = spec.feedback
    if asked is None:
        return []
    found = [(FEEDBACK, asked.kinds)] if asked.kinds else []
    found += [(SHOWN, {"shown": asked.impressions})] if asked.impressions is not None else []
    return [_told(settings, spec, view, types) for view, types in found]


def _told(settings: Settings, spec: DatasetSpec, view: str, types: dict[str, str]) -> Told:
    whens = tuple(
        TypeWhen(column="kind", matches=f"^{re.escape(kind)}$", type=name)
        for kind, name in types.items()
    )
    event = spec.event.model_copy(
        update={
            "id": ("request_id", "item_id", "kind"),
            **{name: name for name in ("user_id", "item_id")},
            "timestamp": "at",
            "timestamp_format": "iso",
            "ordered": False,
            "value": spec.event.value and "value",
            "price": None,
            "type": UNMAPPED,
            "type_column": None,
            "type_when": whens,
        }
    )
    return Told.model_construct(
        name=spec.name,
        source=Source(
            kind="table", url=settings.database_url, table=view, late_days=spec.source.late_days
        ),
        window=spec.window,
        period=spec.period,
        columns=dict(COLUMNS),
        event=event,
        ids=spec.ids,
        rules=spec.rules,
        model=spec.model,
        limits=spec.limits,
        of_dataset=spec.reading,
    )


def waiting(settings: Settings, spec: DatasetSpec, since: datetime | None = None) -> list[str]:
    """Windows for which something was told or shown that was not read yet, and of which the shop's own
    source has lines; oldest first.

    Args:
        since: start of a window; the windows before it are not counted. None: all are.
    """
    keys = set[str]()
    for source in told_sources(settings, spec):
        keys |= changed_windows(settings, source, since=since).keys()
    with transaction(settings.database_url) as cursor:
        return [key for key in sorted(keys - {NO_TIME}) if _has_own_lines(cursor, spec, key)]


def land_told(
    settings: Settings, spec: DatasetSpec, window: str | None, as_of: datetime
) -> LandingReport:
    """Land what was told and shown in one window, or in all for which there is something new. Repeating
    it changes nothing.

    Raises:
        ServiceAway: the database cannot be reached. What is landed stays.
    """
    sources = told_sources(settings, spec)
    if not sources:
        return LandingReport(lines=0, windows=())
    since = spec.calendar.parse(window).start if window else None
    keys = [key for key in waiting(settings, spec, since) if window in (None, key)]
    found = [LandingReport(lines=0, windows=())]
    refused = list[str]()
    for source in sources:
        for key in keys:
            try:
                found.append(land_table(settings, source, key, None, as_of))
            except SourceRefused as error:
                log.warning("%s", error)
                refused.append(str(error))
    return joined(found, refused)


def joined(reports: list[LandingReport], refused: list[str] | None = None) -> LandingReport:
    """What several sources brought, as one report."""
    return LandingReport(
        lines=sum(report.lines for report in reports),
        windows=tuple(sorted({key for report in reports for key in report.windows})),
        files=tuple(dict.fromkeys(name for report in reports for name in report.files)),
        refused=(*(reason for report in reports for reason in report.refused), *(refused or ())),
    )


def _has_own_lines(cursor: Cursor, spec: DatasetSpec, key: str) -> bool:
    window = spec.calendar.parse(key)
    span = {"start": window.start, "end": window.end}
    cursor.execute(_OWN, {"key": key, "views": list(VIEWS), **span})
    return bool((cursor.fetchone() or (False,))[0])

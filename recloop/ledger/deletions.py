"""Which releases keep their files, and which have lost them.

A release is marked as thinned before the first of its files goes, in a transaction that excludes
promotions and rollbacks: whatever dies afterwards, no champion can be one whose files are going.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from psycopg2.extensions import cursor as Cursor

from recloop.contracts import Release
from recloop.database.connection import column, first
from recloop.errors import ReleaseMissing
from recloop.ledger.updates import LIVE


@dataclass(frozen=True)
class Keeping:
    """What the ledger still needs.

    Attributes:
        kept: version: folder of the releases that stay.
        thinned: version: folder of all releases that do not, those of earlier thinnings included.
        live_updates: updates in progress; whatever they have written stays.
        candidates: folders of their candidates.
        lesson: folder of what the champion's last update had trained before it learnt the events that
            judged it; a rebuild may be held against that. Empty: there is none.
    """

    kept: dict[int, str]
    thinned: dict[int, str]
    live_updates: frozenset[int]
    candidates: tuple[str, ...]
    lesson: str = ""


def mark(cursor: Cursor, count: int) -> tuple[Keeping, list[int]]:
    """Decide what stays, and mark the rest as thinned; returns the versions that are newly marked.

    What stays: the champion; the `count` releases that reigned last and the latest `count` of the
    champion's lineage, the champion among them; parents of live updates; of each of these the
    release that its lineage began with, which the static baseline is measured with.
    """
    cursor.execute("lock table ledger.reign in exclusive mode")
    cursor.execute(
        "select version, parent_version, uri, thinned_at, plan->>'decision', candidate->>'uri' "
        "from ledger.release join ledger.update using (update_id)"
    )
    rows = {row[0]: row for row in cursor.fetchall()}
    reigned = column(
        cursor, "select version from ledger.reign group by 1 order by max(reign_id) desc"
    )
    cursor.execute(
        "select update_id, parent_release, candidate->>'uri' from ledger.update where state in %s",
        (LIVE,),
    )
    live = cursor.fetchall()

    def lineage(version: int) -> list[int]:
        found = [version]
        while (parent := rows[found[-1]][1]) is not None:
            found.append(parent)
        return found

    reigning = first(cursor, "select version from ledger.reign where ended_at is null")
    learnt = lineage(reigning) if reigning else []
    wanted = {*reigned[:count], *(parent for _, parent, _ in live if parent is not None)}
    if reigned:
        wanted |= set(lineage(reigned[0])[:count])
    wanted |= {lineage(version)[-1] for version in wanted}
    kept = {v for v in wanted if rows[v][3] is None}
    fresh = sorted(v for v, row in rows.items() if row[3] is None and v not in kept)
    cursor.execute("update ledger.release set thinned_at = now() where version = any(%s)", (fresh,))
    return Keeping(
        kept={v: rows[v][2] for v in sorted(kept)},
        thinned={v: row[2] for v, row in sorted(rows.items()) if v not in kept},
        live_updates=frozenset(update_id for update_id, _, _ in live),
        candidates=tuple(uri for _, _, uri in live if uri),
        lesson=next((rows[v][5] or "" for v in learnt if rows[v][4] != "maintain"), ""),
    ), fresh


def with_files(cursor: Cursor, releases: Sequence[Release]) -> list[Release]:
    """Those of the releases whose files were not thinned, in their order."""
    left = column(
        cursor,
        "select version from ledger.release where thinned_at is null and version = any(%s)",
        ([release.version for release in releases],),
    )
    return [release for release in releases if release.version in left]


def require_files(cursor: Cursor, version: int) -> None:
    """Check that a release can still be restored.

    Raises:
        ReleaseMissing: its files were deleted by a thinning.
    """
    gone = first(cursor, "select thinned_at from ledger.release where version = %s", (version,))
    if gone is None:
        return
    left = column(cursor, "select version from ledger.release where thinned_at is null order by 1")
    raise ReleaseMissing(
        f"the files of release {version} were deleted on {gone:%Y-%m-%d} by maintain_models; releases "
        f"with files: {', '.join(map(str, left)) or 'none'}. keep_releases in config/update.toml says "
        "how many stay."
    )

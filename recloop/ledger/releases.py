"""Releases and the champion: who learnt what, who reigns, what is pending.

`ledger.trained` holds, per release, every part of a window in its lineage; its primary key makes
training a part twice in one lineage impossible. A release from scratch begins a new lineage.
"""

from __future__ import annotations

from typing import Any

from psycopg2 import errors
from psycopg2.extensions import cursor as Cursor

from recloop.calendar import part_number
from recloop.contracts import Lease, Release
from recloop.database.connection import column, first, records
from recloop.errors import LeaseLost, LedgerConflict, ReleaseMissing
from recloop.ledger import parts, pins
from recloop.ledger.deletions import require_files
from recloop.ledger.updates import REBUILD_IN_VAIN as IN_VAIN
from recloop.ledger.updates import _check_fence, plan_of

ROLLED_BACK = "rolled back from"
"""How the reason of a reign begins that a rollback began; the version and the person's reason follow."""


def champion(cursor: Cursor) -> Release | None:
    """The reigning release, or None before the first."""
    version = first(cursor, "select version from ledger.reign where ended_at is null")
    return release_of(cursor, version) if version else None


def reign(cursor: Cursor) -> int | None:
    """The number of the champion's reign, higher than every earlier one's; None before the first."""
    number: int | None = first(cursor, "select reign_id from ledger.reign where ended_at is null")
    return number


def target_of(cursor: Cursor, version: int) -> str:
    """The window whose end a release knows up to: the target of the update that it was."""
    joined = "ledger.update join ledger.release using (update_id)"
    return str(first(cursor, f"select target from {joined} where version = %s", (version,)))


def previous(cursor: Cursor) -> Release | None:
    """The release that reigned before the champion, or None."""
    version = first(
        cursor,
        "select version from ledger.reign where version <> "
        "(select version from ledger.reign where ended_at is null) order by reign_id desc limit 1",
    )
    return release_of(cursor, version) if version else None


def release_of(cursor: Cursor, version: int) -> Release:
    """One release, with all windows and late parts of its lineage.

    Raises:
        ReleaseMissing: no such version.
    """
    cursor.execute(
        "select version, update_id, parent_version, uri, "
        "array(select window_key from ledger.trained t where t.version = r.version order by 1) "
        "from ledger.release r where version = %s",
        (version,),
    )
    row = cursor.fetchone()
    if row is None:
        raise ReleaseMissing(f"there is no release {version}; `recloop status` lists them.")
    number, update_id, parent, uri, windows = row
    return Release(
        version=number, update_id=update_id, parent_version=parent, uri=uri, windows=tuple(windows)
    )


def release_of_update(cursor: Cursor, update_id: int) -> Release | None:
    """The release that an update became, if it was promoted."""
    made = first(cursor, "select version from ledger.release where update_id = %s", (update_id,))
    return release_of(cursor, made) if made else None


def all_releases(cursor: Cursor) -> list[dict[str, Any]]:
    """Every release, oldest first: what made it, how many windows and late parts it has learnt, since
    when it was champion first, and whether its files are gone."""
    return records(
        cursor,
        "select version, parent_version as parent, update_id, plan->>'decision' as decision, target, "
        "(select count(*) from ledger.trained t where t.version = r.version) as windows, "
        "champion_from, thinned_at is not null as thinned "
        "from ledger.release r join ledger.update using (update_id) order by version",
    )


def rollbacks(cursor: Cursor) -> list[dict[str, Any]]:
    """Every rollback, oldest first: `at`, `from`, `to` (versions) and `reason`."""
    cursor.execute(
        "select began_at, lag(version) over (order by reign_id), version, reason "
        "from ledger.reign order by reign_id"
    )
    return [
        {"at": at, "from": before, "to": now, "reason": reason.partition(": ")[2] or reason}
        for at, before, now, reason in cursor.fetchall()
        if reason.startswith(f"{ROLLED_BACK} {before}: ")
    ]


def base_of(cursor: Cursor, version: int) -> Release:
    """The release from scratch that `version`'s lineage began with."""
    release = release_of(cursor, version)
    while release.parent_version is not None:
        release = release_of(cursor, release.parent_version)
    return release


def lineage(cursor: Cursor, release: Release | None, count: int) -> list[Release]:
    """The latest `count` releases of a lineage, `release` the last of them; fewer if it is shorter."""
    found: list[Release] = []
    while release is not None and len(found) < count:
        found.append(release)
        parent = release.parent_version
        release = None if parent is None else release_of(cursor, parent)
    return found[::-1]


def last_lesson(cursor: Cursor, release: Release) -> Release:
    """The release of the lineage that last learnt events: `release`, unless maintenance made that."""
    while (
        release.parent_version is not None
        and plan_of(cursor, release.update_id).decision == "maintain"
    ):
        release = release_of(cursor, release.parent_version)
    return release


def pending(cursor: Cursor) -> list[str]:
    """Parts with a training set that the champion's lineage has not learnt from, oldest window first."""
    return [
        row["part_key"]
        for row in parts.all_parts(cursor)
        if row["ready"] and row["version"] is None
    ]


def undecided(cursor: Cursor) -> list[str]:
    """Pending windows that no update has concluded on yet, oldest first.

    A window whose challenger was rejected, or that a rollback made pending again, is decided: it is
    covered by the next window's update, or by one that a person asks for, never by itself, so that
    a rejection makes no loop and a rollback is not undone at once. So are late parts. A rebuild that
    a person or a schedule asked for and that was rejected decides nothing: the window's own update is
    still to come.
    """
    return _pending_without(
        cursor, f"state in ('promoted', 'rejected', 'deferred', 'skipped') and not {IN_VAIN}"
    )


def windows_due(cursor: Cursor) -> list[str]:
    """Pending windows on which no update was promoted or rejected, oldest first.

    Beside `undecided`: those that a policy skipped are due, too. A late part is not due by itself; the
    next increment covers it.
    """
    return _pending_without(
        cursor, f"state in ('promoted', 'rejected', 'deferred') and not {IN_VAIN}"
    )


def _pending_without(cursor: Cursor, answered: str) -> list[str]:
    """Pending windows, not late parts, that no update covers of which the SQL `answered` holds."""
    decided = set(
        column(
            cursor,
            f"select target from ledger.update where {answered} union "
            "select window_key from ledger.update_window join ledger.update using (update_id) "
            f"where {answered}",
        )
    )
    return [key for key in pending(cursor) if key not in decided and not part_number(key)]


def promote(cursor: Cursor, lease: Lease, uri: str) -> Release:
    """Promote a live, evaluated update: new release, its lineage, the reign, in this transaction.

    Raises:
        LeaseLost: the fencing token is stale.
        ChampionPinned: a person has pinned the champion meanwhile.
        LedgerConflict: the champion moved since the update was planned, or a part of a window
            would be trained twice in the lineage.
    """
    plan = plan_of(cursor, lease.update_id)
    cursor.execute("lock table ledger.reign in exclusive mode")
    pins.refuse_pinned(cursor)
    reigning = champion(cursor)
    now = reigning.version if reigning else None
    if plan.parent_release != now:
        raise LeaseLost(
            f"the champion moved from release {plan.parent_release} to {now} since this update was "
            "planned; its work is discarded. Plan again."
        )
    cursor.execute(
        "update ledger.update set state = 'promoted', concluded_at = now() "
        "where update_id = %s and token = %s and state = 'evaluated'",
        (lease.update_id, lease.token),
    )
    _check_fence(cursor, lease)
    parent = None if plan.decision == "rebuild" else plan.parent_release
    version = first(
        cursor,
        "insert into ledger.release (update_id, parent_version, uri) values (%s, %s, %s) "
        "returning version",
        (lease.update_id, parent, uri),
    )
    cursor.execute(
        "insert into ledger.trained select %s, window_key, update_id from ledger.trained "
        "where version = %s",
        (version, parent),
    )
    try:
        cursor.execute(
            "insert into ledger.trained select %s, window_key, update_id from ledger.update_window "
            "where update_id = %s",
            (version, lease.update_id),
        )
    except errors.UniqueViolation as error:
        raise LedgerConflict(
            f"update {lease.update_id} would train a window twice in the lineage of release "
            f"{parent}: {error}. Plan again; the new plan leaves it out."
        ) from error
    _reign(cursor, version, plan.reason)
    return release_of(cursor, version)


def roll_back(cursor: Cursor, version: int | None, reason: str) -> Release:
    """Make an earlier release champion again; None means the one that reigned before.

    The windows and late parts trained since become pending again: they are not in its lineage.

    Raises:
        ReleaseMissing: as `target_of_rollback`.
    """
    cursor.execute("lock table ledger.reign in exclusive mode")
    target = target_of_rollback(cursor, version)
    reigning = champion(cursor)
    if reigning is not None and target.version != reigning.version:
        _reign(cursor, target.version, f"{ROLLED_BACK} {reigning.version}: {reason}")
    return target


def target_of_rollback(cursor: Cursor, version: int | None) -> Release:
    """The release that `roll_back` would make champion.

    Raises:
        ReleaseMissing: no champion yet, no such release, its files were thinned, or nothing is
            before the champion.
    """
    reigning = champion(cursor)
    if reigning is None:
        raise ReleaseMissing(
            "there is no champion yet, so nothing to roll back; run an update first."
        )
    if version is None:
        version = reigning.parent_version or first(
            cursor,
            "select version from ledger.reign where version < %s order by reign_id desc limit 1",
            (reigning.version,),
        )
    if version is None:
        raise ReleaseMissing(
            f"release {reigning.version} is the first; there is nothing to roll back to."
        )
    target = release_of(cursor, version)
    require_files(cursor, version)
    return target


def _reign(cursor: Cursor, version: int, reason: str) -> None:
    cursor.execute("update ledger.reign set ended_at = now() where ended_at is null")
    cursor.execute("insert into ledger.reign (version, reason) values (%s, %s)", (version, reason))

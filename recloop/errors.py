"""The errors recloop raises, one small tree.

Every message says what was wrong, the value received, and the remedy. "The data is bad", "the
check crashed" and "the service is away" are never merged: a scheduler must not retry the first and
must retry the last.

Exit codes of the command line:

    0   done; of `recloop update`: promoted, or nothing to do (no window waits, the named one is learnt
        already, the plan is to skip, a dry run)
    1   anything else
    2   BadInput
    3   BadData; a window or source was refused; the gate, or a person, refused a challenger
    4   ServiceAway
    5   of `recloop update`: not ready, something must come first (events, features, the next window)
    6   UpdateInProgress, PlanOutdated, LeaseLost: another run is at work; try again later
"""


class RecloopError(Exception):
    """Base of all errors that recloop raises on purpose."""


class BadInput(RecloopError):
    """An argument, a setting or a dataset file cannot be used as given."""


class BadData(RecloopError):
    """The data is bad; a retry would give the same answer."""


class SourceRefused(BadData):
    """A source does not look as its dataset file declares; none of its lines were taken."""


class WindowRefused(BadData):
    """A window broke a window rule; none of its events reach training."""


class CheckCrashed(RecloopError):
    """A check could not be carried out. The data may be good or bad."""


class ServiceAway(RecloopError):
    """A database or service cannot be reached. Retry later."""


class LedgerConflict(RecloopError):
    """The ledger does not allow this transition."""


class UpdateInProgress(LedgerConflict):
    """Another run holds the lease of the live update."""


class PlanOutdated(LedgerConflict):
    """Late events came, or the champion moved, between making a plan and beginning its update."""


class ChampionPinned(LedgerConflict):
    """A person has pinned the champion; nothing is promoted until it is unpinned."""


class LeaseLost(LedgerConflict):
    """The fencing token is stale: another attempt took over, so this attempt's work is discarded."""


class ReleaseMissing(RecloopError):
    """There is no champion yet, or no release of that version."""


class ReleaseDamaged(RecloopError):
    """Files of a release are missing or not what was written. The ledger is untouched."""

"""Feast's import, in a third of the time.

Feast decorates its classes with typeguard, which reads and rewrites their sources whenever a process
imports Feast: two thirds of the seconds that the import takes, in every task and every command. What
it would check is how `feature_repo/definitions.py` calls Feast; `feast apply` checks that as well.
"""

from __future__ import annotations

import threading
from typing import Any

_one_at_a_time = threading.Lock()


def import_feast() -> None:
    """Import Feast without typeguard's checks; where it was imported before, nothing happens.

    The decorator is in its place again afterwards: other libraries get what they ask for.
    """
    import typeguard

    with _one_at_a_time:
        typechecked = typeguard.typechecked
        typeguard.typechecked = _unchanged
        try:
            import feast.infra.offline_stores.contrib.postgres_offline_store.postgres_source  # noqa: F401
        finally:
            typeguard.typechecked = typechecked


def _unchanged(target: Any = None, **_options: Any) -> Any:
    """`typechecked`, with or without its parentheses."""
    return _unchanged if target is None else target

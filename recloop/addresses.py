"""URLs of PostgreSQL databases as text: of another database on a server, of sessions with a setting."""

from __future__ import annotations

import re
from urllib.parse import quote, unquote


def database_name(url: str) -> str:
    """The database that a URL names."""
    return unquote(url.partition("?")[0].rpartition("/")[2])


def with_database(url: str, name: str) -> str:
    """The same server's URL for another database."""
    head, _, query = url.partition("?")
    base = head.rsplit("/", 1)[0]
    return f"{base}/{name}" + (f"?{query}" if query else "")


def with_setting(url: str, name: str, value: str) -> str:
    """The URL of the same database whose sessions begin with a setting; others of the URL stay.

    >>> with_setting("postgresql://me@host/shop", "search_path", "mlflow")
    'postgresql://me@host/shop?options=-c%20search_path%3Dmlflow'
    """
    head, kept, options = _taken_apart(url)
    return _joined(head, kept, f"{options} -c {name}={value}".strip())


def without_setting(url: str, name: str) -> str:
    """The same without what `with_setting` has set."""
    head, kept, options = _taken_apart(url)
    return _joined(head, kept, re.sub(rf" ?-c {re.escape(name)}=\S*", "", options).strip())


def _taken_apart(url: str) -> tuple[str, list[str], str]:
    head, _, query = url.partition("?")
    kept, options = [], ""
    for parameter in filter(None, query.split("&")):
        if parameter.startswith("options="):
            options = unquote(parameter.partition("=")[2])
        else:
            kept.append(parameter)
    return head, kept, options


def _joined(head: str, kept: list[str], options: str) -> str:
    kept = [*kept, *([f"options={quote(options)}"] if options else [])]
    return f"{head}?{'&'.join(kept)}" if kept else head

"""Behavior: from a source's lines to rows in `behavior.landing`, each with a window.

Belongs here: dataset files, downloads, reading files and tables, landing, counting lines, noticing
arrivals. Keep out: whether a line or a window is good (see `validation/`) and what a window went
through (see `ledger/`).
"""

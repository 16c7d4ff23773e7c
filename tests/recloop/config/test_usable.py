"""Patterns that pass the check mean the same to Python and to PostgreSQL; those that do not are told."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from recloop.behavior.landing import land
from recloop.config.source_spec import portable_expression
from recloop.errors import BadInput
from recloop.settings import Settings
from recloop.validation.window import validate_window
from tests.recloop.config.test_id_rules import WEEK, feed

PORTABLE = [
    r"^u[0-9]+$", r"^\d{5}[A-Za-z]{0,2}$", "^[ -~£€À-ÁÄ-ýŒœŠšŽž]*$", "a*?b", "a|b|", "(?:ab)+", "(ab)?c",
    "(?i)^U1$", "^(?!u2)u", "u(?=1)", "(?<=u)1", "(?<!u)1", r"\.", r"[\w.-]+@", "[]a]", "[^]a]", "a}",
    "^$", "", r"\s", r"\S+\D\W", "a{2}", "a{1,}", "a{0,2}?b", r"[\s\d]", "é+", r"^[\w-]+$", "()",
    r"\Au1\Z",
]  # fmt: skip
TEXTS = [
    "",
    "u1",
    "U1",
    "u2",
    "12345ab",
    "aab",
    "abab",
    "a}",
    "a.b@c",
    "é",
    "x y",
    "]",
    "-",
    "£5",
    "1",
]
OTHERWISE = [
    "(?P<n>a)", "a++", "a*+", "(?>a)", "a{,3}", "a{256}", r"\bu", r"\Bu", "(a)(?i:b)", "(?s)a", r"\x41",
    r"[\D]", "[[:alpha:]]", "[a[:b]", "a{", r"(a)\1", "(?#a)b", "a{1}*", r"[\w-z]", "(?=a)+", "(a",
    "a\0", r"(?<=a)*",
]  # fmt: skip


def test_patterns_that_pass_mean_the_same_to_both(cursor: Any) -> None:
    for pattern in PORTABLE:
        assert portable_expression(pattern) == pattern
        cursor.execute("select array(select t ~ %s from unnest(%s) t)", (pattern, TEXTS))
        found = dict(zip(TEXTS, cursor.fetchone()[0], strict=True))
        assert (pattern, found) == (pattern, {t: bool(re.search(pattern, t)) for t in TEXTS})


@pytest.mark.parametrize("pattern", OTHERWISE)
def test_a_pattern_that_is_read_otherwise_is_told(pattern: str) -> None:
    with pytest.raises(ValueError, match=r"PostgreSQL reads otherwise|not a regular expression"):
        portable_expression(pattern)


def test_a_pattern_too_large_for_postgresql_is_no_crash_of_the_check(
    settings: Settings, tmp_path: Path
) -> None:
    more = "[rules]\nuser_pattern = '((a{255}){255}){255}'"
    settings = feed(settings, tmp_path, [("u1", "i1")], more)
    land(settings)
    with pytest.raises(BadInput, match=r"\[rules\].*user_pattern"):
        validate_window(settings, WEEK)

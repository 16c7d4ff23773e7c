"""A window's validation as a page: every rule with its value and limit, and what became of the lines.

The page is made from the report that the ledger keeps. Great Expectations' own site, Data Docs, is not
used: it puts samples of the feed's text into its pages unescaped, and loads scripts from other hosts.
"""

from __future__ import annotations

from pathlib import Path

from recloop.contracts import ValidationReport
from recloop.database.connection import transaction
from recloop.ledger import windows
from recloop.page import template, write_page
from recloop.settings import Settings

PAGE = template("""
{% block title %}Validation of window {{ report.window }}{% endblock %}
{% block body %}
<h1>Validation of window {{ report.window }}</h1>
<p class="verdict {{ 'good' if report.passed else 'bad' }}">{% if report.passed %}Accepted: {{ report.accepted | readable }} of {{ report.lines | readable }} lines.
{% else %}Refused: {{ broken | length }} {{ 'rule is' if broken | length == 1 else 'rules are' }} broken. The window's {{ report.lines | readable }} lines wait.{% endif %}</p>
<h2>Lines</h2>
<div class="wide"><table><tr><th>what became of them</th><th>lines</th></tr>
{% for name, count in fates %}<tr><td>{{ name }}</td><td class="number">{{ count | readable }}</td></tr>
{% endfor %}</table></div>
<h2>Rules</h2>
<div class="wide"><table><tr><th>rule</th><th>value</th><th>limit</th><th></th><th>what it says</th></tr>
{% for rule in report.rules %}<tr class="{{ '' if rule.passed else 'broken' }}"><td>{{ rule.name }}</td><td class="number">{{ rule.value | readable }}</td><td class="number">{{ rule.limit }}</td><td>{{ 'holds' if rule.passed else 'BROKEN' }}</td><td class="long">{{ rule.message }}</td></tr>
{% endfor %}</table></div>
<p>Judged by Great Expectations; limits are in config/validation.toml and the dataset file.</p>
{% endblock %}
""")


def page_of(settings: Settings, window_key: str) -> Path:
    """Where the page of a window lies."""
    return settings.data_docs / f"{window_key}.html"


def write_validation_page(settings: Settings, report: ValidationReport) -> None:
    """Write the page of a report; judging a window again replaces it."""
    fates = [
        ("accepted", report.accepted),
        ("exact copies of others", report.duplicates),
        *((f"quarantined: {rule}", count) for rule, count in sorted(report.quarantined.items())),
    ]
    broken = [rule for rule in report.rules if not rule.passed]
    text = PAGE.render(report=report, fates=fates, broken=broken)
    write_page(page_of(settings, report.window), text)


def write_all_pages(settings: Settings) -> int:
    """Write every window's page anew from the ledger; returns how many."""
    with transaction(settings.database_url) as cursor:
        stored = [row["validation"] for row in windows.all_windows(cursor) if row["validation"]]
    for validation in stored:
        write_validation_page(settings, ValidationReport.model_validate(validation))
    return len(stored)

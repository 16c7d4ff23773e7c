"""The first page under /recloop: the champion, what waits, the newest windows and updates with links to
their pages. Read from the ledger at each view, so that it is never out of date."""

from __future__ import annotations

from typing import Any

from recloop.database.connection import transaction
from recloop.ledger import releases, shadows, updates, windows
from recloop.page import template
from recloop.settings import Settings
from recloop.validation.page import page_of

Json = dict[str, Any]
NEWEST = 60
"""Rows of each table."""

PAGE = template("""
{% block title %}recloop{% endblock %}
{% block body %}
<h1>recloop</h1>
<p class="summary">{% if champion %}Release {{ champion.version }} is champion; it has learnt {{ champion.windows | length }} windows.{% else %}There is no champion yet.{% endif %} Windows that wait for a decision: {{ undecided | join(', ') or 'none' }}.
{% if pending %} Pending, for the next update: {{ pending | join(', ') }}.{% endif %}
{% if refused %} Refused by validation: {{ refused | join(', ') }}.{% endif %}</p>
<h2>Windows, newest first</h2>
<div class="wide"><table><tr><th>window</th><th>state</th><th>lines</th><th>events</th><th>quarantined</th></tr>
{% for row in windows %}<tr class="{{ 'broken' if row.state == 'refused' else '' }}"><td class="number">{% if row.page %}<a href="data-docs/{{ row.window_key }}">{{ row.window_key }}</a>{% else %}{{ row.window_key }}{% endif %}</td><td>{{ row.state }}</td><td class="number">{{ row.lines | readable }}</td><td class="number">{{ row.accepted | readable }}</td><td class="number">{{ row.quarantined.values() | sum | readable }}</td></tr>
{% endfor %}</table></div>
<h2>Updates, newest first</h2>
<div class="wide"><table><tr><th>update</th><th>window</th><th>plan</th><th>became</th><th>release</th><th>why</th></tr>
{% for row in updates %}<tr class="{{ 'broken' if row.state == 'rejected' else '' }}"><td>{% if row.gate_report %}<a href="gate/{{ row.update_id }}">{{ row.update_id }}</a>{% else %}{{ row.update_id }}{% endif %}</td><td class="number">{{ row.target }}</td><td>{{ row.plan.decision }}</td><td>{{ row.state }}</td><td class="number">{{ row.version | readable }}</td><td class="long">{{ row.reason }}</td></tr>
{% endfor %}</table></div>
{% if shadows %}<h2>Shadow rebuilds</h2>
<ul>{% for report in shadows %}<li><a href="shadow/{{ report.window }}">{{ report.window }}</a>: {{ report.summary }}</li>{% endfor %}</ul>{% endif %}
{% endblock %}
""")


def overview(settings: Settings) -> str:
    """The page, HTML. Its links are relative to the folder of the plugin's pages."""
    with transaction(settings.database_url) as cursor:
        rows = windows.all_windows(cursor)
        made = updates.all_updates(cursor)
        compared = shadows.all_shadows(cursor)
        champion = releases.champion(cursor)
        undecided, pending = releases.undecided(cursor), releases.pending(cursor)
    newest = rows[: -NEWEST - 1 : -1]
    for row in newest:
        row["page"] = page_of(settings, row["window_key"]).exists()
    return PAGE.render(
        champion=champion,
        undecided=undecided,
        pending=[key for key in pending if key not in undecided],
        refused=[row["window_key"] for row in rows if row["state"] == "refused"],
        windows=newest,
        updates=made[: -NEWEST - 1 : -1],
        shadows=compared[: -NEWEST - 1 : -1],
    )

"""A shadow rebuild as a page: both models on the same users, their difference, what each cost."""

from __future__ import annotations

from recloop.contracts import ShadowReport
from recloop.page import template, write_page
from recloop.settings import Settings

PAGE = template("""
{% block title %}Shadow rebuild, window {{ report.window }}{% endblock %}
{% block body %}
<h1>Shadow rebuild, window {{ report.window }}</h1>
<p class="summary">{{ report.summary }}.</p>
<p>Release {{ report.version }} was champion when the window came, and was scored on it before anything
learnt from it. The retrained model learnt from scratch the {{ report.windows }} windows before. Nothing was promoted.</p>
<div class="wide"><table><tr><th>metric</th><th>release {{ report.version }}</th><th>retrained</th><th>retrained minus release</th><th>interval</th><th>users</th></tr>
{% for gap in report.gaps %}<tr><td>{{ gap.name }}</td><td class="number">{{ '%.4f' % report.champion[gap.name] }}</td><td class="number">{{ '%.4f' % report.retrained[gap.name] }}</td>
<td class="number">{% if gap.mean is not none %}{{ '%+.4f' % gap.mean }}</td><td class="number">{{ '%+.4f' % gap.low }} to {{ '%+.4f' % gap.high }}{% else %}–</td><td class="number">–{% endif %}</td><td class="number">{{ gap.users }}</td></tr>
{% endfor %}</table></div>
<p>Metrics without a prefix are of user-item pairs never seen before; those of all pairs say so.</p>
<p>Cost: {{ '%.1f' % report.cpu_seconds }} CPU s for the retraining{% if report.champion_cpu_seconds is not none %}, {{ '%.1f' % report.champion_cpu_seconds }} for the update that made release {{ report.version }}{% endif %}.</p>
{% endblock %}
""")


def write_shadow_page(settings: Settings, report: ShadowReport) -> ShadowReport:
    """Write the page to `artifacts/shadow_reports`; returns the report with its path."""
    path = settings.artifacts / "shadow_reports" / f"{report.window}-release-{report.version}.html"
    write_page(path, PAGE.render(report=report))
    return report.model_copy(update={"uri": str(path)})

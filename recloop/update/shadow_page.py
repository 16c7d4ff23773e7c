"""A shadow rebuild as a page: both models on the same users, their difference, what each cost."""

from __future__ import annotations

from jinja2 import Environment

from recloop.contracts import ShadowReport
from recloop.settings import Settings

PAGE = Environment(autoescape=True).from_string("""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>Shadow rebuild, window {{ report.window }}</title>
<style>
body { font: 15px/1.5 system-ui, sans-serif; max-width: 62rem; margin: 2rem auto; padding: 0 1rem; color: #1d2433 }
h1 { font-size: 1.4rem } .summary { padding: .6rem 1rem; border-radius: .4rem; background: #e8edf6 }
table { border-collapse: collapse; width: 100%; margin: 1rem 0 }
th, td { text-align: left; padding: .35rem .6rem; border-bottom: 1px solid #d8dde6 }
td.number { font-variant-numeric: tabular-nums; white-space: nowrap }
</style></head><body>
<h1>Shadow rebuild, window {{ report.window }}</h1>
<p class="summary">{{ report.summary }}.</p>
<p>Release {{ report.version }} was champion when the window came, and was scored on it before anything
learnt from it. The retrained model learnt from scratch the {{ report.windows }} windows before. Nothing was promoted.</p>
<table><tr><th>metric</th><th>release {{ report.version }}</th><th>retrained</th><th>retrained minus release</th><th>interval</th><th>users</th></tr>
{% for gap in report.gaps %}<tr><td>{{ gap.name }}</td><td class="number">{{ '%.4f' % report.champion[gap.name] }}</td><td class="number">{{ '%.4f' % report.retrained[gap.name] }}</td>
<td class="number">{% if gap.mean is not none %}{{ '%+.4f' % gap.mean }}</td><td class="number">{{ '%+.4f' % gap.low }} to {{ '%+.4f' % gap.high }}{% else %}–</td><td class="number">–{% endif %}</td><td class="number">{{ gap.users }}</td></tr>{% endfor %}</table>
<p>Metrics without a prefix are of user-item pairs never seen before; those of all pairs say so.</p>
<p>Cost: {{ '%.1f' % report.cpu_seconds }} CPU s for the retraining{% if report.champion_cpu_seconds is not none %}, {{ '%.1f' % report.champion_cpu_seconds }} for the update that made release {{ report.version }}{% endif %}.</p>
</body></html>
""")


def write_shadow_page(settings: Settings, report: ShadowReport) -> ShadowReport:
    """Write the page to `artifacts/shadow_reports`; returns the report with its path."""
    path = settings.artifacts / "shadow_reports" / f"{report.window}-release-{report.version}.html"
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_suffix(".tmp")
    temporary.write_text(PAGE.render(report=report), encoding="utf-8")
    temporary.replace(path)
    return report.model_copy(update={"uri": str(path)})

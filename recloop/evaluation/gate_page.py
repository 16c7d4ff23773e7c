"""Two pages: the gate's verdict, every rule with its value and limit; and a shadow rebuild's comparison."""

from __future__ import annotations

from typing import Any

from recloop.contracts import Candidate, GateReport, ShadowReport, Strategy, UpdatePlan
from recloop.evaluation.challenge import judge_of
from recloop.page import template, write_page
from recloop.settings import Settings

PAGE = template("""
{% block title %}Gate report, window {{ report.window }}{% endblock %}
{% block body %}
<h1>Gate report, window {{ report.window }} (update {{ report.update_id }})</h1>
<p class="verdict {{ 'good' if report.passed else 'bad' }}">{{ 'Passed' if report.passed else 'Refused' }}: {{ reason }}.</p>
<h2>Plan</h2>
<p>{{ plan.decision | capitalize }}: {{ plan.reason }} (decided by {{ plan.decided_by }}). Windows: {{ plan.windows | join(', ') or 'none' }}.
{% if strategy %}With {{ strategy | join(', ') }}.{% endif %}
Trained in {{ '%.1f' % candidate.cpu_seconds }} CPU s on {{ candidate.examples | readable }} examples, of which each is what one user did at one moment, counted once per epoch.
Judged on events from {{ candidate.holdout_from.isoformat() }} on{% if plan.decision != 'maintain' %}, which it had not seen{% endif %}.</p>
<h2>{{ names.values() | join(' and ') }}</h2>
<div class="wide"><table><tr><th>model</th>{% for name in names %}<th>{{ name }}</th>{% endfor %}<th>{{ unit }}</th><th>tables</th><th>one list, timed once</th></tr>
{% for name, m, served in models %}<tr><td>{{ name }}</td>{% for name in names %}<td class="number">{{ '%.4f' % m['values'][name] if name in m['values'] else '–' }}</td>{% endfor %}<td class="number">{{ m.users | readable }}</td><td class="number">{% if served %}{{ '%.1f' % (served.bytes / 1e6) }} MB{% endif %}</td><td class="number">{% if served %}{{ '%.1f' % served.milliseconds }} ms{% endif %}</td></tr>
{% endfor %}</table></div>
{% if report.differences %}<h2>Challenger minus {{ opponent }}, paired, above 0 where the challenger is better</h2>
<div class="wide"><table><tr><th>metric</th><th>mean</th><th>interval</th><th>{{ unit }}</th></tr>
{% for gap in report.differences %}<tr><td>{{ gap.name }}</td>{% if gap.mean is none %}<td>–</td><td>–</td>{% else %}<td class="number">{{ '%+.4f' % gap.mean }}</td><td class="number">{{ '%+.4f' % gap.low }} to {{ '%+.4f' % gap.high }}</td>{% endif %}<td class="number">{{ gap.users | readable }}</td></tr>
{% endfor %}</table></div>{% endif %}
<h2>Rules</h2>
<div class="wide"><table><tr><th>rule</th><th>value</th><th>limit</th><th></th><th>what it says</th></tr>
{% for rule in report.rules %}<tr class="{{ '' if rule.passed else 'broken' }}"><td>{{ rule.name }}</td><td class="number">{{ rule.value | readable }}</td><td class="number">{{ rule.limit }}</td><td>{{ 'holds' if rule.passed else 'BROKEN' }}</td><td class="long">{{ rule.message }}</td></tr>
{% endfor %}</table></div>
{% if baselines %}<h2>Quality on the window before anything learnt from it</h2>
<div class="wide"><table><tr><th>by</th>{% for name in metrics %}<th>{{ name }}</th>{% endfor %}</tr>
{% for name, values in baselines %}<tr><td>{{ name }}</td>{% for value in values %}<td class="number">{{ value | readable }}</td>{% endfor %}</tr>
{% endfor %}</table></div>{% endif %}
{% if signals %}<h2>Signals of the window</h2>
<div class="wide"><table><tr><th>signal</th><th>value</th><th>what it is</th></tr>
{% for name, value, meaning in signals %}<tr><td>{{ name }}</td><td class="number">{{ value | readable }}</td><td class="long">{{ meaning }}</td></tr>
{% endfor %}</table></div>{% endif %}
{% endblock %}
""")
SYSTEMS = {
    "champion": "the champion",
    "static": "the release from scratch that its lineage began with",
    "popularity": "recent popularity",
    "own_counts": "what each user chose before",
}
SIGNALS = {
    "events": "learnable events",
    "users": "scored: users, clicks or ratings",
    "users_new": "of them, never seen before",
    "quality_all": "the champion's quality, the broader measure",
    "quality_new": "the champion's quality, the narrower measure",
    "popularity_drift": "change of the items' shares: 0 none, 1 complete",
    "feature_drift": "largest population stability index of a statistic: above 0.25 is a shift",
    "new_users": "share of events by users never seen before",
    "new_items": "share of events on items never seen before",
    "unscorable": "share of events on items that the champion cannot score",
    "repeated": "share of the user-item pairs that the window before had, too",
}


def write_gate_report(
    settings: Settings, plan: UpdatePlan, candidate: Candidate, report: GateReport, reason: str
) -> GateReport:
    """Write the page to `artifacts/gate_reports`; returns the report with its path."""
    path = settings.artifacts / "gate_reports" / f"{report.window}-update-{report.update_id}.html"
    models = [("challenger", report.challenger, report.challenger_served)]
    if report.champion is not None:
        models.insert(0, ("champion", report.champion, report.champion_served))
    judge = judge_of(settings)
    whats = {one.name: one.what for one in judge.measures}
    page = PAGE.render(
        names={name: whats.get(name, name) for name in report.challenger.values},
        metrics=judge.metrics,
        unit=judge.unit,
        report=report,
        plan=plan,
        candidate=candidate,
        reason=reason.removeprefix("refused: ").rstrip("."),
        models=models,
        opponent=judge.baseline if report.champion is None else "champion",
        strategy=told(plan.strategy),
        baselines=_baselines(plan.signals, judge.metrics),
        signals=[(n, plan.signals[n], what) for n, what in SIGNALS.items() if n in plan.signals],
    )
    write_page(path, page)
    return report.model_copy(update={"uri": str(path)})


def told(strategy: Strategy) -> list[str]:
    """What a strategy asks for beyond the defaults, one phrase each: `recipe.epochs = 2`."""
    phrases = []
    for name, value in strategy.model_dump(exclude_defaults=True).items():
        if isinstance(value, dict):
            phrases += [f"{name}.{key} = {_plain(one)}" for key, one in value.items()]
        else:
            phrases.append(f"{name} = {_plain(value)}")
    return phrases


def _plain(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list | tuple):
        return ", ".join(map(str, value))
    return f"{value:g}" if isinstance(value, float) else str(value)


def _baselines(signals: dict[str, Any], metrics: tuple[str, ...]) -> list[tuple[str, list[Any]]]:
    """Each system that was scored on the whole window, with its metrics in the table's order."""
    found = []
    for system, name in SYSTEMS.items():
        keys = [f"{system}_{metric}" for metric in metrics]
        if any(key in signals for key in keys):
            found.append((name, [signals.get(key) for key in keys]))
    return found


SHADOW_PAGE = template("""
{% block title %}Shadow rebuild, window {{ report.window }}{% endblock %}
{% block body %}
<h1>Shadow rebuild, window {{ report.window }}</h1>
<p class="summary">{{ report.summary }}.</p>
<p>Release {{ report.version }} was champion when the window came, and was scored on it before anything
learnt from it. The retrained model learnt from scratch the {{ report.windows }} windows before. Nothing was promoted.</p>
<div class="wide"><table><tr><th>metric</th><th>release {{ report.version }}</th><th>retrained</th><th>retrained minus release</th><th>interval</th><th>compared</th></tr>
{% for gap in report.gaps %}<tr><td>{{ gap.name }}</td><td class="number">{{ '%.4f' % report.champion[gap.name] }}</td><td class="number">{{ '%.4f' % report.retrained[gap.name] }}</td>
<td class="number">{% if gap.mean is not none %}{{ '%+.4f' % gap.mean }}</td><td class="number">{{ '%+.4f' % gap.low }} to {{ '%+.4f' % gap.high }}{% else %}–</td><td class="number">–{% endif %}</td><td class="number">{{ gap.users }}</td></tr>
{% endfor %}</table></div>
<p>Of a ranking, metrics without a prefix are of user-item pairs never seen before; those of all pairs say so.</p>
<p>Cost: {{ '%.1f' % report.cpu_seconds }} CPU s for the retraining{% if report.champion_cpu_seconds is not none %}, {{ '%.1f' % report.champion_cpu_seconds }} for the update that made release {{ report.version }}{% endif %}.</p>
{% endblock %}
""")


def write_shadow_page(settings: Settings, report: ShadowReport) -> ShadowReport:
    """Write the page to `artifacts/shadow_reports`; returns the report with its path."""
    path = settings.artifacts / "shadow_reports" / f"{report.window}-release-{report.version}.html"
    write_page(path, SHADOW_PAGE.render(report=report))
    return report.model_copy(update={"uri": str(path)})

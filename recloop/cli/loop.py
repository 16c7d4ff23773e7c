"""Commands of the loop: update, rollback, pin, unpin, publish, status, report; `behavior.py` has those
before, `recommending.py` what a champion recommends."""

from __future__ import annotations

import os
import socket
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from recloop.calendar import counted
from recloop.cli import output
from recloop.cli.behavior import AsJson, person
from recloop.cli.output import console, print_json, progress_bar, say
from recloop.cli.session import session
from recloop.config.recommenders import chosen, recommenders
from recloop.settings import Settings
from recloop.stages import approval_stages, update_stages

REFUSED = 3
WHY_NOT = {"refused": REFUSED, "not ready": 5, "busy": 6}
"""Exit codes of an update that was not made; what is not here, was right not to be made."""
LINES_BELOW, WITHOUT_TERMINAL = 14, 20
"""Of `status`: lines that are not windows; windows where there is no terminal to fill."""
Approve = Annotated[bool, typer.Option(help="Ask before promoting.")]
Another = Annotated[int | None, typer.Option(help="Another release than the champion.")]
Newest = Annotated[
    str | None, typer.Option(help="Newest window to learn from; default: the oldest that waits.")
]
Json = dict[str, Any]


def update(
    window: Newest = None,
    plan: Annotated[
        str, typer.Option(help="auto, skip, increment, rebuild, or a plan file (plan.toml).")
    ] = "auto",
    policy: Annotated[
        str, typer.Option(help="With auto: every-window, every-n-windows, volume, never, adaptive.")
    ] = "",
    epochs: Annotated[
        int | None, typer.Option(min=1, max=100, help="Passes; default: as the recipe says.")
    ] = None,
    learning_rate: Annotated[
        float | None, typer.Option(min=1e-6, max=10, help="Default: as the recipe says.")
    ] = None,
    approve: Approve = False,
    dry_run: Annotated[bool, typer.Option(help="Show the plan, change nothing.")] = False,
    json: AsJson = False,
) -> None:
    """Decide, train, judge and, if the gate lets it, promote.

    Exit code 0: promoted, or nothing to do (nothing waits, the plan skips, a dry run); 3: refused by
    the gate, a person or validation; 5: not ready yet, or too little evidence; 6: another run is at
    work.
    """
    plan, options, approve = _asked(plan, approve)
    options |= {"epochs": epochs, "learning_rate": learning_rate}
    options |= {"policy": policy} if policy else {}
    with session() as settings:
        result = run_update(settings, window, plan, options, approve, dry_run)
        tell(result, json)
    raise typer.Exit(exit_code(result))


def exit_code(result: Json) -> int:
    """The exit code that says whether an update was made, and if not, why: see `errors.py`."""
    if result["outcome"] == "rejected":
        return REFUSED
    if result["outcome"] == "deferred":
        return WHY_NOT["not ready"]
    return WHY_NOT.get(result["plan"].get("because", ""), 0)


def _asked(plan: str, approve: bool) -> tuple[str, Json, bool]:
    """What `--plan` asks for: its kind, its options, and whether a person is asked."""
    if not plan.endswith(".toml"):
        return plan, {}, approve
    from recloop.config.dataset import load_dataset
    from recloop.config.strategy import read_plan_file

    family = load_dataset(chosen(Settings.from_environment())).model.known_family
    request, options = read_plan_file(Path(plan), family)
    options |= {name: request.get(name, "") for name in ("reason", "policy")}
    return request.get("plan", "auto"), options, approve or request.get("approval", False)


def run_update(
    settings: Settings,
    window: str | None,
    requested: str = "auto",
    options: Json | None = None,
    approve: bool = False,
    dry_run: bool = False,
) -> Json:
    """plan → train → evaluate → promote in this process; what each stage answered."""
    holder = f"command line {socket.gethostname()} {os.getpid()}"
    with progress_bar() as bar:
        sets = bar.add_task("training sets", visible=False)

        def tell_sets(done: int, of: int) -> None:
            bar.update(sets, completed=done, total=of, visible=True)

        update_stages.catch_up(settings, tell_sets)
    planned = update_stages.plan(window, requested, holder, approve, dry_run, options, settings)
    result: Json = {"plan": planned, "outcome": planned["decision"], "gate": None, "release": None}
    update_id = planned["update_id"]
    if update_id is None:
        return result | {"outcome": "dry run" if dry_run else planned["decision"]}
    with progress_bar() as bar:
        task = bar.add_task(f"training, {planned['decision']}", total=None)

        def show(state: Any) -> None:
            bar.update(task, completed=state.step, total=state.steps)

        update_stages.train(update_id, holder, settings, show)
    result["gate"] = update_stages.evaluate(update_id, holder, settings)
    if not result["gate"]["passed"]:
        return result | {"outcome": "deferred" if result["gate"]["deferred"] else "rejected"}
    if approve or result["gate"]["ask"]:
        with approval_stages.asking_here(update_id, holder, settings):
            said, why = _ask(result["gate"], approve)
        where, by = "at the command line", person()
        approval_stages.answer(update_id, holder, said, by, where, settings, why)
        if said == "rejected":
            return result | {"outcome": "rejected"}
    result["release"] = update_stages.promote(update_id, holder, settings)
    return result | {"outcome": "promoted"}


def _ask(gate: Json, wanted: bool) -> tuple[approval_stages.Answer, str]:
    """What the person at the terminal says, and why not. A rule's question with nobody there, and one
    that is left without an answer, mean no."""
    why = f"{gate['ask']}\n" if gate["ask"] else ""
    if not wanted and not sys.stdin.isatty():
        say(f"{why}nobody is at the terminal to approve the promotion, so it is rejected")
        return "rejected", ""
    try:
        if typer.confirm(output.escaped(f"{why}Promote? Gate report: {gate['uri']}")):
            return "approved", ""
    except (typer.Abort, KeyboardInterrupt):
        say("the question was left without an answer, so the promotion is rejected")
        return "rejected", "the question was left without an answer"
    if not sys.stdin.isatty():
        return "rejected", ""
    try:
        said = typer.prompt("Why not? The ledger keeps it", default="", show_default=False)
    except (typer.Abort, KeyboardInterrupt):
        return "rejected", ""
    return "rejected", str(said).strip()


def tell(result: Json, json: bool = False) -> None:
    """Print what became of an update."""
    if json:
        return print_json(result)
    planned, gate, release = result["plan"], result["gate"], result["release"]
    if planned["decision"] == "none":
        return console.print(f"nothing was updated: {planned['reason']}")
    console.print(f"plan: {planned['decision']}: {planned['reason']}")
    if gate:
        said = "not enough evidence yet" if gate["deferred"] else "refused"
        console.print(f"gate: {'passed' if gate['passed'] else said} (report: {gate['uri']})")
        for rule in (rule for rule in gate["rules"] if not rule["passed"]):
            limit = f"{rule['value']}, limit {rule['limit']}"
            console.print(f"  {rule['name']} is {limit}: {rule['message']}")
    if release:
        console.print(f"release {release['version']} is champion")


def rollback(
    to: Annotated[int | None, typer.Option(help="Release number; default: the one before.")] = None,
    reason: Annotated[str, typer.Option(help="Why; kept in the ledger.")] = "by hand",
    json: AsJson = False,
) -> None:
    """Make an earlier release champion again; the windows learnt since become pending."""
    with session() as settings:
        release = update_stages.roll_back(to, reason, settings)
    if json:
        print_json(release)
    else:
        console.print(f"release {release['version']} is champion again")


def pin(
    reason: Annotated[str, typer.Option(help="Why; kept in the ledger.")],
    by: Annotated[str, typer.Option(help="Whose word it is; default: who is logged in.")] = "",
) -> None:
    """Keep the champion as it is: nothing is promoted until it is unpinned."""
    with session() as settings:
        version = update_stages.pin(by or person(), reason, settings)
    console.print(f"release {version} is pinned: nothing is promoted until `recloop unpin`")


def unpin(
    reason: Annotated[str, typer.Option(help="Why; kept in the ledger.")],
    by: Annotated[str, typer.Option(help="Whose word it is; default: who is logged in.")] = "",
) -> None:
    """Let challengers be promoted again; the next update learns what has waited."""
    with session() as settings:
        update_stages.unpin(by or person(), reason, settings)
    console.print("the champion is not pinned any more: `recloop update` learns what has waited")


def publish(release: Another = None, json: AsJson = False) -> None:
    """Make what is served agree with the ledger; a damaged export is written anew."""
    with session() as settings:
        found = update_stages.publish(release, settings)
    if json:
        print_json(found)
        return
    how = "was damaged, and is written anew from its checkpoint" if found["mended"] else "is whole"
    console.print(f"the export of release {found['version']} {how}")


def status(
    last: Annotated[
        int | None, typer.Option(min=1, help="So many of the newest windows; default: a screenful.")
    ] = None,
    releases: Annotated[bool, typer.Option("--releases", help="Releases, not windows.")] = False,
    json: AsJson = False,
) -> None:
    """Windows (newest last), decisions, the champion, rollbacks, and what is pending; of several
    recommenders, all at a glance, unless --recommender says which."""
    from recloop.stages.status import count_lines, read_status

    given = Settings.from_environment()
    if not given.recommender and len(recommenders(given)) > 1:
        return _all_at_a_glance(json)
    with session() as settings:
        found = read_status(settings)
        lines = count_lines(settings)
    if json:
        print_json({**found, "lines": lines})
        return
    if releases:
        console.print(output.releases_table(found))
        return
    seen = [row for row in found["windows"] if row["state"] != "landed"]
    waiting = len(found["windows"]) - len(seen)
    shown = seen[-(last or screenful()) :]
    console.print(output.windows_table(shown))
    if len(shown) < len(seen):
        console.print(
            f"{len(seen) - len(shown)} earlier windows: `recloop status --last {len(seen)}`"
        )
    if waiting:
        console.print(f"{counted(waiting)} landed and not yet validated: `recloop ingest`")
    champion = found["champion"]
    reigns = f"champion: release {champion['version']}" if champion else ""
    console.print(reigns or "no champion yet: `recloop update`")
    if pinned := found["pinned"]:
        since = f"pinned by {pinned['by']} since {pinned['at']}: {pinned['reason']}"
        console.print(f"{since}; nothing is promoted until `recloop unpin`", highlight=False)
    pending = ", ".join(found["pending"]) or "none"
    console.print(f"windows not yet learnt from: {pending}")
    for line in output.late_lines(found["windows"]):
        console.print(line)
    for line in output.upkeep_lines(found):
        console.print(line, highlight=False)
    for row in shown:
        if row["decision"] == "refused" or row.get("outcome") in ("rejected", "deferred"):
            say(f"{row['window']}: {row['reason']}")


def report(
    out: Annotated[
        Path | None,
        typer.Option(help="A file ending in .html or .md; default: report.html in var/."),
    ] = None,
) -> None:
    """Write the page of a recommender as one file, HTML or Markdown."""
    from recloop.dashboard.report import write_report

    with session() as settings:
        path = write_report(settings, datetime.now(UTC), out or settings.own_folder / "report.html")
    console.print(f"report: {path}", highlight=False)


def _all_at_a_glance(json: bool) -> None:
    from recloop.stages.fleet_status import read_fleet

    with session(of_all=True) as settings:
        rows = read_fleet(settings)
    if json:
        print_json(rows)
    else:
        console.print(output.fleet_table(rows))
        console.print("more of one: `recloop --recommender NAME status`")


def screenful() -> int:
    """How many windows `status` shows by itself: what leaves room for the lines below them."""
    return max(console.height - LINES_BELOW, 5) if console.is_terminal else WITHOUT_TERMINAL


COMMANDS = (update, rollback, pin, unpin, publish, status, report)

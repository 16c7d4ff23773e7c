"""The command line: what it prints, how it exits, and that every command is documented."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import metadata
from pathlib import Path

import pytest
import typer
from click.testing import Result
from typer.testing import CliRunner

from recloop import main
from recloop.cli import behavior, loop, pinning, recommending, serve
from recloop.cli.output import fail, say
from recloop.database.connection import transaction
from recloop.errors import BadInput
from recloop.ledger import updates
from recloop.main import app
from recloop.settings import PROJECT, Settings, process_environment
from tests.recloop.ledger.builders import feature, plan, promote


def recloop(settings: Settings | None, *arguments: str, **variables: str):
    environment = {
        name: value
        for name, value in process_environment().items()
        if not name.startswith("RECLOOP_")
    }
    environment |= settings.environment() if settings else {}
    return subprocess.run(
        [sys.executable, "-W", "ignore", "-m", "recloop.main", *arguments],
        env=environment | variables,
        cwd=PROJECT,
        capture_output=True,
        text=True,
        timeout=120,
    )


def test_every_command_is_in_a_howto_and_has_a_help_text() -> None:
    pages = (PROJECT / "docs" / "howto").glob("*.md")
    told = "".join(path.read_text() for path in [*pages, PROJECT / "CONTRIBUTING.md"])
    for command in (
        *(*behavior.COMMANDS, *loop.COMMANDS, *pinning.COMMANDS, *recommending.COMMANDS),
        *(serve.serve, main.up, main.down, main.doctor, main.demo),
    ):
        named = (f"`{command.__name__}", f"recloop {command.__name__}", f"make {command.__name__}")
        assert any(name in told for name in named), command.__name__
        assert command.__doc__


def test_an_empty_installation_says_what_to_do_next(settings: Settings) -> None:
    done = recloop(settings, "status", "--json")
    found = json.loads(done.stdout)
    assert found["champion"] is None
    assert found["lines"] == {
        "total": 0,
        "accepted": 0,
        "duplicates": 0,
        "quarantined": {},
        "pending": 0,
    }
    asked = recloop(settings, "recommend", "--user", "17850")
    assert asked.returncode == 1
    assert "no champion yet; run `recloop update`" in asked.stderr


@pytest.mark.parametrize(
    ("arguments", "variables", "code", "message"),
    [
        (("update", "--window", "june"), {}, 2, "'june' is not a date of the form 2011-06-06"),
        (("update", "--window", "2011-06-07"), {}, 2, "did you mean '2011-06-06'?"),
        (("update", "--plan", "deep"), {}, 2, "choose one of auto, skip, increment, rebuild"),
        (("status",), {"RECLOOP_HMOE": "/x"}, 2, "unknown environment variable RECLOOP_HMOE"),
        (("status",), {"RECLOOP_DATABASE_URL": "mysql://x"}, 2, "of the form postgresql://"),
        (
            ("status",),
            {"RECLOOP_DATABASE_URL": "postgresql://a@127.0.0.1:9/x"},
            4,
            "cannot be reached",
        ),
        (("ingest",), {"RECLOOP_DATASET": "nosuch"}, 2, "(movielens, online_retail) or a path"),
        (("ingest",), {"RECLOOP_DATA": "/no/such.csv"}, 2, "does not exist"),
    ],
)
def test_a_wrong_input_gets_the_value_and_the_remedy(
    settings: Settings,
    arguments: tuple[str, ...],
    variables: dict[str, str],
    code: int,
    message: str,
) -> None:
    done = recloop(settings, *arguments, **variables)
    assert done.returncode == code, done.stderr
    assert message in " ".join(done.stderr.split())
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--all", "--user", "1"), "everybody, from the champion: without --user"),
        (("--all", "--release", "1"), "everybody, from the champion: without --user"),
        (("--user", "1", "--out", "a.csv"), "`--out` goes with --all only"),
        (("--user", "1", "--filter", "{}"), "`--filter` goes with --all only"),
        (("--session", "a", "--active-days", "3"), "`--active-days` goes with --all only"),
        ((), "Or --all."),
    ],
)
def test_everybody_is_not_somebody(arguments: tuple[str, ...], message: str) -> None:
    done = CliRunner().invoke(app, ["recommend", *arguments])
    assert isinstance(done.exception, BadInput)
    assert message in str(done.exception)


def test_everybodys_lists_are_asked_for_as_typed(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    from recloop.stages import outlet_stages

    @contextmanager
    def here() -> Iterator[Settings]:
        yield settings

    asked: list[tuple[object, ...]] = []

    def publish(*given: object) -> dict[str, object]:
        asked.append(given[:5])
        given[6](3, 3)  # type: ignore[operator]
        return {"id": 1, "told": "told"}

    monkeypatch.setattr(recommending, "session", here)
    monkeypatch.setattr(outlet_stages, "publish_recommendations", publish)
    run = CliRunner().invoke
    assert run(app, ["recommend", "--all"]).stdout == "told\n"
    typed = [
        "--k",
        "5",
        "--out",
        "a.csv",
        "--filter",
        "{}",
        "--active-days",
        "9",
        "--include-known",
    ]
    done = run(app, ["recommend", "--all", "--json", *typed])
    assert json.loads(done.stdout)["id"] == 1
    assert asked == [(20, "", None, "", False), (5, "{}", 9, "a.csv", True)]


def test_it_says_which_version_it_is() -> None:
    done = CliRunner().invoke(app, ["--version"])
    assert (done.exit_code, done.stdout) == (0, f"recloop {metadata.version('recloop')}\n")


def updated(settings: Settings, monkeypatch: pytest.MonkeyPatch, *arguments: str) -> Result:
    """`recloop update` in this process."""

    @contextmanager
    def here(keep: bool = False) -> Iterator[Settings]:
        yield settings

    monkeypatch.setattr(loop, "session", here)
    return CliRunner().invoke(app, ["update", *arguments])


def test_an_update_that_was_not_made_says_why_and_by_its_exit_code(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    nothing = updated(settings, monkeypatch)
    assert (nothing.exit_code, nothing.stdout) == (
        5,
        "nothing was updated: no window has events to learn from; run `recloop ingest` first\n",
    )
    early = updated(settings, monkeypatch, "--window", "2011-06-06")
    assert early.exit_code == 5
    assert "window 2011-06-06 is not ready (its state is unknown)" in early.stdout
    with transaction(settings.database_url) as cursor:
        feature(cursor, 0)
        promote(cursor, 0, "rebuild")
    done = updated(settings, monkeypatch)
    assert (done.exit_code, "no window waits for a decision" in done.stdout) == (0, True)
    learnt = updated(settings, monkeypatch, "--window", "2011-05-30")
    assert (learnt.exit_code, "already trained" in learnt.stdout) == (0, True)
    gone = updated(settings, monkeypatch, "--plan", "rebuild")
    assert gone.exit_code == 5
    assert "it waits for the next window" in " ".join(gone.stdout.split())
    with transaction(settings.database_url) as cursor:
        cursor.execute("update ledger.window set state = 'refused'")
        cursor.execute("delete from lineage.training_set")
    refused = updated(settings, monkeypatch, "--window", "2011-05-30", "--json")
    assert (refused.exit_code, json.loads(refused.stdout)["plan"]["because"]) == (3, "refused")


def test_an_update_that_another_run_is_at_work_on_is_not_done(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    with transaction(settings.database_url) as cursor:
        feature(cursor, 0)
        updates.begin_update(cursor, plan(cursor, 0, "rebuild"), "another run")
    busy = updated(settings, monkeypatch)
    assert busy.exit_code == 6
    assert "is being worked on by 'another run'" in " ".join(busy.stdout.split())


def test_the_doctor_finds_a_missing_rule_file(settings: Settings, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    done = recloop(settings, "doctor", "--json", RECLOOP_CONFIG=str(tmp_path / "empty"))
    findings = {finding["name"]: finding for finding in json.loads(done.stdout)}
    assert done.returncode == 1
    assert findings["rule files"]["state"] == "failed"
    assert "update.toml cannot be read: No such file" in findings["rule files"]["detail"]
    assert findings["database"]["state"] == "ok"


def test_a_deprecation_that_a_library_insists_on_is_not_shown() -> None:
    code = (
        "import warnings; from recloop import main\n"
        "main.app = lambda: (warnings.simplefilter('always'), warnings.warn('old'))\n"
        "main.main()"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=PROJECT, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")


def test_into_a_file_progress_is_a_line_per_window(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def two_windows(settings, window, through, on_lines, on_window):  # type: ignore[no-untyped-def]
        on_lines(5, 10)
        on_window("2011-06-06", 0, 2)
        on_window("2011-06-13", 1, 2)
        return {}

    monkeypatch.setattr("recloop.stages.ingest_stages.ingest_windows", two_windows)
    behavior.ingest_with_progress(settings)
    told = capsys.readouterr().err
    assert "window 2011-06-06, 1 of 2" in told
    assert "window 2011-06-13, 2 of 2" in told


def test_what_is_told_keeps_its_brackets(capsys: pytest.CaptureFixture[str]) -> None:
    rule = {"name": "users", "value": 0.0, "limit": ">= 20", "passed": False}
    rule["message"] = "take a larger [holdout] share, or [/] less"
    loop.tell(
        {
            "plan": {"decision": "increment", "reason": "5 events of [bold]shop"},
            "gate": {
                "passed": False,
                "deferred": True,
                "uri": "/reports/[a]/1.html",
                "rules": [rule],
            },
            "release": None,
        }
    )
    told = capsys.readouterr().out
    assert "gate: not enough evidence yet" in told
    for text in ("larger [holdout] share, or [/] less", "5 events of [bold]shop", "/reports/[a]/1"):
        assert text in told
    say("in [square] brackets")
    fail(ValueError("of [/nothing]"))
    told = capsys.readouterr().err
    assert "in [square] brackets" in told
    assert "ValueError: of [/nothing]" in told


@pytest.mark.parametrize(
    ("found", "code", "told"),
    [
        ({}, 0, ""),
        ({"refused": 1}, 3, "1: no"),
        ({"refused": 2}, 3, "recloop accept --through 2 --reason"),
        ({"crashed": 1, "refused": 1}, 1, "1: no"),
        ({"sources_refused": 1}, 3, "no"),
    ],
)
def test_ingest_says_what_waits_and_ends_with_the_code_of_the_worst(
    found: dict[str, int], code: int, told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    report: dict[str, object] = {"events": 0, "done": [], "quarantined": [], "sources_refused": []}
    for name in ("refused", "crashed"):
        count = found.get(name, 0)
        report[name] = [{"window": str(n + 1), "message": "no"} for n in range(count)]
    report["sources_refused"] = ["no"] * found.get("sources_refused", 0)
    report["again"] = {"lines": 60, "accepted": 58}
    try:
        behavior._tell_ingested(report, "", json=False)
        ended = 0
    except typer.Exit as exit_:
        ended = exit_.exit_code
    out = capsys.readouterr()
    assert ended == code
    assert told in out.err.replace("\n", "")
    assert "60 quarantined lines judged again, 58 accepted" in out.out

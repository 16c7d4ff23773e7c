"""Every other block: files of TOML pass recloop's own checks, Python runs; few blocks are left out."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tomllib
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import typer

from docsite.build import DOCS
from docsite.reference import PAGES as REFERENCE
from models.recommenders.family import family_named
from recloop.config.dataset import DatasetSpec, load_dataset
from recloop.config.limits import Limits, load_limits
from recloop.config.recommenders import settings_of
from recloop.config.rules import GateRules, UpdateRules, load_gate_rules, load_update_rules
from recloop.config.strategy import read_plan_file
from recloop.config.toml_file import laid_over, read_toml, to_model
from recloop.main import app
from recloop.project.project_file import read_settings
from recloop.settings import PROJECT, Settings, process_environment
from tests.documentation.blocks import FENCE, Block, Command, blocks_of, commands_of, missing

EXCEPTIONS = 3
"""Blocks that may stay unrun, in all of the documentation."""
KINDS = {"console", "toml", "python", "text"}
PAGES = [PROJECT / "README.md", PROJECT / "CONTRIBUTING.md", PROJECT / "CHANGELOG.md"]
PAGES += sorted(DOCS.rglob("*.md"))
RULES = {"gate": GateRules, "update": UpdateRules, "validation": Limits}


def named(path: Path) -> str:
    return str(path.relative_to(PROJECT))


def of(kind: str) -> list[Any]:
    """The pages with blocks of a kind."""
    return [
        pytest.param(path, id=named(path))
        for path in PAGES
        if any(block.kind == kind for block in blocks_of(path))
    ]


def test_every_block_is_of_a_kind_that_is_run() -> None:
    found = Counter(block.kind for path in PAGES for block in blocks_of(path))
    assert set(found) <= KINDS, "say console, toml or python; text is for what no machine reads"
    assert min(found["console"], found["toml"], found["python"]) > 0


def test_few_blocks_are_left_out_and_each_says_why() -> None:
    left = [block.why_not for path in PAGES for block in blocks_of(path) if block.why_not]
    assert len(left) <= EXCEPTIONS
    assert all(len(why.split()) > 5 for why in left)


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """A copy of the shipped files."""
    return Path(shutil.copytree(PROJECT / "config", tmp_path / "config"))


@pytest.mark.parametrize("path", of("toml"))
def test_a_file_passes_its_checks(
    path: Path, tmp_path: Path, config: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    for block in blocks_of(path):
        if block.kind == "python" and block.title:
            (tmp_path / block.title).write_text(block.text)
        if block.kind == "toml":
            check(block, tmp_path, config)


def check(block: Block, folder: Path, config: Path) -> None:
    """Hold a block against the checks of the file that its title says it is, or is a part of."""
    assert block.title, "a toml block needs a title: the file that it is, or is a part of"
    path = folder / block.title
    path.parent.mkdir(parents=True, exist_ok=True)
    settings = Settings(home=folder, config=config)
    content = tomllib.loads(block.text)
    match block.title.split("/"):
        case ["plan.toml"]:
            path.write_text(block.text)
            read_plan_file(path, family_named("retrieve_and_rank"))
        case ["recloop.toml"]:
            path.write_text(block.text)
            assert set(read_settings(folder)) <= set(Settings.model_fields)
        case ["config", "recommenders", _]:
            path.write_text(block.text)
            own = settings_of(settings, path.stem)
            load_dataset(own)
            load_update_rules(own)
            load_gate_rules(own)
        case ["config", "datasets", _] if "columns" in content:
            path.write_text(block.text)
            whole = settings.model_copy(update={"dataset": str(path)})
            load_limits(whole, load_dataset(whole))
        case ["config", "datasets", _]:
            spec = to_model(DatasetSpec, _completed(content, config), path)
            to_model(Limits, laid_over(spec.limits, read_toml(config / "validation.toml")), path)
        case ["config", name]:
            shipped = read_toml(config / name)
            to_model(RULES[name.removesuffix(".toml")], laid_over(content, shipped), path)
        case other:
            pytest.fail(f"there is no check for {other}")


def _completed(part: dict[str, Any], config: Path) -> dict[str, Any]:
    """A part of a dataset file within a whole one: its tables in place of that one's."""
    whole = read_toml(config / "datasets" / "online_retail.toml")
    event = {**whole["event"], **part.pop("event", {})}
    return {**whole, "event": event, **part}


@pytest.mark.parametrize("path", of("python"))
def test_python_runs(path: Path, tmp_path: Path) -> None:
    for number, block in enumerate(blocks_of(path)):
        if block.kind != "python" or block.why_not:
            continue
        script = tmp_path / f"block_{number}.py"
        if block.title:  # the page's consoles import it (test_pages.py)
            compile(block.text, block.title, "exec")
            assert any(one.kind == "console" for one in blocks_of(path))
            continue
        script.write_text(block.text)
        done = subprocess.run(
            [sys.executable, "-W", "ignore", str(script)], cwd=tmp_path, text=True, check=False,
            capture_output=True, env=process_environment() | {"PYTHONPATH": str(PROJECT)},
        )  # fmt: skip
        assert done.returncode == 0, done.stderr[-2000:]


@pytest.mark.slow
def test_files_of_the_reference_pass_too(tmp_path: Path, config: Path) -> None:
    for name in ("dataset_file", "rule_files", "plan_file"):
        page = tmp_path / f"{name}.md"
        page.write_text(REFERENCE[name]())
        found = [block for block in blocks_of(page) if block.kind == "toml"]
        assert found
        for block in found:
            check(block, tmp_path, config)


def inline(path: Path, begin: str) -> list[str]:
    """The commands in the text of a page, such as `recloop status --last 50`."""
    text = FENCE.sub("", path.read_text(encoding="utf-8"))
    return re.findall(rf"`({begin} [^`]+)`", text)


def complaint(command: str) -> str:
    """What is wrong with a command of recloop's in a text; empty: nothing."""
    group: Any = typer.main.get_command(app)
    words = [word for word in command.split()[1:] if word != "…"]
    if words and words[0] == "--recommender":
        words = words[2:]
    while words and hasattr(group, "commands"):
        if words[0] in ("--help", "--version"):
            return ""
        if words[0] not in group.commands:
            return f"there is no command {words[0]!r}" if words[0].isalpha() else ""
        group = group.commands[words.pop(0)]
    known = {one for each in group.params for one in (*each.opts, *each.secondary_opts)}
    wrong = [word for word in words if word.startswith("-") and word not in known | {"--help"}]
    return f"no option {wrong[0]}" if wrong else ""


def test_commands_in_the_text_are_commands() -> None:
    found = [(path, one) for path in PAGES for one in inline(path, "recloop")]
    assert len(found) > 50
    assert not [(named(path), one, complaint(one)) for path, one in found if complaint(one)]
    targets = set(re.findall(r"^([a-z0-9-]+):", (PROJECT / "Makefile").read_text(), re.MULTILINE))
    assert not [
        (named(path), one)
        for path in PAGES
        for one in inline(path, "make")
        if one.split()[1] not in targets and "=" not in one.split()[1]
    ]


def test_a_command_that_is_none_is_found() -> None:
    assert complaint("recloop updaet") == "there is no command 'updaet'"
    assert complaint("recloop silo merge --force a/") == "no option --force"
    assert not complaint("recloop --recommender x silo merge a/ b/")
    assert not complaint("recloop update --plan plan.toml")


def test_a_wrong_key_and_an_output_that_did_not_come_are_found(
    tmp_path: Path, config: Path
) -> None:
    wrong = Block("toml", "config/gate.toml", "[errors]\nmagrin = 0.1\n", "")
    with pytest.raises(Exception, match="did you mean `margin`"):
        check(wrong, tmp_path, config)
    console = Block("console", "", "$ ls\na 1 b\n…\nc\n$ false # exit code 1\n", "")
    assert commands_of(console) == [
        Command("ls", ("a 1 b", "…", "c")),
        Command("false # exit code 1", ()),
    ]
    assert commands_of(console)[1].code == 1
    shown = commands_of(console)[0].shown
    assert not missing(shown, "x\na  22,5\nb\nmore\nc")
    assert missing(shown, "c\na 1 b") == "c"

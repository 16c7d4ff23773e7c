"""A few inputs of every kind, and that the fuzz finds what it is made to find."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import copy_database
from tests.fuzz import report, values
from tests.fuzz.__main__ import batches
from tests.fuzz.cases import Kind, Outcome, chance
from tests.fuzz.kinds import KINDS, make
from tests.fuzz.lines import Odd, odd_line, verdict_on
from tests.fuzz.world import World

SEED = 7
FEW = {
    "line": range(60),
    "file": (1, 4, 7),
    "plan": range(40),
    "dataset": range(40),
    "delta": range(40),
}
"""Forms need Airflow: `tests/dags/test_fuzzed_forms.py`."""


@pytest.fixture(scope="module")
def world(server_url: str, tmp_path_factory: pytest.TempPathFactory) -> World:
    return World(copy_database(server_url), tmp_path_factory.mktemp("fuzz"))


def faults(found: Iterator[Outcome]) -> list[str]:
    outcomes = list(found)
    assert outcomes
    return [f"{one.problem} | {one.shown}" for one in outcomes if one.fate == "fault"]


@pytest.mark.parametrize("name", FEW)
def test_a_few_inputs_of_the_kind_do_what_they_must(name: str, world: World) -> None:
    kind: Kind = make(name, world)
    assert faults(kind.tried(SEED, list(FEW[name]))) == []


@pytest.mark.parametrize(
    ("field", "verdict", "becomes", "event", "rule", "problem"),
    [
        ("user", "must", "u1", {"user_id": "u1"}, None, ""),
        ("user", "must", "u1", {"user_id": "u2"}, None, "became 'u2', not 'u1'"),
        ("user", "must", "u1", None, "missing_user", "though nothing is wrong"),
        ("user", "must not", None, {"user_id": "nan"}, None, "is unfit"),
        ("user", "must not", None, None, "missing_user", ""),
        ("user", "must not", None, None, "implausible_price", "though what is odd is its user"),
        ("at", "may", None, None, "unparseable_timestamp", ""),
        ("at", "may", None, None, None, "no fate"),
    ],
)
def test_a_verdict_is_on_what_was_odd(field, verdict, becomes, event, rule, problem) -> None:
    said = verdict_on(Odd(1, b"", field, verdict, becomes), event, rule)
    assert problem in said
    assert bool(said) == bool(problem)


def test_an_input_is_a_function_of_seed_kind_and_number() -> None:
    assert [odd_line(3, n) for n in range(50)] == [odd_line(3, n) for n in range(50)]
    assert odd_line(3, 1) != odd_line(4, 1)
    many = [values.an_id(chance(3, "id", n)).verdict for n in range(500)]
    assert {"must", "must not", "may"} == set(many)


def test_batches_share_the_inputs_out_and_every_kind_has_some() -> None:
    made = list(batches(20_000, list(KINDS)))
    counts = dict.fromkeys(KINDS, 0)
    for name, numbers in made:
        counts[name] += len(numbers)
        assert len(numbers) <= KINDS[name].batch
    assert sum(counts.values()) == pytest.approx(20_000, abs=len(KINDS))
    assert counts["file"] >= 500
    assert {name for name, _ in batches(10, list(KINDS))} == set(KINDS)


def test_the_report_counts_and_says_how_to_repeat_a_fault(tmp_path: Path) -> None:
    outcomes = [
        Outcome("line", 1, "accepted"),
        Outcome("line", 2, "fault", "a traceback", "b'x'"),
        Outcome("plan", 1, "refused"),
    ]
    text = report.write(tmp_path / "report.txt", outcomes, 9, 1.0).read_text()
    assert "line      2         1        0            0      1" in text
    assert "all       3         1        1            0      1" in text
    assert "make fuzz SEED=9 ONLY=line:2" in text

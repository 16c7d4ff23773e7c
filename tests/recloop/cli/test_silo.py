"""`recloop silo`: what it refuses before any work, and what it tells of a round."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result
from typer.testing import CliRunner

from recloop.errors import BadData, BadInput, ReleaseMissing
from recloop.main import app
from recloop.settings import Settings
from recloop.silos import silo_training

Silo = Callable[..., Result]


@pytest.fixture
def silo(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Silo:
    """`recloop silo` of a shop that has ingested nothing."""
    for variable, value in settings.environment().items():
        monkeypatch.setenv(variable, value)
    return lambda *arguments: CliRunner().invoke(app, ["silo", *map(str, arguments)])


@pytest.fixture
def offer(tmp_path: Path) -> Path:
    """An offer of no items, whose model nobody will come to read."""
    folder = tmp_path / "offer"
    folder.mkdir()
    (folder / "offer.json").write_text('{"release": 3, "merged": [], "items": {}}')
    return folder


def round_of(**changes: Any) -> dict[str, Any]:
    told = {"delta": "d1", "examples": 12_345, "windows": ["a", "b"], "norm": 0.5, "epsilon": None}
    return told | changes


@pytest.mark.parametrize(
    "arguments",
    [
        ("train", "--offer", "o", "--out", "d", "--clip", "-0.1"),
        ("train", "--offer", "o", "--out", "d", "--noise", "-1"),
        ("merge", "d", "--staleness", "21"),
        ("merge",),
    ],
)
def test_a_number_out_of_range_and_a_missing_folder_stop_at_the_command(
    arguments: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RECLOOP_DATABASE_URL", "postgresql://nobody@127.0.0.1:9/nowhere")
    done = CliRunner().invoke(app, ["silo", *arguments])
    assert done.exit_code == 2
    wanted = arguments[-2] if len(arguments) > 1 else "deltas"
    assert wanted in done.stderr


def test_a_coordinator_without_a_champion_has_nothing_to_offer_or_to_merge_into(
    silo: Silo, tmp_path: Path
) -> None:
    offered = silo("offer", "--out", tmp_path / "offer")
    assert isinstance(offered.exception, ReleaseMissing)
    assert "no champion to offer yet; run `recloop update`" in str(offered.exception)
    assert not (tmp_path / "offer").exists()
    delta = tmp_path / "delta"
    for state in ("towers", "ranker"):
        (delta / state).mkdir(parents=True)
        for name in ("manifest.json", "arrays.npz"):
            (delta / state / name).write_text("{}")
    merged = silo("merge", delta)
    assert isinstance(merged.exception, ReleaseMissing)
    assert "no champion to merge into" in str(merged.exception)


def test_a_silo_is_told_what_it_lacks_for_a_round_and_writes_nothing(
    silo: Silo, offer: Path, tmp_path: Path
) -> None:
    out, plan = tmp_path / "out", tmp_path / "plan.toml"
    plan.write_text("epoks = 2\n")
    for arguments, error, says in (
        ((), BadData, "no window that the offer does not know"),
        (("--noise", 1), BadInput, "Received: noise 1.0, clip 0.0"),
        (("--plan", plan), BadInput, f"{plan}: "),
        (("--offer", tmp_path), BadInput, "have the coordinator make one"),
    ):
        done = silo("train", "--offer", offer, "--out", out, *arguments)
        assert isinstance(done.exception, error)
        assert says in str(done.exception)
    assert not out.exists()


@pytest.mark.parametrize(
    ("noise", "epsilon", "says"),
    [
        (0, None, None),
        (2, None, "no epsilon: a round of this silo had no noise"),
        (2, 2.468, "epsilon 2.47 at delta 1e-5, for this silo as a whole"),
    ],
)
def test_a_round_says_what_left_and_what_its_noise_promises(
    silo: Silo,
    offer: Path,
    monkeypatch: pytest.MonkeyPatch,
    noise: int,
    epsilon: float | None,
    says: str | None,
) -> None:
    told = round_of(epsilon=epsilon)
    monkeypatch.setattr(silo_training, "train_silo", lambda *_, **__: told)
    given = ("train", "--offer", offer, "--out", "d", "--clip", 1, "--noise", noise)
    done = silo(*given)
    assert done.exit_code == 0
    assert done.stdout == "delta d1: 12,345 examples of 2 windows, norm 0.5, is in d\n"
    assert (says in done.stderr) if says else ("epsilon" not in done.stderr)
    assert json.loads(silo(*given, "--json").stdout) == told

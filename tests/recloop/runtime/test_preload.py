"""What is preloaded, where, and what is not."""

from __future__ import annotations

from pathlib import Path

import pytest

from recloop.runtime import preload


@pytest.mark.parametrize(
    ("argv", "enabled", "gpu", "expected"),
    [
        (["airflow", "scheduler"], True, False, True),
        (["airflow", "scheduler"], True, True, False),
        (["airflow", "scheduler"], False, False, False),
        (["airflow", "api-server"], True, False, False),
        (["airflow", "triggerer"], True, False, False),
    ],
)
def test_only_the_scheduler_of_a_cpu_machine_preloads(
    argv: list[str],
    enabled: bool,
    gpu: bool,
    expected: bool,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    device = tmp_path / "nvidia0"
    monkeypatch.setattr(preload, "GPU_DEVICES", (device,))
    if gpu:
        device.touch()
    assert preload.wanted(argv, enabled) is expected


def test_a_missing_library_does_not_stop_the_scheduler() -> None:
    assert list(preload.preload(["no_such_library", "json"])) == ["json"]


def test_tensorflow_is_first_imported_through_the_backend() -> None:
    """Whoever imports TensorFlow first decides which Keras it has."""
    names = list(preload.HEAVY)
    assert names.index("models.tables.backend") < names.index("tensorflow")

"""A newcomer's machine: an environment without recloop, the wheel to install, and a shell."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
from dataclasses import dataclass, field
from pathlib import Path

from recloop.settings import PROJECT, process_environment

SECONDS = 300
"""Of one command, at most."""
IN_WHEEL = ("recloop", "models", "dags", "plugins", "feature_repo", "config")
AFTER = 'code=$?; pwd > "$STATE/folder"; export -p > "$STATE/variables"; exit $code'


def build_wheel(out: Path) -> Path:
    """The repository's wheel, built from a copy: a build leaves folders behind."""
    copy = out / "source"
    ignored = shutil.ignore_patterns("__pycache__", "*.pyc")
    for name in IN_WHEEL:
        shutil.copytree(PROJECT / name, copy / name, ignore=ignored)
    for name in ("pyproject.toml", "setup.py", "MANIFEST.in", "requirements.txt", "README.md"):
        shutil.copy(PROJECT / name, copy)
    command = ["pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "--no-index"]
    done = subprocess.run(
        [sys.executable, "-m", *command, "--wheel-dir", str(out / "dist"), str(copy)],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    (wheel,) = (out / "dist").glob("recloop-*.whl")
    return wheel


def environment_without_recloop(folder: Path) -> Path:
    """A virtual environment with the pinned packages of this one, by links, and pip; without recloop."""
    venv, linked = folder / "venv", folder / "packages"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(venv)], check=True)
    linked.mkdir()
    for path in Path(sysconfig.get_path("purelib")).iterdir():
        if not path.name.startswith(("recloop", "__editable__")) and path.suffix != ".pth":
            (linked / path.name).symlink_to(path)
    version = f"python{sys.version_info[0]}.{sys.version_info[1]}"
    site = venv / "lib" / version / "site-packages"
    (site / "linked.pth").write_text(f"{linked}\n")
    pip = venv / "bin" / "pip"
    pip.write_text(f'#!/bin/sh\nexec "{venv}/bin/python" -m pip "$@"\n')
    pip.chmod(0o755)
    return venv


@dataclass
class Shell:
    """Bash whose folder and variables go on from one command to the next."""

    folder: Path
    venv: Path
    wheels: Path
    state: Path
    transcript: list[tuple[str, str, int]] = field(default_factory=list)
    """Each command, what it printed, how it ended."""

    def type(self, command: str) -> tuple[str, int]:
        """Run a line; what it printed, and its exit code."""
        self.state.mkdir(exist_ok=True)
        (self.state / "variables").touch()
        done = subprocess.run(
            ["bash", "-c", f'. "$STATE/variables"\n{command}\n{AFTER}'],
            cwd=self.folder, env=self._environment(), text=True, timeout=SECONDS, check=False,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip
        self.folder = Path((self.state / "folder").read_text().strip())
        self.transcript.append((command, done.stdout, done.returncode))
        return done.stdout, done.returncode

    def _environment(self) -> dict[str, str]:
        kept = {"LANG", "LC_ALL", "TMPDIR", "TF_CPP_MIN_LOG_LEVEL"}
        given = {name: value for name, value in process_environment().items() if name in kept}
        return given | {
            "PATH": os.pathsep.join([str(self.venv / "bin"), "/usr/local/bin", "/usr/bin", "/bin"]),
            "HOME": str(self.state),
            "STATE": str(self.state),
            "COLUMNS": "200",
            "PIP_NO_INDEX": "1",
            "PIP_FIND_LINKS": str(self.wheels),
            "PIP_CONFIG_FILE": os.devnull,
            "PIP_DISABLE_PIP_VERSION_CHECK": "1",
            "PIP_QUIET": "1",
        }

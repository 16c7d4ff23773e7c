"""What TensorFlow Serving does with a folder of versions and a config: its two checks, written anew.

After tensorflow/serving at 9d981c5 (2026-07-30):

    the config    `model_servers/server_core.cc`, ReloadConfig: labels are looked at first. One that
                  is in use moves only to a version that is loaded already, and a config that asks for
                  more is dropped with all that it says (UpdateModelVersionLabelMap), also under
                  `--allow_version_labels_for_unavailable_models`.
    the folder    `sources/storage_path/file_system_storage_path_source.cc`: names that are whole
                  numbers are versions; "latest" wants the highest one(s), "specific" those named that
                  exist. A base path that isn't there changes nothing.

A version that is wanted is loaded before another is unloaded (availability-preserving, the default);
one that can't be loaded changes nothing. A request without a version gets the highest that is loaded.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

Load = Callable[[Path], str]
"""What a server reads of a version's folder; raises where the folder can't be loaded."""


class ModelServer:
    """One server for one model, polled by hand.

    Attributes:
        loaded: what was read of each version in memory.
        refused: why the latest config was dropped; empty: it was not.
    """

    def __init__(self, load: Load, config: str | None = None, base: Path | None = None) -> None:
        """Started with a config file's text, or with a base path (policy: the latest version)."""
        self._load = load
        self._base, self._specific, self._most = base, None, 1
        self.labels: dict[str, int] = {}
        self.loaded: dict[int, str] = {}
        self.refused = ""
        if config is not None:
            self.read_config(config)

    def read_config(self, text: str) -> None:
        """A poll of the config file."""
        labels = dict(re.findall(r'version_labels \{ key: "(\w+)" value: (\d+) \}', text))
        wanted = {label: int(version) for label, version in labels.items()}
        for label, version in wanted.items():
            moves = label in self.labels and self.labels[label] != version
            if moves and version not in self.loaded:
                self.refused = f"label {label} to version {version}, which is not available"
                return
        self.refused, self.labels = "", wanted
        base = re.search(r'base_path: "(.*)"', text)
        assert base, "a config names its base path"
        self._base = Path(base[1])
        assert self._base.is_absolute(), "TF Serving refuses a relative base path"
        specific = re.search(r"specific \{([^}]*)\}", text)
        self._specific = (
            [int(n) for n in re.findall(r"versions: (\d+)", specific[1])] if specific else None
        )
        latest = re.search(r"latest \{ num_versions: (\d+) \}", text)
        self._most = int(latest[1]) if latest else 1

    def poll(self) -> None:
        """A poll of the folder, and what the manager does after it."""
        if self._base is None or not self._base.exists():
            return
        there = {int(p.name): p for p in self._base.iterdir() if re.fullmatch(r"[+-]?\d+", p.name)}
        if self._specific is None:
            wanted = sorted(there)[-self._most :]
        else:
            wanted = [version for version in self._specific if version in there]
        for version in wanted:
            if version not in self.loaded:
                try:
                    self.loaded[version] = self._load(there[version])
                except OSError:
                    return  # tried again at the next poll; what is loaded stays
        self.loaded = {version: self.loaded[version] for version in wanted}

    def answer(self, label: str | None = None) -> str | None:
        """Which model answers."""
        if label is not None:
            return self.loaded.get(self.labels[label])
        return self.loaded[max(self.loaded)] if self.loaded else None

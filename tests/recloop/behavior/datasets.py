"""Dataset files of tests: a shipped one with some keys replaced."""

from __future__ import annotations

import json
import shutil
import tomllib
from pathlib import Path
from typing import Any

from recloop.settings import PROJECT, Settings


def as_toml(content: dict[str, Any], prefix: str = "") -> str:
    """A small TOML writer: tables, arrays of tables, scalars, arrays."""
    plain, tables = [], []
    for key, value in content.items():
        name = f"{prefix}{key}"
        if isinstance(value, dict):
            tables.append(f"\n[{name}]\n{as_toml(value, name + '.')}")
        elif isinstance(value, list | tuple) and value and isinstance(value[0], dict):
            tables += [f"\n[[{name}]]\n{as_toml(entry)}" for entry in value]
        else:
            plain.append(f"{key} = {_scalar(value)}\n")
    return "".join(plain) + "".join(tables)


def _scalar(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list | tuple):
        return "[" + ", ".join(_scalar(v) for v in value) + "]"
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False)  # TOML escapes as JSON does
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key} = {_scalar(one)}" for key, one in value.items()) + "}"
    return value.isoformat() if hasattr(value, "isoformat") else repr(value)


def customised(settings: Settings, base: str, folder: Path, **sections: Any) -> Settings:
    """Settings on a copy of `config/` whose dataset `base` has keys of `sections` replaced.

    A section given as a dict is merged into the shipped one; None removes a key.
    """
    config = folder / "config"
    if not config.exists():
        shutil.copytree(PROJECT / "config", config)
    path = config / "datasets" / f"{base}.toml"
    content = tomllib.loads(path.read_text())
    for section, values in sections.items():
        if isinstance(values, dict) and isinstance(content.get(section), dict):
            merged = {**content[section], **values}
            content[section] = {k: v for k, v in merged.items() if v is not None}
        else:
            content[section] = values
    path.write_text(as_toml(content))
    return settings.model_copy(update={"config": config, "dataset": base})

"""Reading a TOML file into a frozen pydantic model, with messages that name the key and the remedy."""

from __future__ import annotations

import difflib
import tomllib
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from recloop.errors import BadInput


class Section(BaseModel):
    """A table of a TOML file: frozen, and refuses keys it does not know."""

    model_config = ConfigDict(frozen=True, extra="forbid")


Model = TypeVar("Model", bound=BaseModel)


def read_toml(path: Path) -> dict[str, Any]:
    """The file's content. The mark that some editors put before UTF-8 text is no part of it.

    Raises:
        BadInput: no such file, not UTF-8, or not TOML.
    """
    try:
        return tomllib.loads(path.read_bytes().decode("utf-8-sig"))
    except OSError as error:
        raise BadInput(f"{path} cannot be read: {error.strerror}. Check the path.") from error
    except UnicodeDecodeError as error:
        raise BadInput(
            f"{path} is not UTF-8 text: byte 0x{error.object[error.start]:02x} at position "
            f"{error.start}. TOML is written in UTF-8; save the file in that encoding."
        ) from error
    except tomllib.TOMLDecodeError as error:
        raise BadInput(f"{path} is not valid TOML: {error}. Correct that line.") from error


def laid_over(own: Any, content: dict[str, Any]) -> Any:
    """`content` with `own` over it, table by table; neither is changed. What is no table takes the
    other's place as it is: whoever checks the result says so."""
    if not isinstance(own, dict):
        return own
    merged = dict(content)
    for key, value in own.items():
        below = merged.get(key)
        if isinstance(below, dict) and isinstance(value, dict):
            value = laid_over(value, below)
        merged[key] = value
    return merged


def to_model(model: type[Model], content: dict[str, Any], path: Path | str) -> Model:
    """`content` as a `model`.

    Raises:
        BadInput: names the first key that cannot be used, its value and what would be right.
    """
    try:
        return model.model_validate(content)
    except ValidationError as error:
        raise BadInput(f"{path}: {_explain(error, model)}") from error


def _explain(error: ValidationError, model: type[BaseModel]) -> str:
    first = error.errors()[0]
    location = [str(part) for part in first["loc"]]
    key = ".".join(location) or "the file"
    if first["type"] == "extra_forbidden":
        known = _known_keys(model, location[:-1])
        close = difflib.get_close_matches(location[-1], known, 1)
        hint = f"did you mean `{close[0]}`?" if close else f"known are {', '.join(known)}."
        return f"unknown key `{key}` = {first['input']!r}; {hint}"
    if first["type"] == "missing":
        return f"key `{key}` is missing; add it."
    if first["type"] == "value_error":
        return f"`{key}`: {first['ctx']['error']}"
    return f"`{key}` = {first['input']!r} cannot be used: {first['msg']}. Correct it."


def _known_keys(model: type[BaseModel], location: list[str]) -> list[str]:
    current: Any = model
    for part in location:
        if part.isdigit() or not hasattr(current, "model_fields"):
            continue
        field = current.model_fields.get(part)
        candidates = [field.annotation, *getattr(field.annotation, "__args__", ())] if field else []
        current = next((c for c in candidates if hasattr(c, "model_fields")), current)
    return list(current.model_fields)

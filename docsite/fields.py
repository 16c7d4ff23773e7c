"""Fields of the product's classes, as rows of a table: name, form, default, meaning.

A field's meaning is the docstring below it, read from the source, as editors show it.
"""

from __future__ import annotations

import ast
import dataclasses
import inspect
import re
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

LINE = re.compile(r"""\s*(\w+) = (?:"[^"]*"|'[^']*'|[^#"'])*(?:#\s*(.*))?$""")
"""Of a TOML file: a key, its value, the comment behind it."""
NOTHING: Mapping[str, str] = {}
LONGEST = 60
"""Characters of a default; longer ones are shown as their beginning."""


def meanings(cls: type) -> dict[str, str]:
    """The docstrings below the fields of a class, and of those that it is made from."""
    found: dict[str, str] = {}
    for each in reversed(cls.__mro__):
        if not each.__module__.startswith(("recloop", "models")):
            continue
        (node,) = ast.parse(textwrap.dedent(inspect.getsource(each))).body
        assert isinstance(node, ast.ClassDef)
        for field, below in zip(node.body, [*node.body[1:], None], strict=True):
            if not (isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name)):
                continue
            if isinstance(below, ast.Expr) and isinstance(below.value, ast.Constant):
                found[field.target.id] = one_line(str(below.value.value))
    return found


def one_line(text: str) -> str:
    """A docstring as the cell of a table."""
    return re.sub(r"\s+", " ", text).strip().replace("|", "\\|")


def table(header: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> str:
    """A table of Markdown."""
    lines = [header, tuple("---" for _ in header), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def comments(text: str) -> dict[str, str]:
    """What the comments behind the lines of a TOML file say, by `table.key`. A line of comment alone goes
    on with the one above."""
    found: dict[str, str] = {}
    table, key = "", ""
    for line in text.splitlines():
        begins = re.match(r"\s*\[([\w.]+)\]", line)
        sets = LINE.match(line)
        more = re.match(r"\s+# (.*)$", line)
        if begins:
            table, key = f"{begins[1]}.", ""
        elif sets:
            key = f"{table}{sets[1]}"
            found[key] = one_line(sets[2] or "")
        elif more and key:
            found[key] = f"{found[key]} {one_line(more[1])}"
        else:
            key = ""
    return found


def sections(
    model: type[BaseModel], name: str, array: bool = False, said: Mapping[str, str] = NOTHING
) -> Iterator[tuple[str, str]]:
    """Tables of a TOML file: (name of the table, Markdown), the model's own first.

    Args:
        said: meanings by `table.key`, where fields have no docstring.
    """
    rows, deeper = [], []
    told = meanings(model)
    for field, info in model.model_fields.items():
        inner = _model_in(info.annotation)
        key = f"{name}.{field}" if name else field
        if inner is not None:
            deeper.append((inner, key, "tuple" in str(info.annotation)))
        else:
            rows.append(
                (f"`{field}`", _form(info), _default(info), told.get(field) or said.get(key, ""))
            )
    if rows:
        header = ("key", "form", "default", "meaning")
        title = f"[[{name}]]" if array else f"[{name}]" if name else "above all tables"
        yield title, table(header, rows)
    for inner, key, several in deeper:
        yield from sections(inner, key, several, said)


def of_dataclass(cls: type) -> str:
    """The table of a dataclass's fields."""
    told, rows = meanings(cls), []
    for field in dataclasses.fields(cls):
        default = "" if field.default is dataclasses.MISSING else _shown(field.default)
        rows.append((f"`{field.name}`", _named(field.type), default, told.get(field.name, "")))
    return table(("key", "form", "default", "meaning"), rows)


def _model_in(annotation: Any) -> type[BaseModel] | None:
    if inspect.isclass(annotation) and issubclass(annotation, BaseModel):
        return annotation
    return next((m for one in get_args(annotation) if (m := _model_in(one))), None)


def _form(info: FieldInfo) -> str:
    bounds = [
        f"{sign} {value:g}" if isinstance(value, int | float) else str(value)
        for one in info.metadata
        for name, sign in (("ge", "≥"), ("gt", ">"), ("le", "≤"), ("lt", "<"))
        if (value := getattr(one, name, None)) is not None
    ]
    said = info.description or ""
    return ", ".join(filter(None, [_named(info.annotation), said or " and ".join(bounds)]))


NAMES = {"str": "text", "int": "whole number", "float": "number", "bool": "true or false",
         "datetime": "time", "date": "day", "Path": "path", "Any": "as shown"}  # fmt: skip


def _named(annotation: Any) -> str:
    """A type in words."""
    if isinstance(annotation, str):
        return NAMES.get(annotation, f"`{annotation}`")
    arguments = [one for one in get_args(annotation) if one not in (type(None), ...)]
    origin = get_origin(annotation)
    if origin is Literal:
        return " \\| ".join(f"`{value}`" for value in arguments)
    if origin is tuple:
        return f"[{_named(arguments[0])}, …]"
    if origin is dict:
        return "table"
    if arguments:
        return _named(arguments[0])
    name = getattr(annotation, "__name__", str(annotation))
    return NAMES.get(name, f"`{name}`")


def _default(info: FieldInfo) -> str:
    if info.default is PydanticUndefined:
        return "" if info.default_factory else "**needed**"
    return _shown(info.default)


def _shown(value: Any) -> str:
    if value is None or value == "" or value == ():
        return "–"
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    text = repr(value).replace("|", "\\|")
    if isinstance(value, tuple):
        text = f"[{text[1:-1].rstrip(',')}]"
    return f"`{text}`" if len(text) <= LONGEST else f"`{text[:LONGEST]}` …"

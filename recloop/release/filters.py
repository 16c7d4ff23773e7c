"""Filters: which items may be shown, by their attributes, for all who ask a release.

    {"country": {"equals": "UK"}, "price": {"below": 10}, "kind": {"in": ["cup", "plate"]}}

All tests have to hold. Attributes are the newest that the log has of an item, and `item_id` and `name`
beside them; an item without the attribute is not shown. Belongs here: the grammar and its meaning.
Neighbours: `answering.py` asks a release; `recloop/outlets/` and `recloop/server/` take filters.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from models.data.ragged import look_up
from recloop.database.connection import Cursor
from recloop.errors import BadInput

TESTS = ("equals", "in", "below", "above")
BY_ITSELF = ("item_id", "name")
"""Every item has these."""


@dataclass(frozen=True)
class Filter:
    """One test of one attribute."""

    attribute: str
    test: str
    value: Any


def filters_of(given: Any) -> tuple[Filter, ...]:
    """The filters that JSON, or the text of it, says; nothing of an empty text.

    Raises:
        BadInput: it says none; names the field, the value and the remedy.
    """
    if isinstance(given, str):
        try:
            given = json.loads(given) if given.strip() else {}
        except ValueError as error:
            raise BadInput(
                f'`filter` should be JSON, such as {{"price": {{"below": 10}}}}. Received: {given!r} '
                f"({error})."
            ) from error
    if not isinstance(given, Mapping):
        raise BadInput(f"`filter` should be an object of attributes. Received: {given!r}.")
    return tuple(
        _checked(name, test, value)
        for name, tests in given.items()
        for test, value in _tests(name, tests)
    )


def _tests(name: str, tests: Any) -> list[tuple[str, Any]]:
    if not isinstance(tests, Mapping) or not tests:
        raise BadInput(
            f"`filter.{name}` should be an object with one of {', '.join(TESTS)}. Received: {tests!r}."
        )
    return list(tests.items())


def _checked(name: str, test: str, value: Any) -> Filter:
    place = f"`filter.{name}.{test}`"
    if test not in TESTS:
        raise BadInput(f"{place} is no test; choose one of {', '.join(TESTS)}. Received: {test!r}.")
    if test in ("below", "above"):
        if isinstance(value, bool) or not isinstance(value, int | float) or value != value:
            raise BadInput(f"{place} should be a number. Received: {value!r}.")
        if isinstance(value, int) and abs(value) > sys.float_info.max:
            raise BadInput(
                f"{place} should be a number of at most 308 digits. Received a longer one."
            )
    elif test == "in":
        if not isinstance(value, list | tuple) or not all(map(_plain, value)):
            raise BadInput(f"{place} should be a list of texts or numbers. Received: {value!r}.")
    elif not _plain(value):
        raise BadInput(f"{place} should be a text or a number. Received: {value!r}.")
    return Filter(name, test, tuple(value) if test == "in" else value)


def _plain(value: Any) -> bool:
    return isinstance(value, str | int | float | bool)


@dataclass(frozen=True, eq=False)
class Catalogue:
    """The items' ids, names and newest attributes.

    Attributes:
        keys: int64 [M], ascending.
        ids, names: of each.
        attributes: of each.
    """

    keys: npt.NDArray[np.int64]
    ids: list[str]
    names: list[str]
    attributes: list[dict[str, Any]]

    @classmethod
    def read(cls, cursor: Cursor) -> Catalogue:
        """All that the log has met."""
        cursor.execute(
            "select item.item_key, item_id, coalesce(name, item_id), coalesce(newest.attributes, '{}') "
            "from behavior.item left join lateral (select attributes from behavior.item_version as one "
            "where one.item_key = item.item_key order by valid_from desc limit 1) as newest on true "
            "order by 1"
        )
        rows = cursor.fetchall()
        keys = np.array([row[0] for row in rows], np.int64)
        return cls(keys, *([row[n] for row in rows] for n in (1, 2, 3)))

    @cached_property
    def key_of(self) -> dict[str, int]:
        """Keys by id."""
        return dict(zip(self.ids, self.keys.tolist(), strict=True))

    def places(self, item_keys: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """Where each key stands: int64 of any shape; -1: not met."""
        known, at = look_up(self.keys, item_keys)
        return np.where(known, at, -1)

    def shown(self, filters: tuple[Filter, ...], item_keys: npt.NDArray[np.int64]) -> np.ndarray:
        """Which of these items pass all filters: bool [M].

        Raises:
            BadInput: an attribute that no item has; says which there are.
        """
        fine = np.ones(len(self.keys), bool)
        for one in filters:
            fine &= self._passes(one)
        places = self.places(item_keys)
        return np.asarray((places >= 0) & np.append(fine, False)[places])

    def _passes(self, one: Filter) -> np.ndarray:
        column = self._column(one.attribute)
        if one.test in ("below", "above"):
            numbers = np.array([_number(value) for value in column])
            return numbers < one.value if one.test == "below" else numbers > one.value
        wanted = {_text(value) for value in (one.value if one.test == "in" else (one.value,))}
        return np.array([value is not None and _text(value) in wanted for value in column], bool)

    def _column(self, attribute: str) -> list[Any]:
        if attribute in BY_ITSELF:
            return self.ids if attribute == "item_id" else self.names
        if self.attributes and attribute not in self._known:
            known = ", ".join(sorted([*self._known, *BY_ITSELF]))
            raise BadInput(f"`filter.{attribute}` is no attribute of the items; there are {known}.")
        return [values.get(attribute) for values in self.attributes]

    @cached_property
    def _known(self) -> set[str]:
        return {name for values in self.attributes for name in values}


def _number(value: Any) -> float:
    try:
        return float(value)
    except (TypeError, ValueError):
        return float("nan")


def _text(value: Any) -> str:
    """A value as it is compared: 3, 3.0 and "3" are one."""
    if isinstance(value, float) and value == int(value if abs(value) < 1e15 else 0):
        return str(int(value))
    return str(value)

"""Checks of what goes into a model: arrays, and the fields of configurations and recipes.

Each raises ValueError with the name, the value received and the remedy. NumPy only.
"""

from collections.abc import Callable, Iterable, Sized
from dataclasses import asdict
from typing import Any

import numpy as np
import numpy.typing as npt

Int64Array = npt.NDArray[np.int64]
Int32Array = npt.NDArray[np.int32]
Float32Array = npt.NDArray[np.float32]


def check_array(name: str, array: object, dtype: type, ndim: int) -> None:
    """Raises ValueError unless `array` is an ndarray of this dtype and rank."""
    if not isinstance(array, np.ndarray):
        raise ValueError(
            f"`{name}` should be a NumPy array. Received: {type(array).__name__}. "
            f"Convert it with np.asarray(..., np.{dtype.__name__})."
        )
    if array.dtype != dtype or array.ndim != ndim:
        raise ValueError(
            f"`{name}` should be {dtype.__name__} with {ndim} dimension(s). "
            f"Received: {array.dtype} with shape {array.shape}. "
            f"Convert it with .astype(np.{dtype.__name__}) and reshape it."
        )


def check_same_length(name: str, array: Sized, length: int, other: str) -> None:
    if len(array) != length:
        raise ValueError(
            f"`{name}` should have one row per row of `{other}`. "
            f"Received: {len(array)} rows for {length}."
        )


def check_arrays(of: object, **wanted: tuple[type, int]) -> None:
    """Fields of `of` that are arrays of this dtype and rank, all as long as the first."""
    for name, (dtype, ndim) in wanted.items():
        check_array(name, getattr(of, name), dtype, ndim)
    first, *others = wanted
    for name in others:
        check_same_length(name, getattr(of, name), len(getattr(of, first)), first)


def check_amounts(name: str, array: np.ndarray) -> None:
    """Raises ValueError unless these are finite numbers of 0 or more."""
    check_least(name, array, 0, "finite and not negative")


def check_least(name: str, array: np.ndarray, least: int, rule: str) -> None:
    """Raises ValueError unless all are finite and at least so much. (The smallest and the largest say so
    without a second array; both are NaN if one is.)"""
    if array.size and not (array.min() >= least and array.max() < np.inf):
        check_all(name, np.isfinite(array) & (array >= least), array, rule)


def check_finite(name: str, array: np.ndarray) -> None:
    """Raises ValueError unless all are finite."""
    if array.size and not (array.min() > -np.inf and array.max() < np.inf):
        check_all(name, np.isfinite(array), array, "finite (no NaN, no inf)")


def check_all(name: str, ok: np.ndarray, array: np.ndarray, rule: str) -> None:
    """Raises ValueError naming the first value for which `ok` (same shape) is false."""
    if not ok.all():
        where = tuple(int(i) for i in np.argwhere(~ok)[0])
        raise ValueError(
            f"`{name}` should be {rule}. Received: {array[where]} at {where} "
            f"({int((~ok).sum())} such value(s)). Drop or repair these rows first."
        )


def check_offsets(offsets: Int64Array, elements: int, of: str) -> None:
    """Raises ValueError unless these are the offsets of lists of so many elements (`of`) in all."""
    check_array("offsets", offsets, np.int64, 1)
    ends = (int(offsets[0]), int(offsets[-1])) if len(offsets) else None
    if ends != (0, elements) or (np.diff(offsets) < 0).any():
        raise ValueError(
            f"`offsets` should rise from 0 to {elements}, the number of `{of}`. Received: "
            f"{len(offsets)} of them, from and to {ends}. Make them of the lists' lengths, with "
            "np.cumsum([0, *lengths])."
        )


class Plain:
    """A configuration, a dataclass, that JSON can hold."""

    def to_json(self) -> dict[str, Any]:
        """A dict of plain values, tuples as lists: what makes the same configuration again."""
        values = asdict(self)  # type: ignore[call-overload]
        return {n: list(v) if isinstance(v, tuple) else v for n, v in values.items()}


# The rest look at fields of a configuration or a recipe by name; the first that is out of bounds raises.


def integers(config: object, **least: int) -> None:
    """Fields that are integers of at least so much."""
    for name, lowest in least.items():
        value = getattr(config, name)
        if not isinstance(value, int) or value < lowest:
            raise ValueError(
                f"`{name}` should be an integer of at least {lowest}. Received: {value!r}."
            )


def one_of(config: object, **known: Iterable[str]) -> None:
    """Fields that are one of some names."""
    for name, names in known.items():
        if getattr(config, name) not in names:
            raise ValueError(
                f"`{name}` should be one of {', '.join(names)}. "
                f"Received: {getattr(config, name)!r}."
            )


def positive(config: object, *names: str) -> None:
    """Numbers above 0 and below infinity."""
    _check(config, names, lambda value: 0 < value < float("inf"), "positive and finite")


def not_negative(config: object, *names: str) -> None:
    """Numbers from 0 to below infinity."""
    _check(config, names, lambda value: 0 <= value < float("inf"), "0 or more, and finite")


def below_one(config: object, *names: str) -> None:
    """Shares in [0, 1)."""
    _check(config, names, lambda value: 0 <= value < 1, "in [0, 1)")


def above_zero(config: object, *names: str) -> None:
    """Shares in (0, 1]."""
    _check(config, names, lambda value: 0 < value <= 1, "in (0, 1]")


def _check(config: object, names: Iterable[str], fits: Callable[[float], bool], rule: str) -> None:
    for name in names:
        value = getattr(config, name)
        if not fits(value):
            raise ValueError(f"`{name}` should be {rule}. Received: {value!r}.")

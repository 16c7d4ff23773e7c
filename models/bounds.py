"""Bounds: what the fields of a configuration or a recipe may be.

Each function looks at fields by name and raises ValueError for the first that is out of bounds.
Neighbours: `models.arrays` checks arrays. Nothing is imported here.
"""

from collections.abc import Callable, Iterable


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

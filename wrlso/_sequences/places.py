"""Lengths and positions of sequences, as users write them."""

import re
from collections.abc import Sequence
from typing import Any

from wrlso._utils.validation import check_count
from wrlso.exceptions import ParameterError, ParameterTypeError

__all__ = ["length_bounds", "positions", "shortened"]

_SHOWN = 60  # letters of a rule in words


def length_bounds(length: Any) -> tuple[int, int] | None:
    """Return the shortest and the longest length that an argument means, None for None."""
    if length is None:
        return None
    low, high = length if isinstance(length, tuple | list) and len(length) == 2 else (length, length)
    check_count("length", low)
    check_count("length", high, minimum=low)
    return int(low), int(high)


def positions(fixed: Any, wild_type: str | None) -> tuple[int, ...]:
    """Return places from 0 of positions from 1 and of ranges."""
    if isinstance(fixed, str) or not isinstance(fixed, Sequence):
        raise ParameterTypeError(
            f"fixed must be a sequence of positions such as [1, '60-70'], got {fixed!r:.80}"
        )
    if not fixed:
        return ()
    if wild_type is None:
        raise ParameterError(f"fixed={list(fixed)!r:.60} needs wild_type, whose letters stay")
    found: set[int] = set()
    for each in fixed:
        match = re.fullmatch(r"\s*(\d+)(?:\s*-\s*(\d+))?\s*", str(each))
        if match is None or isinstance(each, bool):
            raise ParameterError(f"fixed must hold positions from 1 and ranges such as '60-70', got {each!r}")
        low, high = int(match[1]), int(match[2] or match[1])
        if not 1 <= low <= high <= len(wild_type):
            raise ParameterError(
                f"fixed must hold positions of the wild type, from 1 to {len(wild_type)}, got {each!r}"
            )
        found |= set(range(low - 1, high))
    return tuple(sorted(found))


def shortened(text: str) -> str:
    """Return a text of at most sixty letters, with an ellipsis where more follow."""
    return text if len(text) <= _SHOWN else text[: _SHOWN - 1] + "…"

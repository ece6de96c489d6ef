"""Small random changes of sequences of tokens."""

from collections.abc import Callable, Sequence
from typing import TypeVar

import numpy as np

__all__ = ["edited"]

Token = TypeVar("Token")
_LONGEST = 8  # tokens that are changed at once
_KINDS = ("replace", "insert", "leave out", "repeat", "leave out part", "fill", "grow")
_OF_SEVERAL = ("repeat", "leave out part", "fill", "grow")
_CHANCES = (0.35, 0.2, 0.1, 0.1, 0.1, 0.05, 0.1)


def edited(
    tokens: Sequence[Token], sample: Callable[[], Token], longest: int, rng: np.random.Generator
) -> list[Token]:
    """Return a sequence with one change at a random place, at most ``longest`` long and never empty.

    Most changes are those of single tokens that STONED makes (Nigam et al., Chem. Sci. 12, 2021): replace
    one, insert one, leave one out. The others change up to eight at once: leave them out; repeat them, before
    or in place of the next tokens; put one token in all their places, a new one or the first of them; or
    repeat them, or one new token behind them, until the sequence has a random length, and keep or drop the
    rest. So chains of a new kind begin and grow: many half-grown chains score worse than known molecules, so
    that small steps never get there. New tokens come from ``sample``.
    """
    found = list(tokens)
    kind = _KINDS[int(rng.choice(len(_KINDS), p=_CHANCES))]
    place = int(rng.integers(max(len(found), 1)))
    size = int(rng.integers(1, _LONGEST + 1)) if kind in _OF_SEVERAL else 1
    if kind.startswith("leave out"):
        size = min(size, len(found) - 1)
    end = place + size
    other = bool(rng.integers(2))
    if kind.startswith("leave out") and size > 0:
        del found[place:end]
    elif kind == "repeat" and found:
        part = found[place:end]
        found[end : end + other * len(part)] = part
    elif kind == "grow" and found:
        part, rest = found[place:end], found[end:] if other else []
        room = longest - len(found[:end]) - len(rest)
        part = [sample()] if rng.integers(2) else part
        times = -(-int(rng.integers(1, max(room, 1) + 1)) // len(part))
        found[end:] = part * times + rest
    elif kind == "insert":
        found.insert(int(rng.integers(len(found) + 1)), sample())
    elif kind == "fill" and found and other:
        found[place:end] = [found[place]] * size
    else:  # also where there is nothing to repeat, or one token that cannot be left out
        found[place:end] = [sample()] * max(size, 1)
    return found[:longest]

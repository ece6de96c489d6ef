"""Random changes of leftmost derivations: tuples of rule numbers, in which every subtree is a slice."""

from collections.abc import Sequence

import numpy as np

from wrlso.models.context_free import ContextFreeGrammar

__all__ = ["EVERY_CHANGE", "Derivation", "DerivationMoves"]

Derivation = tuple[int, ...]

CHANGES = ("rule", "around", "part", "subtree")  # those of the genetic algorithm, which was tuned with them
EVERY_CHANGE = (*CHANGES, "short")
_SHORT = 4  # rules that a subtree may have beyond the fewest, to count as short
_MOST_SHORT = 1000  # short subtrees that are listed for one symbol


class DerivationMoves:
    """Random derivations and random changes of derivations, none longer than ``max_rules``.

    Parameters
    ----------
    grammar : ContextFreeGrammar
    max_rules : int
    rng : numpy.random.Generator
    """

    def __init__(self, grammar: ContextFreeGrammar, max_rules: int, rng: np.random.Generator) -> None:
        self.grammar = grammar
        self.max_rules = max_rules
        self.rng = rng
        self.left: list[int] = grammar.left.tolist()
        self.children: tuple[tuple[int, ...], ...] = grammar.children

    def sample(self, symbol: int = 0, room: int | None = None) -> Derivation:
        """Sample a derivation: each rule uniformly among those that leave room to complete the rest."""
        return self.grammar.sample(self.max_rules if room is None else room, self.rng, symbol)

    def sizes(self, derivation: Derivation) -> list[int]:
        """Return the number of rules of the subtree that starts at each place."""
        sizes, waiting = [0] * len(derivation), list[int]()
        for place in range(len(derivation) - 1, -1, -1):
            size = 1 + sum(waiting.pop() for _ in self.children[derivation[place]])
            waiting.append(size)
            sizes[place] = size
        return sizes

    def cross(self, mother: Derivation, father: Derivation) -> Derivation:
        """Replace a subtree of the mother by one of the father."""
        place, end = self._cut(mother)
        room = self.max_rules - len(mother) + end - place
        graft = self._choose(father, self.left[mother[place]], room) or mother[place:end]
        return mother[:place] + graft + mother[end:]

    def mutate(self, parent: Derivation, changes: Sequence[str] = CHANGES) -> Derivation:
        """Change one subtree.

        Parameters
        ----------
        parent : Derivation
        changes : sequence of {"rule", "around", "part", "subtree", "short"}
            What it may become: the same with another first rule, a random one around it, a part of it, a
            random one, or one of all the short ones, each as likely.
        """
        place, end = self._cut(parent)
        old = parent[place:end]
        room = self.max_rules - len(parent) + len(old)
        symbol = self.left[old[0]]
        kind = changes[int(self.rng.integers(len(changes)))]
        if kind == "rule" and (others := self.grammar.alike[old[0]]):
            new = (others[self.rng.integers(len(others))], *old[1:])
        elif kind == "around":
            new = self._place_in(self.sample(symbol, room), old, room)
        elif kind == "part":
            new = self._choose(old, symbol, len(old) - 1) or old
        elif kind == "short":
            short = self.grammar.short(symbol, _SHORT, _MOST_SHORT)
            new = short[self.rng.integers(len(short))]
            new = old if len(new) > room else new
        else:
            new = self.sample(symbol, room)
        return parent[:place] + new + parent[end:]

    def _place_in(self, around: Derivation, inner: Derivation, room: int) -> Derivation:
        """Replace a part of a subtree by another subtree; return this alone if it fits nowhere."""
        sizes = self.sizes(around)
        symbol = self.left[inner[0]]
        fitting = [
            i
            for i in range(1, len(around))
            if self.left[around[i]] == symbol and len(around) - sizes[i] + len(inner) <= room
        ]
        if not fitting:
            return inner
        start = fitting[self.rng.integers(len(fitting))]
        return around[:start] + inner + around[start + sizes[start] :]

    def _choose(self, derivation: Derivation, symbol: int, room: int) -> Derivation:
        """Choose a subtree from this symbol that fits; return an empty one if none does."""
        sizes = self.sizes(derivation)
        fitting = [i for i, rule in enumerate(derivation) if self.left[rule] == symbol and sizes[i] <= room]
        if not fitting:
            return ()
        start = fitting[self.rng.integers(len(fitting))]
        return derivation[start : start + sizes[start]]

    def _cut(self, derivation: Derivation) -> tuple[int, int]:
        place = int(self.rng.integers(len(derivation)))
        return place, place + self.sizes(derivation)[place]

"""Writing the DNA of a protein: synonymous codons that are much used, and keep rules of the DNA.

Glossary: an option of a residue is one of its codons, with the logarithm of its share and its number of G
and C; a state is what is there of forbidden motifs at the end of a part of the DNA.
"""

import math
import zlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from wrlso._sequences.motifs import Motif

__all__ = ["CodonWriter"]

_KEPT = 30.0  # what it is worth to keep a codon of the wild type, in logarithms of shares
_STARTS = 8  # places at which a motif is tried
_STATES = 400  # parts of the DNA that the last search follows at once
_STEEPEST = 80.0  # what a G or C is worth at most beside logarithms of shares
_NOISE = 0.1  # added to them, so that what a G or C is worth does not turn all alike residues at once
_SHIFTS = 4  # attempts at a share of G and C before it is searched for


class _Option(NamedTuple):
    codon: str
    score: float
    gc: int


Options = list[list[_Option]]
Array = NDArray[np.float64]


class _Forbidden:
    """An automaton that reads codons and says where something forbidden is complete."""

    def __init__(self, motifs: Sequence[tuple[str, ...]]) -> None:
        self._motifs = motifs
        self._numbers: dict[frozenset[tuple[int, int]], int] = {frozenset(): 0}
        self._parts: list[frozenset[tuple[int, int]]] = [frozenset()]
        self._next: dict[tuple[int, str], int] = {}

    def after(self, state: int, codon: str) -> int:
        """Return the state after a codon, -1 where something forbidden is in it."""
        found = self._next.get((state, codon))
        if found is None:
            found = self._next[state, codon] = self._read(state, codon)
        return found

    def _read(self, state: int, codon: str) -> int:
        parts = self._parts[state]
        for letter in codon:
            begun = parts | {(number, 0) for number in range(len(self._motifs))}
            parts = frozenset((m, k + 1) for m, k in begun if letter in self._motifs[m][k])
            if any(k == len(self._motifs[m]) for m, k in parts):
                return -1
        number = self._numbers.setdefault(parts, len(self._parts))
        if number == len(self._parts):
            self._parts.append(parts)
        return number


class CodonWriter:
    """Writes DNA for proteins.

    Parameters
    ----------
    usage : mapping
        Residue → codon → its share.
    required, forbidden : sequence of Motif
        Of the DNA.
    gc : tuple of two floats or None
        Smallest and largest share of G and C.
    max_homopolymer : int or None
    stop : str
        Codon behind the last residue, or "".
    """

    def __init__(
        self,
        usage: Mapping[str, Mapping[str, float]],
        required: Sequence[Motif],
        forbidden: Sequence[Motif],
        gc: tuple[float, float] | None,
        max_homopolymer: int | None,
        stop: str,
    ) -> None:
        self.options = {
            residue: [_option(codon, math.log(share)) for codon, share in codons.items()]
            for residue, codons in usage.items()
        }
        self.required, self.gc, self.stop = list(required), gc, stop
        runs = [] if max_homopolymer is None else [(base,) * (max_homopolymer + 1) for base in "ACGT"]
        self.forbidden = _Forbidden([*(motif.places for motif in forbidden), *runs])

    def write(self, protein: str, kept: Sequence[str | None] | None = None) -> str | None:
        """Return the DNA of a protein, always the same; None where no codons were found that keep the rules.

        ``kept`` are codons of a wild type that stay where they can, None for the others.
        """
        options: Options = [self.options[residue] for residue in protein]
        for i, codon in enumerate(kept or ()):
            if codon is not None:
                others = [option for option in options[i] if option.codon != codon]
                score = next((o.score for o in options[i] if o.codon == codon), options[i][-1].score)
                options[i] = [_option(codon, score + _KEPT), *others]
        if self.stop:
            options.append([_option(self.stop, 0.0)])
        return self._with_motifs(options, self.required, zlib.crc32(protein.encode()))

    def _with_motifs(self, options: Options, motifs: Sequence[Motif], seed: int) -> str | None:
        """Return DNA in which all these motifs occur, each at the place where it costs least."""
        if not motifs:
            return self._written(options, seed)
        places = []
        for start in range(3 * len(options) - len(motifs[0]) + 1):
            narrowed = _narrowed(options, motifs[0], start)
            if narrowed is not None:
                costs = sum(options[i][0].score - each[0].score for i, each in narrowed.items())
                places.append((costs, start, narrowed))
        for _, _, narrowed in sorted(places, key=lambda place: place[:2])[:_STARTS]:
            rest = [narrowed.get(i, each) for i, each in enumerate(options)]
            found = self._with_motifs(rest, motifs[1:], seed)
            if found is not None:
                return found
        return None

    def _written(self, options: Options, seed: int) -> str | None:
        x = self._path(options)
        if x is None or self.gc is None:
            return x
        low, high = self._bounds(len(options))
        if low <= (total := _n_gc(x)) <= high:
            return x
        if not _left(options, min)[0] <= high or not _left(options, max)[0] >= low:
            return None
        rng = np.random.default_rng(seed)
        noisy = [[o._replace(score=o.score + _NOISE * rng.random()) for o in each] for each in options]
        sign, slope = (1 if total < low else -1), 0.0
        margin = (high - low) // 2
        target = low + min(3, margin) if sign > 0 else high - min(3, margin)
        for _ in range(_SHIFTS):
            slope = _slope(noisy, target, sign)
            x = self._path(noisy, slope)
            if x is None or low <= (total := _n_gc(x)) <= high:
                return x
            target += (low + high) // 2 - total
        return self._path(noisy, slope, (low, high))

    def _bounds(self, n_codons: int) -> tuple[int, int]:
        """Return the least and the largest number of G and C."""
        low, high = self.gc or (0.0, 1.0)
        return math.ceil(3 * n_codons * low - 1e-9), math.floor(3 * n_codons * high + 1e-9)

    def _path(
        self, options: Options, slope: float = 0.0, bounds: tuple[int, int] | None = None
    ) -> str | None:
        """Return the codons with the largest sum of scores, a G or C being worth a slope; None for none.

        With ``bounds`` G and C are counted. Exact by dynamic programming, while there are few states.
        """
        low, high = bounds or (0, 0)
        least, most = (_left(options, min), _left(options, max)) if bounds else ([], [])
        after = self.forbidden.after
        states: dict[tuple[int, int], tuple[float, str]] = {(0, 0): (0.0, "")}
        for i, each in enumerate(options):
            new: dict[tuple[int, int], tuple[float, str]] = {}
            for (state, count), (score, text) in states.items():
                for codon, worth, gc in each:
                    following = after(state, codon)
                    if following < 0:
                        continue
                    total = count + gc if bounds else 0
                    if bounds and not low - most[i + 1] <= total <= high - least[i + 1]:
                        continue
                    value = score + worth + slope * gc
                    if (following, total) not in new or value > new[following, total][0]:
                        new[following, total] = value, text + codon
            if len(new) > _STATES:
                new = dict(sorted(new.items(), key=lambda item: -item[1][0])[:_STATES])
            states = new
        return max(states.values())[1] if states else None


def _option(codon: str, score: float) -> _Option:
    return _Option(codon, score, _n_gc(codon))


def _n_gc(x: str) -> int:
    return x.count("G") + x.count("C")


def _narrowed(options: Options, motif: Motif, start: int) -> dict[int, list[_Option]] | None:
    """Return the options that write a motif at a place, by residue; None where the residues do not allow it.

    The best option of each residue comes first.
    """
    found: dict[int, list[_Option]] = {}
    for i in range(start // 3, -(-(start + len(motif)) // 3)):
        places = range(max(start - 3 * i, 0), min(start + len(motif) - 3 * i, 3))
        found[i] = [
            o for o in options[i] if all(o.codon[k] in motif.places[3 * i + k - start] for k in places)
        ]
        if not found[i]:
            return None
    return found


def _left(options: Options, choose: Callable[[Iterable[int]], int]) -> list[int]:
    """Return the least or largest number of G and C from each residue to the end."""
    found = [0]
    for each in reversed(options):
        found.append(found[-1] + choose(option.gc for option in each))
    return found[::-1]


def _slope(options: Options, target: int, sign: int) -> float:
    """Return what a G or C must be worth for a number of them, by halving."""
    scores = np.full((len(options), max(map(len, options))), -np.inf)
    shares = np.zeros(scores.shape, dtype=np.int64)
    for i, each in enumerate(options):
        scores[i, : len(each)] = [option.score for option in each]
        shares[i, : len(each)] = [option.gc for option in each]
    begin, end = 0.0, _STEEPEST
    for _ in range(24):
        middle = sign * (begin + end) / 2
        which = (scores + middle * shares).argmax(axis=1)
        total = int(np.take_along_axis(shares, which[:, None], axis=1).sum())
        begin, end = (abs(middle), end) if sign * (total - target) < 0 else (begin, abs(middle))
    return sign * end

"""Rules that proposed sequences keep, and how a sequence that breaks one is repaired."""

import re
import zlib
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator

from wrlso._sequences.alignment import aligned_places, edit_distance
from wrlso._sequences.alphabets import Alphabet, make_alphabet
from wrlso._sequences.motifs import Motif, make_motif
from wrlso._sequences.places import length_bounds, positions, shortened
from wrlso._utils.validation import check_count, check_real
from wrlso.exceptions import DataError, ParameterError, ParameterTypeError

__all__ = ["SequenceRules"]

_ROUNDS = 12  # of repairs, each of which may break another rule
_TRIALS = 60  # sequences that are repaired before a set of rules counts as impossible


class SequenceRules(BaseEstimator):
    """What proposed sequences must be like; an object is callable: whether a sequence keeps all rules.

    Parameters
    ----------
    alphabet : str or sequence of str, default="protein"
        "protein", "dna", "rna", or the letters.
    wild_type : str, default=None
        The sequence that mutations are counted from.
    max_mutations : int, default=None
        Most mutations of the wild type: substitutions for sequences of its length, else the fewest
        substitutions, insertions and deletions.
    fixed : sequence of int and str
        Positions of the wild type that stay as they are, from 1: numbers, and ranges such as "60-70".
    required, forbidden : sequence of str
        Motifs that must occur, and that must not. Letters stand for themselves, ``[ST]`` for one of some,
        ``{P}`` for any but some; X in proteins and codes such as N in DNA mean any.
    gc : tuple of two floats, default=None
        Smallest and largest share of G and C in DNA or RNA.
    length : int or tuple of two ints, default=None
        The length, or the shortest and the longest; None: as the data say.
    max_homopolymer : int, default=None
        Most equal letters in a row.
    prefix : str, default=""
        Letters that sequences begin with, such as "M".

    Examples
    --------
    >>> rules = SequenceRules("dna", forbidden=["GAATTC"], gc=(0.3, 0.6))
    >>> rules("ATGGAATTCATC"), rules("ATGGAGTTCATC")
    (False, True)
    """

    def __init__(
        self,
        alphabet: str | Sequence[str] = "protein",
        *,
        wild_type: str | None = None,
        max_mutations: int | None = None,
        fixed: Sequence[int | str] = (),
        required: Sequence[str] = (),
        forbidden: Sequence[str] = (),
        gc: tuple[float, float] | None = None,
        length: int | tuple[int, int] | None = None,
        max_homopolymer: int | None = None,
        prefix: str = "",
    ) -> None:
        self.alphabet = alphabet
        self.wild_type = wild_type
        self.max_mutations = max_mutations
        self.fixed = fixed
        self.required = required
        self.forbidden = forbidden
        self.gc = gc
        self.length = length
        self.max_homopolymer = max_homopolymer
        self.prefix = prefix

    def __call__(self, x: str) -> bool:
        """Whether a sequence keeps all rules."""
        return self.broken(x) is None

    @property
    def bounds(self) -> tuple[int, int] | None:
        """The shortest and the longest length, where the rules say them."""
        return self._read().length

    @property
    def start(self) -> str | None:
        """The wild type as its alphabet writes it."""
        return self._read().wild_type

    @property
    def letters(self) -> str:
        """The letters of the alphabet."""
        return self._read().alphabet.letters

    def words(self) -> str:
        """Return the rules in words."""
        standard = SequenceRules()
        given = {n: v for n, v in self.get_params().items() if n != "alphabet" and v != getattr(standard, n)}
        said = [f"{name.replace('_', ' ')} {value}" for name, value in given.items()]
        return f"sequences of {self._read().alphabet.name}" + "".join(
            f", {shortened(words)}" for words in said
        )

    def broken(self, x: str) -> str | None:
        """Return which rule a sequence breaks, in words; None where it keeps all."""
        rules = self._read()
        try:
            x = rules.alphabet.read(x)
        except DataError as error:
            return str(error)
        return next((words for check in rules.checks for words in [check(x)] if words), None)

    def repaired(self, x: str) -> str | None:
        """Return a sequence that keeps all rules and differs little from x; None where none was found.

        Always the same one for an x.
        """
        rules = self._read()
        rng = np.random.default_rng(zlib.crc32(x.encode()))
        for _ in range(_ROUNDS):
            if self.broken(x) is None:
                return x
            for repair in rules.repairs:
                x = repair(x, rng)
        return x if self.broken(x) is None else None

    def check(self, length: int | None = None, known: Sequence[str] = ()) -> None:
        """Raise ParameterError or ParameterTypeError for impossible rules, alone or together.

        Parameters
        ----------
        length : int, default=None
            Of a usual sequence, where neither the wild type nor the rules say it.
        known : sequence of str, default=()
            Sequences such as the data: where one of them keeps the rules, they are possible.
        """
        rules = self._read()
        wild = [] if rules.wild_type is None else [rules.wild_type]
        if any(self.broken(x) is None for x in [*wild, *known]):
            return
        rng, trouble = np.random.default_rng(0), Counter[str]()
        low, high = rules.length or (length or 30, length or 30)
        for _ in range(_TRIALS):
            size = int(rng.integers(low, high + 1))
            x = rules.wild_type or rules.alphabet.text(rng.integers(len(rules.alphabet.letters), size=size))
            for _ in range(_ROUNDS):
                if self.broken(x) is None:
                    return
                for repair in rules.repairs:
                    x = repair(x, rng)
            trouble[self.broken(x) or ""] += 1
        if not trouble.pop("", 0):
            raise ParameterError(
                f"the rules must leave some sequence possible, but of {_TRIALS} attempts to write one none "
                f"kept them all; what stayed broken: {trouble.most_common(1)[0][0]}"
            )

    def _read(self) -> "_Rules":
        """Return the rules in a form that can be applied; read once for the parameters of now."""
        wanted = repr(self.__getstate__())
        kept: tuple[str, _Rules] | None = self.__dict__.get("_kept")
        if kept is None or kept[0] != wanted:
            kept = wanted, _Rules(self)
            self.__dict__["_kept"] = kept
        return kept[1]

    def __getstate__(self) -> dict[str, Any]:
        """Return the parameters alone."""
        return {name: value for name, value in self.__dict__.items() if name != "_kept"}


class _Rules:
    """Rules whose parameters are checked, with the tests and repairs that apply."""

    def __init__(self, given: SequenceRules) -> None:
        self.alphabet: Alphabet = make_alphabet(given.alphabet)
        self.length = length_bounds(given.length)
        check_count("max_mutations", given.max_mutations, none="no bound", minimum=0)
        check_count("max_homopolymer", given.max_homopolymer, none="no bound")
        self.max_mutations, self.max_homopolymer = given.max_mutations, given.max_homopolymer
        self.wild_type = None
        if given.wild_type is not None:
            if not isinstance(given.wild_type, str):
                raise ParameterTypeError(f"wild_type must be a sequence, str, got {given.wild_type!r:.80}")
            try:
                self.wild_type = self.alphabet.read(given.wild_type)
            except DataError as error:
                raise ParameterError(
                    f"wild_type must be a sequence of {self.alphabet.name}: {error}"
                ) from None
        self.prefix = self._beginning(given.prefix)
        self.fixed = positions(given.fixed, self.wild_type)
        if given.max_mutations is not None and self.wild_type is None:
            raise ParameterError(
                f"max_mutations={given.max_mutations} needs wild_type, from which they count"
            )
        self.required = self._motifs(given.required, "required")
        self.forbidden = self._motifs(given.forbidden, "forbidden")
        self.gc = self._shares(given.gc)
        self._check_lengths()
        self.checks = self._checks()
        self.repairs = self._repairs()

    # ---------------------------------------------------------------- reading

    def _beginning(self, given: Any) -> str:
        if not isinstance(given, str):
            raise ParameterTypeError(f"prefix must be letters, str, got {given!r:.80}")
        try:
            return self.alphabet.read(given) if given else ""
        except DataError as error:
            raise ParameterError(f"prefix must be letters of {self.alphabet.name}: {error}") from None

    def _motifs(self, given: Any, name: str) -> tuple[Motif, ...]:
        if isinstance(given, str) or not isinstance(given, Sequence):
            raise ParameterTypeError(
                f"{name} must be a sequence of motifs such as ['GAATTC'], got {given!r:.80}"
            )
        return tuple(make_motif(text, self.alphabet, name) for text in given)

    def _shares(self, given: Any) -> tuple[float, float] | None:
        if given is None:
            return None
        if self.alphabet.name not in ("dna", "rna"):
            raise ParameterError(f"gc is for DNA and RNA, got an alphabet of {self.alphabet.name}")
        if not isinstance(given, tuple | list) or len(given) != 2:
            raise ParameterError(
                f"gc must be the smallest and the largest share, such as (0.4, 0.6), got {given!r}"
            )
        low, high = given
        check_real("gc[0]", low, minimum=0, maximum=1)
        check_real("gc[1]", high, minimum=low, maximum=1)
        return float(low), float(high)

    def _check_lengths(self) -> None:
        if self.length is None:
            return
        low, high = self.length
        for motif in self.required:
            if len(motif) > high:
                raise ParameterError(
                    f"the motif {motif.text!r} has {len(motif)} places and cannot occur in a sequence of "
                    f"length {high}"
                )
        if self.wild_type is not None and self.max_mutations is not None:
            beyond = max(low - len(self.wild_type), len(self.wild_type) - high, 0)
            if beyond > self.max_mutations:
                raise ParameterError(
                    f"length must be within max_mutations={self.max_mutations} of the wild type's "
                    f"{len(self.wild_type)}, got {low} to {high}"
                )

    # ---------------------------------------------------------------- tests

    def _checks(self) -> list[Callable[[str], str | None]]:
        found: list[Callable[[str], str | None]] = []
        if self.length is not None:
            found.append(self._length_broken)
        if self.prefix:
            found.append(self._prefix_broken)
        if self.fixed:
            found.append(self._fixed_broken)
        if self.max_mutations is not None:
            found.append(self._mutations_broken)
        if self.required or self.forbidden:
            found.append(self._motif_broken)
        if self.max_homopolymer is not None:
            found.append(self._run_broken)
        if self.gc is not None:
            found.append(self._gc_broken)
        return found

    def _length_broken(self, x: str) -> str | None:
        low, high = self.length or (1, len(x))
        return None if low <= len(x) <= high else f"length {len(x)} is not in {low} to {high}"

    def _prefix_broken(self, x: str) -> str | None:
        return None if x.startswith(self.prefix) else f"the beginning must be {self.prefix}"

    def _fixed_broken(self, x: str) -> str | None:
        places, wild = self._partners(x), self.wild_type or ""
        for place in self.fixed:
            if places[place] < 0 or x[places[place]] != wild[place]:
                return f"position {place + 1} must stay {wild[place]}"
        return None

    def _mutations_broken(self, x: str) -> str | None:
        n = edit_distance(self.wild_type or "", x)
        return None if n <= (self.max_mutations or 0) else f"{n} mutations are more than {self.max_mutations}"

    def _motif_broken(self, x: str) -> str | None:
        for motif in self.required:
            if not motif.occurs(x):
                return f"the motif {motif.text} must occur"
        for motif in self.forbidden:
            if motif.occurs(x):
                return f"the motif {motif.text} must not occur"
        return None

    def _run_broken(self, x: str) -> str | None:
        run = self._first_run(x)
        return None if run is None else f"more than {self.max_homopolymer} {x[run]} in a row"

    def _gc_broken(self, x: str) -> str | None:
        low, high = self.gc or (0.0, 1.0)
        share = sum(letter in "GC" for letter in x) / len(x)
        return (
            None if low <= share <= high else f"a share of G and C of {share:.3f} is not in {low} to {high}"
        )

    # ---------------------------------------------------------------- repairs

    def _repairs(self) -> list[Callable[[str, np.random.Generator], str]]:
        found: list[Callable[[str, np.random.Generator], str]] = []
        if self.length is not None:
            found.append(self._fit_length)
        if self.prefix:
            found.append(self._write_prefix)
        if self.required:
            found.append(self._write_motifs)
        if self.forbidden:
            found.append(self._break_motifs)
        if self.max_homopolymer is not None:
            found.append(self._break_runs)
        if self.gc is not None:
            found.append(self._shift_gc)
        if self.fixed:
            found.append(self._restore_fixed)
        if self.max_mutations is not None:
            found.append(self._revert_some)
        return found

    def _fit_length(self, x: str, rng: np.random.Generator) -> str:
        low, high = self.length or (1, len(x))
        while len(x) > high:
            size = min(len(x) - high, int(rng.integers(1, 9)))
            start = int(rng.integers(len(x) - size + 1))
            x = x[:start] + x[start + size :]
        while len(x) < low:
            place = int(rng.integers(len(x) + 1))
            x = x[:place] + self._letter(self.alphabet.letters, rng) + x[place:]
        return x

    def _write_prefix(self, x: str, rng: np.random.Generator) -> str:
        return self.prefix + x[len(self.prefix) :]

    def _restore_fixed(self, x: str, rng: np.random.Generator) -> str:
        places, wild, letters = self._partners(x), self.wild_type or "", list(x)
        for place in self.fixed:
            if places[place] >= 0:
                letters[places[place]] = wild[place]
            elif len(x) != len(wild):
                return wild  # a fixed position was left out: begin again
        return "".join(letters)

    def _revert_some(self, x: str, rng: np.random.Generator) -> str:
        """Take back mutations at random until there are few enough; those that motifs need stay longest."""
        wild, most = self.wild_type or "", self.max_mutations or 0
        if edit_distance(wild, x) <= most:
            return x
        if len(x) != len(wild):
            places, letters = self._partners(x), list(x)
            changed = [i for i in range(len(wild)) if places[i] >= 0 and letters[places[i]] != wild[i]]
            for i in rng.permutation(changed).tolist() if changed else []:
                letters[places[i]] = wild[i]
                if edit_distance(wild, "".join(letters)) <= most:
                    return "".join(letters)
            return wild
        needed = {start + k for motif in self.required for start in motif.find(x) for k in range(len(motif))}
        changed = [i for i in range(len(x)) if x[i] != wild[i]]
        order = sorted(rng.permutation(changed).tolist(), key=lambda i: i in needed)
        letters = list(x)
        for i in order[: len(changed) - most]:
            letters[i] = wild[i]
        return "".join(letters)

    def _write_motifs(self, x: str, rng: np.random.Generator) -> str:
        taken: set[int] = self._fixed_places(x)
        for motif in self.required:
            starts = motif.find(x)
            if not starts and len(motif) <= len(x):
                starts = [self._start_of(motif, x, taken, rng)]
                letters = list(x)
                for k, allowed in enumerate(motif.places):
                    if letters[starts[0] + k] not in allowed:
                        letters[starts[0] + k] = self._letter(allowed, rng)
                x = "".join(letters)
            taken |= {starts[0] + k for k in range(len(motif))} if starts else set()
        return x

    def _start_of(self, motif: Motif, x: str, taken: set[int], rng: np.random.Generator) -> int:
        """Return where a motif is written: where it costs little, and nothing that is needed."""
        starts = range(len(x) - len(motif) + 1)
        reference = self.wild_type if self.wild_type is not None and len(self.wild_type) == len(x) else x
        costs = []
        for start in starts:
            clash = sum(
                x[start + k] not in allowed for k, allowed in enumerate(motif.places) if start + k in taken
            )
            costs.append(motif.distance(reference, start) + 100 * clash + rng.random())
        return int(np.argmin(costs))

    def _break_motifs(self, x: str, rng: np.random.Generator) -> str:
        for motif in self.forbidden:
            for _ in range(len(x)):
                if not (starts := motif.find(x)):
                    break
                x = self._broken_at(x, motif, starts[0], rng)
        return x

    def _broken_at(self, x: str, motif: Motif, start: int, rng: np.random.Generator) -> str:
        keep = self._fixed_places(x)
        places = [k for k in range(len(motif)) if start + k not in keep and len(motif.places[k]) < self._v]
        if not places:
            return x
        k = places[int(rng.integers(len(places)))]
        allowed = "".join(letter for letter in self.alphabet.letters if letter not in motif.places[k])
        return x[: start + k] + self._letter(allowed, rng) + x[start + k + 1 :]

    def _break_runs(self, x: str, rng: np.random.Generator) -> str:
        for _ in range(len(x)):
            start = self._first_run(x)
            if start is None:
                return x
            keep = self._fixed_places(x)
            places = [i for i in range(start, start + (self.max_homopolymer or 1) + 1) if i not in keep]
            if not places:
                return x
            i = places[len(places) // 2]
            others = self.alphabet.letters.replace(x[i], "")
            x = x[:i] + self._letter(others, rng) + x[i + 1 :]
        return x

    def _shift_gc(self, x: str, rng: np.random.Generator) -> str:
        low, high = self.gc or (0.0, 1.0)
        letters, keep = list(x), self._fixed_places(x)
        for place in rng.permutation(len(x)).tolist():
            share = sum(letter in "GC" for letter in letters) / len(x)
            if low <= share <= high:
                break
            wanted = "GC" if share < low else self.alphabet.letters.replace("G", "").replace("C", "")
            if letters[place] not in wanted and place not in keep:
                letters[place] = self._letter(wanted, rng)
        return "".join(letters)

    # ---------------------------------------------------------------- small things

    @property
    def _v(self) -> int:
        return len(self.alphabet.letters)

    def _letter(self, letters: str, rng: np.random.Generator) -> str:
        return letters[int(rng.integers(len(letters)))]

    def _first_run(self, x: str) -> int | None:
        """Return where the first run of too many equal letters begins."""
        match = re.search(rf"(.)\1{{{self.max_homopolymer},}}", x)
        return None if match is None else match.start()

    def _partners(self, x: str) -> Any:
        """Return for each place of the wild type the place in x, or -1."""
        wild = self.wild_type or ""
        if len(x) == len(wild):
            return range(len(wild))
        return aligned_places([self.alphabet.numbers(wild)], [self.alphabet.numbers(x)])[0]

    def _fixed_places(self, x: str) -> set[int]:
        begun = set(range(len(self.prefix)))
        if not self.fixed:
            return begun
        places = self._partners(x)
        return begun | {int(places[i]) for i in self.fixed if places[i] >= 0}

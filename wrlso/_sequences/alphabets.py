"""Alphabets of sequences, how their texts are read, and what is alike in them."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wrlso.exceptions import DataError, DataTypeError, ParameterError, ParameterTypeError

__all__ = [
    "Alphabet",
    "are_sequences",
    "check_kind",
    "listed_sequences",
    "listed_texts",
    "make_alphabet",
    "read_rows",
    "refuse",
    "substitution_odds",
]

_NAMED = {"protein": "ACDEFGHIKLMNPQRSTVWY", "dna": "ACGT", "rna": "ACGU"}
_GAPS = "-."
_AMBIGUOUS = {
    "protein": {"X": "any residue", "B": "D or N", "Z": "E or Q", "J": "I or L", "U": "selenocysteine",
                "O": "pyrrolysine"},
    "dna": dict(zip("NRYSWKMBDHV", ("any base", "A or G", "C or T", "C or G", "A or T", "G or T", "A or C",
                                    "not A", "not C", "not G", "not T"), strict=True)),
}  # fmt: skip
_AMBIGUOUS["rna"] = _AMBIGUOUS["dna"]
_MOST_SHOWN = 5
_WILD_TYPES = ("WT", "WILDTYPE", "WILD-TYPE")
_MUTATIONS = re.compile(r"(p\.)?[A-Z][0-9]+[A-Z*]([,;/+_ -]+[A-Z][0-9]+[A-Z*])*")
_TELLING = 30  # letters: of fewer, it may be chance that all are bases

# Half-bits of Henikoff and Henikoff, PNAS 89, 1992, as NCBI distributes them
_BLOSUM62_LETTERS = "ARNDCQEGHILKMFPSTWYV"
_BLOSUM62 = """
 4
-1  5
-2  0  6
-2 -2  1  6
 0 -3 -3 -3  9
-1  1  0  0 -3  5
-1  0  0  2 -4  2  5
 0 -2  0 -1 -3 -2 -2  6
-2  0  1 -1 -3  0  0 -2  8
-1 -3 -3 -3 -1 -3 -3 -4 -3  4
-1 -2 -3 -4 -1 -2 -3 -4 -3  2  4
-1  2  0 -1 -3  1  1 -2 -1 -3 -2  5
-1 -1 -2 -3 -1  0 -2 -3 -2  1  2 -1  5
-2 -3 -3 -3 -2 -3 -3 -3 -1  0  0 -3  0  6
-1 -2 -2 -1 -3 -1 -1 -2 -2 -3 -3 -1 -2 -4  7
 1 -1  1  0 -1  0  0  0 -1 -2 -2  0 -1 -2 -1  4
 0 -1  0 -1 -1 -1 -1 -2 -2 -1 -1 -1 -1 -2 -1  1  5
-3 -3 -4 -4 -2 -2 -3 -2 -2 -3 -2 -3 -1  1 -4 -3 -2 11
-2 -2 -2 -3 -2 -1 -2 -3  2 -1 -1 -2 -1  3 -3 -2 -2  2  7
 0 -3 -3 -3 -1 -2 -2 -3 -3  3  1 -2  1 -1 -2 -2  0 -3 -1  4
"""


@dataclass(frozen=True)
class Alphabet:
    """The letters of sequences.

    Attributes
    ----------
    name : {"protein", "dna", "rna", "letters"}
        "letters": a user's own.
    letters : str
    """

    name: str
    letters: str

    def read(self, text: str) -> str:
        """Return a sequence as the alphabet writes it.

        White space and gaps are left out; of proteins, DNA and RNA small letters are read as large ones, T as
        U in RNA and U as T in DNA, and a stop at the end of a protein is left out.

        Raises DataError for anything else, such as an ambiguous letter or a stop in the middle.
        """
        found = "".join(text.split())
        if self.name == "protein" and found.upper() in _WILD_TYPES:
            raise DataError(
                f"{text!r} is what a wild type is called, not its sequence: write all its letters"
            )
        if self.name != "letters":
            found = found.upper().translate({ord(gap): None for gap in _GAPS})
        if self.name == "protein":
            found = found.removesuffix("*")
        elif self.name in ("dna", "rna"):
            found = found.replace(*("UT" if self.name == "dna" else "TU"))
        if not found:
            raise DataError(f"a sequence must have at least one letter, got {text!r:.80}")
        wrong = next((letter for letter in found if letter not in self.letters), None)
        if wrong is not None:
            if self.name == "protein" and _MUTATIONS.fullmatch(text.strip()):
                raise DataError(f"{text!r:.60} is a name of mutations: write all letters of the sequence")
            place = found.index(wrong) + 1
            raise DataError(f"{text!r:.60} has {self._described(wrong, place)}")
        return found

    def numbers(self, sequence: str) -> NDArray[np.int64]:
        """Return the places of a sequence's letters in the alphabet (L,)."""
        return self._table[np.frombuffer(sequence.encode("utf-32-le"), dtype=np.uint32)]

    def text(self, numbers: Any) -> str:
        """Return the sequence of some places."""
        return "".join([self.letters[int(n)] for n in numbers])

    @property
    def _table(self) -> NDArray[np.int64]:
        return _table_of(self.letters)

    def _described(self, letter: str, place: int) -> str:
        if self.name == "protein" and letter == "*":
            return f"a stop (*) at position {place}"
        meaning = _AMBIGUOUS.get(self.name, {}).get(letter)
        what = f"{letter!r} at position {place}"
        what += f", which is ambiguous or rare ({meaning})" if meaning else ""
        of = "the alphabet" if self.name == "letters" else self.name
        return f"{what}; the letters of {of} are {self.letters}"


@cache
def _table_of(letters: str) -> NDArray[np.int64]:
    table = np.full(max(map(ord, letters)) + 1, -1, dtype=np.int64)
    table[[ord(letter) for letter in letters]] = np.arange(len(letters))
    return table


def make_alphabet(alphabet: Any) -> Alphabet:
    """Return the alphabet of a name, or of letters.

    Raises
    ------
    ParameterError, ParameterTypeError
        For anything but "protein", "dna", "rna" and at least two distinct visible letters.
    """
    if isinstance(alphabet, Alphabet):
        return alphabet
    if isinstance(alphabet, str) and alphabet.lower() in _NAMED:
        return Alphabet(alphabet.lower(), _NAMED[alphabet.lower()])
    letters = list(alphabet) if isinstance(alphabet, str | list | tuple) else None
    if letters is None or not all(isinstance(letter, str) and len(letter) == 1 for letter in letters):
        raise ParameterTypeError(
            f"alphabet must be 'protein', 'dna', 'rna' or the letters themselves, got {alphabet!r:.80}"
        )
    if len(set(letters)) < max(len(letters), 2) or any(letter.isspace() for letter in letters):
        raise ParameterError(
            "alphabet must be 'protein', 'dna', 'rna', or at least two distinct letters that are no white "
            f"space, got {alphabet!r:.80}"
        )
    for name, known in _NAMED.items():
        if set(known) == set(letters):
            return Alphabet(name, known)
    return Alphabet("letters", "".join(letters))


@cache
def substitution_odds(letters: str) -> NDArray[np.float64] | None:
    """Return how likely a residue becomes each other one (20, 20), rows of sum 1; None but for proteins.

    Odds by BLOSUM62: evolution accepts such changes. A residue does not become itself.
    """
    if set(letters) != set(_BLOSUM62_LETTERS):
        return None
    rows = [list(map(int, line.split())) for line in _BLOSUM62.strip().splitlines()]
    scores = np.zeros((20, 20))
    for i, row in enumerate(rows):
        scores[i, : i + 1] = scores[: i + 1, i] = row
    order = [_BLOSUM62_LETTERS.index(letter) for letter in letters]
    odds = 2.0 ** (scores[np.ix_(order, order)] / 2.0)
    np.fill_diagonal(odds, 0.0)
    return np.asarray(odds / odds.sum(axis=1, keepdims=True))


def listed_sequences(X: Any, alphabet: Alphabet, name: str = "X") -> list[str]:
    """Return n sequences as the alphabet writes them; raises as :func:`read_rows`."""
    return read_rows(X, alphabet.read, name)


def read_rows(X: Any, read: Callable[[str], str], name: str = "X") -> list[str]:
    """Return what a function reads of n texts.

    Raises
    ------
    DataTypeError
        When X is no sequence of str.
    DataError
        For those that cannot be read; the error names the rows.
    """
    found, problems = [], []
    for row, x in enumerate(listed_texts(X, name)):
        try:
            found.append(read(x))
        except DataError as error:
            problems.append(f"row {row}: {error}")
    refuse(problems, name)
    return found


def check_kind(X: Sequence[str], alphabet: Alphabet, advice: str) -> None:
    """Raise DataError for sequences of proteins that look like DNA or RNA; ``advice`` says what to do.

    The letters A, C, G and T are residues, too, so that nothing else would tell.
    """
    letters = "".join(X)
    if alphabet.name == "protein" and len(letters) >= _TELLING and set(letters) <= set("ACGT"):
        raise DataError(
            f"all {len(X)} sequences consist of A, C, G and T only, which looks like DNA and not like "
            f"proteins: {advice}"
        )


def are_sequences(X: Sequence[Any]) -> bool:
    """Whether all x are texts of letters and digits alone, as those of sequences are and formulas are not."""
    return all(isinstance(x, str) and x.isalnum() for x in X)


def listed_texts(X: Any, name: str = "X") -> Any:
    """Return X; raises DataTypeError unless it is a sequence of str."""
    several = hasattr(X, "__len__") and hasattr(X, "__iter__") and getattr(X, "ndim", 1) > 0
    if isinstance(X, str | bytes) or not several:
        raise DataTypeError(f"{name} must be a sequence of str, got {type(X).__name__}")
    for row, x in enumerate(X):
        if not isinstance(x, str):
            raise DataTypeError(
                f"{name} must hold sequences of letters, str, got {type(x).__name__} in row {row}"
            )
    return X


def refuse(problems: Sequence[str], name: str = "X") -> None:
    """Raise DataError for rows with problems, if there are any; names the first five."""
    if problems:
        more = [f"and {len(problems) - _MOST_SHOWN} more"] if len(problems) > _MOST_SHOWN else []
        raise DataError(
            f"{name} holds {len(problems)} sequence{'s' * (len(problems) > 1)} that cannot be taken: "
            + "; ".join([*problems[:_MOST_SHOWN], *more])
        )

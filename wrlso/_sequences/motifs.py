"""Motifs: short patterns of letters, where they occur, and how they are written and broken."""

import re
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from wrlso._sequences.alphabets import Alphabet
from wrlso.exceptions import ParameterError, ParameterTypeError

__all__ = ["Motif", "make_motif"]

_BASES = {
    "A": "A", "C": "C", "G": "G", "N": "ACGT", "R": "AG", "Y": "CT", "S": "CG", "W": "AT", "K": "GT",
    "M": "AC", "B": "CGT", "D": "AGT", "H": "ACT", "V": "ACG",
}  # fmt: skip
_RESIDUES = {"B": "DN", "Z": "EQ", "J": "IL"}


@dataclass(frozen=True)
class Motif:
    """A motif: which letters each of its places may hold.

    Attributes
    ----------
    text : str
        As the user wrote it.
    places : tuple of str
        The letters of each place.
    """

    text: str
    places: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.places)

    @cached_property
    def _pattern(self) -> re.Pattern[str]:
        inside = "".join(f"[{''.join(map(re.escape, letters))}]" for letters in self.places)
        return re.compile(f"(?={inside})")  # looks ahead, so that occurrences may overlap

    def find(self, x: str) -> list[int]:
        """Return where it begins in a sequence."""
        return [match.start() for match in self._pattern.finditer(x)]

    def occurs(self, x: str) -> bool:
        """Whether it occurs in a sequence."""
        return self._pattern.search(x) is not None

    def distance(self, x: str, start: int) -> int:
        """Return how many letters would have to change for it to begin at a place."""
        return sum(a not in letters for a, letters in zip(x[start:], self.places, strict=False))


def make_motif(text: Any, alphabet: Alphabet, name: str) -> Motif:
    """Return the motif that a text writes.

    Letters stand for themselves; ``[ST]`` is one of some, ``{P}`` is any but some, X in proteins and codes
    such as N in DNA and RNA are what they mean there. A dash between places is left out, as PROSITE writes
    it.

    Raises ParameterError or ParameterTypeError, with the argument's name, for anything else.
    """
    if not isinstance(text, str):
        raise ParameterTypeError(f"{name} must hold motifs, str, got {text!r:.80}")
    plain = text if alphabet.name == "letters" else text.upper().replace("-", "")
    places = []
    for some, none, letter in re.findall(r"\[([^\]]+)\]|\{([^}]+)\}|(.)", plain):
        if none:
            without = set(_meant(none, alphabet))
            letters = "".join(each for each in alphabet.letters if each not in without)
        else:
            letters = _meant(some or letter, alphabet)
        if not letters:
            raise ParameterError(
                f"{name} must hold motifs of the letters {alphabet.letters}, such as 'N{{P}}[ST]' for "
                f"proteins or 'GAATTC' for DNA, got {text!r:.80}"
            )
        places.append(letters)
    if not places:
        raise ParameterError(f"{name} must hold motifs of at least one letter, got {text!r}")
    return Motif(text, tuple(places))


def _meant(letters: str, alphabet: Alphabet) -> str:
    """Return the letters that some stand for; empty where one stands for none."""
    found = []
    for letter in letters:
        if letter in alphabet.letters:
            meant = letter
        elif alphabet.name == "protein":
            meant = alphabet.letters if letter == "X" else _RESIDUES.get(letter, "")
        elif alphabet.name in ("dna", "rna"):
            meant = _BASES.get(letter, "T" if letter in "TU" else "")
            meant = meant.replace("T", alphabet.letters[-1])
        else:
            meant = ""
        if not meant:
            return ""
        found.append(meant)
    return "".join(dict.fromkeys("".join(found)))

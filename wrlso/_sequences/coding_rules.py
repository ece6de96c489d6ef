"""Rules of DNA that codes for proteins: some of the protein, others of the DNA."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import lru_cache
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator

from wrlso._sequences.alphabets import make_alphabet
from wrlso._sequences.coding import CodonWriter
from wrlso._sequences.codons import STOPS, read_usage, split_coding
from wrlso._sequences.motifs import make_motif
from wrlso._sequences.places import shortened
from wrlso._sequences.rules import SequenceRules
from wrlso.exceptions import DataError, ParameterError, ParameterTypeError

__all__ = ["CodingRules"]

_OF_PROTEIN = "protein:"  # before a motif of the protein
_TRIALS = 40  # proteins that are written before a set of rules counts as impossible
_WRITTEN = 2**14  # proteins whose DNA is remembered


class CodingRules(BaseEstimator):
    """What proposed DNA that codes for a protein must be like, and the codons it is written in.

    Mutations, positions and lengths are counted in residues of the protein; motifs, the share of G and C,
    and equal letters in a row are looked for in the DNA. An object is callable: whether DNA keeps all rules.

    Parameters
    ----------
    codon_usage : {"e-coli", "human", "yeast"} or mapping, default="e-coli"
        How often codons are used: of an organism, or codons of DNA and numbers of at least 0. Proposals take
        the codons with the largest product of shares that keeps the rules. The shares are those that the
        Codon Usage Database counted for E. coli W3110, human and Saccharomyces cerevisiae [1]_.
    wild_type : str, default=None
        DNA of the sequence that mutations are counted from. Residues that stay keep its codons where rules
        allow it.
    max_mutations : int, default=None
        Most mutations of its protein.
    fixed : sequence of int and str
        Residues of the wild type that stay, from 1, and ranges such as "60-70".
    required, forbidden : sequence of str
        Motifs of the DNA that must occur, and that must not, such as "GAATTC"; those that begin with
        "protein:" are motifs of the protein, such as "protein:N{P}[ST]".
    gc : tuple of two floats, default=None
        Smallest and largest share of G and C.
    length : int or tuple of two ints, default=None
        Residues of the protein.
    max_homopolymer : int, default=None
        Most equal letters of DNA in a row.
    stop : str, default=None
        The codon behind the last residue, such as "TAA"; None: that of the wild type, if it has one.
    prefix : str, default=""
        Residues that proteins begin with, such as "M", whose only codon is ATG.

    References
    ----------
    .. [1] Nakamura, Gojobori and Ikemura, "Codon usage tabulated from international DNA sequence databases:
       status for the year 2000", Nucleic Acids Research 28:292, 2000; taxa 316407, 9606 and 4932.

    Examples
    --------
    >>> rules = CodingRules(forbidden=["GAATTC"])
    >>> rules.repaired("MEF")  # of a protein, its DNA
    'ATGGAATTT'
    >>> rules("ATGGAATTC")
    False
    """

    def __init__(
        self,
        codon_usage: str | Mapping[str, float] = "e-coli",
        *,
        wild_type: str | None = None,
        max_mutations: int | None = None,
        fixed: Sequence[int | str] = (),
        required: Sequence[str] = (),
        forbidden: Sequence[str] = (),
        gc: tuple[float, float] | None = None,
        length: int | tuple[int, int] | None = None,
        max_homopolymer: int | None = None,
        stop: str | None = None,
        prefix: str = "",
    ) -> None:
        self.codon_usage = codon_usage
        self.wild_type = wild_type
        self.max_mutations = max_mutations
        self.fixed = fixed
        self.required = required
        self.forbidden = forbidden
        self.gc = gc
        self.length = length
        self.max_homopolymer = max_homopolymer
        self.stop = stop
        self.prefix = prefix

    def __call__(self, x: str) -> bool:
        """Whether DNA keeps all rules."""
        return self.broken(x) is None

    @property
    def bounds(self) -> tuple[int, int] | None:
        """The least and the largest number of residues, where the rules say them."""
        return self._read().protein.bounds

    @property
    def start(self) -> str | None:
        """The protein of the wild type."""
        return self._read().protein.start

    @property
    def letters(self) -> str:
        """The letters of proteins."""
        return self._read().protein.letters

    def words(self) -> str:
        """Return the rules in words."""
        standard = CodingRules()
        given = {n: v for n, v in self.get_params().items() if v != getattr(standard, n)}
        usage = given.pop("codon_usage", self.codon_usage)
        said = [f"DNA of proteins, codons of {usage if isinstance(usage, str) else 'your own table'}"]
        return ", ".join(
            [*said, *(shortened(f"{name.replace('_', ' ')} {value}") for name, value in given.items())]
        )

    def broken(self, x: str) -> str | None:
        """Return which rule DNA breaks, in words; None where it keeps all."""
        rules = self._read()
        try:
            dna, protein, stop = split_coding(x)
        except DataError as error:
            return str(error)
        if rules.stop and stop != rules.stop:
            return f"the codon behind the last residue must be {rules.stop}, not {stop or 'missing'}"
        return rules.protein.broken(protein) or rules.dna.broken(dna)

    def repaired(self, protein: str) -> str | None:
        """Return DNA that keeps all rules, of a protein or a similar one; None where none was found.

        Always the same for a protein.
        """
        rules = self._read()
        found = rules.protein.repaired(protein)
        return None if found is None else rules.written(found)

    def check(self, length: int | None = None, known: Sequence[str] = ()) -> None:
        """Raise ParameterError or ParameterTypeError for impossible rules, alone or together.

        Parameters
        ----------
        length : int, default=None
            Residues of a usual protein, where neither the wild type nor the rules say it.
        known : sequence of str, default=()
            DNA such as the data: where one keeps the rules, or its protein can be written so, they are
            possible.
        """
        rules = self._read()
        proteins = _readable(known)
        if any(self.broken(x) is None or self.repaired(protein) for x, protein in proteins):
            return
        rules.protein.check(length, [protein for _, protein in proteins])
        wild = rules.protein.start
        rng = np.random.default_rng(0)
        low, high = rules.protein.bounds or (length or 30, length or 30)
        found: str | None = None
        for trial in range(_TRIALS):
            if wild is not None:
                # first the wild type itself, and then mutants of it
                letters = list(wild)
                for place in rng.integers(len(wild), size=min(trial, self.max_mutations or 3)):
                    letters[place] = self.letters[rng.integers(len(self.letters))]
            else:
                letters = [
                    self.letters[i] for i in rng.integers(len(self.letters), size=rng.integers(low, high + 1))
                ]
            found = rules.protein.repaired("".join(letters)) or found
            if found is not None and rules.written(found) is not None:
                return
        plain = None if found is None else rules.plain(found)
        raise ParameterError(
            f"the rules must leave some DNA possible, but no codons keep them all for any of {_TRIALS} "
            f"proteins; with the codons used most: {None if plain is None else rules.dna.broken(plain)}"
        )

    def _read(self) -> "_Coding":
        """Return the rules in a form that can be applied; read once for the parameters of now."""
        wanted = repr(self.__getstate__())
        kept: tuple[str, _Coding] | None = self.__dict__.get("_kept")
        if kept is None or kept[0] != wanted:
            kept = wanted, _Coding(self)
            self.__dict__["_kept"] = kept
        return kept[1]

    def __getstate__(self) -> dict[str, Any]:
        """Return the parameters alone."""
        return {name: value for name, value in self.__dict__.items() if name != "_kept"}


class _Coding:
    """Rules whose parameters are checked: those of the protein, those of the DNA, and what writes DNA."""

    def __init__(self, given: CodingRules) -> None:
        usage = read_usage(given.codon_usage)
        self.wild_type, protein, stop = _wild_type(given.wild_type)
        self.stop = stop if given.stop is None else _stop(given.stop)
        motifs = {name: _split(getattr(given, name), name) for name in ("required", "forbidden")}
        self.protein = SequenceRules(
            wild_type=protein,
            max_mutations=given.max_mutations,
            fixed=given.fixed,
            length=given.length,
            prefix=given.prefix,
            required=motifs["required"][0],
            forbidden=motifs["forbidden"][0],
        )
        self.dna = SequenceRules(
            "dna",
            required=motifs["required"][1],
            forbidden=motifs["forbidden"][1],
            gc=given.gc,
            max_homopolymer=given.max_homopolymer,
        )
        self.protein.bounds, self.dna.bounds  # noqa: B018  # which checks all parameters
        dna = make_alphabet("dna")
        required, forbidden = (
            [make_motif(text, dna, name) for text in motifs[name][1]] for name in ("required", "forbidden")
        )
        self.writer = CodonWriter(usage, required, forbidden, given.gc, given.max_homopolymer, self.stop)
        self.written = lru_cache(maxsize=_WRITTEN)(self._written)

    def _written(self, protein: str) -> str | None:
        """Return the DNA of a protein, None where none was found that keeps the rules of the DNA."""
        found = self.writer.write(protein, self._kept_codons(protein))
        return found if found is not None and self.dna(found) else None

    def plain(self, protein: str) -> str:
        """Return the DNA of a protein by the codons used most."""
        return "".join(self.writer.options[residue][0].codon for residue in protein) + self.stop

    def _kept_codons(self, protein: str) -> list[str | None] | None:
        """Return the wild type's codons of residues that stayed.

        They are those at the same place; behind the first difference, where lengths differ, at the same place
        from the end.
        """
        wild, dna = self.protein.start, self.wild_type
        if wild is None or dna is None:
            return None
        kept: list[str | None] = [None] * len(protein)
        shift, shorter = len(wild) - len(protein), min(len(wild), len(protein))
        begin = next((i for i in range(shorter) if protein[i] != wild[i]), shorter)
        for i, residue in enumerate(protein):
            place = i if i < begin else i + shift
            if place >= 0 and wild[place] == residue:
                kept[i] = dna[3 * place : 3 * place + 3]
        return kept


def _readable(known: Sequence[str]) -> list[tuple[str, str]]:
    """Return DNA and its protein of those that can be read."""
    found = []
    for x in known:
        with suppress(DataError):
            dna, protein, _ = split_coding(x)
            found.append((dna, protein))
    return found


def _wild_type(given: Any) -> tuple[str | None, str | None, str]:
    """Return DNA, protein and stop codon of a wild type."""
    if given is None:
        return None, None, ""
    if not isinstance(given, str):
        raise ParameterTypeError(f"wild_type must be a sequence of DNA, str, got {given!r:.80}")
    try:
        return split_coding(given)
    except DataError as error:
        raise ParameterError(f"wild_type must be DNA that codes for a protein: {error}") from None


def _stop(given: Any) -> str:
    plain = given.upper().replace("U", "T") if isinstance(given, str) else ""
    if plain not in STOPS:
        raise ParameterError(f"stop must be one of {', '.join(STOPS)}, got {given!r:.40}")
    return plain


def _split(given: Any, name: str) -> tuple[list[str], list[str]]:
    """Return motifs of the protein, without what marks them, and those of the DNA."""
    if isinstance(given, str) or not isinstance(given, Sequence):
        raise ParameterTypeError(
            f"{name} must be a sequence of motifs such as ['GAATTC', 'protein:N{{P}}[ST]'], got {given!r:.80}"
        )
    marked = [isinstance(text, str) and text.lower().startswith(_OF_PROTEIN) for text in given]
    return (
        [
            text[len(_OF_PROTEIN) :].strip()
            for text, is_marked in zip(given, marked, strict=True)
            if is_marked
        ],
        [text for text, is_marked in zip(given, marked, strict=True) if not is_marked],
    )

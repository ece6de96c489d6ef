"""The standard genetic code, how often organisms use its codons, and DNA read as the protein it codes for."""

import math
from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import lru_cache
from typing import Any

from wrlso._sequences.alphabets import make_alphabet, read_rows
from wrlso._utils.validation import check_choice
from wrlso.exceptions import DataError, ParameterError, ParameterTypeError

__all__ = ["CODE", "STOPS", "USAGES", "coded_proteins", "common_stop", "read_usage", "split_coding"]

_BASES = "TCAG"
_RESIDUES = "FFLLSSSSYY**CC*WLLLLPPPPHHQQRRRRIIIMTTTTNNKKSSRRVVVVAAAADDEEGGGG"  # NCBI's table 1
CODE: Mapping[str, str] = dict(
    zip((a + b + c for a in _BASES for b in _BASES for c in _BASES), _RESIDUES, strict=True)
)
"""Codon of DNA → residue; ``*`` is a stop."""

STOPS = tuple(codon for codon, residue in CODE.items() if residue == "*")
_DNA = make_alphabet("dna")
_PERCENT = {
    "e-coli": """
        GCA 21 GCC 27 GCG 36 GCT 16 TGC 56 TGT 44 GAC 37 GAT 63 GAA 69 GAG 31 TTC 43 TTT 57 GGA 11 GGC 41
        GGG 15 GGT 34 CAC 43 CAT 57 ATA 7 ATC 42 ATT 51 AAA 76 AAG 24 CTA 4 CTC 10 CTG 50 CTT 10 TTA 13 TTG 13
        ATG 100 AAC 55 AAT 45 CCA 19 CCC 12 CCG 53 CCT 16 CAA 35 CAG 65 AGA 4 AGG 2 CGA 6 CGC 40 CGG 10 CGT 38
        AGC 28 AGT 15 TCA 12 TCC 15 TCG 15 TCT 15 ACA 13 ACC 44 ACG 27 ACT 16 GTA 15 GTC 22 GTG 37 GTT 26
        TGG 100 TAC 43 TAT 57""",
    "human": """
        GCA 23 GCC 40 GCG 11 GCT 27 TGC 54 TGT 46 GAC 54 GAT 46 GAA 42 GAG 58 TTC 54 TTT 46 GGA 25 GGC 34
        GGG 25 GGT 16 CAC 58 CAT 42 ATA 17 ATC 47 ATT 36 AAA 43 AAG 57 CTA 7 CTC 20 CTG 40 CTT 13 TTA 8 TTG 13
        ATG 100 AAC 53 AAT 47 CCA 28 CCC 32 CCG 11 CCT 29 CAA 27 CAG 73 AGA 21 AGG 21 CGA 11 CGC 18 CGG 20
        CGT 8 AGC 24 AGT 15 TCA 15 TCC 22 TCG 5 TCT 19 ACA 28 ACC 36 ACG 11 ACT 25 GTA 12 GTC 24 GTG 46 GTT 18
        TGG 100 TAC 56 TAT 44""",
    "yeast": """
        GCA 29 GCC 22 GCG 11 GCT 38 TGC 37 TGT 63 GAC 35 GAT 65 GAA 70 GAG 30 TTC 41 TTT 59 GGA 22 GGC 19
        GGG 12 GGT 47 CAC 36 CAT 64 ATA 27 ATC 26 ATT 46 AAA 58 AAG 42 CTA 14 CTC 6 CTG 11 CTT 13 TTA 28
        TTG 29 ATG 100 AAC 41 AAT 59 CCA 42 CCC 15 CCG 12 CCT 31 CAA 69 CAG 31 AGA 48 AGG 21 CGA 7 CGC 6
        CGG 4 CGT 14 AGC 11 AGT 16 TCA 21 TCC 16 TCG 10 TCT 26 ACA 30 ACC 22 ACG 14 ACT 35 GTA 21 GTC 21
        GTG 19 GTT 39
        TGG 100 TAC 44 TAT 56""",
}  # of the residue, as the Codon Usage Database counts them: Nakamura et al., Nucleic Acids Res. 28:292, 2000


def _shares(text: str) -> dict[str, float]:
    words = text.split()
    return {codon: int(share) / 100 for codon, share in zip(words[::2], words[1::2], strict=True)}


USAGES: Mapping[str, Mapping[str, float]] = {name: _shares(text) for name, text in _PERCENT.items()}
"""Organism → codon → share of the residue's codons; E. coli, human and S. cerevisiae."""


def read_usage(usage: Any) -> dict[str, dict[str, float]]:
    """Return residue → codon → share of its codons, most used first, of a name or a mapping of codons.

    Raises
    ------
    ParameterError, ParameterTypeError
        For an unknown name, something that is no sense codon, a share that is no number of at least 0, and a
        residue without any codon.
    """
    if isinstance(usage, str):
        check_choice("codon_usage", usage, USAGES)
        usage = USAGES[usage]
    if not isinstance(usage, Mapping):
        raise ParameterTypeError(
            f"codon_usage must be one of {', '.join(USAGES)}, or a mapping of codons to how often they are "
            f"used, got {usage!r:.80}"
        )
    found: dict[str, dict[str, float]] = {residue: {} for residue in sorted(set(_RESIDUES) - {"*"})}
    for codon, share in usage.items():
        plain = codon.upper().replace("U", "T") if isinstance(codon, str) else ""
        if plain not in CODE:
            raise ParameterError(f"codon_usage must hold codons of DNA such as 'GAA', got {codon!r:.40}")
        is_number = isinstance(share, int | float) and not isinstance(share, bool)
        if not is_number or not 0 <= share < math.inf:
            raise ParameterError(
                f"codon_usage must hold numbers of at least 0, got {share!r:.40} for {codon!r}"
            )
        if share > 0 and CODE[plain] != "*":
            found[CODE[plain]][plain] = float(share)
    for residue, codons in found.items():
        if not codons:
            all_of = ", ".join(codon for codon, coded in CODE.items() if coded == residue)
            raise ParameterError(f"codon_usage must use some codon of {residue}: {all_of}; got none")
        total = sum(codons.values())
        ranked = sorted(codons.items(), key=lambda pair: (-pair[1], pair[0]))
        found[residue] = {codon: share / total for codon, share in ranked}
    return found


@lru_cache(maxsize=2**16)
def split_coding(text: str) -> tuple[str, str, str]:
    """Return DNA as it is written, the protein that it codes for, and the stop codon at its end or "".

    Raises DataError for what is no DNA, no whole number of codons, has a stop before its end, or no residue.
    """
    dna = _DNA.read(text)
    if len(dna) % 3:
        raise DataError(
            f"{text!r:.60} has {len(dna)} letters, which are no whole number of codons: a base is missing or "
            "too many, or the reading frame does not begin at the first letter"
        )
    residues = "".join([CODE[dna[i : i + 3]] for i in range(0, len(dna), 3)])
    protein = residues.removesuffix("*")
    if "*" in protein:
        place = protein.index("*")
        codon, start = dna[3 * place : 3 * place + 3], 3 * place + 1
        raise DataError(
            f"{text!r:.60} has the stop codon {codon} at positions {start} to {start + 2}, before its end"
        )
    if not protein:
        raise DataError(f"{text!r:.60} codes for no residue, only for a stop")
    return dna, protein, dna[3 * len(protein) :]


def coded_proteins(X: Any, name: str = "X") -> list[str]:
    """Return the proteins (n) that n sequences of DNA code for; raises as :func:`read_rows`."""
    return read_rows(X, lambda x: split_coding(x)[1], name)


def common_stop(X: Sequence[str]) -> str | None:
    """Return the commonest stop codon at the ends of sequences where most have one, else None.

    Sequences that cannot be read do not count.
    """
    ends = []
    for x in X:
        with suppress(DataError):
            ends.append(split_coding(x)[2])
    found = max(sorted(set(ends)), key=ends.count, default="")
    return found if found and 2 * sum(map(bool, ends)) > len(ends) else None

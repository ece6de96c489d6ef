"""Counts of pairs of letters in sequences, for a kernel on sequences."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from scipy.sparse import csr_array, hstack

from wrlso._sequences.alphabets import listed_sequences, make_alphabet
from wrlso._sequences.codons import coded_proteins
from wrlso._utils.estimator import BaseEstimator
from wrlso._utils.validation import check_count
from wrlso.models.sequences.features import aligned_letters, pair_counts

__all__ = ["PairCounts"]

_MOST_PAIRS = 1000  # of two words, at one distance
_OF_LETTERS = 10  # what a letter at its place counts beside a pair


class PairCounts(BaseEstimator):
    """Counts of pairs of letters at small distances, wherever they stand, in sequences given as text.

    With a :class:`wrlso.TanimotoGP` they make a kernel on sequences of any length: two of them are alike
    where they share short patterns with gaps. Of alphabets of few letters, such as DNA, short words take the
    place of letters.

    Parameters
    ----------
    alphabet : str or sequence of str, default="protein"
        "protein", "dna", "rna", or the letters.
    wild_type : str, default=None
        Where mutants of one sequence are searched: letters at its places count, too, ten times as much as a
        pair. Sequences of other lengths are aligned to it.
    farthest : int, default=5
        Largest distance of the two letters of a pair.
    translate : bool, default=False
        Whether sequences are DNA that codes for proteins, of which letters are counted then.

    Examples
    --------
    >>> PairCounts(farthest=2)(["MKT", "MK"]).sum(axis=1).tolist()
    [3, 1]
    """

    def __init__(
        self,
        alphabet: str | Sequence[str] = "protein",
        *,
        wild_type: str | None = None,
        farthest: int = 5,
        translate: bool = False,
    ) -> None:
        self.alphabet = alphabet
        self.wild_type = wild_type
        self.farthest = farthest
        self.translate = translate

    def __call__(self, X: Sequence[Any]) -> csr_array:
        """Return the counts (n, D) of n sequences.

        Raises
        ------
        DataError, DataTypeError
            For sequences that cannot be read; the error names the rows.
        """
        check_count("farthest", self.farthest)
        letters = make_alphabet(self.alphabet)
        texts = coded_proteins(X) if self.translate else listed_sequences(X, letters)
        rows = [letters.numbers(x) for x in texts]
        v = len(letters.letters)
        k = max(1, int(np.log(_MOST_PAIRS) / np.log(v) / 2))
        pairs = pair_counts(rows, v, k, self.farthest)
        if self.wild_type is None:
            return pairs
        wild = letters.numbers(letters.read(self.wild_type))
        placed = csr_array(aligned_letters(rows, wild, v).astype(np.int64) * _OF_LETTERS)
        return csr_array(hstack([pairs, placed], format="csr"))

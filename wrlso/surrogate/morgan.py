"""Morgan fingerprints: counts of circular substructures."""

from collections.abc import Sequence
from functools import cache, lru_cache
from typing import Any

import numpy as np
from scipy.sparse import csr_array
from sklearn.base import BaseEstimator

from wrlso._chemistry.smiles import optional_module, shared, unparsed_problem
from wrlso.exceptions import DataError, DataTypeError
from wrlso.surrogate.checks import check_int
from wrlso.surrogate.minmax_kernel import Integers

__all__ = ["MorganCounts", "morgan", "morgan_generator"]

_REMEMBERED = 50_000  # molecules whose features are kept, about 1 kB each


@lru_cache(maxsize=_REMEMBERED)
def morgan(smiles: str, radius: int, counts: bool, chirality: bool) -> tuple[Integers, Integers] | None:
    """Return features (k,) and how often each occurs (k,), read-only; None for invalid SMILES."""
    molecule = shared(smiles)
    if molecule is None:
        return None
    found = morgan_generator(radius, chirality).GetSparseCountFingerprint(molecule).GetNonzeroElements()
    features = np.fromiter(found.keys(), dtype=np.int64, count=len(found))
    values = np.fromiter(found.values(), dtype=np.int64, count=len(found))
    values = values if counts else np.ones_like(values)
    features.setflags(write=False)
    values.setflags(write=False)
    return features, values


@cache
def morgan_generator(radius: int, chirality: bool) -> Any:
    """Return what computes fingerprints."""
    module = optional_module("rdkit.Chem.rdFingerprintGenerator")
    return module.GetMorganGenerator(radius=radius, includeChirality=chirality)


class MorganCounts(BaseEstimator):
    """Counts of the circular neighbourhoods of atoms (Morgan or ECFP features) of molecules given as SMILES.

    Features are not folded: two of them share a column only if their 32-bit hashes agree. The features of the
    last 50,000 molecules are remembered. Needs RDKit (the extra ``molecules``).

    Parameters
    ----------
    radius : int, default=1
        Largest number of bonds from the centre of a neighbourhood; radius 2 is ECFP4.
    counts : bool, default=True
        Whether to count; False: 1 for a feature that occurs.
    chirality : bool, default=False
        Whether stereocentres tell neighbourhoods apart.

    References
    ----------
    Rogers and Hahn, "Extended-Connectivity Fingerprints", J. Chem. Inf. Model. 50, 2010.

    Examples
    --------
    >>> MorganCounts(radius=0)(["CCC", "CO"]).sum(axis=1).tolist()
    [3, 2]
    """

    def __init__(self, radius: int = 1, *, counts: bool = True, chirality: bool = False) -> None:
        self.radius = radius
        self.counts = counts
        self.chirality = chirality

    def __call__(self, X: Sequence[str]) -> csr_array:
        """Return the counts as a sparse int64 array (n, 2³²).

        Raises
        ------
        DataError, DataTypeError
            When an x is not a valid SMILES; says which, and why.
        ParameterError, ParameterTypeError
            When ``radius`` is impossible.
        """
        check_int("radius", self.radius, 0)
        rows = []
        for i, x in enumerate(X):
            if not isinstance(x, str):
                raise DataTypeError(f"X[{i}]: expected a SMILES string, got {type(x).__name__}")
            row = morgan(str(x), int(self.radius), bool(self.counts), bool(self.chirality))
            if row is None:
                problem = unparsed_problem(x)
                raise DataError(f"X[{i}]: expected the SMILES of a molecule, but {x[:200]!r} {problem}")
            rows.append(row)
        ends = np.cumsum([0, *(len(features) for features, _ in rows)])
        none = [np.empty(0, dtype=np.int64)]
        features, values = (np.concatenate(none + [row[part] for row in rows]) for part in (0, 1))
        return csr_array((values, features, ends), shape=(len(rows), 2**32))

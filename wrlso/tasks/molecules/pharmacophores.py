"""Two-dimensional pharmacophores (Gobbi and Poppinger) as sets of numbers, many times faster than RDKit's.

Symbols: a site is an atom with a feature; families 0, 1, … are RDKit's features in alphabetical order; a bin
is the number of a range of topological distances: 2, 3, …, 7, and 8 to 99. A pharmacophore is two or three
sites on different atoms, identified by their families and the bins between them; every pair must have a bin.
RDKit enumerates them in Python, most of a minute for 200 atoms; here the triples of a first site are one
array.

The sets are those of ``Generate.Gen2DFingerprint(mol, Gobbi_Pharm2D.factory)``, with other numbers.
"""

from functools import cache
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from wrlso._chemistry.smiles import optional_module

__all__ = ["pharmacophores", "similarity"]

Mol: TypeAlias = Any  # rdkit.Chem.Mol
Integers: TypeAlias = NDArray[np.int64]

_BINS = 7
_NEAREST, _FARTHEST = 2, 99


def pharmacophores(molecule: Mol) -> Integers:
    """Return the sorted numbers (p,) of the pairs and triples of features in a molecule."""
    factory, families = _features()
    sites = sorted(
        (families[feature.GetFamily()], feature.GetAtomIds()[0])
        for feature in factory.GetFeaturesForMol(molecule)
    )
    if len(sites) < 2:
        return np.empty(0, dtype=np.int64)
    family, atom = np.array(sites, dtype=np.int64).T
    distances = optional_module("rdkit.Chem").GetDistanceMatrix(molecule)[np.ix_(atom, atom)]
    apart = (distances >= _NEAREST) & (distances <= _FARTHEST)
    bins = np.clip(distances, _NEAREST, _NEAREST + _BINS - 1).astype(np.int64) - _NEAREST
    return np.concatenate([_pairs(family, bins, apart), _triples(family, bins, apart)])


def similarity(first: Integers, second: Integers) -> float:
    """Return the Tanimoto similarity of two sets, 1 for two empty ones."""
    common = len(np.intersect1d(first, second, assume_unique=True))
    union = len(first) + len(second) - common
    return common / union if union else 1.0


@cache
def _features() -> tuple[Any, dict[str, int]]:
    """Return RDKit's feature factory and the numbers of the families."""
    factory = optional_module("rdkit.Chem.Pharm2D.Gobbi_Pharm2D").factory
    return factory.featFactory, {name: number for number, name in enumerate(factory.GetFeatFamilies())}


def _pairs(family: Integers, bins: Integers, apart: NDArray[np.bool_]) -> Integers:
    """Return negative numbers, which differ from those of triples."""
    i, j = np.nonzero(np.triu(apart, 1))
    n_families = len(_features()[1])
    return np.unique(-1 - ((family[i] * n_families + family[j]) * _BINS + bins[i, j]))


def _triples(family: Integers, bins: Integers, apart: NDArray[np.bool_]) -> Integers:
    canonical = _canonical_triples()
    n_families = len(_features()[1])
    seen = np.zeros(len(canonical), dtype=bool)
    shape = _BINS**2 * _BINS
    for i in range(len(family) - 2):
        others = i + 1 + np.flatnonzero(apart[i, i + 1 :])
        if len(others) < 2:
            continue
        # the number of (families, bins ij, ik, jk), as the sum of parts for j, for k and for both
        of_j = (family[i] * n_families + family[others]) * n_families * shape + bins[i, others] * _BINS**2
        of_k = family[others] * shape + bins[i, others] * _BINS
        number = of_j[:, None] + of_k + bins[np.ix_(others, others)]
        seen[number[np.triu(apart[np.ix_(others, others)], 1)]] = True
    return np.unique(canonical[np.flatnonzero(seen)])


@cache
def _canonical_triples() -> Integers:
    """Return for each number of a triple the least number that swaps of equal families lead to."""
    n_families = len(_features()[1])
    shape = (n_families, n_families, n_families, _BINS, _BINS, _BINS)
    f, g, h, fg, fh, gh = np.indices(shape).reshape(6, -1)
    first, second = f == g, g == h
    for _ in range(2):  # two rounds sort the three distances of three equal families
        swap = first & (fh > gh)
        fh, gh = np.where(swap, gh, fh), np.where(swap, fh, gh)
        swap = second & (fg > fh)
        fg, fh = np.where(swap, fh, fg), np.where(swap, fg, fh)
    return np.ravel_multi_index((f, g, h, fg, fh, gh), shape).astype(np.int64)

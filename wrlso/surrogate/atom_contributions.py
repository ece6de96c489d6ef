"""What each atom of a molecule adds to the prediction of a process on its fingerprint."""

from collections import Counter
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from wrlso._chemistry.smiles import optional_module, shared, unparsed_problem
from wrlso.exceptions import DataError
from wrlso.surrogate.morgan import MorganCounts, morgan_generator
from wrlso.surrogate.points import Described
from wrlso.surrogate.protocol import Array, Surrogate
from wrlso.surrogate.tanimoto_gp import TanimotoGP

__all__ = ["atom_contributions", "has_atom_contributions"]


def has_atom_contributions(surrogate: Any) -> bool:
    """Whether a surrogate predicts by neighbourhoods of atoms, so that each atom has a share in it."""
    return isinstance(surrogate, TanimotoGP) and isinstance(_fingerprint(surrogate), MorganCounts)


def atom_contributions(surrogate: Surrogate, smiles: str) -> Array:
    """Return by how much each heavy atom raises the mean that is predicted of a molecule (n,), in units of y.

    The predicted mean less that without the neighbourhoods that hold the atom, as in similarity maps (Riniker
    and Landrum, J. Cheminformatics 5:43, 2013). Neighbourhoods overlap, so that the numbers do not add up to
    the prediction.

    Parameters
    ----------
    surrogate : TanimotoGP
        Fitted, on :class:`MorganCounts`.
    smiles : str
        Atoms are in its order.

    Raises
    ------
    DataError
        For invalid SMILES.
    """
    molecule = shared(smiles)
    if molecule is None:
        problem = unparsed_problem(smiles)
        raise DataError(f"expected the SMILES of a molecule, but {str(smiles)[:200]!r} {problem}")
    fingerprint = _fingerprint(surrogate)
    n, places = molecule.GetNumAtoms(), _neighbourhoods(molecule, fingerprint)
    rows = [Counter(feature for feature, _ in places)]
    rows += [Counter(feature for feature, atoms in places if atom not in atoms) for atom in range(n)]
    if not fingerprint.counts:
        rows = [Counter(dict.fromkeys(row, 1)) for row in rows]
    mean = surrogate.predict(Described([smiles] * (n + 1), np.arange(n + 1), _sparse(rows)))[0].numpy()
    return np.asarray(mean[0] - mean[1:], dtype=np.float64)


def _fingerprint(surrogate: Any) -> Any:
    return MorganCounts() if surrogate.fingerprint is None else surrogate.fingerprint


def _neighbourhoods(molecule: Any, fingerprint: MorganCounts) -> list[tuple[int, frozenset[int]]]:
    """Return the feature of each neighbourhood that is counted, and its atoms."""
    chem = optional_module("rdkit.Chem")
    output = optional_module("rdkit.Chem.rdFingerprintGenerator").AdditionalOutput()
    output.AllocateBitInfoMap()
    morgan_generator(int(fingerprint.radius), bool(fingerprint.chirality)).GetSparseCountFingerprint(
        molecule, additionalOutput=output
    )
    found = []
    for feature, centres in output.GetBitInfoMap().items():
        for centre, radius in centres:
            bonds = chem.FindAtomEnvironmentOfRadiusN(molecule, radius, centre) if radius else []
            ends = [molecule.GetBondWithIdx(bond) for bond in bonds]
            atoms = {centre, *(b.GetBeginAtomIdx() for b in ends), *(b.GetEndAtomIdx() for b in ends)}
            found.append((int(feature), frozenset(atoms)))
    return found


def _sparse(rows: list[Counter[int]]) -> csr_array:
    """Return counts of features (n, 2³²)."""
    ends = np.cumsum([0, *map(len, rows)])
    features: NDArray[np.int64] = np.array([f for row in rows for f in sorted(row)], dtype=np.int64)
    counts = np.array([row[f] for row in rows for f in sorted(row)], dtype=np.int64)
    return csr_array((counts, features, ends), shape=(len(rows), 2**32))

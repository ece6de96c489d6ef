"""Molecules made of a part of one and a part of another."""

from typing import Any

import numpy as np

from wrlso._chemistry.smiles import Mol, optional_module

__all__ = ["chain_part", "crossed", "kekulized"]

_TRIES = 5  # pairs of cuts
_RING = 0.5  # share of the children that are joined in a ring, where both parents have one


def kekulized(molecule: Mol) -> Mol:
    """Return a copy with single and double bonds in place of aromatic ones, so that bonds can be cut."""
    chem = optional_module("rdkit.Chem")
    found = chem.Mol(molecule)
    chem.Kekulize(found, clearAromaticFlags=True)
    return found


def crossed(first: Mol, second: Mol, rng: np.random.Generator) -> str | None:
    """Join a part of one kekulised molecule with a part of another; return SMILES, None where no parts fit.

    As in the graph-based genetic algorithm of Jensen (Chem. Sci. 10, 2019), the parts are either side of a
    single bond outside rings, or of two bonds of a ring, so that the child's ring has atoms of both.
    """
    chem = optional_module("rdkit.Chem")
    for _ in range(_TRIES):
        ring = rng.random() < _RING
        parts = [_part(parent, ring, rng) for parent in (first, second)]
        if parts[0] is None or parts[1] is None:
            continue
        child = _joined(parts[0], parts[1], rng)
        if child is not None and chem.SanitizeMol(child, catchErrors=True) == 0:
            smiles: str = chem.MolToSmiles(child)
            return smiles
    return None


def chain_part(molecule: Mol, rng: np.random.Generator) -> Mol | None:
    """Return what lies on one side of a random single bond outside rings, with a dummy atom there."""
    return _part(molecule, False, rng)


def _part(molecule: Mol, ring: bool, rng: np.random.Generator) -> Mol | None:
    """Return what lies on one side of a random cut, dummy atoms in place of the other side."""
    bonds = _ring_cut(molecule, rng) if ring else _chain_cut(molecule, rng)
    if bonds is None:
        return None
    chem = optional_module("rdkit.Chem")
    cut = chem.FragmentOnBonds(molecule, bonds, addDummies=True)
    parts = chem.GetMolFrags(cut, asMols=True, sanitizeFrags=False)
    return parts[int(rng.integers(2))] if len(parts) == 2 else None


def _chain_cut(molecule: Mol, rng: np.random.Generator) -> list[int] | None:
    single = optional_module("rdkit.Chem").BondType.SINGLE
    bonds = [bond.GetIdx() for bond in molecule.GetBonds() if bond.GetBondType() == single]
    bonds = [bond for bond in bonds if not molecule.GetRingInfo().NumBondRings(bond)]
    return [bonds[int(rng.integers(len(bonds)))]] if bonds else None


def _ring_cut(molecule: Mol, rng: np.random.Generator) -> list[int] | None:
    rings = molecule.GetRingInfo()
    choices = rings.BondRings()
    if not choices:
        return None
    ring = choices[int(rng.integers(len(choices)))]
    bonds = [bond for bond in ring if rings.NumBondRings(bond) == 1]
    return [int(bond) for bond in rng.choice(bonds, size=2, replace=False)] if len(bonds) > 1 else None


def _joined(first: Mol, second: Mol, rng: np.random.Generator) -> Mol | None:
    """Bond the two parts where they were cut; cuts of unlike bonds are joined by single ones."""
    chem = optional_module("rdkit.Chem")
    child = chem.RWMol(chem.CombineMols(first, second))
    n_first = first.GetNumAtoms()
    ends = [_end(atom) for atom in child.GetAtoms() if atom.GetAtomicNum() == 0]
    ours = [end for end in ends if end[0] < n_first]
    theirs = [end for end in ends if end[0] >= n_first]
    for i, j in enumerate(rng.permutation(len(theirs))):
        (_, a, order), (_, b, other) = ours[i], theirs[int(j)]
        if child.GetBondBetweenAtoms(a, b) is not None:
            return None
        child.AddBond(a, b, order if order == other else chem.BondType.SINGLE)
    for dummy in sorted((end[0] for end in ends), reverse=True):
        child.RemoveAtom(dummy)
    return child.GetMol()


def _end(dummy: Any) -> tuple[int, int, Any]:
    """Return the numbers of a dummy atom and its neighbour, and the order of their bond."""
    bond = dummy.GetBonds()[0]
    return dummy.GetIdx(), bond.GetOtherAtomIdx(dummy.GetIdx()), bond.GetBondType()

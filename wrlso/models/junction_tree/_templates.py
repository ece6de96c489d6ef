"""Labels of cliques: canonical SMILES, and the atoms, bonds and symmetries of each label.

The type of a ring atom is its element, its charge, whether it is aromatic and, if so, its number of
neighbours with hydrogen (its ``slots``: 3 for the nitrogen of pyrrole, 2 for that of pyridine). The type of
other atoms is element and charge. A label writes a slot without a neighbour in the clique as hydrogen, so
N-methylpyrrole and pyrrole have the same ring.
"""

from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

from wrlso._chemistry.smiles import Mol, optional_module

__all__ = [
    "AROMATIC",
    "MAX_CLIQUE",
    "AtomType",
    "Template",
    "atom_type",
    "bond_kind",
    "bond_order",
    "label_of",
    "largest_valence",
    "least_valence",
    "template",
]

MAX_CLIQUE = 63  # atoms; two numbers below 64 are packed in one
AROMATIC = 4  # kind of an aromatic bond; 1, 2 and 3 are single, double and triple bonds
_KINDS = {"SINGLE": 1, "DOUBLE": 2, "TRIPLE": 3, "AROMATIC": AROMATIC}
_MOST_SYMMETRIES = 128

Bond = tuple[int, int, int]  # two atoms and a kind of bond


class AtomType(NamedTuple):
    """Type of an atom; ``slots`` is 0 for an atom that is not aromatic."""

    element: int
    charge: int
    slots: int

    @property
    def plain(self) -> "AtomType":
        """The type without aromaticity and slots."""
        return AtomType(self.element, self.charge, 0)


class Template(NamedTuple):
    """The atoms, bonds and symmetries of a label.

    Attributes
    ----------
    types : tuple of n AtomType
    bonds : tuple of (i, j, kind) with i < j
    symmetries : tuple of tuples of n int
        Permutations of the atoms that preserve types and bonds, the identity first.
    sigma, orders : tuple of n int
        Number of bonds of each atom, and the sum of their orders; an aromatic bond has order one.
    """

    types: tuple[AtomType, ...]
    bonds: tuple[Bond, ...]
    symmetries: tuple[tuple[int, ...], ...]
    sigma: tuple[int, ...]
    orders: tuple[int, ...]

    @property
    def is_ring(self) -> bool:
        """Whether the clique consists of one or more rings."""
        return len(self.types) > 2


def bond_order(kind: int) -> int:
    """Return the valence that a kind of bond uses, without the double bonds of aromatic rings."""
    return 1 if kind == AROMATIC else kind


def bond_kind(bond: Mol) -> int | None:
    """Return the number of a bond's kind; None for quadruple and dative ones."""
    return _KINDS.get(str(bond.GetBondType()))


def atom_type(atom: Mol) -> AtomType:
    """Return the type of an atom of a sanitised molecule."""
    slots = atom.GetDegree() + atom.GetTotalNumHs() if atom.GetIsAromatic() else 0
    return AtomType(atom.GetAtomicNum(), atom.GetFormalCharge(), slots)


@lru_cache(maxsize=2**16)
def label_of(types: tuple[AtomType, ...], bonds: tuple[Bond, ...]) -> tuple[str, tuple[int, ...]]:
    """Return the canonical SMILES of a clique, and its atoms in the order of that SMILES."""
    if len(types) < 3:
        types = tuple(kind.plain for kind in types)
    chem = optional_module("rdkit.Chem")
    sigma = _sums(len(types), [(i, j, 1) for i, j, _ in bonds])
    molecule = chem.RWMol()
    for kind, n_bonds in zip(types, sigma, strict=True):
        atom = chem.Atom(kind.element)
        atom.SetFormalCharge(kind.charge)
        if kind.slots:
            atom.SetIsAromatic(True)
            if kind.element != 6:
                atom.SetNoImplicit(True)
                atom.SetNumExplicitHs(max(0, kind.slots - n_bonds))
        molecule.AddAtom(atom)
    names = {kind: getattr(chem.BondType, name) for name, kind in _KINDS.items()}
    for i, j, bond in bonds:
        molecule.AddBond(i, j, names[bond])
        if bond == AROMATIC:
            molecule.GetBondBetweenAtoms(i, j).SetIsAromatic(True)
    molecule.UpdatePropertyCache(strict=False)
    chem.FastFindRings(molecule)
    text = chem.MolToSmiles(molecule)
    order = molecule.GetPropsAsDict(True, True)["_smilesAtomOutputOrder"]
    return text, tuple(int(i) for i in order)


@lru_cache(maxsize=2**14)
def template(label: str) -> Template:
    """Return the template of a label; raise ValueError for an invalid label."""
    chem = optional_module("rdkit.Chem")
    with optional_module("rdkit.rdBase").BlockLogs():
        molecule = chem.MolFromSmiles(label, sanitize=False)
    kinds = [] if molecule is None else [bond_kind(bond) for bond in molecule.GetBonds()]
    if molecule is None or not molecule.GetNumAtoms() or None in kinds:
        raise ValueError(f"{label!r} is not the label of a clique")
    if any(atom.GetAtomicNum() == 0 for atom in molecule.GetAtoms()):
        raise ValueError(f"{label!r:.80} has a dummy atom (*)")
    bonds = []
    for bond, kind in zip(molecule.GetBonds(), kinds, strict=True):
        i, j = sorted((bond.GetBeginAtomIdx(), bond.GetEndAtomIdx()))
        bonds.append((i, j, int(kind or 0)))
    n = molecule.GetNumAtoms()
    sigma = _sums(n, [(i, j, 1) for i, j, _ in bonds])
    if n > MAX_CLIQUE:
        raise ValueError(f"{label!r:.80} has rings of {n} atoms, more than {MAX_CLIQUE}")
    if len(chem.GetMolFrags(molecule)) > 1 or (n > 2 and min(sigma) < 2):
        raise ValueError(f"{label!r:.80} is not the label of a clique, which is one atom, a bond or rings")
    types = tuple(_label_type(atom, sigma[atom.GetIdx()]) for atom in molecule.GetAtoms())
    orders = _sums(n, [(i, j, bond_order(kind)) for i, j, kind in bonds])
    bonds.sort()
    return Template(types, tuple(bonds), _symmetries(types, bonds), tuple(sigma), tuple(orders))


def _label_type(atom: Mol, n_bonds: int) -> AtomType:
    element, slots = atom.GetAtomicNum(), 0
    if atom.GetIsAromatic():
        slots = 3 if element == 6 else n_bonds + atom.GetNumExplicitHs()
    return AtomType(element, atom.GetFormalCharge(), slots)


def _sums(n: int, weighted: Sequence[Bond]) -> list[int]:
    sums = [0] * n
    for i, j, weight in weighted:
        sums[i] += weight
        sums[j] += weight
    return sums


def _symmetries(types: Sequence[AtomType], bonds: Sequence[Bond]) -> tuple[tuple[int, ...], ...]:
    """Return up to 128 automorphisms of a small graph, found atom by atom along its bonds."""
    n = len(types)
    kind = [[0] * n for _ in range(n)]
    for i, j, bond in bonds:
        kind[i][j] = kind[j][i] = bond
    looks = [(types[i], tuple(sorted(k for k in kind[i] if k))) for i in range(n)]
    order = [0]
    while len(order) < n:  # bind each next atom to an earlier one, so that few places must be tried
        order.append(next(j for j in range(n) if j not in order and any(kind[i][j] for i in order)))
    found: list[tuple[int, ...]] = []
    image = [-1] * n

    def extend(step: int) -> None:
        if len(found) >= _MOST_SYMMETRIES:
            return
        if step == n:
            found.append(tuple(image))
            return
        atom = order[step]
        for place in range(n):
            if place in image or looks[place] != looks[atom]:
                continue
            if all(kind[atom][before] == kind[place][image[before]] for before in order[:step]):
                image[atom] = place
                extend(step + 1)
                image[atom] = -1

    extend(0)
    return tuple(sorted(found))


@lru_cache(maxsize=256)
def _valences(element: int, charge: int) -> tuple[int, ...]:
    """Return the valences of an atom: those of the neutral element with as many electrons."""
    table = optional_module("rdkit.Chem").GetPeriodicTable()
    valences = tuple(int(v) for v in table.GetValenceList(max(1, element - charge)))
    return tuple(v for v in valences if v >= 0) or (8,)


def largest_valence(element: int, charge: int) -> int:
    """Return the largest sum of bond orders that an atom can have."""
    return max(_valences(element, charge))


def least_valence(element: int, charge: int) -> int:
    """Return the smallest valence of an atom."""
    return min(_valences(element, charge))

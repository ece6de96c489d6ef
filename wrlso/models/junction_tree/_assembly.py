"""Assembling a molecule from a tree of labels, one clique at a time.

A clique is attached to its parent by merging one or two of its atoms with as many of the parent's. The
candidates are all ways that the kinds of atoms and bonds and the valences allow; ways that are equal by
symmetry are one candidate. The valences hold after every step, so every tree of attached cliques is a
molecule.
"""

from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple, TypeAlias

from wrlso._chemistry.smiles import Mol, canonical, optional_module
from wrlso.models.junction_tree._templates import (
    AROMATIC,
    AtomType,
    Template,
    bond_order,
    largest_valence,
    least_valence,
    template,
)

__all__ = ["Assembly", "Attachment", "possible"]

Places: TypeAlias = tuple[int, ...]  # one or two atoms of a clique, by their numbers in its label


class Attachment(NamedTuple):
    """One or two atoms of the parent, and the atoms of the child merged with them."""

    parent: Places
    child: Places


@lru_cache(maxsize=2**16)
def possible(parent: str, child: str) -> tuple[Attachment, ...]:
    """Return the attachments of fresh cliques that kinds of atoms and bonds allow, one per symmetry class."""
    above, below = template(parent), template(child)
    strict = above.is_ring and below.is_ring
    found = []
    for i, kind in enumerate(above.types):
        for j, other in enumerate(below.types):
            if kind == other or (not strict and kind.plain == other.plain):
                found.append(Attachment((i,), least_places(child, (j,))))
    if strict:
        for i1, i2, kind_above in above.bonds:
            for a, b, kind_below in below.bonds:
                for j1, j2 in ((a, b), (b, a)):
                    same = above.types[i1] == below.types[j1] and above.types[i2] == below.types[j2]
                    if same and kind_above == kind_below:
                        found.append(Attachment((i1, i2), least_places(child, (j1, j2))))
    return tuple(dict.fromkeys(found))


@lru_cache(maxsize=2**16)
def least_places(label: str, places: Places) -> Places:
    """Return the first of all places that are equal by a fresh clique's symmetry."""
    return min(_moved(places, symmetry) for symmetry in template(label).symmetries)


def _moved(places: Places, symmetry: Sequence[int]) -> Places:
    return tuple(symmetry[i] for i in places)


class Assembly:
    """A molecule that grows clique by clique.

    Parameters
    ----------
    root : str
        Label of the first clique.
    """

    def __init__(self, root: str) -> None:
        self.labels, self.parents = [root], [-1]
        self.attachments: list[Attachment | None] = [None]
        self._children: list[list[int]] = [[]]
        self.types: list[AtomType] = []  # of the molecule's atoms
        self.sigma: list[int] = []  # bonds of each atom
        self.orders: list[int] = []  # sums of their orders
        self.bonds: dict[tuple[int, int], int] = {}
        self.atoms: list[list[int]] = []  # of each clique, the molecule's atoms in the label's order
        self._taken: list[set[int]] = [set()]  # of each clique, the atoms at which another is attached
        self._add(template(root), {})

    # ---------------------------------------------------------------- candidates

    def candidates(self, parent: int, label: str) -> list[Attachment]:
        """Return the distinct ways to attach a clique of some label to clique number ``parent``."""
        above, below = template(self.labels[parent]), template(label)
        allowed = [
            candidate
            for candidate in possible(self.labels[parent], label)
            if self._fits(parent, above, below, candidate)
        ]
        if len(allowed) < 2 or len(above.symmetries) == 1:
            return allowed
        kept = self._symmetries_left(parent)
        if len(kept) == 1:
            return allowed
        return list(dict.fromkeys(_least(candidate, label, kept) for candidate in allowed))

    def representative(self, parent: int, label: str, attachment: Attachment) -> Attachment:
        """Return the candidate that is equal to an attachment by symmetry."""
        return _least(attachment, label, self._symmetries_left(parent))

    def _fits(self, parent: int, above: Template, below: Template, candidate: Attachment) -> bool:
        fused = len(candidate.parent) == 2
        if not fused and len(above.types) > 1 and candidate.parent[0] in self._taken[parent]:
            return False  # a clique of this one atom would join the three
        shared_order = 0
        if fused:
            pair = tuple(sorted(candidate.child))
            shared_order = next(bond_order(kind) for i, j, kind in below.bonds if (i, j) == pair)
        for i, j in zip(candidate.parent, candidate.child, strict=True):
            atom, kind = self.atoms[parent][i], below.types[j]
            sigma = self.sigma[atom] + below.sigma[j] - fused
            slots = self.types[atom].slots or kind.slots
            if slots and (sigma > slots or (kind.slots and kind.slots != slots)):
                return False
            order = self.orders[atom] + below.orders[j] - shared_order
            if order > largest_valence(kind.element, kind.charge):
                return False
        return True

    def _symmetries_left(self, k: int) -> list[tuple[int, ...]]:
        """Return the symmetries of clique k that do not change the cliques attached to it."""
        symmetries = template(self.labels[k]).symmetries
        if len(symmetries) == 1:
            return list(symmetries)
        names: dict[object, int] = {}
        inner = {child: self._inner(child, names) for child in self._children[k]}
        own = self.attachments[k]
        above = () if own is None else own.child

        def seen(symmetry: tuple[int, ...]) -> tuple[Places, list[object]]:
            below = [self._hanging(child, inner[child], symmetry) for child in self._children[k]]
            return _moved(above, symmetry), sorted(below)  # type: ignore[type-var]

        before = seen(symmetries[0])
        return [symmetry for symmetry in symmetries if seen(symmetry) == before]

    def _hanging(self, child: int, inner: Sequence[int], symmetry: tuple[int, ...]) -> object:
        """Return a description of a child seen from its parent, with a symmetry applied to the parent."""
        attachment = self.attachments[child]
        places = () if attachment is None else _moved(attachment.parent, symmetry)
        return min((places, inner[0]), (places[::-1], inner[-1]))

    def _inner(self, k: int, names: dict[object, int]) -> tuple[int, ...]:
        """Return names of the subtree of clique k, seen from its atoms in the parent in both orders."""
        below = {child: self._inner(child, names) for child in self._children[k]}
        attachment = self.attachments[k]
        child_places = () if attachment is None else attachment.child
        orders = [child_places] if len(child_places) < 2 else [child_places, child_places[::-1]]
        found = []
        for places in orders:
            looks = min(
                (_moved(places, s), sorted(self._hanging(c, below[c], s) for c in below))  # type: ignore[type-var]
                for s in template(self.labels[k]).symmetries
            )
            found.append(names.setdefault((self.labels[k], looks[0], tuple(looks[1])), len(names)))
        return tuple(found)

    # ---------------------------------------------------------------- growth

    def attach(self, parent: int, label: str, attachment: Attachment) -> int:
        """Attach a clique and return its number."""
        number = len(self.labels)
        self.labels.append(label)
        self.parents.append(parent)
        self.attachments.append(attachment)
        self._children.append([])
        self._children[parent].append(number)
        self._taken.append(set())
        if len(attachment.parent) == 1:
            self._taken[parent].add(attachment.parent[0])
            self._taken[number].add(attachment.child[0])
        pairs = zip(attachment.parent, attachment.child, strict=True)
        self._add(template(label), {j: self.atoms[parent][i] for i, j in pairs})
        return number

    def _add(self, new: Template, shared: dict[int, int]) -> None:
        atoms = []
        for j, kind in enumerate(new.types):
            if j in shared:
                atom = shared[j]
                if kind.slots:
                    self.types[atom] = kind
            else:
                atom = len(self.types)
                self.types.append(kind)
                self.sigma.append(0)
                self.orders.append(0)
            atoms.append(atom)
        for i, j, bond in new.bonds:
            pair = (min(atoms[i], atoms[j]), max(atoms[i], atoms[j]))
            if pair not in self.bonds:
                self.bonds[pair] = bond
                for atom in pair:
                    self.sigma[atom] += 1
                    self.orders[atom] += bond_order(bond)
        self.atoms.append(atoms)

    # ---------------------------------------------------------------- the molecule

    def smiles(self) -> str | None:
        """Return the molecule's canonical SMILES.

        Aromatic rings without alternating bonds get as many double bonds as possible.
        """
        chem = optional_module("rdkit.Chem")
        for kekulised in (False, True):
            molecule = self._molecule(kekulised)
            with optional_module("rdkit.rdBase").BlockLogs():
                try:
                    chem.SanitizeMol(molecule)
                except ValueError:  # RDKit's errors of valence and aromaticity inherit from it
                    continue
            return canonical(chem.MolToSmiles(molecule), stereo=False)
        return None

    def _molecule(self, kekulised: bool) -> Mol:
        chem = optional_module("rdkit.Chem")
        names = {1: chem.BondType.SINGLE, 2: chem.BondType.DOUBLE, 3: chem.BondType.TRIPLE}
        molecule = chem.RWMol()
        for kind, sigma in zip(self.types, self.sigma, strict=True):
            atom = chem.Atom(kind.element)
            atom.SetFormalCharge(kind.charge)
            if kind.slots and not kekulised:
                atom.SetIsAromatic(True)
                if kind.element != 6:
                    atom.SetNoImplicit(True)
                    atom.SetNumExplicitHs(kind.slots - sigma)
            molecule.AddAtom(atom)
        doubled = self._alternating() if kekulised else set()
        for pair, bond in self.bonds.items():
            if bond == AROMATIC:
                name = names[1 + (pair in doubled)] if kekulised else chem.BondType.AROMATIC
            else:
                name = names[bond]
            molecule.AddBond(*pair, name)
            molecule.GetBondBetweenAtoms(*pair).SetIsAromatic(bond == AROMATIC and not kekulised)
        return molecule

    def _alternating(self) -> set[tuple[int, int]]:
        """Return a largest set of aromatic bonds that can be double at once: a maximum matching."""
        networkx = optional_module("networkx")
        wanting = set()
        for atom, kind in enumerate(self.types):
            taken = kind.slots + self.orders[atom] - self.sigma[atom]
            if kind.slots and taken < least_valence(kind.element, kind.charge):
                wanting.add(atom)
        aromatic = [pair for pair, kind in self.bonds.items() if kind == AROMATIC and wanting >= set(pair)]
        matching = networkx.max_weight_matching(networkx.Graph(aromatic), maxcardinality=True)
        return {(min(pair), max(pair)) for pair in matching}


def _least(candidate: Attachment, label: str, symmetries: Sequence[tuple[int, ...]]) -> Attachment:
    """Return the first of all attachments that are equal to one by symmetry."""
    same = []
    for symmetry in symmetries:
        places, child = _moved(candidate.parent, symmetry), candidate.child
        if len(places) == 2 and places[0] > places[1]:
            places, child = places[::-1], child[::-1]
        same.append(Attachment(places, least_places(label, child)))
    return min(same)

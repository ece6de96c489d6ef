"""One molecule as a tree of labelled, attached cliques, and back."""

from typing import NamedTuple

from wrlso._chemistry.smiles import Mol, optional_module, parse
from wrlso.exceptions import DataError
from wrlso.models.junction_tree._assembly import Assembly, Attachment
from wrlso.models.junction_tree._cliques import clique_tree
from wrlso.models.junction_tree._templates import atom_type, bond_kind, label_of

__all__ = ["Choice", "Graph", "MoleculeTree", "decompose", "recompose"]


class MoleculeTree(NamedTuple):
    """A molecule's cliques in depth-first order.

    Attributes
    ----------
    labels : tuple of m str
        Canonical SMILES of each clique.
    parents : tuple of m int
        Number of each clique's parent; -1 for the root, which comes first.
    attachments : tuple of m Attachment or None
        Attachment of each clique to its parent; None for the root.
    """

    labels: tuple[str, ...]
    parents: tuple[int, ...]
    attachments: tuple[Attachment | None, ...]


class Choice(NamedTuple):
    """An attachment chosen among several candidates.

    Attributes
    ----------
    clique : int
        Number of the attached clique.
    candidates : tuple of at least two Attachment
    chosen : int
        Position among the candidates.
    """

    clique: int
    candidates: tuple[Attachment, ...]
    chosen: int


class Graph(NamedTuple):
    """A molecule's atoms (element, charge, aromatic, hydrogens) and bonds (i, j, kind, whether in a ring)."""

    atoms: tuple[tuple[int, int, int, int], ...]
    bonds: tuple[tuple[int, int, int, int], ...]


def decompose(smiles: str) -> tuple[MoleculeTree, Graph]:
    """Return the tree and the graph of a molecule, without stereochemistry.

    Raises DataError for anything but a single molecule, and for bonds that no label can have.
    """
    chem = optional_module("rdkit.Chem")
    molecule = parse(smiles)
    if molecule is None or len(chem.GetMolFrags(molecule)) != 1:
        raise DataError(f"a tree needs the SMILES of one molecule, got {smiles!r:.80}")
    chem.RemoveStereochemistry(molecule)
    graph = _graph(molecule)
    if any(kind == 0 for _, _, kind, _ in graph.bonds):
        raise DataError(f"{smiles!r:.80} must have single, double, triple and aromatic bonds only")
    types = [atom_type(atom) for atom in molecule.GetAtoms()]
    between: dict[int, list[tuple[int, int]]] = {}
    for i, j, kind, _ in graph.bonds:
        between.setdefault(i, []).append((j, kind))
        between.setdefault(j, []).append((i, kind))
    tree = clique_tree(molecule)
    labels, where = [], []
    for clique in tree.cliques:
        place = {atom: i for i, atom in enumerate(clique)}
        bonds = tuple(
            (i, place[other], kind)
            for atom, i in place.items()
            for other, kind in between.get(atom, [])
            if i < place.get(other, -1)
        )
        label, order = label_of(tuple(types[atom] for atom in clique), bonds)
        labels.append(label)
        where.append({clique[i]: position for position, i in enumerate(order)})
    attachments = [
        None if parent < 0 else _attachment(where[parent], where[k]) for k, parent in enumerate(tree.parents)
    ]
    return MoleculeTree(tuple(labels), tuple(tree.parents), tuple(attachments)), graph


def _attachment(parent: dict[int, int], child: dict[int, int]) -> Attachment:
    pairs = sorted((place, child[atom]) for atom, place in parent.items() if atom in child)
    return Attachment(tuple(i for i, _ in pairs), tuple(j for _, j in pairs))


def _graph(molecule: Mol) -> Graph:
    atoms = tuple(
        (atom.GetAtomicNum(), atom.GetFormalCharge(), int(atom.GetIsAromatic()), atom.GetTotalNumHs())
        for atom in molecule.GetAtoms()
    )
    bonds = tuple(
        (bond.GetBeginAtomIdx(), bond.GetEndAtomIdx(), bond_kind(bond) or 0, int(bond.IsInRing()))
        for bond in molecule.GetBonds()
    )
    return Graph(atoms, bonds)


def recompose(tree: MoleculeTree) -> tuple[str | None, list[Choice]]:
    """Assemble a molecule from its tree.

    Returns the canonical SMILES and the choices between attachments. Raises DataError when an attachment of
    the tree is not among the candidates.
    """
    assembly, choices = Assembly(tree.labels[0]), []
    for k in range(1, len(tree.labels)):
        parent, label, attachment = tree.parents[k], tree.labels[k], tree.attachments[k]
        candidates = assembly.candidates(parent, label)
        chosen = None if attachment is None else assembly.representative(parent, label, attachment)
        if attachment is None or chosen not in candidates:
            raise DataError(f"{label} cannot be attached to {tree.labels[parent]} as {attachment}")
        if len(candidates) > 1:
            choices.append(Choice(k, tuple(candidates), candidates.index(chosen)))
        assembly.attach(parent, label, attachment)
    return assembly.smiles(), choices

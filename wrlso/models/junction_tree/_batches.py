"""A molecule's tree and graph as one row of small integers, and many rows as index tensors.

A row has a header of five numbers (atoms, bonds, cliques, choices between attachments, and their
candidates), then the entries below, then zeros as padding. Unpacking is index arithmetic over all rows.

==========  ===================================================================
atom        code of element, charge, aromaticity and hydrogens, and of its stereo label
bond        both atoms in one number; kind, 5 more in a ring, and stereo label
clique      label, parent, atoms in the parent, own atoms, depth, subtree, height
choice      clique, number of candidates, the chosen one
candidate   atoms in the parent; own atoms
==========  ===================================================================

With stereochemistry, the isomers of the flat molecule follow; see :func:`with_isomers`.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from wrlso.models.junction_tree._assembly import Attachment
from wrlso.models.junction_tree._templates import MAX_CLIQUE
from wrlso.models.junction_tree._trees import Choice, Graph, MoleculeTree

__all__ = [
    "ATOM_LABELS",
    "BOND_LABELS",
    "HEADER",
    "MAX_ATOMS",
    "N_ATOM_CODES",
    "N_BOND_KINDS",
    "ChoiceBatch",
    "GraphBatch",
    "IsomerBatch",
    "TreeBatch",
    "element_number",
    "graph_slots",
    "isomer_graphs",
    "label_slots",
    "pack",
    "packed_places",
    "ragged",
    "tree_columns",
    "unpack",
    "unpack_isomers",
    "with_isomers",
]

Row = NDArray[np.int16]

MAX_ATOMS = 127
HEADER, _CLIQUE, _CHOICE = 5, 7, 3
_WIDTHS = (1, 2, _CLIQUE, _CHOICE, 2)  # numbers of an atom, a bond, a clique, a choice and a candidate
_ELEMENTS = (6, 7, 8, 16, 9, 17, 35, 53, 15, 5, 14, 34)
_CHARGES, _HYDROGENS = 2, 4
N_ELEMENTS = len(_ELEMENTS) + 1
N_ATOM_CODES = N_ELEMENTS * (2 * _CHARGES + 1) * 2 * (_HYDROGENS + 1)
N_BOND_KINDS = 10
# by the rules of Cahn, Ingold and Prelog; a code adds the number of a label (0: none) times those above
ATOM_LABELS, BOND_LABELS = ("R", "S", "r", "s"), ("E", "Z", "e", "z")


class TreeBatch(NamedTuple):
    """Trees side by side: all cliques of all molecules, each molecule's in depth-first order.

    Attributes
    ----------
    n : int
        Number of molecules.
    molecule, label, parent : Tensor (m,)
        ``parent`` is the parent's number among all cliques, -1 for roots.
    depth, size, height : Tensor (m,)
        Steps from the root; cliques in the subtree; steps to its deepest leaf.
    number : Tensor (m,)
        Number in the molecule.
    """

    n: int
    molecule: Tensor
    label: Tensor
    parent: Tensor
    depth: Tensor
    size: Tensor
    height: Tensor
    number: Tensor


class GraphBatch(NamedTuple):
    """Graphs side by side: atoms (a,), bonds (b,) between numbers among all atoms."""

    n: int
    molecule: Tensor
    code: Tensor
    begin: Tensor
    end: Tensor
    kind: Tensor


class ChoiceBatch(NamedTuple):
    """Choices (s,) between attachments, their candidates (c,), and cliques attached to the parent (h,).

    Attributes
    ----------
    molecule, above, below, clique : Tensor (s,)
        Molecule; labels of the parent and of the attached clique; the latter's number among all cliques.
    chosen : Tensor (s,)
        Numbers among all candidates; -1 before a choice.
    of : Tensor (c,)
        Number of the choice.
    parent, child : Tensor (c, 2)
        Atoms by their places in the labels; the same atom twice when only one is shared.
    hanging_of : Tensor (h,)
        Number of the choice.
    hanging_places : Tensor (h, 2)
        Atoms of the parent, by their places in its label.
    hanging_message : Tensor (h,)
        Number of the message: that of a clique to its parent, or, after all of these, from its parent.
    """

    molecule: Tensor
    above: Tensor
    below: Tensor
    clique: Tensor
    chosen: Tensor
    of: Tensor
    parent: Tensor
    child: Tensor
    hanging_of: Tensor
    hanging_places: Tensor
    hanging_message: Tensor


class IsomerBatch(NamedTuple):
    """Isomers (i,) of the molecules of a batch, and their labels (l,) at the sites where any has one.

    Attributes
    ----------
    molecule, agrees : Tensor (i,)
        ``agrees``: whether the isomer agrees with the molecule's SMILES.
    isomer, site, label : Tensor (l,)
        ``site`` is the number of an atom in its molecule, or, after all atoms, of a bond; ``label`` is 0 for
        none.
    """

    molecule: Tensor
    agrees: Tensor
    isomer: Tensor
    site: Tensor
    label: Tensor


def element_number(element: int) -> int:
    """Return the number of an element among the numbered ones; all others share the last number."""
    return _ELEMENTS.index(element) if element in _ELEMENTS else len(_ELEMENTS)


def charge_number(charge: int) -> int:
    """Return 0 to 4 for charges from -2 to 2 and beyond."""
    return min(max(charge, -_CHARGES), _CHARGES) + _CHARGES


def packed_places(places: Sequence[int]) -> int:
    """Return one or two numbers of atoms as one number."""
    return places[0] * (MAX_CLIQUE + 1) + places[-1]


def _unpacked_places(code: Tensor) -> Tensor:
    """Return (…, 2) numbers of atoms."""
    return torch.stack([code // (MAX_CLIQUE + 1), code % (MAX_CLIQUE + 1)], dim=-1)


def tree_columns(parents: Sequence[int]) -> tuple[list[int], list[int], list[int]]:
    """Return depths, sizes and heights of m cliques from their parents' numbers in depth-first order."""
    m = len(parents)
    depth, size, height = [0] * m, [1] * m, [0] * m
    for k in range(1, m):
        depth[k] = depth[parents[k]] + 1
    for k in range(m - 1, 0, -1):
        size[parents[k]] += size[k]
        height[parents[k]] = max(height[parents[k]], height[k] + 1)
    return depth, size, height


def pack(tree: MoleculeTree, graph: Graph, choices: Sequence[Choice]) -> Row:
    """Return a row without padding; its cliques' labels are their numbers in ``tree.labels``."""
    numbers = [len(graph.atoms), len(graph.bonds), len(tree.labels), len(choices)]
    numbers.append(sum(len(choice.candidates) for choice in choices))
    for element, charge, aromatic, hydrogens in graph.atoms:
        code = element_number(element) * (2 * _CHARGES + 1) + charge_number(charge)
        numbers.append((code * 2 + aromatic) * (_HYDROGENS + 1) + min(hydrogens, _HYDROGENS))
    for i, j, kind, in_ring in graph.bonds:
        numbers += (i * (MAX_ATOMS + 1) + j, kind + 5 * in_ring)
    columns = zip(*tree_columns(tree.parents), strict=True)
    for k, (parent, own, shape) in enumerate(zip(tree.parents, tree.attachments, columns, strict=True)):
        places = (0, 0) if own is None else (packed_places(own.parent), packed_places(own.child))
        numbers += (k, max(0, parent), *places, *shape)
    for choice in choices:
        numbers += (choice.clique, len(choice.candidates), choice.chosen)
    for choice in choices:
        for candidate in choice.candidates:
            numbers += _candidate(candidate)
    return np.array(numbers, dtype=np.int16)


def _candidate(candidate: Attachment) -> tuple[int, int]:
    return packed_places(candidate.parent), packed_places(candidate.child)


def graph_slots(row: Row) -> tuple[slice, slice]:
    """Return the slices of a row with the codes of atoms and the kinds of bonds."""
    end = HEADER + int(row[0])
    return slice(HEADER, end), slice(end + 1, end + 2 * int(row[1]), 2)


def label_slots(row: Row) -> slice:
    """Return the slice of a row with the labels."""
    start = HEADER + int(row[0]) + 2 * int(row[1])
    return slice(start, start + _CLIQUE * int(row[2]), _CLIQUE)


def with_isomers(row: Row, labels: Sequence[Sequence[int]], agrees: Sequence[bool]) -> Row:
    """Return a row with i isomers appended, from the labels of their atoms and bonds (i, atoms + bonds).

    Appended are the number of sites where any isomer has a label, the number of isomers, the sites, and for
    each isomer whether it agrees with the molecule, and its labels at the sites.
    """
    table = np.array(labels, dtype=np.int16).reshape(len(labels), int(row[0]) + int(row[1]))
    sites = np.flatnonzero(table.any(axis=0))
    body = np.column_stack([np.array(agrees, dtype=np.int16), table[:, sites]]).ravel()
    return np.concatenate([row, [len(sites), len(labels)], sites, body]).astype(np.int16)


def ragged(counts: Tensor) -> tuple[Tensor, Tensor]:
    """Return each entry's list and place in it, for concatenated lists with these lengths (n,)."""
    of = torch.repeat_interleave(torch.arange(len(counts), device=counts.device), counts)
    return of, torch.arange(len(of), device=counts.device) - (counts.cumsum(0) - counts)[of]


def unpack(inputs: Tensor) -> tuple[TreeBatch, GraphBatch, ChoiceBatch]:
    """Return the index tensors of n rows, all int64 and on the rows' device."""
    numbers = inputs.to(torch.int64)
    n_atoms, n_bonds, n_cliques, n_choices, n_candidates = numbers[:, :HEADER].unbind(1)
    stream, width = numbers.flatten(), inputs.shape[1]
    start = torch.arange(len(inputs), device=inputs.device) * width + HEADER

    def section(counts: Tensor, begin: Tensor, columns: int) -> tuple[Tensor, Tensor, Tensor]:
        of, place = ragged(counts)
        entry = begin[of] + columns * place
        return of, place, stream[entry[:, None] + torch.arange(columns, device=inputs.device)]

    atom_of, _, atoms = section(n_atoms, start, 1)
    start = start + n_atoms
    bond_of, _, bonds = section(n_bonds, start, 2)
    start = start + 2 * n_bonds
    clique_of, number, cliques = section(n_cliques, start, _CLIQUE)
    start = start + _CLIQUE * n_cliques
    choice_of, _, choices = section(n_choices, start, _CHOICE)
    _, _, candidates = section(n_candidates, start + _CHOICE * n_choices, 2)
    first_atom, first_clique = n_atoms.cumsum(0) - n_atoms, n_cliques.cumsum(0) - n_cliques
    ends = first_atom[bond_of]
    graph = GraphBatch(
        len(inputs), atom_of, atoms[:, 0],
        ends + bonds[:, 0] // (MAX_ATOMS + 1), ends + bonds[:, 0] % (MAX_ATOMS + 1), bonds[:, 1],
    )  # fmt: skip
    parent = torch.where(number > 0, first_clique[clique_of] + cliques[:, 1], -1)
    label, depth, size, height = (cliques[:, i] for i in (0, 4, 5, 6))
    tree = TreeBatch(len(inputs), clique_of, label, parent, depth, size, height, number)
    clique = first_clique[choice_of] + choices[:, 0]
    places = (_unpacked_places(cliques[:, 2]), _unpacked_places(cliques[:, 3]))
    hanging = _hanging(tree, clique, first_clique, n_cliques, places)
    chosen = choices[:, 1].cumsum(0) - choices[:, 1] + choices[:, 2]
    of, _ = ragged(choices[:, 1])
    pairs = _unpacked_places(candidates)
    above, below = label[parent[clique]], label[clique]
    batch = ChoiceBatch(choice_of, above, below, clique, chosen, of, pairs[:, 0], pairs[:, 1], *hanging)
    return tree, graph, batch


def _hanging(
    tree: TreeBatch, clique: Tensor, first: Tensor, n_cliques: Tensor, places: tuple[Tensor, Tensor]
) -> tuple[Tensor, Tensor, Tensor]:
    """Return the cliques already attached to the parents of new cliques: see ChoiceBatch."""
    of, place = ragged(n_cliques[tree.molecule[clique]])
    other = first[tree.molecule[clique]][of] + place
    new = clique[of]
    sibling = (tree.parent[other] == tree.parent[new]) & (other < new)  # a root has no siblings
    of_sibling, other = of[sibling], other[sibling]
    above = tree.parent[clique]
    of_parent = (tree.parent[above] >= 0).nonzero()[:, 0]
    above = above[of_parent]
    return (
        torch.cat([of_sibling, of_parent]),
        torch.cat([places[0][other], places[1][above]]),
        torch.cat([other, len(tree.label) + above]),
    )


def unpack_isomers(inputs: Tensor) -> IsomerBatch:
    """Return the isomers of n rows from :func:`with_isomers`, all int64 and on the rows' device."""
    numbers = inputs.to(torch.int64)
    stream, (n, width) = numbers.flatten(), inputs.shape
    length = (numbers[:, :HEADER] * torch.tensor(_WIDTHS, device=inputs.device)).sum(dim=1)
    start = torch.arange(n, device=inputs.device) * width + HEADER + length
    n_sites = stream[start]
    molecule, number = ragged(stream[start + 1])
    own_sites = n_sites[molecule]
    begin = start[molecule] + 2 + own_sites + number * (1 + own_sites)
    isomer, k = ragged(own_sites)
    site, label = stream[start[molecule[isomer]] + 2 + k], stream[begin[isomer] + 1 + k]
    return IsomerBatch(molecule, stream[begin] > 0, isomer, site, label)


def isomer_graphs(graph: GraphBatch, isomers: IsomerBatch) -> tuple[GraphBatch, Tensor, Tensor]:
    """Return the graphs of isomers side by side, with their labels instead of those of ``graph``.

    The other two results (s,) are the atoms that are sites or ends of sites, and their isomers' numbers.
    """
    of = isomers.molecule
    n_atoms = torch.bincount(graph.molecule, minlength=graph.n)
    n_bonds = torch.bincount(graph.molecule[graph.begin], minlength=graph.n)
    first_atom, first_bond = (counts.cumsum(0) - counts for counts in (n_atoms, n_bonds))
    own_atom, own_bond = (counts[of].cumsum(0) - counts[of] for counts in (n_atoms, n_bonds))
    molecule, k = ragged(n_atoms[of])
    code = graph.code[first_atom[of[molecule]] + k] % N_ATOM_CODES
    bond_of, k = ragged(n_bonds[of])
    bond = first_bond[of[bond_of]] + k
    kind, shift = graph.kind[bond] % N_BOND_KINDS, (own_atom - first_atom[of])[bond_of]
    begin, end = graph.begin[bond] + shift, graph.end[bond] + shift
    behind = isomers.site - n_atoms[of][isomers.isomer]
    at_atom, at_bond = behind < 0, behind >= 0
    atoms = (own_atom[isomers.isomer] + isomers.site)[at_atom]
    bonds = (own_bond[isomers.isomer] + behind)[at_bond]
    code[atoms] += N_ATOM_CODES * isomers.label[at_atom]
    kind[bonds] += N_BOND_KINDS * isomers.label[at_bond]
    sites = torch.cat([atoms, begin[bonds], end[bonds]])
    return GraphBatch(len(of), molecule, code, begin, end, kind), sites, molecule[sites]

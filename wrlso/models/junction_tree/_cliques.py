"""A molecule's atoms in cliques, and the tree of these cliques (Jin, Barzilay, Jaakkola 2018, section 2.1).

Cliques are rings and the bonds outside rings. Rings that share more than two atoms are merged. When three or
more cliques meet in one atom, that atom becomes a clique of its own between them. The tree is a maximum
spanning tree of the graph of cliques that share atoms, weighted by the number of shared atoms.

A tree can only be assembled again when the cliques of every atom are neighbours in it (the running
intersection property of junction trees). Rings around an atom, as in pyrene, break this property; they are
merged until it holds.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import combinations
from typing import NamedTuple

from wrlso._chemistry.smiles import Mol

__all__ = ["CliqueTree", "clique_tree"]

Clique = tuple[int, ...]
Edge = tuple[int, int]


class CliqueTree(NamedTuple):
    """Cliques in depth-first order, each behind its parent.

    Attributes
    ----------
    cliques : list of m tuples of int
        Atom numbers in ascending order.
    parents : list of m int
        Number of each clique's parent; -1 for the root, which comes first.
    """

    cliques: list[Clique]
    parents: list[int]


def clique_tree(molecule: Mol) -> CliqueTree:
    """Return the tree of a molecule of one fragment; its root holds atom 0."""
    bonds = [(bond.GetBeginAtomIdx(), bond.GetEndAtomIdx()) for bond in molecule.GetBonds()]
    bonded = {frozenset(bond) for bond in bonds}
    outside = [
        tuple(sorted(ends))
        for ends, bond in zip(bonds, molecule.GetBonds(), strict=True)
        if not bond.IsInRing()
    ]
    rings = [frozenset(ring) for ring in molecule.GetRingInfo().AtomRings()]
    while True:
        rings = _merged(rings, bonded)
        cliques = sorted([*outside, *(tuple(sorted(ring)) for ring in rings)]) or [(0,)]
        edges = _spanning_tree(cliques)
        broken = _broken_atom(cliques, edges)
        if broken is None:
            return _depth_first(cliques, edges)
        around = [ring for ring in rings if broken in ring]
        rings = [ring for ring in rings if broken not in ring] + [frozenset().union(*around)]


def _merged(rings: Iterable[frozenset[int]], bonded: set[frozenset[int]]) -> list[frozenset[int]]:
    """Merge rings that share more than two atoms, or two atoms without a bond between them."""
    kept: list[frozenset[int]] = []
    for ring in rings:
        new, changed = ring, True
        while changed:
            changed = False
            for other in kept:
                shared = new & other
                if len(shared) > 2 or (len(shared) == 2 and shared not in bonded):
                    kept.remove(other)
                    new, changed = new | other, True
                    break
        kept.append(new)
    return kept


def _spanning_tree(cliques: list[Clique]) -> list[Edge]:
    """Return a maximum spanning tree; append the cliques of single atoms that it needs."""
    members: dict[int, list[int]] = {}
    for i, clique in enumerate(cliques):
        for atom in clique:
            members.setdefault(atom, []).append(i)
    weights: Counter[Edge] = Counter()
    for meeting in members.values():
        weights.update(combinations(meeting, 2))
    for atom, meeting in sorted(members.items()):
        if len(meeting) < 3:
            continue
        groups = _groups(meeting, weights)
        if len(groups) < 3:  # fused rings need no clique of a single atom
            continue
        for group, other in combinations(groups, 2):
            for i in group:
                for j in other:
                    weights.pop((min(i, j), max(i, j)), None)
        weights.update((group[0], len(cliques)) for group in groups)
        cliques.append((atom,))
    root = list(range(len(cliques)))
    edges = []
    for i, j in sorted(weights, key=lambda edge: (-weights[edge], edge)):
        a, b = _find(root, i), _find(root, j)
        if a != b:
            root[a] = b
            edges.append((i, j))
    return edges


def _groups(meeting: Sequence[int], weights: Counter[Edge]) -> list[list[int]]:
    """Group the cliques at an atom: cliques that share a bond belong together."""
    groups: list[list[int]] = []
    for i in meeting:
        near = [group for group in groups if any(weights[(j, i)] > 1 for j in group)]
        groups = [group for group in groups if group not in near]
        groups.append([j for group in near for j in group] + [i])
    return groups


def _find(root: list[int], i: int) -> int:
    while root[i] != i:
        root[i] = root[root[i]]
        i = root[i]
    return i


def _broken_atom(cliques: Sequence[Clique], edges: Sequence[Edge]) -> int | None:
    """Return an atom whose cliques are not neighbours in the tree, or None."""
    parts = Counter(atom for clique in cliques for atom in clique)
    for i, j in edges:
        parts.subtract(set(cliques[i]) & set(cliques[j]))
    return next((atom for atom, n in sorted(parts.items()) if n != 1), None)


def _depth_first(cliques: Sequence[Clique], edges: Sequence[Edge]) -> CliqueTree:
    """Order cliques depth first; children in the order of the first atom that they add."""
    near: list[list[int]] = [[] for _ in cliques]
    for i, j in edges:
        near[i].append(j)
        near[j].append(i)
    first = next(i for i, clique in enumerate(cliques) if 0 in clique)
    order, parents, stack = [], [], [(first, -1, -1)]
    while stack:
        i, parent, above = stack.pop()
        parents.append(parent)
        order.append(cliques[i])
        below = [j for j in near[i] if j != above]
        shared = set(cliques[i])
        below.sort(key=lambda j: ([a for a in cliques[j] if a not in shared], j), reverse=True)
        stack += [(j, len(order) - 1, i) for j in below]
    return CliqueTree(order, parents)

"""Penalised logP and the part of it that only this objective uses.

Every function takes RDKit's molecule (of :func:`wrlso._chemistry.smiles.parse`) and returns a number.
"""

from typing import Any

from wrlso._chemistry.scores import logp, synthetic_accessibility
from wrlso._chemistry.smiles import Mol, optional_module

__all__ = ["excess_cycle", "penalized_logp"]

# Means and standard deviations over ZINC250k, as in the code released with the paper.
_LOGP = (2.45777691, 1.43341767)
_ACCESSIBILITY = (3.05352042, 0.83460587)
_CYCLE = (0.04861121, 0.28746695)

_LONGEST_FREE_CYCLE = 6


def penalized_logp(molecule: Mol) -> float:
    """Return logP - synthetic accessibility - excess of the longest cycle, each normalised, not clipped.

    Kusner et al., "Grammar Variational Autoencoder" (2017), with the constants of the paper's released code.
    """
    return (
        (logp(molecule) - _LOGP[0]) / _LOGP[1]
        - (synthetic_accessibility(molecule) - _ACCESSIBILITY[0]) / _ACCESSIBILITY[1]
        - (excess_cycle(molecule) - _CYCLE[0]) / _CYCLE[1]
    )


def excess_cycle(molecule: Mol) -> int:
    """Return the number of atoms beyond six of the longest cycle in networkx's cycle basis.

    When rings share bonds, the basis depends on the order of atoms. Here the order is that of the canonical
    SMILES, so a molecule has one score in any spelling, and the basis starts at its first atom, as when the
    published scores were computed. From version 3.2 on networkx starts at the last atom, which gives 221
    molecules of ZINC250k another cycle.
    """
    rings = molecule.GetRingInfo()
    longest = max(map(len, rings.AtomRings()), default=0)
    if not _only_one_basis(molecule):
        longest = _longest_basis_cycle(molecule)
    return max(0, longest - _LONGEST_FREE_CYCLE)


def _only_one_basis(molecule: Mol) -> bool:
    """Return whether no rings share a bond: then the rings are the graph's only cycles."""
    rings = molecule.GetRingInfo()
    if any(rings.NumBondRings(bond) > 1 for bond in range(molecule.GetNumBonds())):
        return False
    if rings.NumRings() == molecule.GetNumBonds() - molecule.GetNumAtoms() + 1:
        return True  # not more cycles than rings: RDKit leaves out rings through dative bonds
    parts = len(optional_module("rdkit.Chem").GetMolFrags(molecule))
    return bool(rings.NumRings() == molecule.GetNumBonds() - molecule.GetNumAtoms() + parts)


def _longest_basis_cycle(molecule: Mol) -> int:
    networkx = optional_module("networkx")
    chem = optional_module("rdkit.Chem")
    chem.MolToSmiles(molecule)  # stores the order of the written atoms as a property
    order = list(molecule.GetPropsAsDict(includePrivate=True, includeComputed=True)["_smilesAtomOutputOrder"])
    position = {atom: place for place, atom in enumerate(order)}
    neighbours: list[list[int]] = [[] for _ in order]
    for bond in molecule.GetBonds():
        first, second = position[bond.GetBeginAtomIdx()], position[bond.GetEndAtomIdx()]
        neighbours[first].append(second)
        neighbours[second].append(first)
    # by rows, as from an adjacency matrix, so that neighbours come in the order of their numbers
    graph = networkx.Graph({place: sorted(others) for place, others in enumerate(neighbours)})
    parts = networkx.connected_components(graph)
    cycles = [networkx.cycle_basis(_part(graph, part), min(part)) for part in parts]
    return max((len(cycle) for basis in cycles for cycle in basis), default=0)


def _part(graph: Any, part: set[int]) -> Any:
    return graph if len(part) == len(graph) else graph.subgraph(part).copy()

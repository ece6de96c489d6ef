"""Scores of single molecules: penalised logP, its parts, and QED.

Every function takes RDKit's molecule (of :func:`wrlso._chemistry.smiles.parse`) and returns a float.
"""

import sys
from functools import cache
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any, TypeAlias

from wrlso._chemistry.smiles import optional_module

__all__ = ["excess_cycle", "logp", "penalized_logp", "qed", "synthetic_accessibility"]

Mol: TypeAlias = Any  # rdkit.Chem.Mol

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


def logp(molecule: Mol) -> float:
    """Return Crippen's estimate of the octanol-water partition coefficient."""
    value: float = optional_module("rdkit.Chem.Crippen").MolLogP(molecule)
    return value


def qed(molecule: Mol) -> float:
    """Return the quantitative estimate of drug-likeness, 0 to 1 (Bickerton et al., Nature Chem. 4, 2012)."""
    value: float = optional_module("rdkit.Chem.QED").qed(molecule)
    return value


def synthetic_accessibility(molecule: Mol) -> float:
    """Return Ertl's score, 1 (easy to make) to 10 (J. Cheminform. 1:8, 2009), by RDKit's Contrib module."""
    value: float = _contributed_scorer().calculateScore(molecule)
    return value


@cache
def _contributed_scorer() -> Any:
    """Load ``sascorer`` from its file beside RDKit's package, because it cannot be imported by name."""
    folder = Path(optional_module("rdkit.RDConfig").RDContribDir) / "SA_Score"
    spec = spec_from_file_location("_wrlso_sascorer", folder / "sascorer.py")
    if spec is None or spec.loader is None or not (folder / "sascorer.py").exists():
        raise ModuleNotFoundError(
            f"RDKit's synthetic accessibility score is not in {folder}; "
            "install RDKit's wheel, which contains it: pip install 'wrlso[molecules]'",
            name="rdkit",
        )
    module = module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


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

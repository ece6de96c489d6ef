"""Stereochemistry on top of a flat molecule: its labels, its isomers, and how likely each of these is.

Rings, bonds and attachments say nothing of it, so that the tree of a molecule is that of its flat graph.
Where stereochemistry counts, the encoder sees the label of each atom and bond by the rules of Cahn, Ingold
and Prelog, which do not depend on the order of atoms; the decoder tries the isomers of what it has put
together.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from wrlso._smiles import Mol, canonical, optional_module, parse
from wrlso.exceptions import DataError
from wrlso.models.junction_tree._networks import GraphMessages
from wrlso.models.junction_tree._packing import (
    ATOM_LABELS,
    BOND_LABELS,
    N_ATOM_CODES,
    N_BOND_KINDS,
    GraphBatch,
    Row,
    graph_slots,
)

__all__ = ["StereoScorer", "isomers", "labelled", "stereo_labels"]

Labels = tuple[list[int], list[int]]  # of atoms and of bonds, 0 for none

_EFFORT = 100_000  # comparisons of ranks; most molecules take a few hundred


def stereo_labels(smiles: str, flat: str) -> Labels:
    """Return the numbers of the labels of a molecule's atoms and bonds, in the order of its flat SMILES.

    Raises DataError where the rules do not come to an end.
    """
    chem = optional_module("rdkit.Chem")
    molecule: Any = parse(smiles)
    plain: Any = parse(flat)
    try:
        optional_module("rdkit.Chem.rdCIPLabeler").AssignCIPLabels(molecule, maxRecursiveIterations=_EFFORT)
    except RuntimeError as error:
        raise DataError(f"{smiles!r:.80} is too symmetric for labels of its stereochemistry") from error
    same = chem.Mol(molecule)
    chem.RemoveStereochemistry(same)
    if chem.MolToSmiles(same) != flat:
        raise DataError(f"{flat!r:.80} is not what {smiles!r:.80} is without stereochemistry")
    places = same.GetPropsAsDict(True, True)["_smilesAtomOutputOrder"]  # of the molecule, by those of flat
    atoms = [_number(molecule.GetAtomWithIdx(place), ATOM_LABELS) for place in places]
    ends = [(places[bond.GetBeginAtomIdx()], places[bond.GetEndAtomIdx()]) for bond in plain.GetBonds()]
    return atoms, [_number(molecule.GetBondBetweenAtoms(*pair), BOND_LABELS) for pair in ends]


def _number(part: Mol, labels: Sequence[str]) -> int:
    label = part.GetProp("_CIPCode") if part.HasProp("_CIPCode") else ""
    return labels.index(label) + 1 if label in labels else 0


def labelled(row: Row, labels: Labels) -> Row:
    """Return the row of a flat molecule with labels of its atoms and bonds."""
    row = row.copy()
    atoms, bonds = graph_slots(row)
    row[atoms] += N_ATOM_CODES * np.array(labels[0], dtype=np.int16)
    row[bonds] += N_BOND_KINDS * np.array(labels[1], dtype=np.int16)
    return row


def isomers(flat: str, most: int) -> list[str]:
    """Return the canonical SMILES of a flat molecule's isomers, at most so many; itself where it has none.

    Nitrogen in small rings and cages has no sides here: SMILES leave it open, as it inverts or has no choice.
    Isomers of bridged rings that are too strained to exist are among them.
    """
    tool = optional_module("rdkit.Chem.EnumerateStereoisomers")
    options = tool.StereoEnumerationOptions(unique=True, maxIsomers=most, rand=0)
    chem = optional_module("rdkit.Chem")
    found = []
    for one in tool.EnumerateStereoisomers(parse(flat), options):
        for atom in one.GetAtoms():
            if atom.GetAtomicNum() == 7 and atom.GetFormalCharge() == 0:
                atom.SetChiralTag(chem.ChiralType.CHI_UNSPECIFIED)
        found.append(canonical(chem.MolToSmiles(one)))
    kept = [x for x in dict.fromkeys(found) if x is not None and canonical(x, stereo=False) == flat]
    return kept or [flat]


class StereoScorer(nn.Module):
    """How likely each label of an atom or bond is, given the flat graph and the graph part of z."""

    def __init__(self, hidden: int, latent: int, depth: int) -> None:
        super().__init__()
        self.messages = GraphMessages(hidden, depth)
        self.atom = nn.Sequential(
            nn.Linear(hidden + latent, hidden), nn.ReLU(), nn.Linear(hidden, len(ATOM_LABELS))
        )
        self.bond = nn.Sequential(
            nn.Linear(hidden + latent, hidden), nn.ReLU(), nn.Linear(hidden, len(BOND_LABELS))
        )

    def forward(self, z: Tensor, graph: GraphBatch) -> tuple[Tensor, Tensor]:
        """Return log-probabilities (a, 4) and (b, 4) of the labels; those of the graphs do not matter."""
        state = self.messages.atoms(graph)
        ends = state.index_select(0, graph.begin) + state.index_select(0, graph.end)
        of = graph.molecule.index_select(0, graph.begin)
        parts = ((self.atom, state, graph.molecule), (self.bond, ends, of))
        atoms, bonds = (
            F.log_softmax(net(torch.cat([x, z.index_select(0, rows)], dim=1)).float(), dim=1)
            for net, x, rows in parts
        )
        return atoms, bonds

    def nll(self, z: Tensor, graph: GraphBatch) -> Tensor:
        """Return the negative log-likelihoods (n,) of the labels that the graphs have."""
        total = z.new_zeros(graph.n)
        labels = (graph.code // N_ATOM_CODES, graph.kind // N_BOND_KINDS)
        of = (graph.molecule, graph.molecule.index_select(0, graph.begin))
        for log_p, label, rows in zip(self(z, graph), labels, of, strict=True):
            there = (label > 0).nonzero()[:, 0]
            found = log_p[there, label[there] - 1]
            total = total.index_add(0, rows[there], -found)
        return total

"""Stereochemistry of a flat molecule: its labels, its isomers, and the probability of each isomer.

Rings, bonds and attachments have no stereochemistry, so the tree of a molecule is that of its flat graph.
With stereochemistry, the encoder sees the label of each atom and bond by the rules of Cahn, Ingold and
Prelog, which do not depend on the order of atoms. The decoder chooses among the isomers of the assembled
molecule, like the code released with the paper. So a row holds the isomers of its molecule with their labels.
A molecule with open centres is any of the isomers that agree with its other centres.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from functools import lru_cache
from types import MappingProxyType
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pad_sequence

from wrlso._chemistry.smiles import Mol, canonical, optional_module, parse
from wrlso.exceptions import DataError
from wrlso.models.junction_tree._batches import (
    ATOM_LABELS,
    BOND_LABELS,
    N_ATOM_CODES,
    N_BOND_KINDS,
    GraphBatch,
    IsomerBatch,
    Row,
    graph_slots,
    isomer_graphs,
    unpack,
    unpack_isomers,
    with_isomers,
)
from wrlso.models.junction_tree._networks import GraphMessages, log_sum_exp

__all__ = ["StereoScorer", "isomers", "labelled_isomers", "stereo_labels", "with_stereo"]

Labels = tuple[list[int], list[int]]  # of atoms and of bonds, 0 for none

_LISTED = 32  # most isomers in a row; random ones of molecules with more
_REMEMBERED = 2**12  # molecules whose isomers are kept in memory, about 3 kB each
_BLOCK = 16  # isomers of a molecule that are scored at once, and molecules at once
_TRIED = 4  # random choices per wanted isomer, because some choices are the same isomer
_PLACE = "_wrlso_place"
_EFFORT = 100_000  # comparisons of ranks; most molecules take a few hundred


def stereo_labels(smiles: str, flat: str) -> Labels:
    """Return the numbers of the labels of a molecule's atoms and bonds, in the order of its flat SMILES.

    Raises DataError when the rules take too long.
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
    for atom in same.GetAtoms():
        atom.SetIntProp(_PLACE, atom.GetIdx())
    same = chem.RemoveHs(same)  # the hydrogen of an imine is an atom when its side is given
    if chem.MolToSmiles(same) != flat:
        raise DataError(f"{flat!r:.80} must be {smiles!r:.80} without stereochemistry")
    order = same.GetPropsAsDict(True, True)["_smilesAtomOutputOrder"]
    places = [same.GetAtomWithIdx(i).GetIntProp(_PLACE) for i in order]  # atom numbers in flat's order
    atoms = [_number(molecule.GetAtomWithIdx(place), ATOM_LABELS) for place in places]
    ends = [(places[bond.GetBeginAtomIdx()], places[bond.GetEndAtomIdx()]) for bond in plain.GetBonds()]
    return atoms, [_number(molecule.GetBondBetweenAtoms(*pair), BOND_LABELS) for pair in ends]


def _number(part: Mol, labels: Sequence[str]) -> int:
    label = part.GetProp("_CIPCode") if part.HasProp("_CIPCode") else ""
    return labels.index(label) + 1 if label in labels else 0


def with_stereo(row: Row, smiles: str, flat: str) -> Row:
    """Return the row of a flat molecule with the labels of its atoms and bonds and with its isomers."""
    if smiles == flat:  # no centre is defined: any isomer
        return with_isomers(row, [], [])
    known = dict(labelled_isomers(flat, _LISTED))
    labels = known.get(smiles) or stereo_labels(smiles, flat)
    agreeing = {smiles} if smiles in known else set(isomers(smiles, _LISTED)) & set(known)
    if not agreeing:  # the list is incomplete, or RDKit assumes isomers of a cage
        agreeing = {x for x, others in known.items() if _agree(labels, others)}
    if not agreeing:
        known[smiles], agreeing = labels, {smiles}
    if len(agreeing) == len(known):
        known = {}  # it could be nothing else
    listed = [[*atoms, *bonds] for atoms, bonds in known.values()]
    return with_isomers(_labelled(row, labels), listed, [x in agreeing for x in known])


def _agree(labels: Labels, others: Labels) -> bool:
    """Whether others equal the labels at all labelled places."""
    pairs = zip([*labels[0], *labels[1]], [*others[0], *others[1]], strict=True)
    return all(label in (0, other) for label, other in pairs)


def _labelled(row: Row, labels: Labels) -> Row:
    row = row.copy()
    atoms, bonds = graph_slots(row)
    row[atoms] += N_ATOM_CODES * np.array(labels[0], dtype=np.int16)
    row[bonds] += N_BOND_KINDS * np.array(labels[1], dtype=np.int16)
    return row


def isomers(smiles: str, most: int) -> list[str]:
    """Return the canonical SMILES of at most ``most`` isomers of a molecule.

    These are all isomers of a flat molecule, or those that agree with a partly specified one. If there are
    more than ``most``, they are random ones, the same each time. Nitrogen is never a stereocentre here: it
    inverts, or its cage leaves no choice. Isomers of bridged rings may be too strained to exist.
    """
    tool = optional_module("rdkit.Chem.EnumerateStereoisomers")
    chem, molecule = optional_module("rdkit.Chem"), parse(smiles)
    # with unique=True RDKit searches until it has as many, which may never end when there are fewer; RDKit
    # also takes random ones when it is asked for one fewer than there are
    n_choices = tool.GetStereoisomerCount(molecule)
    n_tried = most if n_choices <= most else min(_TRIED * most, n_choices - 1)
    options = tool.StereoEnumerationOptions(unique=False, maxIsomers=n_tried, rand=0)
    found: dict[str, None] = {}
    for one in tool.EnumerateStereoisomers(molecule, options):
        for atom in one.GetAtoms():
            if atom.GetAtomicNum() == 7 and atom.GetFormalCharge() == 0:
                atom.SetChiralTag(chem.ChiralType.CHI_UNSPECIFIED)
        spelling = canonical(chem.MolToSmiles(one))
        if spelling is not None:
            found[spelling] = None
        if len(found) == most:
            break
    return list(found)


@lru_cache(maxsize=_REMEMBERED)
def labelled_isomers(flat: str, most: int) -> Mapping[str, Labels]:
    """Return the isomers of a flat molecule with their labels, except those whose labels take too long.

    Two isomers may have the same labels; then the model cannot distinguish them.
    """
    found = {}
    for x in isomers(flat, most):
        with suppress(DataError):
            found[x] = stereo_labels(x, flat)
    return MappingProxyType(found)


class StereoScorer(nn.Module):
    """Scores the isomers of a flat molecule, given the graph part of z.

    Each isomer is a graph with labels and has one score, so the score depends on all its labels together and
    not on the order of atoms: with two equal centres, R and S is the same molecule as S and R.
    """

    def __init__(self, hidden: int, latent: int, depth: int) -> None:
        super().__init__()
        self.messages: GraphMessages = GraphMessages(hidden, depth, stereo=True)
        # nonlinear: in a linear map R and S at two distant centres would score between R, R and S, S
        self.score = nn.Sequential(nn.Linear(hidden + latent, hidden), nn.ReLU(), nn.Linear(hidden, 1))

    def forward(self, z: Tensor, graph: GraphBatch, isomers: IsomerBatch) -> Tensor:
        """Return scores (i,) of isomers, ignoring the labels of ``graph``; ``z`` is (n, latent)."""
        graphs, sites, of = isomer_graphs(graph, isomers)
        state = self.messages.atoms(graphs).index_select(0, sites)
        total = state.new_zeros(graphs.n, state.shape[1]).index_add(0, of, state)
        scores: Tensor = self.score(torch.cat([total, z.index_select(0, isomers.molecule)], dim=1))[:, 0]
        return scores.float()

    def nll(self, z: Tensor, graph: GraphBatch, isomers: IsomerBatch) -> Tensor:
        """Return the negative log-likelihoods (n,) of the isomers that agree."""
        scores = self(z, graph, isomers)
        rows, of = isomers.molecule.unique_consecutive(return_inverse=True)
        agrees = isomers.agrees
        nll = log_sum_exp(scores, of, len(rows)) - log_sum_exp(scores[agrees], of[agrees], len(rows))
        return nll.new_zeros(graph.n).index_add(0, rows, nll)

    def best(
        self,
        z: Tensor,
        flat: Iterable[str],
        rows: Mapping[str, Row],
        most: int,
        prefer: Callable[[Tensor, Tensor], Tensor],
    ) -> list[str | None]:
        """Return the preferred one of at most ``most`` isomers of each flat molecule; None where it has none.

        ``rows`` holds the rows of the flat molecules, ``prefer`` turns scores (i,) and as many zeros to keys.
        """
        names = list(flat)
        listed = [labelled_isomers(smiles, most) for smiles in names]
        labels = [list(found.values()) for found in listed]
        compared = self.compare(z, [rows[smiles] for smiles in names], labels)
        return [
            list(found)[int(prefer(scores, torch.zeros(len(scores))).argmax())] if found else None
            for found, scores in zip(listed, compared, strict=True)
        ]

    def compare(self, z: Tensor, rows: Sequence[Row], labels: Sequence[Sequence[Labels]]) -> list[Tensor]:
        """Return the scores (i,) of the isomers of each of n flat molecules, on the CPU.

        The network scores a bounded number at a time.
        """
        blocks = [
            (k, [[*atoms, *bonds] for atoms, bonds in own[start : start + _BLOCK]])
            for k, own in enumerate(labels)
            for start in range(0, len(own), _BLOCK)
        ]
        scores = [torch.empty(0)]
        for first in range(0, len(blocks), _BLOCK):
            part = blocks[first : first + _BLOCK]
            listed = [torch.from_numpy(with_isomers(rows[k], own, [True] * len(own))) for k, own in part]
            inputs = pad_sequence(listed, batch_first=True).to(z.device)
            scores.append(self(z[[k for k, _ in part]], unpack(inputs)[1], unpack_isomers(inputs)).cpu())
        return list(torch.cat(scores).split([len(own) for own in labels]))

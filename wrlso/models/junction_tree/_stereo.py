"""Stereochemistry on top of a flat molecule: its labels, its isomers, and how likely each of these is.

Rings, bonds and attachments say nothing of it, so that the tree of a molecule is that of its flat graph.
Where stereochemistry counts, the encoder sees the label of each atom and bond by the rules of Cahn, Ingold
and Prelog, which do not depend on the order of atoms; the decoder chooses among the isomers of what it has
put together, as does the code that came with the paper. A row therefore holds the isomers of its molecule
with their labels. What a molecule leaves open is any of the isomers that agree with the rest of it.
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

_LISTED = 32  # isomers in a row; of molecules with more, these are random ones
_REMEMBERED = 2**12  # molecules whose isomers are kept in memory, about 3 kB each
_BLOCK = 16  # isomers of one molecule that are scored at once, and molecules beside it
_TRIED = 4  # times as many choices as isomers are wanted: some choices are the same isomer
_PLACE = "_wrlso_place"
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
    for atom in same.GetAtoms():
        atom.SetIntProp(_PLACE, atom.GetIdx())
    same = chem.RemoveHs(same)  # that of an imine is an atom where its side is stated
    if chem.MolToSmiles(same) != flat:
        raise DataError(f"{flat!r:.80} is not what {smiles!r:.80} is without stereochemistry")
    order = same.GetPropsAsDict(True, True)["_smilesAtomOutputOrder"]
    places = [same.GetAtomWithIdx(i).GetIntProp(_PLACE) for i in order]  # in the molecule, as flat has them
    atoms = [_number(molecule.GetAtomWithIdx(place), ATOM_LABELS) for place in places]
    ends = [(places[bond.GetBeginAtomIdx()], places[bond.GetEndAtomIdx()]) for bond in plain.GetBonds()]
    return atoms, [_number(molecule.GetBondBetweenAtoms(*pair), BOND_LABELS) for pair in ends]


def _number(part: Mol, labels: Sequence[str]) -> int:
    label = part.GetProp("_CIPCode") if part.HasProp("_CIPCode") else ""
    return labels.index(label) + 1 if label in labels else 0


def with_stereo(row: Row, smiles: str, flat: str) -> Row:
    """Return the row of a flat molecule with labels of its atoms and bonds, and with the isomers it has."""
    if smiles == flat:  # any of its isomers
        return with_isomers(row, [], [])
    known = dict(labelled_isomers(flat, _LISTED))
    labels = known.get(smiles) or stereo_labels(smiles, flat)
    agreeing = {smiles} if smiles in known else set(isomers(smiles, _LISTED)) & set(known)
    if not agreeing:  # not all are listed, or it is a cage of which RDKit thinks that it has isomers
        agreeing = {x for x, others in known.items() if _agree(labels, others)}
    if not agreeing:
        known[smiles], agreeing = labels, {smiles}
    if len(agreeing) == len(known):
        known = {}  # it could be nothing else
    listed = [[*atoms, *bonds] for atoms, bonds in known.values()]
    return with_isomers(_labelled(row, labels), listed, [x in agreeing for x in known])


def _agree(labels: Labels, others: Labels) -> bool:
    """Whether others are the same wherever there are labels."""
    pairs = zip([*labels[0], *labels[1]], [*others[0], *others[1]], strict=True)
    return all(label in (0, other) for label, other in pairs)


def _labelled(row: Row, labels: Labels) -> Row:
    row = row.copy()
    atoms, bonds = graph_slots(row)
    row[atoms] += N_ATOM_CODES * np.array(labels[0], dtype=np.int16)
    row[bonds] += N_BOND_KINDS * np.array(labels[1], dtype=np.int16)
    return row


def isomers(smiles: str, most: int) -> list[str]:
    """Return the canonical SMILES of the isomers that a molecule can be, at most so many.

    These are all isomers of a flat molecule, and those that a partly specified one leaves open. Beyond
    ``most`` they are random ones, the same each time. Nitrogen in small rings and cages has no sides here:
    SMILES leave it open, as it inverts or has no choice. Isomers of bridged rings that are too strained to
    exist are among them.
    """
    tool = optional_module("rdkit.Chem.EnumerateStereoisomers")
    chem, molecule = optional_module("rdkit.Chem"), parse(smiles)
    # with unique=True RDKit tries on until it has as many, for ever where there are fewer among many choices;
    # one less than all there are makes them random, too
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
    """Return the isomers of a flat molecule with their labels; without those that the rules do not end for.

    Two of them may have the same labels, then nothing here tells them apart.
    """
    found = {}
    for x in isomers(flat, most):
        with suppress(DataError):
            found[x] = stereo_labels(x, flat)
    return MappingProxyType(found)


class StereoScorer(nn.Module):
    """How likely an isomer is among those of its flat molecule, given the graph part of z.

    Each isomer is a graph with labels and has one score, so that the labels are likely together or not at
    all, however many there are of them, and symmetry does not matter: of two centres that are alike it is
    one molecule whose left one is R and whose right one is S, or the other way round.
    """

    def __init__(self, hidden: int, latent: int, depth: int) -> None:
        super().__init__()
        self.messages = GraphMessages(hidden, depth, stereo=True)
        # not linear, for else R at one of two distant centres and S at the other lay between R and S at both
        self.score = nn.Sequential(nn.Linear(hidden + latent, hidden), nn.ReLU(), nn.Linear(hidden, 1))

    def forward(self, z: Tensor, graph: GraphBatch, isomers: IsomerBatch) -> Tensor:
        """Return scores (i,) of isomers, whatever the labels of ``graph``; ``z`` is (n, latent)."""
        graphs, sites, of = isomer_graphs(graph, isomers)
        state = self.messages.atoms(graphs).index_select(0, sites)
        total = state.new_zeros(graphs.n, state.shape[1]).index_add(0, of, state)
        scores: Tensor = self.score(torch.cat([total, z.index_select(0, isomers.molecule)], dim=1))[:, 0]
        return scores.float()

    def nll(self, z: Tensor, graph: GraphBatch, isomers: IsomerBatch) -> Tensor:
        """Return the negative log-likelihoods (n,) of being one of the isomers that agree."""
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

        They pass through the network a bounded number at a time.
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

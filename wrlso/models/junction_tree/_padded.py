"""The atoms and bonds of all labels of a vocabulary, as tensors."""

from collections.abc import Sequence
from typing import NamedTuple, Self

import torch
from torch import Tensor

from wrlso.models.junction_tree._batches import N_ELEMENTS, charge_number, element_number
from wrlso.models.junction_tree._templates import AtomType, template

__all__ = ["N_PLACE_CODES", "PieceTables"]

N_PLACE_CODES = N_ELEMENTS * 5 * 4


class PieceTables(NamedTuple):
    """Concatenated labels.

    Attributes
    ----------
    n_atoms, first_atom, n_bonds, first_bond : Tensor (n_labels,)
    atoms : Tensor (a,)
        Codes of the kinds of atoms.
    bonds : Tensor (b, 3)
        Both atoms by their places in the label, and the kind.
    """

    n_atoms: Tensor
    first_atom: Tensor
    n_bonds: Tensor
    first_bond: Tensor
    atoms: Tensor
    bonds: Tensor

    @classmethod
    def of(cls, vocabulary: Sequence[str]) -> Self:
        """Return the tables of some labels."""
        templates = [template(label) for label in vocabulary]
        n_atoms = torch.tensor([len(one.types) for one in templates])
        n_bonds = torch.tensor([len(one.bonds) for one in templates])
        atoms = [_code(kind) for one in templates for kind in one.types]
        bonds = [bond for one in templates for bond in one.bonds]
        return cls(
            n_atoms,
            n_atoms.cumsum(0) - n_atoms,
            n_bonds,
            n_bonds.cumsum(0) - n_bonds,
            torch.tensor(atoms),
            torch.tensor(bonds, dtype=torch.int64).reshape(-1, 3),
        )

    def to(self, device: torch.device) -> "PieceTables":
        """Return the tables on a device."""
        return PieceTables(*(tensor.to(device) for tensor in self))


def _code(kind: AtomType) -> int:
    code = element_number(kind.element) * 5 + charge_number(kind.charge)
    return code * 4 + max(0, min(kind.slots, 4) - 1)

"""``fit_on``: where a point lies in Z for the surrogate."""

from collections.abc import Sequence

import torch
from torch import Tensor

from wrlso.acquisition.state import Proposal
from wrlso.models.inference import encoded
from wrlso.models.inversion import invert
from wrlso.models.protocol import LatentModel

__all__ = ["FIT_ON", "places_of_inputs", "places_of_proposals"]

FIT_ON = ("encoding", "asked", "inverted")


def places_of_inputs(fit_on: str, model: LatentModel, inputs: Tensor) -> Tensor:
    """Return where objects lie (m, d) that nobody has placed: encoded, or inverted."""
    Z = encoded(model, inputs)
    return invert(model, inputs, Z) if fit_on == "inverted" else Z


def places_of_proposals(fit_on: str, proposals: Sequence[Proposal]) -> Tensor | None:
    """Return where proposals lie (n, d) until the next training; None: as other objects."""
    return torch.stack([proposal.z for proposal in proposals]) if fit_on == "asked" else None

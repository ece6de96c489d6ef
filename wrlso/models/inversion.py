"""Latent points from which the decoder makes x most likely, starting at its encoding."""

import torch
from torch import Tensor

from wrlso._utils.ascent import ascend
from wrlso._utils.random import isolated_torch_rng
from wrlso.models.inference import to_model
from wrlso.models.protocol import HasLogLikelihood, LatentModel

__all__ = ["invert"]

_STEPS = 10
_STEP = 0.1  # length of the first steps per dimension, in standard deviations of the prior
_CHUNK = 512


def invert(model: LatentModel, inputs: Tensor, Z: Tensor) -> Tensor:
    """Move encodings a few steps uphill on log p(x | z), all of a chunk together.

    The steps shrink, so that no coordinate moves further than about half a standard deviation of the prior.
    Each point is the best of its path: its likelihood is never smaller than at the encoding, which stays
    where no likelihood is a number. No weight changes, and no global random state.

    Parameters
    ----------
    model : LatentModel
        In evaluation mode. For one without :class:`wrlso.models.HasLogLikelihood`, Z is returned as it is.
    inputs : Tensor (n, ...)
        What the model's ``tensorize`` returned.
    Z : Tensor (n, d)
        Encodings.

    Returns
    -------
    Tensor (n, d)
        As Z: same precision and device.
    """
    if not isinstance(model, HasLogLikelihood) or len(Z) == 0:
        return Z
    # the backward pass of cuDNN's recurrent layers works in training mode only
    with isolated_torch_rng(0), torch.backends.cudnn.flags(enabled=False):
        pairs = zip(inputs.split(_CHUNK), Z.split(_CHUNK), strict=True)
        return torch.cat([_climb(model, chunk, start) for chunk, start in pairs])


def _climb(model: HasLogLikelihood, inputs: Tensor, start: Tensor) -> Tensor:
    shown = to_model(model, inputs, like_weights=False)  # type: ignore[arg-type]
    z = to_model(model, start).detach()  # type: ignore[arg-type]
    best, _ = ascend(lambda point: model.log_likelihood(shown, point), z, _STEPS, _STEP)
    moved = (best != z).any(dim=1, keepdim=True)
    return torch.where(moved.to(start.device), best.to(start), start)

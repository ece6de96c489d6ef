"""Latent points from which x is decoded best: the encoder's answer, improved by the decoder's likelihood."""

import torch
from torch import Tensor

from wrlso._utils.random import isolated_torch_rng
from wrlso.models.inference import to_model
from wrlso.models.protocol import HasLogLikelihood, LatentModel

__all__ = ["FIT_ON", "invert"]

FIT_ON = ("encoding", "asked", "inverted")
_STEPS = 10
_STEP = 0.1  # length of the first steps per dimension, in standard deviations of the prior
_CHUNK = 512


def invert(model: LatentModel, inputs: Tensor, Z: Tensor) -> Tensor:
    """Move encodings a few steps uphill on log p(x | z), all of a chunk together.

    Adam (Kingma and Ba 2015) with steps that shrink linearly, so that no coordinate moves further than about
    half a standard deviation of the prior. Each point is the best of its path: its likelihood is never
    smaller than at the encoding, and where it is not finite the encoding stays. No weight is changed, and
    global random state is as before.

    Parameters
    ----------
    model : LatentModel
        In evaluation mode; one that does not follow :class:`wrlso.models.HasLogLikelihood` leaves Z as it is.
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
    best, first, second = z.clone(), torch.zeros_like(z), torch.zeros_like(z)
    best_value = torch.full_like(z[:, 0], -torch.inf)
    for i in range(_STEPS + 1):
        with torch.enable_grad():
            point = z.clone().requires_grad_(True)
            value = model.log_likelihood(shown, point)
            (gradient,) = torch.autograd.grad(value.sum(), point)
        value = torch.nan_to_num(value.detach().to(z.dtype), nan=-torch.inf)
        better = value > best_value
        best_value = torch.where(better, value, best_value)
        best = torch.where(better[:, None], z, best)
        gradient = torch.nan_to_num(gradient, posinf=0.0, neginf=0.0)
        first = 0.9 * first + 0.1 * gradient
        second = 0.99 * second + 0.01 * gradient * gradient
        scale = (second / (1.0 - 0.99 ** (i + 1))).sqrt().clamp_min(1e-30)
        length = _STEP * (1.0 - i / (_STEPS + 1)) / (1.0 - 0.9 ** (i + 1))
        z = z + length * first / scale
    moved = (best != to_model(model, start)).any(dim=1)  # type: ignore[arg-type]
    return torch.where(moved[:, None].to(start.device), best.to(start), start)

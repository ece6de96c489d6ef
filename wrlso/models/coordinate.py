"""A VAE whose decoder takes the position of a pixel: images as functions of position.

A decoder with a free weight for every pixel cannot light a pixel that no training image lights. Here the
logit of pixel (u, v) is ⟨branch(z), trunk(u, v)⟩: two smooth networks, one of the latent point and one of
the position (the factorised operator network of Lu et al., Nature Machine Intelligence 2021). The logit
is smooth in position and latent point, so shapes extrapolate beyond the training images, and decoding a
whole batch is one matrix product.
"""

import math
from typing import Any

import torch
from torch import Tensor, nn

from wrlso._utils.random import draw_seed, isolated_torch_rng
from wrlso._utils.validation import check_count
from wrlso.exceptions import ParameterError
from wrlso.models.vae import VAE

__all__ = ["coordinate_vae"]

_POOL = 4  # pixels averaged before the encoder's dense layers, in both directions


def coordinate_vae(
    latent_dim: int = 2,
    image_size: int = 64,
    width: int = 64,
    beta: float = 1.0,
    label_smoothing: float = 0.0,
    random_state: Any = None,
) -> VAE:
    """Return a VAE with a coordinate-conditioned decoder and a Bernoulli likelihood for square images.

    Parameters
    ----------
    latent_dim : int, default=2
        Dimension d of the latent space.
    image_size : int, default=64
        Height and width in pixels, a multiple of 4.
    width : int, default=64
        Units in each layer of the decoder's two networks and number of their products; the encoder has
        twice as many.
    beta : float, default=1.0
        Weight of the Kullback-Leibler term.
    label_smoothing : float, default=0.0
        See :class:`wrlso.VAE`.
    random_state : int, RandomState or None, default=None
        Determines the initial weights.

    Returns
    -------
    VAE
        Its objects are uint8 arrays (image_size, image_size) of zeros and ones.

    Raises
    ------
    ParameterError, ParameterTypeError
        For invalid sizes.

    Examples
    --------
    >>> import numpy as np
    >>> from wrlso import coordinate_vae
    >>> vae = coordinate_vae(image_size=16, random_state=0)
    >>> Z = vae.encode(vae.tensorize(np.zeros((3, 16, 16), dtype=np.uint8)))
    >>> tuple(Z.shape), vae.decode(Z)[0].shape
    ((3, 2), (16, 16))
    """
    check_count("latent_dim", latent_dim)
    check_count("image_size", image_size, minimum=_POOL)
    check_count("width", width)
    if image_size % _POOL:
        raise ParameterError(f"image_size must be a multiple of {_POOL}, got {image_size}")
    with isolated_torch_rng(draw_seed(random_state)):
        n_pooled = (image_size // _POOL) ** 2
        encoder = nn.Sequential(
            nn.AvgPool2d(_POOL), nn.Flatten(), _mlp(n_pooled, 2 * width, 2 * latent_dim), _BoundLogVariance()
        )
        decoder = _CoordinateDecoder(latent_dim, image_size, width)
    return VAE(encoder, decoder, beta=beta, label_smoothing=label_smoothing)


class _BoundLogVariance(nn.Module):
    """Bound log-variances, so that their exponential stays finite."""

    def forward(self, parameters: Tensor) -> tuple[Tensor, Tensor]:
        mean, log_variance = parameters.chunk(2, dim=1)
        return mean, log_variance.clamp(-12.0, 4.0)


class _CoordinateDecoder(nn.Module):
    position: Tensor

    def __init__(self, latent_dim: int, image_size: int, width: int) -> None:
        super().__init__()
        centres = (torch.arange(image_size) + 0.5) / image_size * 2 - 1
        rows, columns = torch.meshgrid(centres, centres, indexing="ij")
        # not persistent: the image size determines it
        self.register_buffer("position", torch.stack([columns, rows], dim=-1), persistent=False)
        self.branch = _mlp(latent_dim, width, width)
        self.trunk = _mlp(2, width, width)
        self.bias = nn.Parameter(torch.zeros(1))
        self.scale = 1 / math.sqrt(width)

    def forward(self, Z: Tensor) -> Tensor:
        products = torch.einsum("nk,uvk->nuv", self.branch(Z), self.trunk(self.position))
        return products * self.scale + self.bias


def _mlp(inward: int, width: int, outward: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Linear(inward, width), nn.SiLU(), nn.Linear(width, width), nn.SiLU(), nn.Linear(width, outward)
    )

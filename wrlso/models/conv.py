"""Ready convolutional VAEs for binary images.

Inputs and outputs are images (n, height, width); the networks add and remove the channel axis.
"""

import itertools
from typing import Any

from torch import Tensor, nn

from wrlso._utils.random import draw_seed, isolated_torch_rng
from wrlso._utils.validation import check_choice, check_count
from wrlso.exceptions import ParameterError
from wrlso.models.vae import VAE

__all__ = ["conv_vae"]

_NETWORKS = ("small", "preprint", "released")

# channels of the convolutions, widths of the dense layers
_STRIDED = {"small": ((8, 16, 32), (256,)), "preprint": ((32, 64, 128), (4096, 1024))}


class _AddChannel(nn.Module):
    def forward(self, images: Tensor) -> Tensor:
        return images.unsqueeze(1)


class _DropChannel(nn.Module):
    def forward(self, images: Tensor) -> Tensor:
        return images.squeeze(1)


def conv_vae(
    network: str = "small",
    latent_dim: int = 5,
    image_size: int = 64,
    beta: float = 1.0,
    random_state: Any = None,
) -> VAE:
    """Return a convolutional VAE with a Bernoulli likelihood for square images.

    Parameters
    ----------
    network : {"small", "preprint", "released"}, default="small"
        "preprint": three convolutions (32, 64, 128 channels, kernel 5, stride 2), two dense layers (4096,
        1024), mirrored decoder (Tripp et al., preprint, appendix C.4); 76 million weights. "released":
        the narrow, deep network of the published code (eleven convolutions of 4 to 16 channels, one dense
        layer of 32; decoder of up to 32 channels); 0.1 million weights. "small": the preprint's convolutions
        with a quarter of the channels and dense layers of 256; 1.1 million weights.
    latent_dim : int, default=5
        Dimension d of the latent space.
    image_size : int, default=64
        Height and width in pixels, a multiple of 16.
    beta : float, default=1.0
        Weight of the Kullback-Leibler term.
    random_state : int, RandomState or None, default=None
        Determines the initial weights.

    Returns
    -------
    VAE
        Its objects are uint8 arrays (image_size, image_size) of zeros and ones.

    Raises
    ------
    ParameterError, ParameterTypeError
        For an unknown network or invalid sizes.
    """
    check_choice("network", network, _NETWORKS)
    check_count("latent_dim", latent_dim)
    check_count("image_size", image_size, minimum=16)
    if image_size % 16:
        raise ParameterError(f"image_size must be a multiple of 16, got {image_size}")
    with isolated_torch_rng(draw_seed(random_state)):
        if network == "released":
            encoder, decoder = _released(latent_dim, image_size // 16)
        else:
            encoder, decoder = _strided(latent_dim, image_size // 8, *_STRIDED[network])
    return VAE(encoder, decoder, beta=beta)


def _strided(
    latent_dim: int, side: int, channels: tuple[int, int, int], dense: tuple[int, ...]
) -> tuple[nn.Module, nn.Module]:
    """Build three strided convolutions and dense layers, and their mirror image (appendix C.4)."""
    a, b, c = channels
    flat = c * side * side
    widths = (flat, *dense)
    encoder: list[nn.Module] = [_AddChannel()]
    for inward, outward in ((1, a), (a, b), (b, c)):
        encoder += [nn.Conv2d(inward, outward, 5, stride=2, padding=2), nn.ReLU()]
    encoder.append(nn.Flatten())
    for inward, outward in itertools.pairwise(widths):
        encoder += [nn.Linear(inward, outward), nn.ReLU()]
    encoder.append(nn.Linear(widths[-1], 2 * latent_dim))

    decoder: list[nn.Module] = []
    mirrored = (latent_dim, *widths[::-1])
    for inward, outward in itertools.pairwise(mirrored):
        decoder += [nn.Linear(inward, outward), nn.ReLU()]
    decoder.append(nn.Unflatten(1, (c, side, side)))
    for inward, outward in ((c, b), (b, a), (a, 1)):
        decoder += [nn.ConvTranspose2d(inward, outward, 5, stride=2, padding=2, output_padding=1), nn.ReLU()]
    decoder[-1] = _DropChannel()
    return nn.Sequential(*encoder), nn.Sequential(*decoder)


# (outward channels, kernel, stride) of the published network, transcribed as facts from its layer list
_RELEASED_ENCODER = (
    (4, 3, 1), (8, 5, 2), (8, 3, 1), (16, 5, 2), (16, 3, 1), (16, 3, 1), (16, 5, 2), (16, 3, 1), (16, 3, 1),
    (16, 5, 2), (16, 3, 1),
)  # fmt: skip
_RELEASED_DECODER = (
    (32, 3, 1), (32, 5, 2), (32, 3, 1), (16, 5, 2), (16, 3, 1), (16, 3, 1), (16, 5, 2), (8, 3, 1), (8, 3, 1),
    (8, 5, 2), (1, 3, 1),
)  # fmt: skip


def _released(latent_dim: int, side: int) -> tuple[nn.Module, nn.Module]:
    """Build the network of the published code (repository cambridge-mlg/weighted-retraining)."""
    encoder: list[nn.Module] = [_AddChannel()]
    inward = 1
    for outward, kernel, stride in _RELEASED_ENCODER:
        encoder += [nn.Conv2d(inward, outward, kernel, stride, kernel // 2), nn.ReLU()]
        inward = outward
    flat = 16 * side * side
    encoder += [nn.Flatten(), nn.Linear(flat, 32), nn.ReLU(), nn.Linear(32, 2 * latent_dim)]

    decoder: list[nn.Module] = [nn.Linear(latent_dim, 32), nn.ReLU(), nn.Linear(32, flat), nn.ReLU()]
    decoder.append(nn.Unflatten(1, (16, side, side)))
    inward = 16
    for outward, kernel, stride in _RELEASED_DECODER:
        decoder += [
            nn.ConvTranspose2d(inward, outward, kernel, stride, kernel // 2, output_padding=stride - 1),
            nn.ReLU(),
        ]
        inward = outward
    decoder[-1] = _DropChannel()
    return nn.Sequential(*encoder), nn.Sequential(*decoder)

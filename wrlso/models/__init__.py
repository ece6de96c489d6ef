"""Generative models: the protocol, a VAE from two torch modules, and ready networks."""

from wrlso.models.conv import conv_vae
from wrlso.models.coordinate import coordinate_vae
from wrlso.models.protocol import HasLogLikelihood, LatentModel, SamplesPrior
from wrlso.models.vae import VAE, Codec

__all__ = ["VAE", "Codec", "HasLogLikelihood", "LatentModel", "SamplesPrior", "conv_vae", "coordinate_vae"]

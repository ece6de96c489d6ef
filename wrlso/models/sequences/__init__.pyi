from .vae import SequenceVAE as SequenceVAE

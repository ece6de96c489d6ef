from .vae import SelfiesVAE as SelfiesVAE

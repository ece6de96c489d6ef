"""Generative models: the protocol, a VAE of two networks, and models of shapes, formulas and molecules."""

from lazy_loader import attach_stub

__getattr__, __dir__, __all__ = attach_stub(__name__, __file__)

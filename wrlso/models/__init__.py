"""Generative models: the protocol, a VAE from two networks, ready ones of shapes, formulas and molecules."""

from lazy_loader import attach_stub

__getattr__, __dir__, __all__ = attach_stub(__name__, __file__)

"""Molecules as trees of rings and bonds: the junction-tree variational autoencoder, written anew."""

from lazy_loader import attach_stub

__getattr__, __dir__, __all__ = attach_stub(__name__, __file__)

"""The junction-tree variational autoencoder: molecules as trees of rings and bonds."""

from lazy_loader import attach_stub

__getattr__, __dir__, __all__ = attach_stub(__name__, __file__)

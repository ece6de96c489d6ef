"""Latent-space optimization with weighted retraining.

A generative model gives a continuous latent space, a Gaussian process searches it, and every r
evaluations the model is trained further on all data, weighted by rank (Tripp, Daxberger,
Hernández-Lobato, NeurIPS 2020).
"""

from lazy_loader import attach_stub

__getattr__, __dir__, __all__ = attach_stub(__name__, __file__)

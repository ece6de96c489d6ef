"""Weighted training and fine-tuning of latent models (Algorithm 1, line 3; appendix A.2)."""

from lazy_loader import attach_stub

__getattr__, __dir__, __all__ = attach_stub(__name__, __file__)

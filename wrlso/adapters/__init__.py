"""The optimizer in loops that people already run: Ray Tune, Optuna, scikit-optimize, Nevergrad, BoTorch.

An adapter loads its package when it is used. None of them turns x into numbers: a trial of Tune or Optuna
holds the object itself.
"""

from lazy_loader import attach_stub

__getattr__, __dir__, __all__ = attach_stub(__name__, __file__)

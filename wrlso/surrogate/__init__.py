"""Models of the objective: Gaussian processes over Z or over features of x."""

from lazy_loader import attach_stub

__getattr__, __dir__, __all__ = attach_stub(__name__, __file__)

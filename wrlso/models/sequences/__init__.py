"""A language model of sequences of letters, such as proteins and DNA."""

from lazy_loader import attach_stub

__getattr__, __dir__, __all__ = attach_stub(__name__, __file__)

"""Loops that ask, evaluate and tell: maximize and minimize, in one process or on workers."""

from lazy_loader import attach_stub

__getattr__, __dir__, __all__ = attach_stub(__name__, __file__)

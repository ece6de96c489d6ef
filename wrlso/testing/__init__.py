"""Checks for your own weightings and models, and Hypothesis strategies for testing around them.

:func:`check_weighting` and :func:`check_latent_model` raise :class:`CheckFailedError`, an
:class:`AssertionError`, whose message says which property broke and on what input. This module needs
Hypothesis (``pip install wrlso[test]``); nothing else in the library imports it.
"""

from lazy_loader import attach_stub

__getattr__, __dir__, __all__ = attach_stub(__name__, __file__)

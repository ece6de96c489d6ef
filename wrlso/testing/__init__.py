"""Checks for your own weightings, models, surrogates and acquisitions, and Hypothesis strategies for tests.

:func:`check_weighting`, :func:`check_latent_model`, :func:`check_surrogate` and :func:`check_acquisition`
raise :class:`CheckFailedError`, an :class:`AssertionError`, whose message says which property broke and on
what input. :func:`check_weighting` and the strategies need Hypothesis (``pip install wrlso[test]``).
"""

from lazy_loader import attach_stub

__getattr__, __dir__, __all__ = attach_stub(__name__, __file__)

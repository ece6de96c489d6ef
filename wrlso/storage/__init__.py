"""Durable campaigns: a folder that keeps all of an optimizer's state, whatever happens to the process.

A campaign is a folder with a journal (``journal.sqlite``: objects, every event, counters, the surrogate) and
the model's weights (``weights-<sha256>.safetensors``). Each call of an optimizer that stores itself
(:meth:`wrlso.WeightedRetrainingOptimizer.autosave`) is one transaction, which is there completely once the
call has returned, or not at all. Several processes may work on one campaign. Nothing is pickled: what is read
creates numbers, texts, arrays and this library's own parts, and runs nothing that a file names.

What is stored by one version of wrlso is read by later ones. The same calls continue bit for bit on the same
machine with the same versions and number of threads, which :func:`campaign_info` tells.
"""

from lazy_loader import attach_stub

__getattr__, __dir__, __all__ = attach_stub(__name__, __file__)

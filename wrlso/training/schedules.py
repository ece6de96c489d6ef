"""Schedules of β, the weight of the Kullback-Leibler term, in a first training."""

import math
from dataclasses import dataclass

__all__ = ["GeometricBeta"]


@dataclass(frozen=True)
class GeometricBeta:
    """A schedule for β: constant for ``warmup`` steps, then times ``factor`` each ``every``, up to ``stop``.

    The defaults are those of the published shapes model.

    Examples
    --------
    >>> beta = GeometricBeta(start=0.01, stop=1.0, factor=10.0, every=100, warmup=100)
    >>> [round(beta(step), 2) for step in (0, 199, 200, 300, 1000)]
    [0.01, 0.01, 0.1, 1.0, 1.0]
    """

    start: float = 1e-6
    stop: float = 10.0
    factor: float = 1.1
    every: int = 10
    warmup: int = 1000

    def __call__(self, step: int) -> float:
        """Return β for one training step, counted from 0."""
        n_increases = max(0, (step - self.warmup) // self.every)
        # in logarithms, because the power overflows after many steps
        log_beta = math.log(self.start) + n_increases * math.log(self.factor)
        return self.stop if log_beta >= math.log(self.stop) else math.exp(log_beta)

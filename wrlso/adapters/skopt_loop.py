"""The optimizer in a loop that was written for scikit-optimize."""

from collections.abc import Callable
from typing import Any

import numpy as np
from scipy.optimize import OptimizeResult

from wrlso.adapters.direction import check_direction
from wrlso.optimizer import WeightedRetrainingOptimizer

__all__ = ["SkoptOptimizer"]


class SkoptOptimizer:
    """Takes the place of :class:`skopt.Optimizer`: the same calls, and the same kind of result.

    scikit-optimize need not be installed. It minimises, and so must ``opt``. Two things differ. Two asks
    without a tell in between give different points, and so does a batch that is asked for again: they are
    pending. And None or NaN as a value is an experiment that failed, which ``func_vals`` holds as NaN.

    Parameters
    ----------
    opt : WeightedRetrainingOptimizer
        With ``direction="minimize"``. Its starting data is not part of ``Xi`` and ``yi``.

    Attributes
    ----------
    opt : WeightedRetrainingOptimizer
    Xi : list
        The points told, in order.
    yi : list of float
        Their values; NaN where the experiment failed.

    Raises
    ------
    ParameterError, ParameterTypeError
        When ``opt`` maximises, or is no optimizer.

    Examples
    --------
    >>> import numpy as np
    >>> from torch import nn
    >>> from wrlso import WeightedRetrainingOptimizer
    >>> from wrlso.adapters import SkoptOptimizer
    >>> X = np.tril(np.ones((12, 12)))[3:9]
    >>> opt = WeightedRetrainingOptimizer(nn.Linear(12, 4), nn.Linear(2, 12), direction="minimize")
    >>> loop = SkoptOptimizer(opt.fit(X, X.sum(axis=1)))
    >>> x = loop.ask()
    >>> float(loop.tell(x, 7.0).fun)
    7.0
    """

    def __init__(self, opt: WeightedRetrainingOptimizer) -> None:
        check_direction(opt, "scikit-optimize minimises", "minimize")
        self.opt = opt
        self.Xi: list[Any] = []
        self.yi: list[float] = []

    def ask(self, n_points: int | None = None, strategy: str = "cl_min") -> Any:
        """Return a point, or a list of ``n_points``.

        ``strategy`` is there for the signature only: the points of a batch know of one another anyhow.
        """
        return self.opt.ask(n_points)

    def tell(self, x: Any, y: Any, fit: bool = True) -> OptimizeResult:
        """Record a value, or a sequence of them for a sequence of points, and return the result so far.

        ``fit`` is there for the signature only: the surrogate is brought up to date by the next ask.
        """
        self.opt.tell(x, y)
        X, values = (x, y) if np.ndim(y) else ([x], [y])
        self.Xi.extend(X)
        self.yi.extend(np.nan if value is None else float(value) for value in values)
        return self.get_result()

    def run(self, func: Callable[[Any], Any], n_iter: int = 1) -> OptimizeResult:
        """Ask, evaluate and tell ``n_iter`` times."""
        for _ in range(n_iter):
            x = self.ask()
            self.tell(x, func(x))
        return self.get_result()

    def get_result(self) -> OptimizeResult:
        """Return the result so far: ``x``, ``fun``, ``x_iters`` and ``func_vals``; None and NaN at first."""
        values = np.array(self.yi, dtype=np.float64)
        found = not np.isnan(values).all()
        best = int(np.nanargmin(values)) if found else 0
        return OptimizeResult(
            x=self.Xi[best] if found else None,
            fun=float(values[best]) if found else np.nan,
            x_iters=list(self.Xi),
            func_vals=values,
            models=[],
            space=None,
            specs=None,
            random_state=self.opt.random_state,
        )

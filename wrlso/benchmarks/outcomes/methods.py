"""The methods of the study: acquisition functions of the optimizer, a process over Z alone, and peers.

Each takes a problem, a seed and a number of calls, and returns the values of these calls in order. All start
at the same points.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from wrlso.acquisition.several import LogHypervolumeImprovement, LogParEGO, SeveralGoals
from wrlso.benchmarks.outcomes.peers import botorch_loop, nsga2
from wrlso.benchmarks.outcomes.problems import NAMES, GoalsProblem
from wrlso.surrogate.sparse_gp import SparseGP

__all__ = ["METHODS", "RandomScalarisation"]

Values = NDArray[np.float64]
Done = Callable[[], Any]


class RandomScalarisation(SeveralGoals):
    """A joint sample of all processes, weighed by random numbers that are uniform on the simplex."""

    logarithmic = False

    def score(self, surrogate: Any, points: Tensor, best: float, generator: torch.Generator) -> Tensor:
        """Return the sample (q,)."""
        drawn = surrogate.draws[int(torch.randint(len(surrogate.draws), (1,), generator=generator))]
        weights = -torch.log(torch.rand(drawn.shape[1], generator=generator, dtype=torch.float64))
        found: Tensor = drawn[points] @ (weights / weights.sum())
        return found


def _ours(acquisition: Any = None, surrogate: Any = None) -> Callable[..., Values]:
    def run(problem: GoalsProblem, seed: int, calls: int, done: Done) -> Values:
        opt = problem.search(*problem.start(seed), seed, acquisition, surrogate)
        told: list[Values] = []
        while len(told) < calls:
            for x in opt.ask(min(problem.batch, calls - len(told))):
                told.append(problem.values(x))
                opt.tell(x, dict(zip(NAMES, told[-1].tolist(), strict=True)))
                done()
        return np.array(told)

    return run


METHODS: dict[str, Callable[..., Values]] = {
    "default": _ours(),
    "hypervolume": _ours(LogHypervolumeImprovement),
    "parego": _ours(LogParEGO),
    "scalarisation": _ours(RandomScalarisation),
    "latent": _ours(surrogate=SparseGP),
    "nsga2": nsga2,
    "botorch": botorch_loop,
}

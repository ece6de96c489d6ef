"""The methods of the study: acquisition functions of the optimizer, a process over Z alone, NSGA-II.

Each takes a problem, a seed and a number of calls, and returns the values of these calls in order. All start
at the same points.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from wrlso._utils.random import isolated_torch_rng
from wrlso.acquisition.several import LogHypervolumeImprovement, LogParEGO, SeveralGoals
from wrlso.benchmarks.outcomes.problems import NAMES, BoxCodec, GoalsProblem
from wrlso.benchmarks.panel.problems import networks
from wrlso.optimizer import WeightedRetrainingOptimizer
from wrlso.outcomes import Minimize
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
        X, Y = problem.start(seed)
        encoder, decoder = networks(seed, (problem.n_columns,), problem.latent_dim)
        opt = WeightedRetrainingOptimizer(
            encoder,
            decoder,
            likelihood="gaussian",
            codec=BoxCodec(),
            outcomes=[Minimize(name, reference=r) for name, r in zip(NAMES, problem.reference, strict=True)],
            acquisition=None if acquisition is None else acquisition(),
            surrogate=None if surrogate is None else surrogate(),
            random_state=seed,
        ).fit(X, Y)
        told = []
        for _ in range(calls):
            x = opt.ask()
            told.append(problem.values(x))
            opt.tell(x, dict(zip(NAMES, told[-1].tolist(), strict=True)))
            done()
        return np.array(told)

    return run


def nsga2(problem: GoalsProblem, seed: int, calls: int, done: Done, *, population: int = 20) -> Values:
    """Run pymoo's NSGA-II on the vectors themselves, from the best of the start by fronts."""
    from pymoo.algorithms.moo.nsga2 import NSGA2
    from pymoo.core.problem import Problem
    from pymoo.optimize import minimize
    from pymoo.termination import get_termination
    from pymoo.util.nds.non_dominated_sorting import NonDominatedSorting

    told: list[Values] = []

    class Counted(Problem):
        def _evaluate(self, x: Values, out: dict[str, Any], *args: Any, **options: Any) -> None:
            out["F"] = problem.function(x)
            told.extend(out["F"])
            for _ in out["F"]:
                done()

    X, Y = problem.start(seed)
    fronts = NonDominatedSorting().do(Y)
    best = np.concatenate(fronts)[:population]
    n = problem.n_columns
    with isolated_torch_rng(seed):
        minimize(
            Counted(n_var=n, n_obj=2, xl=0.0, xu=1.0),
            NSGA2(pop_size=population, sampling=X[best]),
            get_termination("n_eval", calls + population),
            seed=seed,
            verbose=False,
        )
    # the first generation evaluates the start again, which was paid for already
    return np.array(told[len(best) : len(best) + calls])


METHODS: dict[str, Callable[..., Values]] = {
    "default": _ours(),
    "hypervolume": _ours(LogHypervolumeImprovement),
    "parego": _ours(LogParEGO),
    "scalarisation": _ours(RandomScalarisation),
    "latent": _ours(surrogate=SparseGP),
    "nsga2": nsga2,
}

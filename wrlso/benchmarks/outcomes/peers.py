"""Other methods for two goals: pymoo's NSGA-II, and BoTorch's own loop.

Each takes a problem, a seed, a number of calls and a function that is called after each, and returns the
values of the calls in order (calls, 2). Inside, smaller is better for NSGA-II, and larger for BoTorch.
"""

import warnings
from collections.abc import Callable
from functools import cache
from random import Random
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from wrlso._chemistry.smiles import canonical
from wrlso._utils.domination import fronts
from wrlso._utils.random import isolated_torch_rng
from wrlso.benchmarks.outcomes.problems import BoxGoals, GoalsProblem
from wrlso.surrogate.morgan import MorganCounts

__all__ = ["botorch_loop", "nsga2"]

Values = NDArray[np.float64]
Done = Callable[[], Any]

_POPULATION = 20
_REFIT = 10  # calls between two fits of BoTorch's hyperparameters, which take seconds
_CHILDREN, _PARENTS = 100, 50  # molecules that BoTorch's loop looks at in each call, and makes them of
_COLUMNS = 2048  # of the folded counts of fragments
_RESTARTS, _RAW = 4, 128  # of BoTorch's optimizer in the box


def nsga2(problem: GoalsProblem, seed: int, calls: int, done: Done) -> Values:
    """Run NSGA-II on the objects themselves, from the best 20 of the start by fronts."""
    from pymoo.algorithms.moo.nsga2 import NSGA2

    X, Y = problem.start(seed)
    best = _best(_smaller(problem, Y), _POPULATION)
    if isinstance(problem, BoxGoals):
        first = np.asarray(X)[best]
        parts: dict[str, Any] = {"sampling": first}
        limits: dict[str, Any] = {"n_var": problem.n_columns, "xl": 0.0, "xu": 1.0}
    else:
        parts = _molecule_parts([X[row] for row in best], seed)
        limits = {"n_var": 1}
    return _evolve(problem, limits, NSGA2(pop_size=_POPULATION, **parts), seed, calls, done)


def _evolve(
    problem: GoalsProblem, limits: dict[str, Any], algorithm: Any, seed: int, calls: int, done: Done
) -> Values:
    from pymoo.core.problem import Problem
    from pymoo.optimize import minimize
    from pymoo.termination import get_termination

    told: list[Values] = []

    class Counted(Problem):
        def _evaluate(self, x: Any, out: dict[str, Any], *args: Any, **options: Any) -> None:
            objects = x if isinstance(problem, BoxGoals) else x[:, 0]
            values = np.array([problem.values(each) for each in objects])
            out["F"] = _smaller(problem, values)
            n_before = len(told)
            told.extend(values)
            # as far as they are paid for: neither the start again, nor what is beyond the last call
            before, now = (min(max(n, _POPULATION), calls + _POPULATION) for n in (n_before, len(told)))
            for _ in range(now - before):
                done()

    with isolated_torch_rng(seed):
        minimize(
            Counted(n_obj=2, **limits),
            algorithm,
            get_termination("n_eval", calls + _POPULATION),
            seed=seed,
            verbose=False,
        )
    # the first generation evaluates the start again, which was paid for already
    return np.array(told[_POPULATION : _POPULATION + calls])


def _molecule_parts(first: list[str], seed: int) -> dict[str, Any]:
    """Return what NSGA-II needs to work on SMILES, with the operators of ``mol_ga``."""
    from mol_ga.graph_ga.gen_candidates import mutate, reproduce
    from pymoo.core.crossover import Crossover
    from pymoo.core.duplicate import ElementwiseDuplicateElimination
    from pymoo.core.mutation import Mutation

    rng = Random(seed)

    class Cross(Crossover):
        def __init__(self) -> None:
            super().__init__(n_parents=2, n_offsprings=2, prob=1.0)

        def _do(self, problem: Any, X: Any, *args: Any, **options: Any) -> Any:
            made = np.empty_like(X)
            for i in range(X.shape[1]):
                one, two = X[:, i, 0]
                made[0, i, 0] = reproduce(one, two, 0.01, rng) or one
                made[1, i, 0] = reproduce(two, one, 0.01, rng) or two
            return made

    class Mutate(Mutation):
        def __init__(self) -> None:
            super().__init__(prob=0.5)

        def _do(self, problem: Any, X: Any, *args: Any, **options: Any) -> Any:
            return np.array([[mutate(x, rng) or x] for x in X[:, 0]], dtype=object)

    class Same(ElementwiseDuplicateElimination):
        def is_equal(self, a: Any, b: Any) -> bool:
            return bool(canonical(a.X[0]) == canonical(b.X[0]))

    return {
        "sampling": np.array([[x] for x in first], dtype=object),
        "crossover": Cross(),
        "mutation": Mutate(),
        "eliminate_duplicates": Same(),
    }


def botorch_loop(problem: GoalsProblem, seed: int, calls: int, done: Done) -> Values:
    """Run BoTorch's log noisy expected hypervolume improvement.

    In a box its process and its optimizer work on the vectors. Molecules have a process with a Tanimoto
    kernel on counts of fragments, and the best of 100 children of the best molecules is chosen, made by the
    operators of ``mol_ga``.
    """
    X, Y = problem.start(seed)
    loop: Any = _Box(problem.n_columns) if isinstance(problem, BoxGoals) else _Molecules(seed)
    known, values, fitted = list(X), list(Y), dict[str, Any]()
    with isolated_torch_rng(seed), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of fits that BoTorch repeats, and of nearly singular matrices
        for i in range(calls):
            larger = torch.from_numpy(-_smaller(problem, np.array(values)))
            model = loop.model(known, larger)
            model.load_state_dict({**model.state_dict(), **fitted})
            if i % _REFIT == 0:
                fitted = _fit(model)
            reference = torch.from_numpy(-_smaller(problem, np.array([problem.reference]))[0])
            known.append(loop.best(model, reference, known, larger))
            values.append(problem.values(known[-1]))
            done()
    return np.array(values[len(X) :])


def _fit(model: Any) -> dict[str, Any]:
    """Fit a process; return its hyperparameters."""
    from botorch.fit import fit_gpytorch_mll
    from gpytorch.mlls import ExactMarginalLogLikelihood

    fit_gpytorch_mll(ExactMarginalLogLikelihood(model.likelihood, model))
    return {name: value.detach().clone() for name, value in model.named_parameters()}


def _criterion(model: Any, reference: Tensor, points: Tensor) -> Any:
    from botorch.acquisition.multi_objective import logei

    vars(logei)["_load_attempted"] = True  # it would compile a kernel, and wait for other processes that do
    return logei.qLogNoisyExpectedHypervolumeImprovement(model, reference, points, prune_baseline=True)


class _Box:
    """BoTorch on vectors of the unit box."""

    def __init__(self, n_columns: int) -> None:
        self.box = torch.stack([torch.zeros(n_columns), torch.ones(n_columns)]).double()

    def model(self, X: list[Values], larger: Tensor) -> Any:
        from botorch.models import SingleTaskGP
        from botorch.models.transforms import Standardize

        return SingleTaskGP(torch.from_numpy(np.array(X)), larger, outcome_transform=Standardize(2))

    def best(self, model: Any, reference: Tensor, X: list[Values], larger: Tensor) -> Values:
        from botorch.optim import optimize_acqf

        points = torch.from_numpy(np.array(X))
        criterion = _criterion(model, reference, points)
        found, _ = optimize_acqf(criterion, self.box, 1, num_restarts=_RESTARTS, raw_samples=_RAW)
        return np.asarray(found[0])


class _Molecules:
    """BoTorch on counts of fragments, over children of the best molecules."""

    def __init__(self, seed: int) -> None:
        self.rng = Random(seed)
        self.counts = MorganCounts(radius=2)
        self.features: dict[str, Tensor] = {}

    def model(self, X: list[str], larger: Tensor) -> Any:
        from botorch.models import SingleTaskGP
        from botorch.models.transforms import Standardize
        from gpytorch.kernels import ScaleKernel

        kernel = ScaleKernel(_tanimoto()(), batch_shape=torch.Size([2]))
        return SingleTaskGP(self._points(X), larger, covar_module=kernel, outcome_transform=Standardize(2))

    def best(self, model: Any, reference: Tensor, X: list[str], larger: Tensor) -> str:
        from mol_ga.graph_ga.gen_candidates import graph_ga_blended_generation

        parents = [X[row] for row in _best(-larger.numpy(), _PARENTS)]
        known, found = set(X), dict[str, None]()
        while len(found) < _CHILDREN:
            drawn = self.rng.choices(parents, k=2 * _CHILDREN)
            for child in sorted(graph_ga_blended_generation(drawn, _CHILDREN, self.rng)):
                if (name := canonical(child)) and name not in known:
                    found[name] = None
        children = list(found)[:_CHILDREN]
        with torch.no_grad():
            worth = _criterion(model, reference, self._points(X))(self._points(children)[:, None])
        return children[int(worth.argmax())]

    def _points(self, X: list[str]) -> Tensor:
        new = [x for x in X if x not in self.features]
        if new:
            rows, columns = (counts := self.counts(new)).nonzero()
            folded = torch.zeros(len(new), _COLUMNS, dtype=torch.float64)
            folded.index_put_(
                (torch.from_numpy(rows), torch.from_numpy(columns % _COLUMNS)),
                torch.from_numpy(counts.data.astype(np.float64)),
                accumulate=True,
            )
            self.features |= dict(zip(new, folded, strict=True))
        return torch.stack([self.features[x] for x in X])


@cache
def _tanimoto() -> Any:
    """Return a kernel a·b / (a·a + b·b - a·b), which BoTorch does not have."""
    from gpytorch.kernels import Kernel

    class Tanimoto(Kernel):
        def forward(self, one: Tensor, two: Tensor, diag: bool = False, **options: Any) -> Tensor:
            squares = one.square().sum(dim=-1), two.square().sum(dim=-1)
            if diag:
                product = (one * two).sum(dim=-1)
                return product / (squares[0] + squares[1] - product)
            product = one @ two.transpose(-1, -2)
            return product / (squares[0][..., :, None] + squares[1][..., None, :] - product)

    return Tanimoto


def _smaller(problem: GoalsProblem, values: Values) -> Values:
    """Return values so that smaller is better."""
    return -values if problem.larger else values


def _best(smaller: Values, n: int) -> NDArray[np.int64]:
    """Return the rows of the n best, front by front."""
    return np.argsort(fronts(-smaller), kind="stable")[:n]

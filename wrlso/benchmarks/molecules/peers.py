"""Other methods on molecules, with the same objective, starting data and calls.

Every method calls the objective only with new molecules, neither in the starting data nor evaluated before,
and returns the evaluated ones in order. Canonical SMILES identify molecules, so X must be canonical (see
:func:`wrlso.datasets.canonical_smiles`).

The two genetic algorithms need ``mol_ga`` from PyPI (Tripp and Hernández-Lobato, "Genetic algorithms are
strong baselines for molecule generation", 2023, on the operators of Jensen, Chem. Sci. 10, 2019).
"""

import heapq
import math
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from contextlib import suppress
from random import Random
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike
from sklearn.base import clone

from wrlso._chemistry.smiles import canonical
from wrlso._utils.random import torch_generator
from wrlso._utils.validation import check_count
from wrlso.acquisition.belief import Belief, for_turn, safe_scores
from wrlso.acquisition.functions import LogExpectedImprovement
from wrlso.exceptions import DataError
from wrlso.models.inference import evaluating, to_model
from wrlso.models.protocol import LatentModel, SamplesPrior
from wrlso.surrogate.protocol import HasWorkingScale, Surrogate
from wrlso.surrogate.subset import select_subset
from wrlso.surrogate.tanimoto_gp import TanimotoGP

__all__ = ["Objective", "Trace", "best_of_set", "graph_ga", "prior_sampling", "screened_ga"]

Objective = Callable[[str], float]
Trace = list[tuple[str, float]]

_IDLE = 200  # a method ends after this many generations in a row without a new molecule


def _new(children: Iterable[str], known: Mapping[Hashable, float]) -> dict[str, str]:
    """Return {key: SMILES} of the distinct new molecules, in a fixed order."""
    # mol_ga returns sets of strings, whose order differs between processes
    found = {canonical(x) or x: x for x in sorted(children, reverse=True)}
    return {key: found[key] for key in sorted(found) if key not in known}


class _Spent(Exception):
    """Ends a library's loop when the budget is spent."""


class _Calls:
    """Calls of the objective, for new molecules only and up to the budget."""

    def __init__(self, objective: Objective, X: Sequence[str], y: ArrayLike, budget: int) -> None:
        check_count("budget", budget)
        self.values = np.asarray(y, dtype=np.float64)
        if self.values.shape != (len(X),) or not len(X):
            raise DataError(
                f"X and y must hold the same number of molecules, at least 1, got {len(X)} and "
                f"{self.values.shape}"
            )
        if not np.isfinite(self.values).all():
            raise DataError("y must hold finite values, got NaN or infinity")
        self.objective = objective
        self.budget = budget
        self.worst = float(self.values.min())
        self.start = list(X)
        self.known: dict[Hashable, float] = {}
        for x, value in zip(self.start, self.values, strict=True):
            self.known[x] = max(float(value), self.known.get(x, -math.inf))
        self.trace: Trace = []

    @property
    def left(self) -> int:
        """Remaining calls."""
        return self.budget - len(self.trace)

    def evaluate(self, x: str, key: Hashable) -> float:
        """Evaluate a new molecule; a value that is not finite counts as the worst starting value."""
        if self.left == 0:
            raise _Spent
        value = float(self.objective(x))
        self.trace.append((x, value))
        self.known[key] = value if math.isfinite(value) else self.worst
        return self.known[key]

    def best(self, n: int) -> dict[str, float]:
        """Return the n best starting molecules with their values, or the best value of repeated ones."""
        chosen = heapq.nlargest(n, dict.fromkeys(self.start), key=self.known.__getitem__)
        return {x: self.known[x] for x in chosen}


def graph_ga(
    objective: Objective,
    X: Sequence[str],
    y: ArrayLike,
    budget: int,
    seed: int,
    *,
    population: int = 10_000,
    offspring: int = 5,
) -> Trace:
    """Run the genetic algorithm of ``mol_ga`` with its default operators, sampling and selection.

    Parameters
    ----------
    objective : callable SMILES → float
        Larger is better; NaN and infinities count as a call and as the worst starting value.
    X, y : sequence of n canonical SMILES, array_like of shape (n,)
        Starting data; the best molecules are the first population.
    budget : int
        Number of calls of the objective.
    seed : int
        Seed of Python's random generator, which ``mol_ga`` uses.
    population : int, default=10_000
        The default of ``mol_ga``.
    offspring : int, default=5
        Molecules in a generation; ``mol_ga`` has no default.

    Returns
    -------
    list of (SMILES, value)
        In the order of the calls; shorter than the budget after 200 generations without a new molecule.

    Raises
    ------
    DataError
        When X and y disagree or a starting value is not finite.
    ModuleNotFoundError
        When ``mol_ga`` is not installed.
    """
    from mol_ga import default_ga
    from mol_ga.cached_function import CachedBatchFunction

    check_count("population", population)
    check_count("offspring", offspring)
    calls = _Calls(objective, X, y, budget)
    first = calls.best(population)
    cache = dict(first)
    idle = 0

    def scores(candidates: list[str]) -> list[float]:
        nonlocal idle
        new = _new(candidates, calls.known)
        idle = 0 if new else idle + 1
        if idle > _IDLE:
            raise _Spent
        for key, x in new.items():
            calls.evaluate(x, key)
        return [calls.known[canonical(x) or x] for x in candidates]

    with suppress(_Spent):
        default_ga(
            starting_population_smiles=list(first),
            scoring_function=CachedBatchFunction(scores, cache),
            max_generations=(_IDLE + 1) * budget + 1,
            offspring_size=offspring,
            population_size=population,
            rng=Random(seed),
        )
    return calls.trace


def screened_ga(
    objective: Objective,
    X: Sequence[str],
    y: ArrayLike,
    budget: int,
    seed: int,
    *,
    surrogate: Surrogate | None = None,
    acquisition: Any = None,
    population: int = 10_000,
    offspring: int = 200,
    batch: int = 5,
    refit_every: int = 50,
) -> Trace:
    """Let a surrogate choose which of a genetic algorithm's children to evaluate.

    Parents and children are made as in :func:`graph_ga`. Compared with our search in latent space, only the
    source of the candidates differs.

    Parameters
    ----------
    objective, X, y, budget
        See :func:`graph_ga`.
    seed : int
        Seed of Python's and NumPy's random generators.
    surrogate : Surrogate or None
        A surrogate on features of x (``space`` "features"); None: :class:`wrlso.TanimotoGP`.
    acquisition : acquisition function or None
        An acquisition function with ``score``; None: :class:`wrlso.LogExpectedImprovement`.
    population : int, default=10_000
        Number of best molecules that can become parents.
    offspring : int, default=200
        Children for each choice.
    batch : int, default=5
        Number of evaluated children, chosen one by one as if each had its predicted value.
    refit_every : int, default=50
        Calls between two fits of the surrogate; between fits it is conditioned.

    Returns
    -------
    list of (SMILES, value)
        In the order of the calls; shorter than the budget after 200 generations without a new molecule.

    Raises
    ------
    DataError
        When X and y disagree or a starting value is not finite.
    ModuleNotFoundError
        When ``mol_ga`` is not installed.
    """
    from mol_ga.graph_ga.gen_candidates import graph_ga_blended_generation
    from mol_ga.sample_population import uniform_quantile_sampling

    for name, number in (("population", population), ("offspring", offspring), ("batch", batch)):
        check_count(name, number)
    check_count("refit_every", refit_every)
    calls, rng = _Calls(objective, X, y, budget), Random(seed)
    screen = _Screen(calls, surrogate, acquisition, refit_every, seed)
    members = [(value, x) for x, value in calls.best(population).items()]
    idle = 0
    while calls.left and idle < _IDLE:
        parents = uniform_quantile_sampling(members, 2 * offspring, rng)
        children = _new(graph_ga_blended_generation(parents, offspring, rng), calls.known)
        idle = 0 if children else idle + 1
        for key in screen.choose(list(children), min(batch, calls.left)):
            members.append((screen.evaluate(children[key], key), children[key]))
        members = heapq.nlargest(population, members)
    return calls.trace


class _Screen:
    """A surrogate that chooses molecules to evaluate; fitted rarely, conditioned often."""

    def __init__(
        self,
        calls: _Calls,
        surrogate: Surrogate | None,
        acquisition: Any,
        refit_every: int,
        seed: int,
    ) -> None:
        self.calls = calls
        self.surrogate: Surrogate = clone(TanimotoGP() if surrogate is None else surrogate, safe=False)
        self.acquisition = LogExpectedImprovement() if acquisition is None else acquisition
        self.refit_every = refit_every
        self.rng = np.random.default_rng(seed)
        self.generator = torch_generator(self.rng)
        self.X, self.y = list(calls.start), list(calls.values)
        self.fitted_at = self.seen = 0

    def evaluate(self, x: str, key: str) -> float:
        """Evaluate a molecule, and keep its value for the surrogate."""
        value = self.calls.evaluate(x, key)
        self.X.append(x)
        self.y.append(value)
        return value

    def choose(self, candidates: list[str], n: int) -> list[str]:
        """Return the n best candidates, or all if there are fewer."""
        if len(candidates) <= n:
            return candidates
        belief, points = self._belief().over(candidates)
        free = np.ones(len(candidates), dtype=bool)
        chosen: list[str] = []
        while len(chosen) < n:
            criterion = for_turn(self.acquisition, len(self.y) + len(chosen))
            scores = np.where(free, safe_scores(criterion, belief, points, self.generator), -np.inf)
            i = int(scores.argmax()) if np.isfinite(scores).any() else int(np.flatnonzero(free)[0])
            free[i] = False
            chosen.append(candidates[i])
            belief = belief.add(points[i : i + 1])
        return chosen

    def _belief(self) -> Belief:
        y = np.array(self.y)
        if self.seen == 0 or len(y) - self.fitted_at >= self.refit_every:
            # choose the subset first, because most of the starting data needs no fingerprint
            n_best, n_random = (getattr(self.surrogate, name, 1000) for name in ("n_best", "n_random"))
            rows = select_subset(y, n_best, n_random, self.rng, n_latest=len(y) - len(self.calls.start))
            self.surrogate.fit([self.X[i] for i in rows], torch.from_numpy(y[rows]), self.rng)
            self.fitted_at = len(y)
        elif len(y) > self.seen:
            new = slice(self.seen, None)
            self.surrogate = self.surrogate.condition_on(self.X[new], torch.from_numpy(y[new]))
        self.seen = len(y)
        values, process = torch.from_numpy(y), self.surrogate
        if isinstance(process, HasWorkingScale):
            process, values = process.working_scale(values)
        return Belief(process, float(values.max()))


def prior_sampling(
    objective: Objective,
    X: Sequence[str],
    y: ArrayLike,
    budget: int,
    seed: int,
    *,
    model: LatentModel,
    temperature: float = 1.0,
    max_attempts: int = 1000,
) -> Trace:
    """Evaluate the decoded molecules of random latent points.

    Parameters
    ----------
    objective, X, y, budget
        See :func:`graph_ga`.
    seed : int
        Seed of PyTorch's random generator.
    model : LatentModel
        A trained model, which does not change. Points come from its ``sample_prior``, or from N(0, I).
    temperature : float, default=1.0
        Temperature of the decoding.
    max_attempts : int, default=1000
        The method ends after this many decoded points for each call.

    Returns
    -------
    list of (SMILES, value)
        In the order of the calls; shorter than the budget with too few new molecules.
    """
    check_count("max_attempts", max_attempts)
    calls = _Calls(objective, X, y, budget)
    known = {model.key(x) for x in X}
    generator = torch_generator(np.random.default_rng(seed))
    decoded = 0
    with evaluating(model):
        while calls.left and decoded < max_attempts * budget:
            n = min(max(2 * calls.left, 16), 1000)
            if isinstance(model, SamplesPrior):
                Z = model.sample_prior(n, generator)
            else:
                Z = torch.randn(n, model.latent_dim, generator=generator)
            decoded += n
            for x in model.decode(to_model(model, Z), temperature, generator):
                key = None if x is None else model.key(x)
                if key is not None and key not in known and calls.left:
                    calls.evaluate(x, key)
                    known.add(key)
    return calls.trace


def best_of_set(
    objective: Objective,
    X: Sequence[str],
    y: ArrayLike,
    budget: int,
    seed: int,
    *,
    molecules: Sequence[str],
) -> Trace:
    """Evaluate molecules of a set in random order, as in screening without a model.

    Parameters
    ----------
    objective, X, y, budget
        See :func:`graph_ga`.
    seed : int
        Seed of NumPy's random generator, which shuffles.
    molecules : sequence of canonical SMILES
        The set, such as a part of ZINC outside X.

    Returns
    -------
    list of (SMILES, value)
        In the order of the calls; shorter than the budget if the set is too small.
    """
    calls = _Calls(objective, X, y, budget)
    for i in np.random.default_rng(seed).permutation(len(molecules)):
        if not calls.left:
            break
        if molecules[i] not in calls.known:
            calls.evaluate(molecules[i], molecules[i])
    return calls.trace

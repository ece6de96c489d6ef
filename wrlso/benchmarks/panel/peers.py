"""Other methods on the problems of the panel, and the optimizer in its settings.

Each method takes a :class:`wrlso.benchmarks.panel.calls.Calls` and a seed, and calls the objective until the
budget is spent. The arguments of methods without a model are the best of a few on five problems that are not
of the panel (deceptive traps of 40 bits, spin glasses of 50, 20 letters of 8 to match, Rastrigin in 6 and
Rosenbrock in 8 dimensions), after 200 calls from poor and tiny starts of the seeds 100 to 103.
"""

import itertools
from collections.abc import Callable
from typing import Any, cast

import numpy as np

from wrlso._utils.random import stream
from wrlso.acquisition.prior_sampling import PriorSampling
from wrlso.benchmarks.panel.calls import Calls, NothingNew
from wrlso.benchmarks.panel.qlognei import MANY_COLUMNS, optional, qlognei
from wrlso.benchmarks.panel.spaces import Columns, Space
from wrlso.benchmarks.study import SETTINGS, quiet_about_small_k, setting_options
from wrlso.exceptions import NoCandidateError
from wrlso.optimizer import WeightedRetrainingOptimizer

__all__ = [
    "PEERS",
    "applies",
    "directed_evolution",
    "genetic_algorithm",
    "local_search",
    "ours",
    "prior_draws",
    "tpe",
]

_PEER = 2  # random stream of a seed


def genetic_algorithm(
    calls: Calls, seed: int, *, population: int = 20, tournament: int = 10, crossover: float = 0.7
) -> None:
    """Evolve a steady-state population of the best points: tournaments, crossover, mutation.

    A child of two parents is mutated half the time, a child of one always.

    Parameters
    ----------
    calls : Calls
    seed : int
    population : int, default=20
    tournament : int, default=10
        A parent is the best of this many members.
    crossover : float, default=0.7
        Share of the children with two parents.
    """
    rng, space = stream(seed, _PEER), calls.problem.space
    members = calls.best(population)

    def parent() -> Any:
        # members are sorted, best first
        return calls.X[members[int(rng.integers(len(members), size=tournament).min())]]

    def child() -> Any:
        x = parent()
        crossed = len(members) > 1 and rng.random() < crossover
        if crossed:
            x = space.cross(x, parent(), rng)
        if x is not None and (not crossed or rng.random() < 0.5):
            x = space.mutate(x, rng)
        return x

    while calls.left:
        calls.evaluate(calls.new(child))
        members = sorted([*members, len(calls.y) - 1], key=lambda i: (-calls.y[i], i))[:population]


def directed_evolution(calls: Calls, seed: int, *, parents: int = 1, round_size: int = 10) -> None:
    """Evaluate rounds of mutants of the best points so far, as in the laboratory."""
    rng, space = stream(seed, _PEER), calls.problem.space
    while calls.left:
        best = [calls.X[i] for i in calls.best(parents)]
        for x in itertools.islice(itertools.cycle(best), round_size):
            calls.evaluate(calls.new(lambda x=x: space.mutate(x, rng)))  # type: ignore[misc]


def local_search(calls: Calls, seed: int, *, patience: int = 100) -> None:
    """Climb from the best point by single mutations; start from the next best one after many failures."""
    rng, space = stream(seed, _PEER), calls.problem.space
    idle = 0
    for start in itertools.cycle(calls.best(calls.n_start)):
        idle = idle + 1
        place, failures = start, 0
        while failures < patience:
            x = calls.X[place]
            try:
                candidate = calls.new(lambda x=x: space.mutate(x, rng))  # type: ignore[misc]
            except NothingNew:
                break
            idle, before = 0, calls.y[place]
            value = calls.evaluate(candidate)
            # a point as good is walked to, so that plateaus are crossed
            place = len(calls.y) - 1 if value >= before else place
            failures = 0 if value > before else failures + 1
        if idle > calls.n_start:
            raise NothingNew


def tpe(calls: Calls, seed: int) -> None:
    """Let Optuna's tree-structured Parzen estimator choose; it knows the start."""
    optuna = optional("optuna", "tpe")
    space = cast(Columns, calls.problem.space)  # see applies
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    kinds = optuna.distributions
    distributions: dict[str, Any] = {
        f"x{i}": kinds.CategoricalDistribution(list(range(int(high) + 1)))
        if category
        else kinds.FloatDistribution(low, high)
        for i, (low, high, category) in enumerate(zip(space.low, space.high, space.is_category, strict=True))
    }

    def parameters(x: Any) -> dict[str, Any]:
        values = zip(distributions, space.values(x), space.is_category, strict=True)
        return {name: int(value) if category else float(value) for name, value, category in values}

    def trial(x: Any, value: float) -> Any:
        return optuna.create_trial(params=parameters(x), distributions=distributions, value=max(value, worst))

    rng, worst = stream(seed, _PEER), min(calls.y)
    sampler = optuna.samplers.TPESampler(seed=seed, n_startup_trials=0)
    study = optuna.create_study(direction="maximize", sampler=sampler)
    study.add_trials([trial(x, value) for x, value in zip(calls.X, calls.y, strict=True)])
    while calls.left:
        asked = study.ask(distributions)
        x = space.build(np.array([asked.params[name] for name in distributions], dtype=np.float64))
        if space.key(x) not in calls.known:
            study.tell(asked, max(calls.evaluate(x), worst))
            continue
        # a known point teaches nothing; Optuna would propose it again and again
        study.tell(asked, state=optuna.trial.TrialState.FAIL)
        x = calls.new(lambda x=x: space.mutate(x, rng))  # type: ignore[misc]
        study.add_trial(trial(x, calls.evaluate(x)))


def prior_draws(calls: Calls, seed: int) -> None:
    """Draw from the prior of the model that the start has trained."""
    ours(calls, seed, acquisition=PriorSampling(), retrain_every=None)


def ours(calls: Calls, seed: int, **settings: Any) -> WeightedRetrainingOptimizer:
    """Ask the optimizer for one point after the other; ``settings`` are those of the study."""
    problem = calls.problem
    y = np.array(calls.y) * problem.sign
    X: Any = calls.X[: calls.n_start]
    X = np.stack(X) if isinstance(X[0], np.ndarray) else X
    with quiet_about_small_k():
        optimizer = problem.optimizer(X, y, seed, **settings)
        while calls.left:
            try:
                x = optimizer.ask()
            except NoCandidateError as error:
                raise NothingNew from error
            calls.evaluate(x)
            optimizer.tell(x, calls.told[-1])
    return optimizer


def applies(peer: str, space: Space) -> bool:
    """Return whether a peer works on this space: Optuna needs a table of few columns."""
    return peer != "tpe" or (isinstance(space, Columns) and len(space.low) <= MANY_COLUMNS)


def _setting(name: str) -> Callable[[Calls, int], Any]:
    return lambda calls, seed: ours(calls, seed, **setting_options(name))


PEERS: dict[str, Callable[[Calls, int], Any]] = {
    **{name: _setting(name) for name in reversed(SETTINGS)},
    "prior": prior_draws,
    "genetic": genetic_algorithm,
    "evolution": directed_evolution,
    "local": local_search,
    "tpe": tpe,
    "qlognei": qlognei,
}

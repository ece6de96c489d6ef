"""Strings whose experiments fail or are noisy: what the optimizer does about it, and what BoTorch does.

``wrlso bench lab --out docs/benchmarks/lab`` runs what is missing and prints a table.
Of ``failing`` strings more than half of a random start has a pair of neighbours that no experiment survives.
Values of ``noisy`` strings have noise of half the range of the best tenth of the start.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from wrlso._utils.random import isolated_torch_rng, stream
from wrlso.acquisition.ask_record import AskRecord
from wrlso.acquisition.functions import LogExpectedImprovement, Mixture, ThompsonSampling
from wrlso.acquisition.state import Proposal, SearchState
from wrlso.benchmarks.method_study import Done, MethodRun, MethodStudy
from wrlso.benchmarks.panel.problems import networks
from wrlso.benchmarks.records import read_record
from wrlso.optimizer import WeightedRetrainingOptimizer

__all__ = ["LAB", "METHODS", "PROBLEMS", "Careless", "Strings", "lab_table"]

Values = NDArray[np.float64]
Words = NDArray[np.int64]

_EVERY = 50  # calls between two looks at what is reported as best
_BOTORCH_POOL, _BOTORCH_PARENTS = 500, 20
_BOTORCH_REFIT = 10  # calls between two fits of BoTorch's 64 lengthscales, which take seconds


class Strings:
    """Strings with a value, all larger is better; the largest is known.

    Parameters
    ----------
    seed : int
        Of the problem, of the start and of the noise.
    length, letters, n_start : int
    forbidden : int, default=0
        Pairs of neighbouring letters with which an experiment fails.
    interactions : float, default=0.0
        Scale of what pairs of neighbours add to the value.
    noise : float, default=0.0
        Standard deviation, as a share of the range of the best tenth of the start.
    """

    def __init__(
        self,
        seed: int,
        *,
        length: int,
        letters: int,
        n_start: int,
        forbidden: int = 0,
        interactions: float = 0.0,
        noise: float = 0.0,
    ) -> None:
        rng = stream(seed, 0)
        self.length, self.letters = length, letters
        self.fatal = np.zeros((letters, letters), dtype=bool)
        self.fatal.flat[rng.permutation(letters**2)[:forbidden]] = True
        self.target = rng.integers(letters, size=length)
        while self.fails(self.target):
            self.target = rng.integers(letters, size=length)
        self.weights = rng.exponential(size=length)
        self.pairs = interactions * rng.normal(size=(length - 1, letters, letters))
        self.start: Words = rng.integers(letters, size=(n_start, length))
        true = np.sort([self.true(x) for x in self.start])
        self.sd = noise * float(true[-1] - true[-max(1, n_start // 10)])
        self._noise = stream(seed, 1)

    def fails(self, x: Words) -> bool:
        """Return whether an experiment on x fails."""
        return bool(self.fatal[x[:-1], x[1:]].any())

    def true(self, x: Words) -> float:
        """Return the value of x without noise."""
        x = np.asarray(x)
        single = float(self.weights @ (x == self.target) / self.weights.sum())
        return single + float(self.pairs[np.arange(self.length - 1), x[:-1], x[1:]].sum())

    def measure(self, x: Words) -> float | None:
        """Return what an experiment on x says; None: it failed."""
        x = np.asarray(x)
        return None if self.fails(x) else self.true(x) + self.sd * float(self._noise.normal())


PROBLEMS: dict[str, Callable[[int], Strings]] = {
    "failing": lambda seed: Strings(seed, length=40, letters=12, n_start=300, forbidden=3),
    "noisy": lambda seed: Strings(seed, length=16, letters=4, n_start=200, interactions=0.05, noise=0.5),
}


class Careless:
    """The default acquisition functions, which do not hear of failures."""

    uses_surrogate = True

    def __init__(self) -> None:
        self.turns = Mixture([LogExpectedImprovement(), ThompsonSampling()])

    def propose(
        self, state: SearchState, n: int, rng: np.random.Generator
    ) -> tuple[list[Proposal], AskRecord]:
        """Return n proposals of the default acquisition functions."""
        return self.turns.propose(replace(state, success=None), n, rng)


@dataclass
class _Told:
    """What a method was told, and the true values of what it reported as best, by name."""

    y: list[float | None]
    reported: dict[str, list[float]]

    def look(self, problem: Strings, **best: Words) -> None:
        """Note what is reported as best now."""
        for name, x in best.items():
            self.reported.setdefault(name, []).append(problem.true(x))


Evaluated = Callable[[], Any]


def _ours(acquisition: Callable[[], Any] | None = None) -> Callable[..., _Told]:
    def run(problem: Strings, seed: int, calls: int, done: Evaluated) -> _Told:
        values = [problem.measure(x) for x in problem.start]
        failed = [value is None for value in values]
        y = [np.nan if value is None else value for value in values]
        encoder, decoder = networks(seed, (problem.length,), 8, classes=problem.letters)
        opt = WeightedRetrainingOptimizer(
            encoder,
            decoder,
            likelihood="categorical",
            acquisition=None if acquisition is None else acquisition(),
            random_state=seed,
        ).fit(problem.start, y, failed=failed)
        told = _Told([], {})
        for i in range(calls):
            x = opt.ask()
            told.y.append(problem.measure(x))
            opt.tell(x, told.y[-1])
            done()
            if (i + 1) % _EVERY == 0 or i + 1 == calls:
                told.look(problem, luckiest=opt.best_x_, recommended=opt.recommended_x_)
        return told

    return run


def _botorch(problem: Strings, seed: int, calls: int, done: Evaluated) -> _Told:
    """Run BoTorch's log noisy expected improvement on one-hot strings; reports the best posterior mean."""
    rng, told, fitted = stream(seed, 2), _Told([], {}), dict[str, Any]()
    known = {tuple(x): problem.measure(x) for x in problem.start.tolist()}
    with isolated_torch_rng(seed):
        for i in range(calls):
            X = np.array([x for x, value in known.items() if value is not None])
            y = np.array([value for value in known.values() if value is not None])
            pool = _children(X[np.argsort(-y)[:_BOTORCH_PARENTS]], problem.letters, rng, known)
            model = _botorch_model(_one_hot(X, problem.letters), y, fitted)
            if i % _BOTORCH_REFIT == 0:
                fitted = _fit(model)
            best, mean = _best_of_pool(model, _one_hot(X, problem.letters), _one_hot(pool, problem.letters))
            told.y.append(problem.measure(pool[best]))
            known[tuple(pool[best].tolist())] = told.y[-1]
            done()
            if (i + 1) % _EVERY == 0 or i + 1 == calls:
                told.look(problem, luckiest=X[y.argmax()], recommended=X[mean.argmax()])
    return told


def _botorch_model(points: torch.Tensor, y: Values, fitted: dict[str, Any]) -> Any:
    """Return BoTorch's standard process, with the hyperparameters of the last fit."""
    from botorch.models import SingleTaskGP
    from botorch.models.transforms import Standardize

    model = SingleTaskGP(points, torch.from_numpy(y)[:, None], outcome_transform=Standardize(1))
    model.load_state_dict({**model.state_dict(), **fitted})
    return model


def _fit(model: Any) -> dict[str, Any]:
    """Fit a process; return its hyperparameters."""
    from botorch.fit import fit_gpytorch_mll
    from gpytorch.mlls import ExactMarginalLogLikelihood

    fit_gpytorch_mll(ExactMarginalLogLikelihood(model.likelihood, model))
    return {name: value.detach().clone() for name, value in model.named_parameters()}


def _best_of_pool(model: Any, points: torch.Tensor, pool: torch.Tensor) -> tuple[int, Values]:
    """Return which of the pool is worth most, and the posterior mean at the points."""
    from botorch.acquisition.logei import qLogNoisyExpectedImprovement

    model.eval()
    with torch.no_grad():
        mean = model.posterior(points).mean[:, 0].numpy()
        worth = qLogNoisyExpectedImprovement(model, points, prune_baseline=True)(pool[:, None])
    return int(worth.argmax()), mean


def _one_hot(X: Words, letters: int) -> torch.Tensor:
    return torch.nn.functional.one_hot(torch.from_numpy(X), letters).flatten(1).double()


def _children(parents: Words, letters: int, rng: np.random.Generator, known: Any) -> Words:
    """Return new strings: parents with one to three other letters, half of them crossed before."""
    found: dict[tuple[int, ...], None] = {}
    while len(found) < _BOTORCH_POOL:
        one, two = parents[rng.integers(len(parents), size=2)]
        child = np.where(rng.random(len(one)) < 0.5, one, two) if rng.random() < 0.5 else one.copy()
        places = rng.integers(len(child), size=rng.integers(1, 4))
        child[places] = rng.integers(letters, size=len(places))
        if tuple(child.tolist()) not in known:
            found[tuple(child.tolist())] = None
    return np.array(list(found))


METHODS: dict[str, Callable[..., _Told]] = {
    "default": _ours(),
    "careless": _ours(Careless),
    "botorch": _botorch,
}


def _work(run: MethodRun, done: Done) -> dict[str, Any]:
    problem = PROBLEMS[run.problem](run.seed)
    told = METHODS[run.method](problem, run.seed, run.calls, partial(done, 1))
    return {
        "start": {
            "n": len(problem.start),
            "failed": sum(problem.fails(x) for x in problem.start),
            "best": round(max(problem.true(x) for x in problem.start if not problem.fails(x)), 6),
        },
        "sd": round(problem.sd, 6),
        "reported": {name: [round(v, 6) for v in values] for name, values in told.reported.items()},
        "y": [None if value is None else round(value, 6) for value in told.y],
    }


LAB = MethodStudy("lab", PROBLEMS, METHODS, _work)
"""Searches where experiments fail or are noisy."""


def lab_table(paths: Sequence[Path]) -> str:
    """Return, by problem and method, means over seeds: failures and the true values of what is reported."""
    found: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for path in paths:
        record = read_record(path)
        found.setdefault((record["problem"], record["method"]), []).append(record)
    heads = ("start", "failed %", "of last 100", "luckiest", "recommended")
    lines = [f"{'problem':10}{'method':10}{'seeds':>6}" + "".join(f"{head:>13}" for head in heads)]
    for (problem, method), records in found.items():
        rows = [
            (
                record["start"]["best"],
                100.0 * np.mean([value is None for value in record["y"]]),
                100.0 * np.mean([value is None for value in record["y"][-100:]]),
                *(values[-1] if values else np.nan for values in map(record["reported"].get, heads[3:])),
            )
            for record in records
        ]
        means = np.mean(np.array(rows, dtype=np.float64), axis=0)
        lines.append(f"{problem:10}{method:10}{len(rows):>6}" + "".join(f"{v:>13.3f}" for v in means))
    return "\n".join(lines)

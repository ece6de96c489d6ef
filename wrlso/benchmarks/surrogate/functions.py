"""Quality of the search in Z alone: ``python -m wrlso.benchmarks.surrogate.functions --out FOLDER``.

The functions have known optima in the unit cube and depend on only a few of its 10, 25 or 56 coordinates. The
surrogate and searches of this library, and TuRBO-1 as in BoTorch's tutorial, maximise them from the same
initial points. The model between x and z only changes the scale, so the study compares the search alone. The
functions have no noise; as in that tutorial, all processes bound the noise at 1e-3 of the values' variance
and are refitted after every batch. Every run writes one record; finished runs are skipped.
"""

import argparse
import itertools
import sys
import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor
from torch.quasirandom import SobolEngine
from tqdm.auto import tqdm

from wrlso._utils.validation import check_choice, check_choices, check_count
from wrlso.acquisition.candidate_pool import CandidatePool
from wrlso.acquisition.functions import LogExpectedImprovement, Mixture, ThompsonSampling
from wrlso.acquisition.protocol import Acquisition
from wrlso.acquisition.sources import Near, Prior
from wrlso.benchmarks.records import (
    data_hash,
    is_recorded,
    machine,
    read_records,
    versions,
    write_record,
)
from wrlso.benchmarks.surrogate.points import PointModel
from wrlso.benchmarks.surrogate.turbo import SETTINGS as TURBO
from wrlso.benchmarks.surrogate.turbo import turbo
from wrlso.optimizer import WeightedRetrainingOptimizer
from wrlso.surrogate.sparse_gp import SparseGP
from wrlso.training.trainer import Trainer

__all__ = ["FUNCTIONS", "METHODS", "CubeModel", "EmbeddedFunction", "main", "run", "table"]

Array = NDArray[np.float64]
_WIDTH = 12.0**0.5  # of the cube in Z, so that its uniform distribution has unit variance

_HARTMANN_A = np.array(
    [
        [10.0, 3.0, 17.0, 3.5, 1.7, 8.0],
        [0.05, 10.0, 17.0, 0.1, 8.0, 14.0],
        [3.0, 3.5, 1.7, 10.0, 17.0, 8.0],
        [17.0, 8.0, 0.05, 10.0, 0.1, 14.0],
    ]
)
_HARTMANN_P = 1e-4 * np.array(
    [
        [1312.0, 1696.0, 5569.0, 124.0, 8283.0, 5886.0],
        [2329.0, 4135.0, 8307.0, 3736.0, 1004.0, 9991.0],
        [2348.0, 1451.0, 3522.0, 2883.0, 3047.0, 6650.0],
        [4047.0, 8828.0, 8732.0, 5743.0, 1091.0, 381.0],
    ]
)
_HARTMANN_ALPHA = np.array([1.0, 1.2, 3.0, 3.2])
_HARTMANN_OPTIMUM = 3.32236801141551


def _hartmann(u: Array) -> float:
    """Hartmann's function of six variables in [0, 1]; its maximum is 3.32237."""
    distance = (_HARTMANN_A * (u - _HARTMANN_P) ** 2).sum(axis=1)
    return float(_HARTMANN_ALPHA @ np.exp(-distance))


def _ackley(v: Array) -> float:
    """Ackley's function with negative sign: 0 at the origin, less elsewhere."""
    waves = np.exp(np.cos(2.0 * np.pi * v).mean())
    return float(20.0 * np.exp(-0.2 * np.sqrt((v * v).mean())) + waves - 20.0 - np.e)


def _levy(v: Array) -> float:
    """Levy's function with negative sign: 0 where every coordinate is 1."""
    w = 1.0 + (v - 1.0) / 4.0
    middle = (w[:-1] - 1.0) ** 2 * (1.0 + 10.0 * np.sin(np.pi * w[:-1] + 1.0) ** 2)
    last = (w[-1] - 1.0) ** 2 * (1.0 + np.sin(2.0 * np.pi * w[-1]) ** 2)
    return -float(np.sin(np.pi * w[0]) ** 2 + middle.sum() + last)


FUNCTIONS: dict[str, tuple[int, float, float]] = {
    "hartmann": (6, 1.0, _HARTMANN_OPTIMUM),
    "ackley": (10, 15.0, 0.0),
    "levy": (10, 20.0, 0.0),
}
"""Name → number of variables, width of the domain, maximum."""


@dataclass(frozen=True)
class EmbeddedFunction:
    """A test function of some coordinates of the unit cube; larger is better.

    The seed determines these coordinates. For Ackley's and Levy's functions it also determines the optimum,
    uniformly in [0.2, 0.8] of each coordinate, so that a search that prefers the middle has no advantage.
    Hartmann's function keeps its optimum.

    Parameters
    ----------
    function : {"hartmann", "ackley", "levy"}
        They have 6, 10 and 10 variables.
    dimension : int
        Dimension of the cube, at least the number of variables.
    seed : int
    """

    function: str
    dimension: int
    seed: int

    def __post_init__(self) -> None:
        """Check the parameters."""
        check_choice("function", self.function, FUNCTIONS)
        check_count("dimension", self.dimension, minimum=FUNCTIONS[self.function][0])
        check_count("seed", self.seed, minimum=0)

    @cached_property
    def active(self) -> NDArray[np.int64]:
        """The active coordinates, in the order of the function's variables."""
        rng = np.random.default_rng([self.seed, self.dimension])
        return rng.permutation(self.dimension)[: FUNCTIONS[self.function][0]]

    @cached_property
    def center(self) -> Array:
        """The optimum of Ackley's and Levy's functions in these coordinates."""
        rng = np.random.default_rng([self.seed, self.dimension, 1])
        return rng.uniform(0.2, 0.8, size=FUNCTIONS[self.function][0])

    @property
    def optimum(self) -> float:
        """The largest value."""
        return FUNCTIONS[self.function][2]

    def __call__(self, x: ArrayLike) -> float:
        """Return the value at x (dimension,) in the unit cube."""
        u = np.asarray(x, dtype=np.float64)[self.active]
        _, width, _ = FUNCTIONS[self.function]
        if self.function == "hartmann":
            return _hartmann(u)
        v = width * (u - self.center)
        return _ackley(v) if self.function == "ackley" else _levy(v + 1.0)

    def initial_data(self, n: int) -> tuple[Array, Array]:
        """Return n points (n, dimension) of a scrambled Sobol sequence and their values (n,)."""
        engine = SobolEngine(self.dimension, scramble=True, seed=self.seed)
        X = np.asarray(engine.draw(n, dtype=torch.float64).numpy())
        return X, np.array([self(x) for x in X])


class CubeModel(PointModel):
    """Objects are points of the unit cube as tuples; z is the same point, centred, with unit variance."""

    def encode(self, inputs: Tensor) -> Tensor:
        """Return Z (n, dimension)."""
        return _WIDTH * (inputs - 0.5)

    def decode(
        self, Z: Tensor, temperature: float = 0.0, generator: torch.Generator | None = None
    ) -> list[Any]:
        """Return the points, with those outside the cube moved to its faces, at any temperature."""
        return [tuple(row) for row in (Z / _WIDTH + 0.5).clamp(0.0, 1.0).tolist()]

    def sample_prior(self, n: int, generator: torch.Generator | None = None) -> Tensor:
        """Return uniform points (n, dimension) of the cube."""
        return _WIDTH * (torch.rand(n, self.latent_dim, dtype=torch.float64, generator=generator) - 0.5)


METHODS: dict[str, Callable[[], Acquisition]] = {
    "pool": lambda: Mixture(
        [LogExpectedImprovement(), ThompsonSampling()],
        [1, 1],
        search=CandidatePool(1000, generations=4, sources=[Near(sigma=(0.01, 2.0)), Prior(0.2)]),
    ),
}
"""The compared searches of this library, chosen on seeds from 100 on; "turbo" is the peer."""
SURROGATE: dict[str, Any] = {"kernel": "matern52", "transform": "winsorize", "max_noise": TURBO["noise"][1]}
REFIT_EVERY = 4


def _search(problem: EmbeddedFunction, method: str, X: Array, y: Array, budget: int, batch: int) -> Array:
    """Ask, evaluate and tell; return the values (budget,)."""
    optimizer = WeightedRetrainingOptimizer(
        model=CubeModel(problem.dimension),
        trainer=Trainer(initial_epochs=0),
        surrogate=SparseGP(**SURROGATE),
        acquisition=METHODS[method](),
        retrain_every=None,
        refit_every=REFIT_EVERY,
        random_state=problem.seed,
    )
    optimizer.fit([tuple(x) for x in X.tolist()], y)
    values: list[float] = []
    while len(values) < budget:
        points = optimizer.ask(min(batch, budget - len(values)))
        found = [problem(x) for x in points]
        optimizer.tell(points, found)
        values += found
    return np.array(values)


def _record(problem: EmbeddedFunction, method: str, options: Mapping[str, Any]) -> dict[str, Any]:
    """Run one method on one function, and return its record."""
    X, y = problem.initial_data(2 * problem.dimension)
    budget, batch = options["budget"], options["batch"]
    start, busy = time.perf_counter(), time.process_time()
    if method == "turbo":
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of fits that BoTorch repeats
            values = turbo(problem, X, y, budget, batch, problem.seed)
    else:
        values = _search(problem, method, X, y, budget, batch)
    seconds = {
        "total": round(time.perf_counter() - start, 1),
        "processor": round(time.process_time() - busy, 1),
    }
    names = ("botorch", "gpytorch") if method == "turbo" else ()
    return {
        "kind": "functions",
        "function": problem.function,
        "dimension": problem.dimension,
        "method": method,
        "seed": problem.seed,
        "options": dict(options),
        "versions": versions() | {name: version(name) for name in names},
        "machine": machine(),
        "threads": 1,
        "starting_data": {
            "sha256": data_hash(X, y),
            "n": len(y),
            "regret": _short(problem.optimum - y.max()),
        },
        "seconds": seconds,
        "regret": _short(problem.optimum - max(values.max(), y.max())),
        "y": [_short(value) for value in values],
    }


def _own_options(method: str) -> dict[str, Any]:
    acquisition = " ".join(repr(METHODS[method]()).split())
    return {"acquisition": acquisition, "refit_every": REFIT_EVERY} | SURROGATE


def _short(value: float) -> float:
    return float(f"{value:.6g}")


def run(
    out: Path,
    *,
    functions: Sequence[str] = tuple(FUNCTIONS),
    dimensions: Sequence[int] = (10, 25, 56),
    methods: Sequence[str] = ("turbo", *METHODS),
    seeds: Sequence[int] = (0, 1, 2),
    budget: int = 200,
    batch: int = 4,
    progress: bool = True,
) -> list[Path]:
    """Run every method on every function with every seed and write one record each; skip finished runs.

    Parameters
    ----------
    out : Path
        Folder of the records.
    functions, dimensions, methods, seeds
        Every function is run in every dimension. A seed determines the function's coordinates, its optimum,
        the 2 × dimension initial points and the methods' randomness.
    budget : int, default=200
        Queries after the initial points.
    batch : int, default=4
        Points asked for at once.
    progress : bool, default=True
        Whether to show a bar over runs.

    Returns
    -------
    list of Path
        The records, including existing ones.

    Raises
    ------
    ParameterError
        For unknown names, or when the folder holds a run with other options.
    """
    check_count("budget", budget)
    check_count("batch", batch)
    check_choices(("turbo", *METHODS), methods=methods)
    torch.set_num_threads(1)
    paths = []
    runs = list(itertools.product(seeds, functions, dimensions, methods))
    for seed, function, dimension, method in tqdm(runs, disable=not progress, desc="runs"):
        problem = EmbeddedFunction(function, dimension, seed)
        path = out / f"{function}-{dimension}-{method}-seed{seed}.json"
        options: dict[str, Any] = {"budget": budget, "batch": batch, "n_initial": 2 * dimension}
        options |= TURBO if method == "turbo" else _own_options(method)
        paths.append(path)
        if not is_recorded(path, options):
            write_record(path, _record(problem, method, options))
    return paths


def table(records: Sequence[Mapping[str, Any]]) -> str:
    """Return regrets and seconds as CSV with a line for each function, dimension and method.

    "no worse than turbo" counts the common seeds in which the regret is at most that of TuRBO. Seconds are
    means by the clock; seconds of the processor are means over the runs that have recorded them.
    """
    runs = {(r["function"], r["dimension"], r["method"], r["seed"]): r for r in records}
    lines = [
        "function,dimension,method,seeds,median regret,smallest,largest,no worse than turbo,seconds,"
        "of the processor"
    ]
    for name in sorted({key[:3] for key in runs}):
        regrets = {key[3]: run["regret"] for key, run in runs.items() if key[:3] == name}
        peer = {seed: runs[key]["regret"] for seed in regrets if (key := (*name[:2], "turbo", seed)) in runs}
        better = f"{sum(regrets[seed] <= peer[seed] for seed in peer)} of {len(peer)}"
        values = np.array(list(regrets.values()))
        seconds = [run["seconds"] for key, run in runs.items() if key[:3] == name]
        busy = [found["processor"] for found in seconds if "processor" in found]
        shown = [f"{value:.3g}" for value in (np.median(values), values.min(), values.max())]
        last = [
            "–" if name[2] == "turbo" else better,
            f"{np.mean([found['total'] for found in seconds]):.0f}",
        ]
        last.append(f"{np.mean(busy):.0f}" if busy else "–")
        lines.append(",".join([*map(str, name), str(len(values)), *shown, *last]))
    return "\n".join(lines) + "\n"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run from the command line; print a table of all records in the folder, and write it there."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--out", type=Path, required=True, help="folder of the records")
    parser.add_argument("--functions", default=",".join(FUNCTIONS))
    parser.add_argument("--dimensions", default="10,25,56")
    parser.add_argument("--methods", default=",".join(("turbo", *METHODS)))
    parser.add_argument("--seeds", default="0,1,2", help="numbers separated by commas")
    parser.add_argument("--budget", type=int, default=200)
    parser.add_argument("--batch", type=int, default=4)
    options = parser.parse_args(arguments)
    run(
        options.out,
        functions=options.functions.split(","),
        dimensions=[int(part) for part in options.dimensions.split(",")],
        methods=options.methods.split(","),
        seeds=[int(part) for part in options.seeds.split(",")],
        budget=options.budget,
        batch=options.batch,
    )
    text = table(read_records(options.out))
    (options.out / "table.csv").write_text(text, encoding="utf-8")
    sys.stdout.write(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""TuRBO-1 with the settings of BoTorch's tutorial, on the unit cube.

Only this comparison needs BoTorch, so it is imported on demand.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.quasirandom import SobolEngine

from wrlso._utils.random import draw_seed, isolated_torch_rng
from wrlso.exceptions import ParameterError

__all__ = ["SETTINGS", "turbo"]

Array = NDArray[np.float64]

SETTINGS: dict[str, Any] = {
    "length": 0.8,
    "length_min": 0.5**7,
    "length_max": 1.6,
    "successes": 10,
    "improvement": 1e-3,  # relative to the best value
    "lengthscales": [0.005, 4.0],
    "noise": [1e-8, 1e-3],
    "kernel": "matern52",
    "acquisition": "thompson",
}
"""The tutorial's settings; the others follow from the dimension and the batch size."""


@dataclass
class _Region:
    """Length of the trust region, and the counts by which it changes."""

    best: float
    failures_wanted: int
    length: float = SETTINGS["length"]
    successes: int = 0
    failures: int = 0

    def update(self, value: float) -> None:
        """Update the region with the best value of a batch."""
        if value > self.best + SETTINGS["improvement"] * abs(self.best):
            self.successes, self.failures = self.successes + 1, 0
        else:
            self.successes, self.failures = 0, self.failures + 1
        if self.successes == SETTINGS["successes"]:
            self.length, self.successes = min(2.0 * self.length, SETTINGS["length_max"]), 0
        elif self.failures == self.failures_wanted:
            self.length, self.failures = self.length / 2.0, 0
        self.best = max(self.best, value)


def turbo(
    objective: Callable[[Array], float],
    X: Array,
    y: Array,
    budget: int,
    batch: int,
    seed: int,
    on_batch: Callable[[int, float], None] | None = None,
) -> Array:
    """Maximise a function on the unit cube.

    When a region falls below its smallest length, 2 d new points of a Sobol sequence start another one; they
    count as queries (Eriksson et al. 2019, section 2).

    Parameters
    ----------
    objective : callable
        Point (d,) of the cube → value, larger is better.
    X, y : ndarray (n, d) and (n,)
        Initial points and their values.
    budget : int
        Number of further values.
    batch : int
        Number q of points chosen at once.
    seed : int
        Determines all randomness; torch's global generator does not change.
    on_batch : callable, optional
        Called with the number of values so far and the best value.

    Returns
    -------
    ndarray (budget,), float64
        The values in order.

    Raises
    ------
    ParameterError
        When BoTorch is not installed.
    """
    try:
        import botorch  # noqa: F401
    except ImportError as error:
        raise ParameterError("TuRBO needs BoTorch, which is not installed: pip install botorch") from error
    rng, d = np.random.default_rng(seed), X.shape[1]
    values: list[float] = []
    wanted = math.ceil(max(4.0 / batch, d / batch))
    region = _Region(float(y.max()), wanted)
    while len(values) < budget:
        n = min(batch, budget - len(values))
        if region.length < SETTINGS["length_min"]:
            new = _sobol(d, min(2 * d, budget - len(values)), rng)
            X, y = new, _evaluated(objective, new, values)
            region = _Region(float(y.max()), wanted)
        else:
            with isolated_torch_rng(draw_seed(int(rng.integers(2**31)))):
                new = _choose(X, y, n, region.length, rng)
            found = _evaluated(objective, new, values)
            X, y = np.concatenate([X, new]), np.concatenate([y, found])
            region.update(float(found.max()))
        if on_batch is not None:
            on_batch(len(values), max(values))
    return np.array(values)


def _evaluated(objective: Callable[[Array], float], X: Array, values: list[float]) -> Array:
    found = [objective(x) for x in X]
    values += found
    return np.array(found)


def _sobol(d: int, n: int, rng: np.random.Generator) -> Array:
    engine = SobolEngine(d, scramble=True, seed=int(rng.integers(2**31)))
    return np.asarray(engine.draw(n, dtype=torch.float64).numpy())


def _choose(X: Array, y: Array, n: int, length: float, rng: np.random.Generator) -> Array:
    """Fit the process, and choose n points by Thompson sampling in the region around the best one."""
    import gpytorch
    from botorch.generation import MaxPosteriorSampling

    inputs = torch.from_numpy(X)
    targets = torch.from_numpy((y - y.mean()) / y.std(ddof=1))[:, None]
    with gpytorch.settings.max_cholesky_size(float("inf")):
        process = _fitted(inputs, targets)
        scales = process.covar_module.base_kernel.lengthscale.detach().reshape(-1)
        candidates = _candidates(inputs[targets.argmax()], scales, length, rng)
        sampler = MaxPosteriorSampling(model=process, replacement=False)
        with torch.no_grad():
            chosen = sampler(candidates, num_samples=n)
    return np.asarray(chosen.numpy())


def _fitted(inputs: Tensor, targets: Tensor) -> Any:
    from botorch.fit import fit_gpytorch_mll
    from botorch.models import SingleTaskGP
    from gpytorch.constraints import Interval
    from gpytorch.kernels import MaternKernel, ScaleKernel
    from gpytorch.likelihoods import GaussianLikelihood
    from gpytorch.mlls import ExactMarginalLogLikelihood

    constraint = Interval(*SETTINGS["lengthscales"])
    kernel = MaternKernel(nu=2.5, ard_num_dims=inputs.shape[1], lengthscale_constraint=constraint)
    likelihood = GaussianLikelihood(noise_constraint=Interval(*SETTINGS["noise"]))
    process = SingleTaskGP(
        inputs, targets, likelihood=likelihood, covar_module=ScaleKernel(kernel), outcome_transform=None
    )
    fit_gpytorch_mll(ExactMarginalLogLikelihood(process.likelihood, process))
    return process


def _candidates(center: Tensor, scales: Tensor, length: float, rng: np.random.Generator) -> Tensor:
    """Return Sobol points in the region that differ from its centre in about 20 coordinates."""
    d = len(center)
    sides = scales / scales.mean()
    sides = length * sides / sides.pow(1.0 / d).prod()
    low, high = (center - sides / 2.0).clamp(0.0, 1.0), (center + sides / 2.0).clamp(0.0, 1.0)
    n = min(5000, max(2000, 200 * d))
    points = low + (high - low) * torch.from_numpy(_sobol(d, n, rng))
    moved = torch.from_numpy(rng.uniform(size=(n, d)) <= min(20.0 / d, 1.0))
    none = torch.nonzero(~moved.any(dim=1))[:, 0]
    moved[none, torch.from_numpy(rng.integers(d, size=len(none)))] = True
    return torch.where(moved, points, center)

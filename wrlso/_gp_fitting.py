"""Maximum a posteriori hyperparameters of the sparse Gaussian process."""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize

from wrlso._gp import Evidence, evidence
from wrlso._kernels import Hyperparameters, has_linear_part
from wrlso.exceptions import DataError

__all__ = ["NOISE_BOUNDS", "Fitting", "prior"]

Array = NDArray[np.float64]

NOISE_BOUNDS = (1e-5, 10.0)  # of the noise variance, on standardised targets
_OUTPUTSCALE_BOUNDS = (1e-3, 1e3)
_LINEAR_BOUNDS = (1e-6, 1e3)
_SHORTEST_LENGTHSCALE = 1e-2
_LONGEST_LENGTHSCALE = 1e3  # times √d
_LINEAR_PRIOR = (-2.0, 2.0)  # centre and width of log v
_COARSE = 250  # inducing points with which a cold start begins
_WORST = 1e10  # per observation, of the negative log posterior


def prior(kernel: str, d: int) -> tuple[Array, Array]:
    """Center and width of the normal prior on the log parameters, in the order of Hyperparameters.to_log.

    A log-normal density with location μ and width σ is, up to a constant, a normal density of the logarithm
    centred at the mode μ - σ²; the lengthscales' μ is that of Hvarfner et al. (2024) moved by ½ log 12.
    """
    lengthscale = 2.0**0.5 + 0.5 * np.log(12.0 * d) - 3.0
    linear = [_LINEAR_PRIOR] if has_linear_part(kernel) else []
    last = np.array([(0.0, 1.0), *linear, (-5.0, 1.0)])
    center = np.concatenate([np.full(d, lengthscale), last[:, 0]])
    return center, np.concatenate([np.full(d, 3.0**0.5), last[:, 1]])


def _bounds(kernel: str, d: int, max_noise: float) -> Array:
    lengthscale = [[_SHORTEST_LENGTHSCALE, _LONGEST_LENGTHSCALE * d**0.5]] * d
    linear = [_LINEAR_BOUNDS] if has_linear_part(kernel) else []
    noise = (NOISE_BOUNDS[0], max_noise)
    return np.asarray(np.log(np.array([*lengthscale, _OUTPUTSCALE_BOUNDS, *linear, noise])))


@dataclass(frozen=True)
class Fitting:
    """How hyperparameters are fitted; the fields are parameters of :class:`wrlso.SparseGP`."""

    kernel: str
    ard: bool
    n_hyper: int | None
    max_iter: int
    warm_iter: int
    jitter: float
    max_noise: float | None = None

    def run(
        self,
        X: Array,
        U: Array,
        t: Array,
        start: Hyperparameters,
        rng: np.random.Generator,
        *,
        warm: bool,
    ) -> tuple[Hyperparameters, int, Evidence]:
        """Return the best hyperparameters, the iterations, and the bound, on a part of the data.

        A cold start climbs most of the way with a part of the inducing points, which costs a quarter; too few
        of them take signal for noise, so that the last steps are with all.
        """
        if self.n_hyper is not None and len(X) > self.n_hyper:
            exact = len(U) == len(np.unique(X, axis=0))
            n = self.n_hyper if exact else max(self.n_hyper, len(U))
            rows = rng.permutation(len(X))[:n]
            X, t = X[rows], t[rows]
            U = np.unique(X, axis=0) if exact else U
        theta, coarse, iterations = self._to_free(start.to_log()), 0, self.warm_iter
        if not warm:
            iterations = self.max_iter
            if len(U) > _COARSE:
                thin = U[rng.permutation(len(U))[:_COARSE]]
                theta, coarse, _ = self._climb(theta, X, thin, t, self.max_iter)
                iterations = min(self.max_iter, self.warm_iter)
        theta, fine, best = self._climb(theta, X, U, t, iterations)
        found = Hyperparameters.from_log(self.kernel, self._from_free(theta, X))
        # the logarithm's rounding must not lift it over the bound
        return replace(found, noise=min(found.noise, self._max_noise)), coarse + fine, best

    @property
    def _max_noise(self) -> float:
        return NOISE_BOUNDS[1] if self.max_noise is None else min(self.max_noise, NOISE_BOUNDS[1])

    def _to_free(self, values: Array) -> Array:
        """The log parameters that the optimizer moves: one of the equal lengthscales where there is one."""
        return values if self.ard else values[-self._n_last() - 1 :]

    def _from_free(self, theta: Array, X: Array) -> Array:
        return theta if self.ard else np.concatenate([np.full(X.shape[1] - 1, theta[0]), theta])

    def _n_last(self) -> int:
        """Number of log parameters that follow the lengthscales."""
        return 3 if has_linear_part(self.kernel) else 2

    def _climb(
        self, theta: Array, X: Array, U: Array, t: Array, iterations: int
    ) -> tuple[Array, int, Evidence]:
        """Return the best log parameters that L-BFGS saw, so that a failed line search costs nothing."""
        center, width = (self._to_free(part) for part in prior(self.kernel, X.shape[1]))
        seen: list[tuple[float, Array, Evidence]] = []

        def objective(theta: Array) -> tuple[float, Array]:
            try:
                hyper = Hyperparameters.from_log(self.kernel, self._from_free(theta, X))
                found = evidence(hyper, X, U, t, jitter=self.jitter)
            except DataError:  # a line search went where the covariance has no factor: make it turn back
                if not seen:
                    raise
                return _WORST, np.zeros_like(theta)
            deviation = (theta - center) / width
            value = found.value - 0.5 * float(deviation @ deviation)
            if not seen or value > seen[0][0]:
                seen[:] = [(value, theta.copy(), found)]
            slope, last = found.gradient, self._n_last()
            if not self.ard:
                slope = np.concatenate([[slope[:-last].sum()], slope[-last:]])
            return -value / len(X), -(slope - deviation / width) / len(X)

        bounds = self._to_free(_bounds(self.kernel, X.shape[1], self._max_noise))
        theta = np.clip(theta, bounds[:, 0], bounds[:, 1])
        if iterations == 0:
            objective(theta)
            return theta, 0, seen[0][2]
        options = {"maxiter": iterations, "maxfun": 2 * iterations + 5, "ftol": 1e-6, "gtol": 1e-5}
        found = minimize(objective, theta, jac=True, method="L-BFGS-B", bounds=bounds, options=options)
        return seen[0][1], int(found.nit), seen[0][2]

"""Maximum a posteriori hyperparameters of the sparse Gaussian process, and its inducing points."""

from dataclasses import dataclass, replace

import numpy as np
from scipy.optimize import minimize

from wrlso.exceptions import DataError
from wrlso.surrogate.collapsed_bound import Evidence, evidence
from wrlso.surrogate.inducing import inducing_points
from wrlso.surrogate.kernels import Hyperparameters, has_linear_part
from wrlso.surrogate.observations import Observations
from wrlso.surrogate.protocol import Array

__all__ = ["NOISE_BOUNDS", "Fitted", "Fitting", "prior"]


NOISE_BOUNDS = (1e-5, 10.0)  # of the noise variance, on standardised targets
_OUTPUTSCALE_BOUNDS = (1e-3, 1e3)
_LINEAR_BOUNDS = (1e-6, 1e3)
_SHORTEST_LENGTHSCALE = 1e-2
_LONGEST_LENGTHSCALE = 1e3  # times √d
_LINEAR_PRIOR = (-2.0, 2.0)  # centre and width of log v
_COARSE = 250  # inducing points with which a cold start begins
_WORST = 1e10  # per observation, of the negative log posterior
_WORTH = 0.01  # nats per observation that further inducing points must gain
_MEMORY = 20  # gradients that L-BFGS keeps when it moves inducing points
_WARM = 4  # times fewer steps for a start at inducing points that an earlier fit optimised


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
class Fitted:
    """What a fit finds, in the units of the scaled data."""

    hyper: Hyperparameters
    U: Array  # (m, d)
    trained: Array  # (k, d), those of U that were optimised
    iterations: int
    evidence: Evidence  # of the data that were used last


@dataclass(frozen=True)
class Fitting:
    """How a process is fitted; the fields are parameters of :class:`wrlso.SparseGP`."""

    kernel: str
    ard: bool
    n_inducing: int
    n_trained: int
    n_hyper: int | None
    max_iter: int
    warm_iter: int
    train_iter: int
    jitter: float
    max_noise: float | None = None

    def run(
        self,
        X: Array,
        t: Observations,
        start: Hyperparameters,
        rng: np.random.Generator,
        *,
        warm: bool,
        trained: Array | None = None,
    ) -> Fitted:
        """Fit to scaled X (n, d) and observations t (n,), from where ``start`` and ``trained`` are.

        None of the observations is a limit.
        """
        if self.n_trained and len(np.unique(X, axis=0)) > self.n_inducing:
            return self._train(X, t, start, rng, trained)
        U = self._choose(X, start, self.n_inducing, rng)
        hyper, iterations, best = self._fit(X, U, t, start, rng, warm=warm)
        return Fitted(hyper, U, U[:0], iterations, best)

    def _train(
        self,
        X: Array,
        t: Observations,
        start: Hyperparameters,
        rng: np.random.Generator,
        trained: Array | None,
    ) -> Fitted:
        """Optimise hyperparameters and some inducing points together, on all data; add others if worth it.

        With many data in many dimensions a few optimised inducing points explain more than many chosen ones,
        and hyperparameters found with them take less of the signal for noise.
        """
        m = min(self.n_trained, self.n_inducing)
        U, iterations = self._choose(X, start, m, rng), self.train_iter
        if (
            trained is not None
            and trained.shape == U.shape
            and self._bound(start, X, trained, t) >= self._bound(start, X, U, t)
        ):
            U, iterations = trained, -(-iterations // _WARM)
        theta, U, steps, best = self._climb(self._to_free(start.to_log()), X, U, t, iterations, move=True)
        hyper = self._hyperparameters(theta, X)
        fitted = Fitted(hyper, U, U, steps, best)
        if m == self.n_inducing:
            return fitted
        wider = np.concatenate([U, self._choose(X, hyper, self.n_inducing - m, rng)])
        if self._bound(hyper, X, wider, t) - best.value <= _WORTH * len(X):
            return fitted
        hyper, more, best = self._fit(X, wider, t, hyper, rng, warm=True)
        return Fitted(hyper, wider, U, steps + more, best)

    def _choose(self, X: Array, hyper: Hyperparameters, m: int, rng: np.random.Generator) -> Array:
        return inducing_points(X / hyper.lengthscale, m, rng) * hyper.lengthscale

    def _bound(self, hyper: Hyperparameters, X: Array, U: Array, t: Observations) -> float:
        try:
            return evidence(hyper, X, U, t, jitter=self.jitter).value
        except DataError:  # inducing points coincide up to rounding: the covariance has no factor
            return -np.inf

    def _fit(
        self,
        X: Array,
        U: Array,
        t: Observations,
        start: Hyperparameters,
        rng: np.random.Generator,
        *,
        warm: bool,
    ) -> tuple[Hyperparameters, int, Evidence]:
        """Return the best hyperparameters for fixed inducing points, on a part of the data.

        A cold start first optimises with a part of the inducing points (cheap), then finishes with all: too
        few would explain signal as noise.
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
                theta, _, coarse, _ = self._climb(theta, X, thin, t, self.max_iter)
                iterations = min(self.max_iter, self.warm_iter)
        theta, _, fine, best = self._climb(theta, X, U, t, iterations)
        return self._hyperparameters(theta, X), coarse + fine, best

    def _hyperparameters(self, theta: Array, X: Array) -> Hyperparameters:
        found = Hyperparameters.from_log(self.kernel, self._from_free(theta, X))
        # exp(log(bound)) may exceed the bound by rounding
        return replace(found, noise=min(found.noise, self._max_noise))

    @property
    def _max_noise(self) -> float:
        return NOISE_BOUNDS[1] if self.max_noise is None else min(self.max_noise, NOISE_BOUNDS[1])

    def _to_free(self, values: Array) -> Array:
        """Log parameters that the optimizer moves: without ARD one stands for the equal lengthscales."""
        return values if self.ard else values[-self._n_last() - 1 :]

    def _from_free(self, theta: Array, X: Array) -> Array:
        return theta if self.ard else np.concatenate([np.full(X.shape[1] - 1, theta[0]), theta])

    def _n_last(self) -> int:
        """Number of log parameters that follow the lengthscales."""
        return 3 if has_linear_part(self.kernel) else 2

    def _climb(
        self, theta: Array, X: Array, U: Array, t: Observations, iterations: int, *, move: bool = False
    ) -> tuple[Array, Array, int, Evidence]:
        """Return the best log parameters and inducing points that L-BFGS evaluated, converged or not.

        The inducing points are fixed unless they may ``move``.
        """
        center, width = (self._to_free(part) for part in prior(self.kernel, X.shape[1]))
        seen: list[tuple[float, Array, Evidence]] = []
        k = len(theta)

        def objective(free: Array) -> tuple[float, Array]:
            theta, points = free[:k], free[k:].reshape(U.shape) if move else U
            try:
                hyper = Hyperparameters.from_log(self.kernel, self._from_free(theta, X))
                found = evidence(hyper, X, points, t, jitter=self.jitter, slope=move)
            except DataError:  # a line search went where the covariance has no factor: make it turn back
                if not seen:
                    raise
                return _WORST, np.zeros_like(free)
            deviation = (theta - center) / width
            value = found.value - 0.5 * float(deviation @ deviation)
            if not seen or value > seen[0][0]:
                seen[:] = [(value, free.copy(), found)]
            slope, last = found.gradient, self._n_last()
            if not self.ard:
                slope = np.concatenate([[slope[:-last].sum()], slope[-last:]])
            slope = np.concatenate([slope - deviation / width, found.slope.ravel()])
            return -value / len(X), -slope / len(X)

        bounds = self._to_free(_bounds(self.kernel, X.shape[1], self._max_noise))
        theta = np.clip(theta, bounds[:, 0], bounds[:, 1])
        free = np.concatenate([theta, U.ravel()]) if move else theta
        nit = 0
        if iterations == 0:
            objective(free)
        else:
            anywhere = np.tile([-np.inf, np.inf], (len(free) - k, 1))
            options = {"maxiter": iterations, "maxfun": 2 * iterations + 5, "ftol": 1e-6, "gtol": 1e-5}
            found = minimize(
                objective, free, jac=True, method="L-BFGS-B", bounds=np.concatenate([bounds, anywhere]),
                options=options | {"maxcor": _MEMORY if move else 10},
            )  # fmt: skip
            nit = int(found.nit)
        _, free, best = seen[0]
        return free[:k], free[k:].reshape(U.shape) if move else U, nit, best

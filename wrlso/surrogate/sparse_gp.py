"""A sparse Gaussian process over Z, one of those that the default surrogate chooses among."""

import logging
from collections.abc import Sequence
from copy import copy
from dataclasses import fields, replace
from typing import Any, Literal, Self

import numpy as np
import torch
from scipy.special import ndtri
from scipy.stats import norm
from torch import Tensor

from wrlso._utils.estimator import BaseEstimator
from wrlso._utils.threads import bounded_threads
from wrlso._utils.validation import check_flag, check_real
from wrlso.exceptions import DataError, DataTypeError, NotFittedError, ParameterError, ParameterTypeError
from wrlso.surrogate.censoring import ROUNDS, first_guess
from wrlso.surrogate.checks import check_int, check_observations, check_points, check_values
from wrlso.surrogate.collapsed_bound import build_posterior
from wrlso.surrogate.fitting import NOISE_BOUNDS, Fitted, Fitting, prior
from wrlso.surrogate.kernels import KERNELS, Hyperparameters
from wrlso.surrogate.linear_algebra import covariance_root
from wrlso.surrogate.observations import Observations, Told
from wrlso.surrogate.protocol import Array
from wrlso.surrogate.sparse_censoring import condition, settle
from wrlso.surrogate.sparse_posterior import Posterior
from wrlso.surrogate.subset import select_subset
from wrlso.surrogate.transforms import TRANSFORMS, Standardize, make_transform

__all__ = ["SparseGP"]

_logger = logging.getLogger(__name__)

_SMALLEST_SCALE = 0.1  # of a dimension of Z, relative to the root mean square over dimensions


class SparseGP(BaseEstimator):
    """Sparse Gaussian process with the collapsed bound of Titsias (2009), for Z in R^d.

    Parameters
    ----------
    n_inducing : int, default 500
        Largest number m of inducing points. With at most m distinct data points these are the inducing
        points, and the process is exact.
    n_trained : int, default 200
        With more data: the number of inducing points that are optimised together with the hyperparameters,
        on all the data, after they started as centres of k-means. Further centres are added afterwards, up
        to ``n_inducing``, if they raise the bound by more than 0.01 nats per observation. 0: none is
        optimised.
    n_best, n_random : int, default 2000 and 8000
        Numbers of the best points, and of random others, that are used; all where there are fewer.
    n_hyper : int or None, default 2000
        Where no inducing point is optimised: the number of random points on which hyperparameters are
        fitted (at least as many as there are inducing points, unless these are the data); None: all.
    kernel : {"rbf", "matern52", "linear+rbf", "linear+matern52"}
        Covariance function, with one lengthscale per dimension. Away from the data a linear part extrapolates
        the trend, where the other kernels return to the mean.
    transform : {"standardize", "winsorize", "floor", "robust"}
        Transformation of y. ``"standardize"``: mean 0 and variance 1. ``"winsorize"``, ``"floor"`` and
        ``"robust"`` raise low values first: to Tukey's lower fence; to a floor twice as far below the median
        as the best value lies above it; or, at most a tenth of them, to half of the range between the outer
        tenths below the lowest tenth.
    ard : bool, default True
        Whether each dimension of Z has its own scale and lengthscale. False: all share one of each, for
        many features.
    grow_inducing : bool, default True
        Whether a point given to :meth:`condition_on` becomes an inducing point if the present ones do not
        explain it, up to 2 ``n_inducing`` in total; see there.
    max_iter, warm_iter : int, default 50 and 15
        Largest numbers of L-BFGS iterations where no inducing point is optimised: of the first fit (with many
        inducing points, ``warm_iter`` more follow), and of later ones, which start at the previous result.
    train_iter : int, default 100
        Largest number of L-BFGS iterations that optimise inducing points; a quarter of it where those of the
        previous fit explain the data better than new ones.
    jitter : float, default 1e-8
        Smallest multiple of the prior variance on the diagonal of K_uu; grown as needed, which is logged.
    max_noise : float or None, default None
        Largest noise variance that a fit may find, at least 1e-5, on the scale of the transformed y (whose
        variance is 1); None: 10. A function without noise that varies faster than the data resolve looks
        noisy; under a bound the process still follows its data, as with a noise constraint in BoTorch. Where
        measurements are noisy, a bound makes the posterior overconfident.

    Attributes
    ----------
    hyperparameters_ : Hyperparameters
        Lengthscales refer to standardised Z, outputscale and noise to transformed y.
    bound_ : float
        Bound on the log marginal likelihood of the data that the hyperparameters were last fitted to.
    trained_points_ : ndarray of float64, (k, d)
        The inducing points that were optimised, in the units of Z; k = 0 where none was.
    n_iter_ : int
        L-BFGS iterations of the last fit.
    posterior_, transform_
        The posterior on the scale of the transformed y, and that transformation.

    Notes
    -----
    Priors on the lengthscales follow Hvarfner, Hellsten and Nardi (2024), Eq. 9: log-normal with a location
    that grows with ½ log d, so that a high-dimensional function is a priori about as complex as a
    low-dimensional one. They state it for the unit cube; here a dimension of Z has unit variance instead,
    which moves the location by ½ log 12. Optimising inducing points together with the hyperparameters is
    Titsias' own proposal (2009, section 3). Everything is float64 and runs on the CPU.

    Examples
    --------
    >>> import numpy as np, torch
    >>> rng = np.random.default_rng(0)
    >>> Z = torch.from_numpy(rng.normal(size=(50, 2)))
    >>> y = torch.sin(Z[:, 0])
    >>> mean, variance = SparseGP().fit(Z, y, rng).predict(Z[:3])
    >>> bool(torch.allclose(mean, y[:3], atol=0.05))
    True
    """

    space: Literal["latent", "features", "both"] = "latent"
    takes_observations: Literal[True] = True

    hyperparameters_: Hyperparameters
    trained_points_: Array
    bound_: float
    n_iter_: int
    posterior_: Posterior
    transform_: Standardize

    def __init__(
        self,
        n_inducing: int = 500,
        n_best: int = 2000,
        n_random: int = 8000,
        *,
        n_trained: int = 200,
        n_hyper: int | None = 2000,
        kernel: str = "rbf",
        transform: str = "standardize",
        ard: bool = True,
        grow_inducing: bool = True,
        max_iter: int = 50,
        warm_iter: int = 15,
        train_iter: int = 100,
        jitter: float = 1e-8,
        max_noise: float | None = None,
    ) -> None:
        self.n_inducing = n_inducing
        self.n_best = n_best
        self.n_random = n_random
        self.n_trained = n_trained
        self.n_hyper = n_hyper
        self.kernel = kernel
        self.transform = transform
        self.ard = ard
        self.grow_inducing = grow_inducing
        self.max_iter = max_iter
        self.warm_iter = warm_iter
        self.train_iter = train_iter
        self.jitter = jitter
        self.max_noise = max_noise

    def fit(self, Z: Tensor, y: Tensor | Observations, rng: np.random.Generator) -> Self:
        """Fit hyperparameters by maximum a posteriori on the bound, then the posterior.

        Parameters
        ----------
        Z : Tensor of float64, (n, d)
            Latent points, n ≥ 1.
        y : Tensor of float64 (n,), or Observations
            Their values, larger is better.
        rng : numpy.random.Generator
            Chooses the random part of the data and starts k-means.

        Returns
        -------
        SparseGP
            Itself. A second fit in the same number of dimensions starts at the first one's
            hyperparameters, and at its inducing points where these were optimised.

        Raises
        ------
        DataError, DataTypeError
            When shapes disagree or a value is not finite.
        ParameterError, ParameterTypeError
            When a constructor argument is impossible.
        """
        self._check_parameters()
        points = check_points(Z)
        known = check_observations(y, len(points))
        if not isinstance(rng, np.random.Generator):
            raise ParameterTypeError(f"rng: expected a numpy.random.Generator, got {type(rng).__name__}")
        if len(points) == 0:
            raise DataError("fit: expected at least one observation, got none")
        chosen = select_subset(known.y, self.n_best, self.n_random, rng)
        points, known = points[chosen], known[chosen]
        center, scale = _standardization(points, self.ard)
        X = (points - center) / scale
        transform = make_transform(self.transform, known.y)
        found, posterior, jitter = self._found(X, transform.carry(known), center, scale, rng)
        jitter = max(jitter, found.evidence.jitter)
        if jitter > self.jitter:
            _logger.warning(
                "the covariance of %d inducing points is singular: jitter raised from %.0e to %.0e",
                len(found.U),
                self.jitter,
                jitter,
            )
        self.transform_, self.posterior_, self.hyperparameters_ = transform, posterior, found.hyper
        self.trained_points_ = found.trained * scale + center
        self.n_iter_, self.bound_ = found.iterations, found.evidence.value
        return self

    def _found(
        self, X: Array, t: Observations, center: Array, scale: Array, rng: np.random.Generator
    ) -> tuple[Fitted, Posterior, float]:
        """Return the fit to scaled X and observations t, the posterior, and the jitter that it needed.

        Where there are limits, hyperparameters are fitted to their sites and sites found for these, in turns;
        at fixed sites the evidence has the gradient of expectation propagation's own (Seeger 2005).
        """
        start, warm = self._start(X.shape[1])
        trained, mean = self._trained(center, scale) if warm else None, None
        rounds = ROUNDS if t.censored.any() else 1
        held = first_guess(t)
        for _ in range(rounds):
            found = self._fitting().run(X, held, start, rng, warm=warm, trained=trained)
            found = replace(found, hyper=_with_told_noise(found.hyper, t))
            start, warm, trained = found.hyper, True, found.trained
            if rounds > 1:
                mean = build_posterior(found.hyper, X, found.U, held, center, scale, self.jitter)[0].mean
                held = settle(found.hyper, X, found.U, t, mean, self.jitter)
        return found, *build_posterior(found.hyper, X, found.U, held, center, scale, self.jitter, mean)

    def condition_on(self, Z: Tensor, y: Tensor | Observations) -> "SparseGP":
        """Return a new process that has seen q more observations; O(m²) for each.

        Hyperparameters and the transformation of y stay. With ``grow_inducing`` the result is the exact
        Bayesian update of the posterior process by these observations and their noise: conditioning the
        predictive Gaussian on them all at once gives the same numbers, and where all data are inducing
        points (n ≤ ``n_inducing``) it is the exact Gaussian process of the extended data. Without it the
        inducing points stay as they are, and the result is the Titsias posterior of the extended data:
        then an observation far from all inducing points changes next to nothing, not even the variance at
        itself. The same holds for points beyond 2 ``n_inducing`` inducing points.

        Parameters
        ----------
        Z : Tensor of float64, (q, d)
            The new points.
        y : Tensor of float64 (q,), or Observations
            Their values, in the units of the y that was fitted.

        Returns
        -------
        SparseGP
            A new object; this one is unchanged.
        """
        posterior = self._fitted()
        points = self._check_dimension(check_points(Z))
        known = self.transform_.carry(check_observations(y, len(points)))
        with bounded_threads(len(posterior.U) ** 2):
            posterior = condition(posterior, points, known, 2 * self.n_inducing if self.grow_inducing else 0)
        conditioned = copy(self)
        conditioned.posterior_ = posterior
        return conditioned

    def corrected(self, Z: Tensor, y: Tensor | Observations) -> "SparseGP":
        """Return a new process that has seen these values only, with this one's inducing points; O(n m²).

        Hyperparameters, the mean and the transformation of y stay. Where all data are inducing points, this
        is what :meth:`condition_on` gives with the same values.

        Parameters
        ----------
        Z : Tensor of float64, (n, d)
            All points, n ≥ 1.
        y : Tensor of float64 (n,), or Observations
            Their values, in the units of the y that was fitted.

        Returns
        -------
        SparseGP
            A new object; this one is unchanged.
        """
        old = self._fitted()
        points = self._check_dimension(check_points(Z))
        t = self.transform_.carry(check_observations(y, len(points)))
        center, scale = old.center.numpy(), old.lengthscale.numpy() / old.hyper.lengthscale
        X, U = (points - center) / scale, old.U.numpy() * old.hyper.lengthscale
        t = settle(old.hyper, X, U, t, old.mean, self.jitter)
        corrected = copy(self)
        corrected.posterior_ = build_posterior(old.hyper, X, U, t, center, scale, self.jitter, old.mean)[0]
        return corrected

    def predict(self, Z: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and variance (q,) of the noise-free objective at Z (q, d), in the units of y."""
        posterior = self._fitted()
        points = self._tensor(Z)
        with bounded_threads(len(points) * len(posterior.U) ** 2):
            mean, variance = posterior.predict(points)
        return self.transform_.moments(mean, variance)

    def sample(self, Z: Tensor, n: int, generator: torch.Generator) -> Tensor:
        """Return n joint samples (n, q) of the noise-free objective at Z (q, d), in the units of y; O(q³)."""
        check_int("n", n, 0)
        posterior = self._fitted()
        mean, covariance = posterior.covariance(self._tensor(Z))
        # far away, the variance of a linear part is much larger than the prior's
        largest = float(covariance.diagonal().max()) if len(covariance) else 0.0
        root = covariance_root(covariance, max(posterior.hyper.scale, largest))
        noise = torch.randn(n, len(mean), dtype=torch.float64, generator=generator)
        return self.transform_.inverse(mean + noise @ root.T)

    def working_scale(self, y: Told) -> tuple["SparseGP", Told]:
        """Return this process on the scale of the transformed y, and the values y (n,) on it.

        Improvements are better compared there: the posterior is normal on this scale and may be skewed in
        the units of y, which mean and variance from ``predict`` do not show.
        """
        self._fitted()
        view = copy(self)
        view.transform_ = Standardize(0.0, 1.0)
        return view, self.transform_.working(y)

    def noise_variance(self) -> float:
        """Variance of a measurement's noise in the units of y."""
        noise = torch.tensor([self._fitted().hyper.noise], dtype=torch.float64)
        return float(self.transform_.moments(torch.zeros_like(noise), noise)[1])

    def lengthscales(self) -> Array:
        """Lengthscales (d,) of the kernel in the units of Z (``hyperparameters_`` has those of scaled Z)."""
        return np.array(self._fitted().lengthscale.numpy())

    def joint(self, Z: Tensor) -> tuple[Tensor, Tensor, float]:
        """Mean (q,), covariance (q, q) and noise variance at Z (q, d), on the scale of the transformed y."""
        posterior = self._fitted()
        mean, covariance = posterior.covariance(self._tensor(Z))
        return mean, covariance, posterior.hyper.noise

    def score(self, Z: Tensor, y: Tensor) -> float:
        """Mean log predictive density of held-out observations (noise included), in the units of y.

        Higher is better; differences between surrogates are in nats per observation. Values below the
        fence of ``transform="winsorize"`` or the floor of ``"floor"`` count as if they lay on it.
        """
        residual, deviation, values = self._standardized_residuals(Z, y)
        log_density = norm.logpdf(residual) - np.log(deviation) + self.transform_.log_slope(values)
        return float(np.mean(log_density))

    def calibration(self, Z: Tensor, y: Tensor, levels: Sequence[float] = (0.5, 0.8, 0.9, 0.95)) -> Array:
        """Share of held-out observations inside the central predictive interval of each level.

        Returns an array (len(levels),); for a calibrated process it is close to ``levels``.
        """
        try:
            wanted = np.asarray(levels, dtype=np.float64)
        except (TypeError, ValueError) as error:
            raise ParameterTypeError(f"levels: expected a sequence of numbers, got {levels!r}") from error
        if wanted.ndim != 1 or not np.all((wanted > 0) & (wanted < 1)):
            raise ParameterError(f"levels: expected a sequence of numbers between 0 and 1, got {levels!r}")
        residual, _, _ = self._standardized_residuals(Z, y)
        return np.asarray(np.mean(np.abs(residual)[:, None] <= ndtri(0.5 + 0.5 * wanted), axis=0))

    def _standardized_residuals(self, Z: Tensor, y: Tensor) -> tuple[Array, Array, Array]:
        posterior = self._fitted()
        points = self._check_dimension(check_points(Z))
        values = check_values(y, len(points))
        if len(points) == 0:
            raise DataError("Z and y: expected at least one observation, got none")
        mean, variance = posterior.predict(torch.from_numpy(points))
        deviation = np.sqrt(variance.numpy() + posterior.hyper.noise)
        return (self.transform_.forward(values) - mean.numpy()) / deviation, deviation, values

    def _fitted(self) -> Posterior:
        posterior: Posterior | None = getattr(self, "posterior_", None)
        if posterior is None:
            raise NotFittedError("this SparseGP is not fitted yet: call fit(Z, y, rng) first")
        return posterior

    def _tensor(self, Z: Tensor) -> Tensor:
        if not isinstance(Z, Tensor):
            raise DataTypeError(f"Z: expected a tensor (q, d), got {type(Z).__name__}")
        if Z.ndim != 2 or not bool(torch.isfinite(Z).all()):
            raise DataError(
                f"Z: expected finite values of shape (q, d), got shape {tuple(Z.shape)}"
                + ("" if Z.ndim != 2 else " with a value that is not finite")
            )
        self._check_dimension(Z)
        return Z.to(device="cpu", dtype=torch.float64)

    def _check_dimension(self, Z: Any) -> Any:
        d = len(self.posterior_.center)
        if Z.shape[1] != d:
            raise DataError(f"Z: expected {d} columns as in fit, got shape {tuple(Z.shape)}")
        return Z

    def _start(self, d: int) -> tuple[Hyperparameters, bool]:
        """Previous hyperparameters where they fit, else the mode of the prior; and whether they do."""
        previous: Hyperparameters | None = getattr(self, "hyperparameters_", None)
        if previous is not None and previous.kernel == self.kernel and len(previous.lengthscale) == d:
            return previous, True
        return Hyperparameters.from_log(self.kernel, prior(self.kernel, d)[0]), False

    def _trained(self, center: Array, scale: Array) -> Array | None:
        """The inducing points that the previous fit optimised, scaled; None where there are none."""
        points: Array | None = getattr(self, "trained_points_", None)  # absent from files of older versions
        return (points - center) / scale if points is not None and len(points) else None

    def _fitting(self) -> Fitting:
        parameters = {field.name: getattr(self, field.name) for field in fields(Fitting)}
        return Fitting(**parameters)

    def _check_parameters(self) -> None:
        for name, least in (
            ("n_inducing", 1),
            ("n_best", 0),
            ("n_random", 0),
            ("n_trained", 0),
            ("max_iter", 0),
            ("warm_iter", 0),
            ("train_iter", 0),
        ):
            check_int(name, getattr(self, name), least)
        if self.n_best + self.n_random < 1:
            raise ParameterError("n_best + n_random: expected at least 1, got 0")
        if self.n_hyper is not None:
            check_int("n_hyper", self.n_hyper, 1)
        if self.n_trained == 0 and self.train_iter != 100:
            raise ParameterError(
                "train_iter: expected 100, the default, with n_trained=0, where no inducing point is "
                f"optimised, got {self.train_iter}"
            )
        for name, allowed in (("kernel", KERNELS), ("transform", tuple(TRANSFORMS))):
            if getattr(self, name) not in allowed:
                raise ParameterError(f"{name}: expected one of {allowed}, got {getattr(self, name)!r}")
        check_real("jitter", self.jitter, minimum=0.0, maximum=1e-3)
        check_flag("ard", self.ard)
        check_flag("grow_inducing", self.grow_inducing)
        check_real("max_noise", self.max_noise, minimum=NOISE_BOUNDS[0], none=f"{NOISE_BOUNDS[1]:g}")


def _with_told_noise(hyper: Hyperparameters, t: Observations) -> Hyperparameters:
    """Return hyperparameters with a measurement's mean noise, where that of all measurements was told."""
    told = t.sd[~t.censored]
    if len(told) == 0 or np.isnan(told).any():
        return hyper
    return replace(hyper, noise=float(np.clip(np.mean(told**2), *NOISE_BOUNDS)))


def _standardization(Z: Array, each: bool) -> tuple[Array, Array]:
    """Center and scale (d,) of Z: one scale for each dimension, or the same for all.

    A dimension that hardly varies is scaled up tenfold at most: the encoder of a variational autoencoder has
    switched it off, and what remains is noise.
    """
    center = Z.mean(0)
    deviation = Z.std(0)
    typical = float(np.sqrt(np.mean(deviation**2)))
    if not np.isfinite(typical) or typical <= 1e-12 * max(float(np.abs(Z).max()), 1e-300):
        return center, np.ones(Z.shape[1])
    if not each:
        return center, np.full(Z.shape[1], typical)
    return center, np.maximum(deviation, _SMALLEST_SCALE * typical)

"""A Gaussian process with the Tanimoto kernel on counts of features of x."""

from collections.abc import Callable, Sequence
from copy import copy
from dataclasses import replace
from typing import Any, Literal, Self

import numpy as np
import torch
from scipy.sparse import csr_array, issparse
from scipy.stats import norm
from torch import Tensor

from wrlso._utils.copies import keep
from wrlso._utils.estimator import BaseEstimator
from wrlso._utils.validation import check_real
from wrlso.exceptions import DataError, DataTypeError, NotFittedError, ParameterError, ParameterTypeError
from wrlso.surrogate.censoring import ROUNDS, first_guess, sites_given
from wrlso.surrogate.checks import check_int, check_observations, check_values
from wrlso.surrogate.linear_algebra import covariance_root
from wrlso.surrogate.minmax_kernel import (
    MOST_COUNTS,
    MOST_FEATURES,
    Levels,
    Overlaps,
    dots,
    expand,
    tanimoto,
)
from wrlso.surrogate.morgan import MorganCounts
from wrlso.surrogate.observations import Observations, Told
from wrlso.surrogate.points import Described, taken
from wrlso.surrogate.protocol import Array
from wrlso.surrogate.subset import select_subset
from wrlso.surrogate.tanimoto_fitting import (
    Fit,
    expected_signal,
    maximize_evidence,
    relative_noise,
    settle,
    with_told_noise,
)
from wrlso.surrogate.tanimoto_posterior import StructureKernel, TanimotoPosterior
from wrlso.surrogate.transforms import TRANSFORMS, Standardize, likeliest_transform, make_transform

__all__ = ["TanimotoGP"]


_ROWS = 2048  # objects predicted at once
_TOLD_ROWS = (
    800  # values to which hyperparameters are fitted where noise was told, or values lie beyond limits
)
_LINEAR_SHARES = (0.0, 0.2, 0.5, 0.8, 0.95)  # of which "auto" takes the one with the largest evidence
_LINEAR_ODDS = float(np.log(20.0))  # log evidence that a linear part needs, which few values seldom have
_TRANSFORM_ROWS = 300  # that transformations of y are compared on
_LINEAR_ROWS = 500  # that it is computed from: the shares differ by many nats or do not matter


class TanimotoGP(BaseEstimator):
    """Exact Gaussian process on structures: Tanimoto (MinMax) and linear kernel on counts of features.

    The similarity of two objects is the share of features that they have in common. The latent space
    proposes candidates and the structure ranks them, as for :class:`wrlso.FeatureGP`. Works with
    :class:`wrlso.CandidatePool`, not with :class:`wrlso.LatentSearch`.

    Parameters
    ----------
    fingerprint : callable or None, default None
        List of n objects → array, tensor or SciPy sparse matrix (n, D) of counts: whole numbers, none
        negative, which add up to at most 65,535 for one object. The counts of an x must never change.
        None: :class:`MorganCounts`, for molecules given as SMILES.
    n_best, n_random : int, default 1000 and 1000
        Numbers of the best points, and of random others, that are used; all where there are fewer. With n
        points a fit costs O(n³), everything else O(n²) for each point, and memory is O(n²).
    transform : {"auto", "floor", "winsorize", "standardize"}, default="auto"
        Transformation of y; see :class:`wrlso.SparseGP`. "auto": "floor", or the logarithm of how far values
        lie above the least one, with an offset of 1, 0.1 or 0.01 of their range, where that makes the better
        half of them much likelier: by 10 nats.
    linear : float in [0, 1) or "auto", default="auto"
        Share of the prior's variance that a linear function of the counts has, at an average object. The
        Tanimoto kernel alone returns to the mean for objects unlike the data; a linear part extrapolates
        what every feature adds, for instance to molecules larger than any so far: up to 1.3 times the
        largest norm of an observation's counts, and no further. "auto": the share among 0, 0.2, 0.5, 0.8 and
        0.95 with the largest evidence, where that is 20 times the evidence without a linear part; else 0.

    Attributes
    ----------
    evidence_ : float
        Log marginal likelihood of the data used, with the priors on the hyperparameters.
    n_evaluations_ : int
        How often the last fit computed it.
    linear_ : float
        The share of the linear part.
    posterior_, transform_
        The posterior on the scale of the transformed y, and that transformation.

    Notes
    -----
    There are four hyperparameters: the linear part's share is chosen from a few on a part of the data, the
    signal's variance and the mean are maximised in closed form, which leaves one search for the noise's
    share. Predictions take the signal's expected variance given the data, which is larger than the most
    probable one, and much larger for few data. Conditioning adds rows to the Cholesky factor and is exact.
    Everything is float64 and runs on the CPU.

    References
    ----------
    Ralaivola et al., "Graph kernels for chemical informatics", Neural Networks 18, 2005 (the kernel).

    Examples
    --------
    >>> import numpy as np, torch
    >>> X = ["C", "CC", "CCC", "CCCC", "CCCCC"]
    >>> y = torch.tensor([1.0, 2.0, 3.0, 4.0, 5.0], dtype=torch.float64)
    >>> surrogate = TanimotoGP(lambda X: np.array([[len(x)] for x in X]))
    >>> mean, variance = surrogate.fit(X, y, np.random.default_rng(0)).predict(["C", "CCCCCC"])
    >>> bool(mean[0] < mean[1]), bool(variance[0] < variance[1])
    (True, True)
    """

    space: Literal["latent", "features", "both"] = "features"
    takes_observations: Literal[True] = True

    evidence_: float
    linear_: float
    n_evaluations_: int
    posterior_: "TanimotoPosterior"
    transform_: Standardize

    def __init__(
        self,
        fingerprint: Callable[[Sequence[Any]], Any] | None = None,
        n_best: int = 1000,
        n_random: int = 1000,
        *,
        transform: str = "auto",
        linear: float | str = "auto",
    ) -> None:
        self.fingerprint = fingerprint
        self.n_best = n_best
        self.n_random = n_random
        self.transform = transform
        self.linear = linear

    def fit(self, Z: Sequence[Any], y: Tensor | Observations, rng: np.random.Generator) -> Self:
        """Fit the hyperparameters by maximum a posteriori, then the posterior.

        Parameters
        ----------
        Z : sequence of n objects
            n ≥ 1.
        y : Tensor of float64 (n,), or Observations
            Their values, larger is better.
        rng : numpy.random.Generator
            Chooses the random part of the data.

        Returns
        -------
        TanimotoGP
            Itself. A second fit starts at the first one's noise.

        Raises
        ------
        DataError, DataTypeError
            When lengths disagree, a value is not finite, or an object has no counts.
        ParameterError, ParameterTypeError
            When a constructor argument is impossible.
        """
        self._check_parameters()
        known = check_observations(y, len(Z))
        if not isinstance(rng, np.random.Generator):
            raise ParameterTypeError(f"rng: expected a numpy.random.Generator, got {type(rng).__name__}")
        if len(Z) == 0:
            raise DataError("fit: expected at least one observation, got none")
        chosen = select_subset(known.y, self.n_best, self.n_random, rng)
        counts = self._counts([Z[int(i)] for i in chosen])
        known = known[chosen]
        levels = expand(counts)
        transform = self._choose_transform(counts, known)
        t = transform.carry(known)
        previous: TanimotoPosterior | None = getattr(self, "posterior_", None)
        start = None if previous is None else previous.ratio
        held, evaluations = first_guess(t), 0
        kernel, K = self._choose_kernel(levels, held, rng)
        # noise that was told makes each step of the search dearer: a part of the data does
        plain = bool(np.isnan(held.sd).all())
        rows = np.arange(len(t)) if plain else rng.permutation(len(t))[:_TOLD_ROWS]
        for _ in range(ROUNDS if t.censored.any() else 1):
            best, tried = maximize_evidence(K if plain else K[np.ix_(rows, rows)], held[rows], start)
            best = with_told_noise(best, t)
            held, start, evaluations = settle(best, K, t), best.ratio, evaluations + tried
        signal = expected_signal(best, held)
        self.posterior_ = TanimotoPosterior(
            levels,
            held.y,
            (len(held),),
            kernel,
            signal,
            best.ratio,
            best.mean,
            counts.shape[1],
            relative_noise(held, signal, best.ratio),
        )
        self.transform_, self.evidence_, self.n_evaluations_ = transform, best.value, evaluations
        self.linear_ = kernel.linear
        return self

    def _choose_transform(self, counts: csr_array, known: Observations) -> Standardize:
        """Return the transformation of y; where it is to be chosen, the likeliest of the better half."""
        if self.transform != "auto":
            return make_transform(self.transform, known.y)
        measured = np.flatnonzero(~known.censored)
        order = measured[np.argsort(-known.y[measured], kind="stable")]
        rows = np.sort(order[: -(-len(order) // 2)][:_TRANSFORM_ROWS])
        some = expand(counts[rows])
        alike = tanimoto(Overlaps(some).of(some), some.sizes, some.sizes)
        kernels = [alike]
        if self.linear != 0 and len(rows):
            share, products = 0.8 if self.linear == "auto" else float(self.linear), dots(some, some)
            kernels.append((1 - share) * alike + share / max(float(np.diag(products).mean()), 1.0) * products)

        def evidence(t: Observations) -> float:
            return max(maximize_evidence(K, t, None)[0].value for K in kernels)

        return likeliest_transform(make_transform("floor", known.y), known, rows, evidence)

    def _choose_kernel(
        self, levels: Levels, t: Observations, rng: np.random.Generator
    ) -> tuple["StructureKernel", Array]:
        """Return the kernel and its matrix (n, n)."""
        alike = tanimoto(Overlaps(levels).of(levels), levels.sizes, levels.sizes)
        if self.linear == 0:
            return StructureKernel(0.0, 1.0), alike
        products = dots(levels, levels)
        scale = max(float(np.diag(products).mean()), 1.0)
        if self.linear != "auto":
            share = float(self.linear)
        else:
            rows = rng.permutation(len(t))[:_LINEAR_ROWS]
            part = np.ix_(rows, rows)
            evidence = [
                maximize_evidence((1 - s) * alike[part] + s / scale * products[part], t[rows], None)[0].value
                for s in _LINEAR_SHARES
            ]
            best = int(np.argmax(evidence))
            share = _LINEAR_SHARES[best] if evidence[best] > evidence[0] + _LINEAR_ODDS else 0.0
        return StructureKernel(share, scale), (1 - share) * alike + share / scale * products

    def condition_on(self, Z: Sequence[Any], y: Tensor | Observations) -> "TanimotoGP":
        """Return a new process that has seen q more observations; O(n²) for each, and exact.

        Hyperparameters and the transformation of y stay.

        Parameters
        ----------
        Z : sequence of q objects
            The new points.
        y : Tensor of float64 (q,), or Observations
            Their values, in the units of the y that was fitted.

        Returns
        -------
        TanimotoGP
            A new object; this one is unchanged.
        """
        posterior = self._fitted()
        t = self.transform_.carry(check_observations(y, len(Z)))
        # limits come last: what was measured tells where their points lie
        for limits in (False, True):
            rows = np.flatnonzero(t.censored == limits)
            if len(rows) == 0:
                continue
            levels, part = self._levels(taken(Z, rows)), t[rows]
            if limits:
                mean, covariance = posterior.covariance(levels)
                part = sites_given(part, mean, covariance, posterior.noise)
            ratios = relative_noise(part, posterior.signal, posterior.ratio)
            posterior = posterior.condition(levels, part.y, ratios)
        conditioned = copy(self)
        conditioned.posterior_ = posterior
        return conditioned

    def corrected(self, Z: Sequence[Any], y: Tensor | Observations) -> "TanimotoGP":
        """Return a new process that has seen these values only; O(n³), and exact.

        Hyperparameters, the mean and the transformation of y stay.

        Parameters
        ----------
        Z : sequence of n objects
            n ≥ 1.
        y : Tensor of float64 (n,), or Observations
            Their values, in the units of the y that was fitted.

        Returns
        -------
        TanimotoGP
            A new object; this one is unchanged.
        """
        posterior = self._fitted()
        t = self.transform_.carry(check_observations(y, len(Z)))
        corrected, levels = copy(self), self._levels(Z)
        K = (
            posterior.kernel.between(Overlaps(levels), levels, np.inf)
            if t.censored.any()
            else np.empty((0, 0))
        )
        t = settle(Fit(0.0, posterior.signal, posterior.ratio, posterior.mean), K, t)
        ratios = relative_noise(t, posterior.signal, posterior.ratio)
        corrected.posterior_ = replace(posterior, levels=levels, t=t.y, blocks=(len(t),), ratios=ratios)
        return corrected

    def predict(self, Z: Sequence[Any]) -> tuple[Tensor, Tensor]:
        """Mean and variance (q,) of the noise-free objective at q objects, in the units of y."""
        mean, variance = self._moments(Z)
        return self.transform_.moments(torch.from_numpy(mean), torch.from_numpy(variance))

    def predict_measurements(self, Z: Sequence[Any]) -> tuple[Tensor, Tensor]:
        """Mean and variance (q,) of one measurement at q objects, noise included, in the units of y."""
        mean, variance = self._moments(Z)
        noisy = variance + self._fitted().noise
        return self.transform_.moments(torch.from_numpy(mean), torch.from_numpy(noisy))

    def sample(self, Z: Sequence[Any], n: int, generator: torch.Generator) -> Tensor:
        """Return n joint samples (n, q) of the noise-free objective at q objects, in units of y; O(q³)."""
        mean, covariance, _ = self.joint(Z)
        root = covariance_root(covariance, self._fitted().signal)
        noise = torch.randn(n, len(mean), dtype=torch.float64, generator=generator)
        return self.transform_.inverse(mean + noise @ root.T)

    def score(self, Z: Sequence[Any], y: Tensor) -> float:
        """Mean log predictive density of held-out observations; see :meth:`SparseGP.score`."""
        values = check_values(y, len(Z))
        if len(Z) == 0:
            raise DataError("score: expected at least one observation, got none")
        mean, variance = self._moments(Z)
        deviation = np.sqrt(variance + self._fitted().noise)
        density = norm.logpdf(self.transform_.forward(values), mean, deviation)
        return float(np.mean(density + self.transform_.log_slope(values)))

    def noise_variance(self) -> float:
        """Variance of a measurement's noise in the units of y, at an average value if it grows with it."""
        noise = torch.tensor([self._fitted().noise], dtype=torch.float64)
        return float(self.transform_.moments(torch.zeros_like(noise), noise)[1])

    def joint(self, Z: Sequence[Any]) -> tuple[Tensor, Tensor, float]:
        """Mean (q,), covariance (q, q) and noise variance at q objects, on the scale of the transformed y."""
        posterior = self._fitted()
        mean, covariance = posterior.covariance(self._levels(Z))
        return torch.from_numpy(mean), torch.from_numpy(covariance), posterior.noise

    def working_scale(self, y: Told) -> tuple["TanimotoGP", Told]:
        """Return the same process before y is transformed back; see :meth:`SparseGP.working_scale`."""
        self._fitted()
        view = copy(self)
        view.transform_ = Standardize(0.0, 1.0)
        return view, self.transform_.working(y)

    def _moments(self, Z: Sequence[Any]) -> tuple[Array, Array]:
        posterior = self._fitted()
        parts = [posterior.predict(self._levels(Z[i : i + _ROWS])) for i in range(0, max(len(Z), 1), _ROWS)]
        mean, variance = (np.concatenate([part[which] for part in parts]) for which in (0, 1))
        return mean, variance

    def _levels(self, X: Sequence[Any]) -> Levels:
        counts, expected = self._counts(X), self._fitted().n_features
        if counts.shape[1] != expected:
            raise DataError(
                f"fingerprint must always return the same number of columns, {expected} as in fit, got "
                f"{counts.shape[1]}"
            )
        return expand(counts)

    def _counts(self, X: Sequence[Any]) -> csr_array:
        if isinstance(X, Described):
            return X.features
        fingerprint = MorganCounts() if self.fingerprint is None else self.fingerprint
        if not callable(fingerprint):
            raise ParameterTypeError(f"fingerprint must be callable or None, got {fingerprint!r}")
        # copies: a function that changes its arguments must not change the records
        return _checked_counts(fingerprint([keep(x) for x in X]), len(X))

    def _fitted(self) -> "TanimotoPosterior":
        posterior: TanimotoPosterior | None = getattr(self, "posterior_", None)
        if posterior is None:
            raise NotFittedError("this TanimotoGP is not fitted yet: call fit(X, y, rng) first")
        return posterior

    def _check_parameters(self) -> None:
        check_int("n_best", self.n_best, 0)
        check_int("n_random", self.n_random, 0)
        if self.n_best + self.n_random < 1:
            raise ParameterError("n_best + n_random: expected at least 1, got 0")
        if self.linear != "auto":
            check_real("linear", self.linear, minimum=0, maximum=0.999)
        allowed = ("auto", *TRANSFORMS)
        if self.transform not in allowed:
            raise ParameterError(f"transform: expected one of {allowed}, got {self.transform!r}")


def _checked_counts(found: Any, n: int) -> csr_array:
    """Return what a fingerprint gave for n objects as sorted counts without zeros (n, D)."""
    try:
        if not issparse(found):
            found = np.asarray(found)
        if found.dtype.kind not in "buif":
            raise TypeError(f"they are of type {found.dtype}")
    except (TypeError, ValueError) as error:
        raise DataTypeError(f"fingerprint must return counts of shape ({n}, D): {error}") from error
    if found.ndim != 2 or found.shape[0] != n or not 1 <= found.shape[1] <= MOST_FEATURES:
        raise DataError(f"fingerprint must return shape ({n}, D), D ≥ 1, got {tuple(found.shape)}")
    counts = csr_array(found, copy=True)
    counts.sum_duplicates()
    counts.eliminate_zeros()
    values = counts.data
    whole = (values >= 0) & (values <= MOST_COUNTS) & (values == np.floor(values))
    if not whole.all():
        raise DataError(
            f"fingerprint must return whole numbers from 0 to {MOST_COUNTS:,}, got {values[~whole][0]!r}"
        )
    totals = counts.sum(axis=1)
    if n and float(totals.max()) > MOST_COUNTS:
        row = int(totals.argmax())
        raise DataError(
            f"fingerprint: the counts of one object must add up to at most {MOST_COUNTS:,}, got "
            f"{int(totals[row]):,} for X[{row}]"
        )
    return counts

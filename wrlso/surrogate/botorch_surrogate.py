"""Any model of BoTorch as a surrogate; BoTorch and GPyTorch are imported when it is first used."""

import inspect
import logging
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from copy import copy
from typing import Any, Literal, NamedTuple, Self

import numpy as np
import torch
from scipy.stats import truncnorm
from torch import Tensor

from wrlso._utils.copies import keep
from wrlso._utils.estimator import BaseEstimator
from wrlso._utils.random import isolated_torch_rng
from wrlso._utils.validation import check_count, check_flag
from wrlso.exceptions import DataError, DataTypeError, ModelError, NotFittedError, ParameterError
from wrlso.surrogate.censoring import first_guess
from wrlso.surrogate.checks import check_observations, check_points
from wrlso.surrogate.observations import Observations, Told
from wrlso.surrogate.points import Points
from wrlso.surrogate.protocol import Array
from wrlso.surrogate.subset import select_subset
from wrlso.surrogate.transforms import TRANSFORMS, Standardize, make_transform

__all__ = ["BoTorchSurrogate"]

_logger = logging.getLogger(__name__)

_ROUNDS = 3  # fits, after each of which what lies beyond limits is expected anew


class _Group(NamedTuple):
    """Observations that the model was given at once, in the form in which BoTorch takes them."""

    X: Tensor  # (n, d)
    Y: Tensor  # (n, 1)
    Yvar: Tensor | None  # (n, 1)


class BoTorchSurrogate(BaseEstimator):
    """A model of BoTorch, with a kernel or likelihood of your own if you like.

    Parameters
    ----------
    factory : callable, default=None
        ``factory(X, Y)`` returns a BoTorch model of one output for X (n, d) and Y (n, 1), float64, before
        its hyperparameters are fitted: a class such as ``botorch.models.SingleTaskGP``, which is the default,
        or a function. If it has a parameter ``train_Yvar`` or ``Yvar``, it also gets the variances (n, 1) of
        the values where the standard error of each was told.
    on : {"latent", "features"} or callable, default="latent"
        What X is: the latent points; the model's features of x (:class:`wrlso.models.HasFeatures`); or what a
        function makes of a list of n objects, numbers of shape (n, D).
    n_best, n_random : int, default=250 and 150
        Numbers of the best points, and of random others, that are used; all where there are fewer.
    transform : str, default="robust"
        Transformation of y; see :class:`wrlso.SparseGP`.
    scale : bool, default=True
        Whether each column of X is brought to [0, 1], for which the priors of BoTorch are made. False: a
        column that names a task must stay as it is.
    fit_model : callable, default=None
        ``fit_model(model)`` fits its hyperparameters; None: ``fit_gpytorch_mll`` with the exact marginal log
        likelihood.

    Attributes
    ----------
    model_ : botorch.models.model.Model
        On the transformed y.
    transform_
        That transformation.

    Notes
    -----
    New values are taken in by ``condition_on_observations``; where a model has none that works, it is fitted
    again with them. Replicates enter as rows with their mean and their spread. Values beyond a limit are
    taken to be what the model expects there: simpler than in :class:`wrlso.SparseGP`, and overconfident.

    A campaign stores the fitted model with the default factory or a class of ``botorch.models``; with a
    factory of your own, give it to ``load(..., surrogate=BoTorchSurrogate(factory))``.

    Examples
    --------
    >>> import numpy as np, torch
    >>> Z = torch.from_numpy(np.random.default_rng(0).normal(size=(20, 2)))
    >>> surrogate = BoTorchSurrogate().fit(Z, torch.sin(Z[:, 0]), np.random.default_rng(0))
    >>> type(surrogate.model_).__name__
    'SingleTaskGP'
    """

    takes_observations: Literal[True] = True

    model_: Any
    transform_: Standardize
    noise_: float
    groups_: list[_Group]

    def __init__(
        self,
        factory: Callable[..., Any] | None = None,
        on: str | Callable[[Sequence[Any]], Any] = "latent",
        n_best: int = 250,
        n_random: int = 150,
        *,
        transform: str = "robust",
        scale: bool = True,
        fit_model: Callable[[Any], Any] | None = None,
    ) -> None:
        self.factory = factory
        self.on = on
        self.n_best = n_best
        self.n_random = n_random
        self.transform = transform
        self.scale = scale
        self.fit_model = fit_model

    @property
    def space(self) -> Literal["latent", "features", "both"]:
        """What points are handed over: Z, objects, or :class:`wrlso.surrogate.Points`."""
        if callable(self.on):
            return "features"
        return "latent" if self.on == "latent" else "both"

    def fit(self, Z: Any, y: Tensor | Observations, rng: np.random.Generator) -> Self:
        """Fit the hyperparameters to n points, as ``on`` says, and their values y (n,).

        Raises
        ------
        DataError, DataTypeError
            When shapes disagree, or a value is not finite.
        ModelError
            When the factory returns no BoTorch model of one output.
        ParameterError, ParameterTypeError
            When a constructor argument is impossible.
        """
        self._check_parameters()
        raw = self._raw(Z)
        known = check_observations(y, len(raw))
        if len(known) == 0:
            raise DataError("fit: expected at least one observation, got none")
        chosen = select_subset(known.y, self.n_best, self.n_random, rng)
        raw, known = raw[chosen], known[chosen]
        self.low_, self.width_ = np.zeros(raw.shape[1]), np.ones(raw.shape[1])
        if self.scale:
            spread = np.ptp(raw, axis=0)
            self.low_, self.width_ = raw.min(axis=0), np.where(spread > 0, spread, 1.0)
        self.transform_ = make_transform(self.transform, known.y)
        X, t = self._scaled(torch.from_numpy(raw)), self.transform_.carry(known)
        guess, seed = first_guess(t), int(rng.integers(2**31))
        for _ in range(_ROUNDS if t.censored.any() else 1):
            self._fit_to([_group(X, guess, told=not np.isnan(t.sd).any())], seed)
            guess = self._expected(X, t)
        return self

    def condition_on(self, Z: Any, y: Tensor | Observations) -> "BoTorchSurrogate":
        """Return a new surrogate that has seen these observations too."""
        self._fitted()
        X = self._inputs(Z).detach()
        t = self._expected(X, self.transform_.carry(check_observations(y, len(X))))
        conditioned = copy(self)
        if len(t):
            conditioned._add(_group(X, t, told=self.groups_[0].Yvar is not None, otherwise=self.noise_))
        return conditioned

    def predict(self, Z: Any) -> tuple[Tensor, Tensor]:
        """Mean and variance (q,) of the noise-free objective at q points, in the units of y."""
        mean, variance = self._moments(self._inputs(Z))
        return self.transform_.moments(mean, variance)

    def sample(self, Z: Any, n: int, generator: torch.Generator) -> Tensor:
        """Return n joint samples (n, q) of the noise-free objective at q points, in the units of y."""
        seed = int(torch.randint(2**31, (1,), generator=generator))
        with _exactly(seed):
            drawn = self._posterior(self._inputs(Z)).rsample(torch.Size([n]))
        return self.transform_.inverse(drawn.reshape(n, -1))

    def noise_variance(self) -> float:
        """Variance of a measurement's noise in the units of y."""
        self._fitted()
        noise = torch.tensor([self.noise_], dtype=torch.float64)
        return float(self.transform_.moments(torch.zeros_like(noise), noise)[1])

    def working_scale(self, y: Told) -> tuple["BoTorchSurrogate", Told]:
        """Return the same model before y is transformed back; see :meth:`SparseGP.working_scale`."""
        self._fitted()
        view = copy(self)
        view.transform_ = Standardize(0.0, 1.0)
        return view, self.transform_.working(y)

    def joint(self, Z: Any) -> tuple[Tensor, Tensor, float]:
        """Mean (q,), covariance (q, q) and noise variance at q points, on the scale of the transformed y."""
        with _exactly(0):
            posterior = self._posterior(self._inputs(Z))
            mean, covariance = _of(posterior, "mean"), _of(posterior, "covariance_matrix")
        return mean.reshape(-1), covariance.reshape(len(mean), len(mean)), self.noise_

    def get_state(self) -> dict[str, Any]:
        """Return all that was learned, for a campaign."""
        if not hasattr(self, "model_"):
            return {}
        parameters = {name: value.detach().clone() for name, value in self.fitted_.items()}
        return {
            "groups": [tuple(group) for group in self.groups_],
            "parameters": parameters,
            "transform": self.transform_,
            "low": self.low_,
            "width": self.width_,
        }

    def set_state(self, state: dict[str, Any]) -> None:
        """Take what :meth:`get_state` returned; the factory must be the same.

        Raises ModelError when it makes another model.
        """
        if not state:
            return
        self.transform_, self.low_, self.width_ = state["transform"], state["low"], state["width"]
        first, *later = [_Group(*group) for group in state["groups"]]
        with _exactly(0):
            model = self._made(first)
        try:
            model.load_state_dict(state["parameters"])
        except RuntimeError as error:
            raise ModelError(
                f"factory: expected the one with which the campaign was made, whose model has other "
                f"parameters than {type(model).__name__}: {error}"
            ) from error
        self._take(model, [first], state["parameters"])
        for group in later:
            self._add(group)

    def __deepcopy__(self, memo: dict[int, Any]) -> "BoTorchSurrogate":
        """Return a copy made from the state: a model that has predicted cannot always be copied."""
        copied = type(self)(**self.get_params(deep=False))
        copied.set_state(self.get_state())
        return copied

    def _fit_to(self, groups: list[_Group], seed: int) -> None:
        X = torch.cat([group.X for group in groups])
        Y = torch.cat([group.Y for group in groups])
        errors = [group.Yvar for group in groups]
        Yvar = None if any(e is None for e in errors) else torch.cat([e for e in errors if e is not None])
        whole = _Group(X, Y, Yvar)
        with _exactly(seed):
            model = self._made(whole)
            _fit(model, self.fit_model)
        parameters = {name: value.detach().clone() for name, value in model.state_dict().items()}
        self._take(model, [whole], parameters)

    def _made(self, group: _Group) -> Any:
        """Return a model that is not fitted."""
        factory = self.factory
        if factory is None:
            from botorch.models import SingleTaskGP

            factory = SingleTaskGP
        name = None if group.Yvar is None else _variance_parameter(factory)
        model = factory(group.X, group.Y, **({} if name is None else {name: group.Yvar}))
        if not callable(getattr(model, "posterior", None)) or getattr(model, "num_outputs", 1) != 1:
            raise ModelError(f"factory: expected a BoTorch model of one output, got {model!r:.80}")
        return model

    def _take(self, model: Any, groups: list[_Group], parameters: dict[str, Tensor]) -> None:
        # predictions are differentiable in the points, and need no gradient in the hyperparameters
        self.model_, self.groups_, self.fitted_ = model.eval().requires_grad_(False), groups, parameters
        with _exactly(0), torch.no_grad():
            point = groups[0].X[:1]
            noisy = _of(model.posterior(point, observation_noise=True), "variance")
            self.noise_ = max(float((noisy - _of(model.posterior(point), "variance")).mean()), 0.0)

    def _add(self, group: _Group) -> None:
        """Take in a group of observations."""
        variance = group.Yvar
        with _exactly(0), torch.no_grad():
            self.model_.posterior(group.X[:1])  # conditioning starts from what a prediction has computed
            outcome = getattr(self.model_, "outcome_transform", None)
            if variance is not None and outcome is not None:
                variance = outcome(group.Y, variance)[1]
            try:
                options = {} if variance is None else {"noise": variance}
                model = self.model_.condition_on_observations(group.X, group.Y, **options)
            except (NotImplementedError, AttributeError, RuntimeError, TypeError) as error:
                _logger.info("fitted again, as condition_on_observations does not work: %s", error)
                model = None
        if model is None:
            self._fit_to([*self.groups_, group], 0)
        else:
            self.model_, self.groups_ = model, [*self.groups_, group]

    def _expected(self, X: Tensor, t: Observations) -> Observations:
        """Return observations in which a limit is replaced by what is expected beyond it."""
        rows = t.censored
        if not rows.any():
            return t
        with torch.no_grad():
            mean, variance = (v.numpy() for v in self._moments(X[torch.from_numpy(rows)]))
        deviation, side = np.sqrt(variance + self.noise_).clip(1e-9), t.bound[rows]
        z = (side * (t.y[rows] - mean) / deviation).clip(-30.0, 30.0)
        beyond = mean + side * deviation * truncnorm.mean(z, np.inf)
        return t.with_sites(rows, beyond, np.full(len(mean), np.nan))

    def _moments(self, X: Tensor) -> tuple[Tensor, Tensor]:
        with _exactly(0):
            posterior = self._posterior(X)
            mean, variance = _of(posterior, "mean"), _of(posterior, "variance")
        return mean.reshape(-1), variance.reshape(-1).clamp_min(0.0)

    def _posterior(self, X: Tensor) -> Any:
        return self._fitted().posterior(X)

    def _fitted(self) -> Any:
        if not hasattr(self, "model_"):
            raise NotFittedError("this BoTorchSurrogate is not fitted yet: call fit(points, y, rng) first")
        return self.model_

    def _inputs(self, Z: Any) -> Tensor:
        """Return X (q, d) of points, differentiable where these are Z."""
        self._fitted()
        X = Z if isinstance(Z, Tensor) and self.space == "latent" else torch.from_numpy(self._raw(Z))
        d = len(self.low_)
        if X.ndim != 2 or X.shape[1] != d:
            raise DataError(f"points: expected {d} columns as in fit, got shape {tuple(X.shape)}")
        return self._scaled(X.to("cpu", torch.float64))

    def _scaled(self, X: Tensor) -> Tensor:
        return (X - torch.from_numpy(self.low_)) / torch.from_numpy(self.width_)

    def _raw(self, Z: Any) -> Array:
        if callable(self.on):
            found = np.asarray(self.on([keep(x) for x in Z]))  # a function must not change the records
            if found.dtype.kind not in "buif" or found.ndim != 2 or len(found) != len(Z):
                raise DataError(
                    f"on must return numbers of shape ({len(Z)}, D), got {found.dtype} of shape {found.shape}"
                )
            return check_points(torch.from_numpy(found.astype(np.float64)))
        if self.on == "latent":
            return check_points(Z)
        if not isinstance(Z, Points):
            raise DataTypeError(f"points: expected wrlso.surrogate.Points, with features, got {Z!r:.80}")
        if Z.features is None:
            raise DataError("points: on='features' needs a model with features(X), got points without any")
        return check_points(Z.features)

    def _check_parameters(self) -> None:
        for name in ("factory", "fit_model"):
            if (value := getattr(self, name)) is not None and not callable(value):
                raise ParameterError(f"{name} must be callable or None, got {value!r:.80}")
        if not callable(self.on) and self.on not in ("latent", "features"):
            raise ParameterError(f"on must be 'latent', 'features' or callable, got {self.on!r:.80}")
        check_count("n_best", self.n_best, minimum=0)
        check_count("n_random", self.n_random, minimum=0)
        if self.n_best + self.n_random < 1:
            raise ParameterError("n_best + n_random: expected at least 1, got 0")
        if self.transform not in TRANSFORMS:
            raise ParameterError(f"transform: expected one of {tuple(TRANSFORMS)}, got {self.transform!r}")
        check_flag("scale", self.scale)


@contextmanager
def _exactly(seed: int) -> Iterator[None]:
    """Let GPyTorch compute by Cholesky factors, without warnings, and draw from a seed of ours."""
    with ExitStack() as stack:
        stack.enter_context(warnings.catch_warnings())
        warnings.simplefilter("ignore")
        from gpytorch import settings

        for part in (
            settings.fast_computations(False, False, False),
            settings.max_cholesky_size(1_000_000),
            settings.cholesky_max_tries(8),  # covariances of candidates that are alike are singular
            isolated_torch_rng(seed),
        ):
            stack.enter_context(part)
        yield


def _fit(model: Any, fit_model: Callable[[Any], Any] | None) -> None:
    from botorch.exceptions import ModelFittingError
    from botorch.fit import fit_gpytorch_mll
    from gpytorch.mlls import ExactMarginalLogLikelihood

    if fit_model is not None:
        fit_model(model)
        return
    try:
        fit_gpytorch_mll(ExactMarginalLogLikelihood(model.likelihood, model))
    except ModelFittingError as error:
        _logger.warning("hyperparameters stay as the factory has set them, as fitting failed: %s", error)


def _of(posterior: Any, name: str) -> Tensor:
    """Return a moment of a posterior, that of the mixture where it is one."""
    if name == "covariance_matrix" and not hasattr(posterior, f"mixture_{name}"):
        found = posterior.distribution if hasattr(posterior, "distribution") else posterior
        return Tensor(getattr(found, name))
    return Tensor(getattr(posterior, f"mixture_{name}", None) or getattr(posterior, name))


def _group(X: Tensor, t: Observations, *, told: bool, otherwise: float = 0.0) -> _Group:
    """Return observations as BoTorch takes them: n replicates as n rows of the same mean and spread."""
    known = (t.n > 1) & ~np.isnan(t.squares) & ~t.censored & (not told)
    count = np.where(known, t.n, 1)
    place, y = np.repeat(np.arange(len(t)), count), np.repeat(t.y, count)
    first = np.cumsum(count) - count
    half = np.sqrt(np.where(known, t.squares, 0.0) / 2.0)
    y[first] += half
    y[np.minimum(first + 1, len(y) - 1)[known]] -= half[known]
    variance = None
    if told:
        variances = np.where(np.isnan(t.sd), otherwise / t.n, t.variances(otherwise))
        variance = torch.from_numpy(variances[place])[:, None]
    return _Group(X[torch.from_numpy(place)], torch.from_numpy(y)[:, None], variance)


def _variance_parameter(factory: Callable[..., Any]) -> str | None:
    """Return the name of the parameter by which a factory takes the variances of values."""
    try:
        names = inspect.signature(factory).parameters
    except (TypeError, ValueError):
        return None
    return next((name for name in ("train_Yvar", "Yvar") if name in names), None)

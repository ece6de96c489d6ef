"""The default surrogate: several processes, of which the one is used that predicts new values best."""

from copy import copy
from dataclasses import dataclass
from typing import Any, Literal, Self

import numpy as np
import torch
from scipy.linalg import cho_factor, cho_solve
from scipy.stats import rankdata
from torch import Tensor

from wrlso._utils.estimator import BaseEstimator
from wrlso._utils.validation import check_count, check_real
from wrlso.exceptions import DataError, DataTypeError, NotFittedError, ParameterError
from wrlso.surrogate.censoring import censored_log_density
from wrlso.surrogate.checks import check_observations
from wrlso.surrogate.kernels import covariance
from wrlso.surrogate.linear_algebra import covariance_root
from wrlso.surrogate.observations import Observations, Told
from wrlso.surrogate.points import Points
from wrlso.surrogate.protocol import Array
from wrlso.surrogate.sparse_censoring import settle
from wrlso.surrogate.sparse_gp import SparseGP
from wrlso.surrogate.subset import select_subset

__all__ = ["AutoSurrogate", "ProcessChoice"]

_START = 10.0  # told values that the leave-one-out predictions of the first fit count as
_FARTHEST = 5.0  # standard errors beyond which a wrong prediction counts no more
_MOST_JOINT = 500  # values told at once that are looked at
_RECENT = 100  # values of which rank correlations are shown
_N_HYPER = 300  # points on which hyperparameters are fitted
_WIDEST = 64  # features that get a lengthscale each
_LATENT, _FEATURES, _EACH = "latent", "features", "features, each with its own lengthscale"


@dataclass(frozen=True)
class ProcessChoice:
    """One of the processes, on points of which it sees its part."""

    name: str
    process: SparseGP

    space: Literal["latent", "features", "both"] = "both"

    def predict(self, Z: Points) -> tuple[Tensor, Tensor]:
        """See :meth:`SparseGP.predict`."""
        return self.process.predict(_part(self.name, Z))

    def sample(self, Z: Points, n: int, generator: torch.Generator) -> Tensor:
        """See :meth:`SparseGP.sample`."""
        return self.process.sample(_part(self.name, Z), n, generator)

    def condition_on(self, Z: Points, y: Tensor | Observations) -> "ProcessChoice":
        """See :meth:`SparseGP.condition_on`."""
        return ProcessChoice(self.name, self.process.condition_on(_part(self.name, Z), y))

    def noise_variance(self) -> float:
        """See :meth:`SparseGP.noise_variance`."""
        return self.process.noise_variance()

    def joint(self, Z: Points) -> tuple[Tensor, Tensor, float]:
        """See :meth:`SparseGP.joint`."""
        return self.process.joint(_part(self.name, Z))

    def working_scale(self, y: Told) -> tuple["ProcessChoice", Told]:
        """See :meth:`SparseGP.working_scale`."""
        process, values = self.process.working_scale(y)
        return ProcessChoice(self.name, process), values


class AutoSurrogate(BaseEstimator):
    """Gaussian processes over Z and over features of x, of which the best predictor is used.

    All processes are fitted to the same values. Each value that is told is first predicted by each of them;
    the process with the largest sum of log predictive densities, in which older values count less, makes
    the predictions of the search. Before any value was told, leave-one-out predictions of the starting data
    decide. Features are what the model's ``features`` returns, see :class:`wrlso.models.HasFeatures`; for
    a model without them there is only the process over Z, which also answers where points come as a tensor Z.

    Parameters
    ----------
    n_best, n_random : int, default 250 and 150
        Numbers of the best points, and of random others, that are used; all where there are fewer.
    transform : str, default "robust"
        Transformation of y; see :class:`wrlso.SparseGP`.
    half_life : float, default 50
        Number of later values after which a prediction counts half.

    Attributes
    ----------
    processes_ : dict of SparseGP
        The fitted processes by name.
    scores_ : dict of float
        Their discounted sums of log predictive densities, in nats, on the scale of the transformed y.
    told_, predicted_ : ndarray (k,), and dict of ndarray (k,)
        The last measured values that were predicted before they were known, at most 100, and the predicted
        means.

    Examples
    --------
    >>> import numpy as np, torch
    >>> from wrlso.surrogate import Points
    >>> rng = np.random.default_rng(0)
    >>> features = torch.from_numpy(rng.normal(size=(50, 3)))
    >>> points = Points(torch.from_numpy(rng.normal(size=(50, 2))), features)
    >>> AutoSurrogate().fit(points, features.sum(dim=1), rng).chosen_
    'features'
    """

    space: Literal["latent", "features", "both"] = "both"
    takes_observations: Literal[True] = True

    processes_: dict[str, SparseGP]
    scores_: dict[str, float]
    told_: Array
    predicted_: dict[str, Array]

    def __init__(
        self,
        n_best: int = 250,
        n_random: int = 150,
        *,
        transform: str = "robust",
        half_life: float = 50.0,
    ) -> None:
        self.n_best = n_best
        self.n_random = n_random
        self.transform = transform
        self.half_life = half_life

    @property
    def chosen_(self) -> str:
        """Name of the process that predicts."""
        return self._choice().name

    @property
    def latent_(self) -> SparseGP:
        """The process over Z, for a search that follows gradients in Z."""
        return self._fitted()[_LATENT]

    def fit(self, Z: Points, y: Tensor | Observations, rng: np.random.Generator) -> Self:
        """Fit all processes to n points and their values y (n,); what was learned from told ones stays."""
        self._check_parameters()
        points = _checked(Z)
        if len(points) == 0:
            raise DataError("fit: expected at least one observation, got none")
        known = check_observations(y, len(points))
        if isinstance(rng, np.random.Generator):
            rows = select_subset(known.y, self.n_best, self.n_random, rng)
            points, known = points[rows], known[rows]
        before = getattr(self, "processes_", {})
        processes: dict[str, SparseGP] = {}
        for name, wanted in self._templates(points).items():
            process = before.get(name)
            if process is not None:  # keeps what the last fit learned, with the parameters of now
                process = copy(process).set_params(**wanted.get_params(deep=False))
            processes[name] = (process or wanted).fit(_part(name, points), known, rng)
        scores: dict[str, float] = getattr(self, "scores_", {})
        if scores.keys() != processes.keys():
            count = min(_START, len(known))
            scores = {name: count * _left_out(p, _part(name, points), known) for name, p in processes.items()}
            self.told_, self.predicted_ = np.empty(0), {name: np.empty(0) for name in processes}
        self.processes_, self.scores_ = processes, scores
        return self

    def scored(self, Z: Points, y: Tensor | Observations) -> "AutoSurrogate":
        """Return a copy that remembers how well each process predicts values before it is given them.

        Parameters
        ----------
        Z : Points
            At most the first 500 are looked at.
        y : Tensor of float64 (q,), or Observations
            Their values. What is only a limit counts with its probability, and is not kept.
        """
        points = _checked(Z)
        known = check_observations(y, len(points))[:_MOST_JOINT]
        points, measured = points[:_MOST_JOINT], ~known.censored
        processes = self._seeing(points)
        fade = 0.5 ** (len(known) / self.half_life)
        other = copy(self)
        other.scores_ = {
            name: fade * self.scores_[name] + _log_density(process, _part(name, points), known)
            for name, process in processes.items()
        }
        other.told_ = np.concatenate([self.told_, known.y[measured]])[-_RECENT:]
        other.predicted_ = {}
        for name, process in processes.items():
            means = process.predict(_part(name, points))[0].numpy()[measured]
            other.predicted_[name] = np.concatenate([self.predicted_[name], means])[-_RECENT:]
        return other

    def condition_on(self, Z: Points, y: Tensor | Observations) -> "AutoSurrogate":
        """Return a new surrogate whose processes have seen these observations too."""
        points = _checked(Z)
        return self._with({n: p.condition_on(_part(n, points), y) for n, p in self._seeing(points).items()})

    def corrected(self, Z: Points, y: Tensor | Observations) -> "AutoSurrogate":
        """Return a new surrogate whose processes have seen these values only."""
        points = _checked(Z)
        return self._with({n: p.corrected(_part(n, points), y) for n, p in self._seeing(points).items()})

    def predict(self, Z: Points) -> tuple[Tensor, Tensor]:
        """Mean and variance (q,) of the noise-free objective at q points, in the units of y."""
        points = _checked(Z)
        return self._choice(points).predict(points)

    def sample(self, Z: Points, n: int, generator: torch.Generator) -> Tensor:
        """Return n joint samples (n, q) of the noise-free objective at q points."""
        points = _checked(Z)
        return self._choice(points).sample(points, n, generator)

    def score(self, Z: Points, y: Tensor) -> float:
        """Mean log predictive density of held-out observations; see :meth:`SparseGP.score`."""
        points = _checked(Z)
        choice = self._choice(points)
        return choice.process.score(_part(choice.name, points), y)

    def noise_variance(self) -> float:
        """Variance of a measurement's noise; see :meth:`SparseGP.noise_variance`."""
        return self._choice().noise_variance()

    def joint(self, Z: Points) -> tuple[Tensor, Tensor, float]:
        """Mean, covariance and noise variance at q points; see :meth:`SparseGP.joint`."""
        points = _checked(Z)
        return self._choice(points).joint(points)

    def working_scale(self, y: Told) -> tuple[ProcessChoice, Told]:
        """Return the chosen process before y is transformed back; see :meth:`SparseGP.working_scale`."""
        return self._choice().working_scale(y)

    def summary(self) -> dict[str, Any]:
        """Return the chosen process, and what the choice rests on, for records.

        Returns
        -------
        dict
            "chosen": its name; "scores": by name, how many nats a process is behind the best; "ranks": by
            name, the rank correlation of predicted and told values, None for fewer than five values.
        """
        best = self.scores_[self.chosen_]
        return {
            "chosen": self.chosen_,
            "scores": {name: score - best for name, score in self.scores_.items()},
            "ranks": {name: _rank_correlation(means, self.told_) for name, means in self.predicted_.items()},
        }

    def _templates(self, points: Points) -> dict[str, SparseGP]:
        size = self.n_best + self.n_random
        sizes: dict[str, Any] = {"n_inducing": size, "n_best": size, "n_random": 0}
        shared = sizes | {"n_trained": 0, "n_hyper": _N_HYPER, "transform": self.transform}
        wanted = {_LATENT: SparseGP(**shared)}
        if points.features is not None:
            wanted = {_FEATURES: SparseGP(**shared, ard=False), **wanted}
            if 1 < points.features.shape[1] <= _WIDEST:
                wanted[_EACH] = SparseGP(**shared)
        return wanted

    def _choice(self, points: Points | None = None) -> ProcessChoice:
        processes = self._fitted() if points is None else self._seeing(points)
        name = max(processes, key=lambda name: self.scores_[name])
        return ProcessChoice(name, processes[name])

    def _seeing(self, points: Points) -> dict[str, SparseGP]:
        """Return the processes that see something of points: without features the one over Z."""
        processes = self._fitted()
        return {_LATENT: processes[_LATENT]} if points.features is None else processes

    def _with(self, processes: dict[str, SparseGP]) -> "AutoSurrogate":
        other = copy(self)
        other.processes_ = processes
        other.scores_ = {name: self.scores_[name] for name in processes}
        other.predicted_ = {name: self.predicted_[name] for name in processes}
        return other

    def _fitted(self) -> dict[str, SparseGP]:
        processes: dict[str, SparseGP] | None = getattr(self, "processes_", None)
        if processes is None:
            raise NotFittedError("this AutoSurrogate is not fitted yet: call fit(points, y, rng) first")
        return processes

    def _check_parameters(self) -> None:
        check_count("n_best", self.n_best, minimum=0)
        check_count("n_random", self.n_random, minimum=0)
        if self.n_best + self.n_random < 1:
            raise ParameterError("n_best + n_random: expected at least 1, got 0")
        check_real("half_life", self.half_life, above=0.0)


def _checked(points: Any) -> Points:
    if isinstance(points, Tensor):
        return Points(points)
    if not isinstance(points, Points):
        raise DataTypeError(
            f"points: expected wrlso.surrogate.Points, with Z and features, got {points!r:.80}"
        )
    return points


def _part(name: str, points: Points) -> Tensor:
    """Return what a process sees of points."""
    if name == _LATENT:
        return points.Z
    if points.features is None:
        raise DataError("points: expected features as in fit, got none")
    return points.features


def _log_density(process: SparseGP, part: Tensor, known: Observations) -> float:
    """Return the joint log predictive density of values, on the scale on which all processes are compared.

    Large errors are cut: they would decide alone for long. Limits count with the probability that they hold.
    """
    measured = np.flatnonzero(~known.censored)
    with torch.no_grad():
        working, values = process.working_scale(known[measured])
        mean, covariances, noise = working.joint(part[torch.from_numpy(measured)])
        own = torch.from_numpy(values.variances(noise))
        root = covariance_root(covariances + own.diag(), noise)
        errors = torch.linalg.solve_triangular(
            root, (torch.from_numpy(values.y) - mean)[:, None], upper=False
        )
        errors = errors[:, 0].clamp(-_FARTHEST, _FARTHEST)
        density = float(
            -0.5 * (errors @ errors + len(mean) * np.log(2 * np.pi)) - root.diagonal().log().sum()
        )
        return density + _log_probability(process, part, known)


def _log_probability(process: SparseGP, part: Tensor, known: Observations) -> float:
    """Return the sum of the log probabilities that values lie beyond their limits."""
    limits = np.flatnonzero(known.censored)
    if len(limits) == 0:
        return 0.0
    working, values = process.working_scale(known[limits])
    mean, variance = working.predict(part[torch.from_numpy(limits)])
    total = variance.numpy() + values.variances(process.posterior_.hyper.noise)
    log_density = censored_log_density(mean.numpy(), total, values.y, values.bound)
    return float(log_density.clip(-0.5 * _FARTHEST**2).sum())


def _left_out(process: SparseGP, part: Tensor, known: Observations) -> float:
    """Return the mean log predictive density of each measured value given all other observations.

    Rasmussen & Williams, Eq. 5.12; what is a limit is an observation with its site's variance.
    """
    posterior, t = process.posterior_, process.transform_.carry(known)
    hyper, measured = posterior.hyper, ~t.censored
    if not measured.any():
        return 0.0
    X = ((part - posterior.center) / posterior.lengthscale).numpy() * hyper.lengthscale
    U = posterior.U.numpy() * hyper.lengthscale
    t = settle(hyper, X, U, t, posterior.mean, process.jitter)
    K = covariance(hyper, X, X)
    K[np.diag_indices_from(K)] += t.variances(hyper.noise) + 1e-8 * hyper.scale
    inverse = cho_solve(cho_factor(K, lower=True), np.eye(len(t)))
    precision = np.diag(inverse)
    errors = (inverse @ (t.y - posterior.mean) / np.sqrt(precision)).clip(-_FARTHEST, _FARTHEST)
    density = 0.5 * np.log(precision) - 0.5 * errors**2 - 0.5 * np.log(2 * np.pi)
    return float(np.mean(density[measured]))


def _rank_correlation(predicted: Array, told: Array) -> float | None:
    if len(told) < 5 or np.ptp(told) == 0 or np.ptp(predicted) == 0:
        return None
    return float(np.corrcoef(rankdata(predicted), rankdata(told))[0, 1])

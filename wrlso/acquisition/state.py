"""What a search knows, and what it proposes."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from wrlso.acquisition.ask_record import AskRecord
from wrlso.exceptions import ModelError
from wrlso.models.protocol import LatentModel
from wrlso.rules.anchors import Anchor
from wrlso.surrogate.points import points_for
from wrlso.surrogate.predictions import predict_measurements
from wrlso.surrogate.protocol import HasWorkingScale, Surrogate

__all__ = [
    "FEW_VALUES", "Bounds", "Goals", "KnowsSuccess", "Listed", "Measured", "Past", "Process", "Proposal",
    "SearchState", "predict_proposals",
]  # fmt: skip

FEW_VALUES = 5  # with fewer values a search samples from the prior
Bounds: TypeAlias = Callable[[NDArray[np.int64]], tuple[NDArray[np.float64], NDArray[np.float64]]]


class KnowsSuccess(Protocol):
    """What failed experiments and limits say of others."""

    def probability(self, X: Sequence[Any], Z: Tensor) -> NDArray[np.float64]:
        """Return the probability (q,) that experiments on q objects with encodings Z (q, d) succeed."""


@dataclass(frozen=True)
class Process:
    """The process of one outcome.

    Attributes
    ----------
    surrogate : Surrogate
        Of sign times the outcome: larger is better.
    sign : float
        -1 for an outcome that is better smaller, else 1.
    """

    surrogate: Surrogate
    sign: float

    def moments(self, points: Any) -> tuple[Tensor, Tensor]:
        """Mean and variance (q,) of the noise-free outcome at points, larger is better, in its units."""
        with torch.no_grad():
            return self.surrogate.predict(points)

    def joint(self, points: Any) -> tuple[Tensor, Tensor]:
        """Mean (q,) and covariance (q, q) of the same. The surrogate must know its working scale."""
        if not isinstance(self.surrogate, HasWorkingScale):
            raise ModelError(f"{type(self.surrogate).__name__} has no joint distribution of several points")
        with torch.no_grad():
            mean, covariance, _ = self.surrogate.joint(points)
            if not len(mean):
                return mean, covariance
            # the working scale differs by a factor and a shift
            first_mean, first_variance = self.surrogate.predict(points[:1])
            working, _ = self.surrogate.working_scale(mean[:1])
            factor = (first_variance[0] / working.predict(points[:1])[1][0]).sqrt()
            return first_mean[0] + factor * (mean - mean[0]), factor**2 * covariance


@dataclass(frozen=True)
class Goals:
    """What a search for several goals knows, larger is better.

    Attributes
    ----------
    names : tuple of str
        Of the goals, each of which has a process among the state's outcomes.
    reference : ndarray (m,)
        From which the hypervolume counts.
    places : ndarray (k,) int64
        Points that satisfy the limits, the first front first, by their place among all that have a value.

    Examples
    --------
    >>> goals = Goals(("potency", "logD"), np.zeros(2), np.array([3, 0]))  # rows 3 and 0 satisfy all limits
    """

    names: tuple[str, ...]
    reference: NDArray[np.float64]
    places: NDArray[np.int64]


@dataclass(frozen=True)
class Measured:
    """All N points with a value, by place, of which a search's Z and y may be a part.

    Attributes
    ----------
    y : Tensor of float64, (N,)
        Their values, larger is better.
    weights : Tensor of float64, (N,)
        The weighting's weights, mean 1.
    encode : callable
        ``encode(places)`` returns the encodings (m, d) of the points at distinct int64 places (m,).
    point : callable or None
        ``point(place)`` is the x at a place.
    progress : ndarray (N,) or None
        How far the search had come with each of them, such as the hypervolume; None: y says it.

    Examples
    --------
    >>> import torch
    >>> y, Z = torch.tensor([1.0, 3.0]), torch.zeros(2, 4)
    >>> measured = Measured(y, torch.ones(2), encode=lambda places: Z[torch.from_numpy(places)], point=None)
    >>> measured.achieved
    array([1., 3.])
    """

    y: Tensor
    weights: Tensor
    encode: Callable[[NDArray[np.int64]], Tensor]
    point: Callable[[int], Any] | None
    progress: NDArray[np.float64] | None = None

    @property
    def achieved(self) -> NDArray[np.float64]:
        """Numbers (N,) of which one that is larger than all before says that the search has improved."""
        return np.asarray(self.y.numpy() if self.progress is None else self.progress, dtype=np.float64)

    def encoded(self, places: NDArray[np.int64]) -> NDArray[np.float64]:
        """Return the encodings (m, d) of points at places (m,) that may repeat."""
        distinct, inverse = np.unique(places, return_inverse=True)
        return np.asarray(self.encode(distinct).numpy()[inverse])


@dataclass(frozen=True)
class Past:
    """What was proposed before, in order; a search without a past is at its start.

    Attributes
    ----------
    sources : sequence of str
        Where each proposal came from.
    places : sequence of int or None
        Its place among all points with a value, which are in the order in which they came; None: no value.
    n_start : int or None
        How many of these points were there before the first training; None: all.
    asks : sequence of AskRecord
        The records of the searches.
    failed : collection of int
        Which of the proposals failed, by their numbers in ``places``.

    Examples
    --------
    >>> Past(sources=["near", "mutate"], places=[0, None]).failed  # the second has no value yet
    ()
    """

    sources: Sequence[str] = ()
    places: Sequence[int | None] = ()
    n_start: int | None = None
    asks: Sequence[AskRecord] = ()
    failed: Collection[int] = ()


class Listed(Protocol):
    """Candidates of the user's that may be too many to be looked at one by one."""

    @property
    def rows(self) -> NDArray[np.int64]:
        """Which of them are neither known nor pending."""

    def x(self, row: int) -> Any:
        """Return an object."""

    def z(self, row: int) -> Tensor:
        """Return its latent point (d,), NaN where that is not known yet."""

    def __contains__(self, x: Any) -> bool:
        """Whether an object is one of them."""

    def points(self, surrogate: Any, rows: NDArray[np.int64]) -> Any:
        """Return objects in the form that a surrogate takes."""

    def bounds(self, surrogate: Any) -> Bounds | None:
        """Return a function of rows that gives means, and what variances are at most; None without one."""


@dataclass(frozen=True)
class SearchState:
    """All that a search knows; the optimizer builds one for each ask.

    Attributes
    ----------
    model : LatentModel
        Decodes and encodes.
    surrogate : Surrogate or None
        Fitted; None when there are too few values.
    Z : Tensor of float64, (n, d)
        Encodings of the points with a value.
    y : Tensor of float64, (n,)
        Their values, larger is better.
    weights : Tensor of float64, (n,)
        The weighting's weights of those points among all that have a value.
    pending : Tensor of float64, (p, d)
        Encodings of the points that are pending: asked for and not told yet.
    screen : callable
        ``screen(x)`` returns a word for why x may not be proposed ("known", "infeasible", …), or None.
    candidates : sequence
        x without a value that the user supplied.
    candidates_Z : Tensor of float64, (c, d), or None
        Their encodings.
    pending_X : sequence
        The pending points themselves; only surrogates of features of x need them.
    n_told : int or None
        Distinct points that were ever told, failed experiments included; None: n.
    point : callable or None
        ``point(i)`` is the x of row i of Z; only a search that varies objects needs it.
    measured : Measured or None
        All points with a value, where Z and y are a part of them; None: they are all.
    past : Past
        What was proposed before.
    success : KnowsSuccess or None
        The probability that experiments succeed; None while none has failed.
    noisy : bool
        Whether the values y are noisy, so that the largest may be a lucky one.
    outcomes : mapping of str to Process
        By name, the goals and limits that were measured often enough; empty where outcomes have no names.
    goals : Goals or None
        Where there are several goals, and all were measured often enough.
    satisfies : Tensor of bool, (n,), or None
        Which of the points y satisfy the limits; None: all.
    anchor : Anchor or None
        Makes moves keep a core, or stay near to a molecule, where the rules ask for that.
    listed : Listed or None
        Further candidates of the user's, any number of them.
    generate : bool
        Whether the model may make candidates; False: only those of the user's are proposed.
    failed_X : sequence
        x whose experiments failed.

    Examples
    --------
    What :func:`wrlso.testing.check_acquisition` and tests of your own parts build:

    >>> import torch
    >>> from torch import nn
    >>> from wrlso import VAE
    >>> Z, y = torch.zeros(3, 2).double(), torch.arange(3).double()
    >>> state = SearchState(
    ...     VAE(nn.Linear(9, 4), nn.Linear(2, 9)), None, Z, y, torch.ones(3), Z[:0], screen=lambda x: None
    ... )
    >>> state.past == Past()
    True
    """

    model: LatentModel
    surrogate: Surrogate | None
    Z: Tensor
    y: Tensor
    weights: Tensor
    pending: Tensor
    screen: Callable[[Any], str | None]
    candidates: Sequence[Any] = ()
    candidates_Z: Tensor | None = None
    pending_X: Sequence[Any] = ()
    n_told: int | None = None
    point: Callable[[int], Any] | None = None
    measured: Measured | None = None
    past: Past = field(default_factory=Past)
    success: KnowsSuccess | None = None
    noisy: bool = False
    outcomes: Mapping[str, Process] = field(default_factory=dict)
    goals: Goals | None = None
    satisfies: Tensor | None = None
    anchor: Anchor | None = None
    listed: Listed | None = None
    generate: bool = True
    failed_X: Sequence[Any] = ()

    @property
    def examples(self) -> list[Any]:
        """The x that say what candidates should be like.

        Those with a value; where these are few, also those that the user supplied and those that failed.
        """
        measured = self.all_measured
        n = 0 if measured.point is None else len(measured.y)
        known = [measured.point(place) for place in range(n)] if measured.point is not None else []
        return known if n >= FEW_VALUES else [*known, *self.candidates, *self.failed_X]

    @property
    def all_measured(self) -> Measured:
        """All points with a value: what good points are ranked among."""
        if self.measured is not None:
            return self.measured
        return Measured(self.y, self.weights, lambda places: self.Z[torch.from_numpy(places)], self.point)

    @property
    def turn(self) -> int:
        """How many points were told or are pending: the number of the next point, for :class:`Criterion`."""
        return (len(self.y) if self.n_told is None else self.n_told) + len(self.pending)


@dataclass(frozen=True)
class Proposal:
    """One point to evaluate.

    Attributes
    ----------
    x : object
    z : Tensor of float64, (d,)
        Its latent point.
    value : float
        The acquisition's value, NaN when there is none.
    source : str
        Where the candidate came from, such as "near" or "mutate"; empty: not said.
    success : float or None
        The probability that an experiment on x succeeds; None while none has failed.
    expected : mapping of str to (float, float)
        Mean and standard deviation of a measurement of each outcome that has a name, in the user's sign;
        empty where nothing is predicted.
    """

    x: Any
    z: Tensor
    value: float
    source: str = ""
    success: float | None = None
    expected: Mapping[str, tuple[float, float]] = field(default_factory=dict)


def predict_proposals(
    surrogate: Surrogate | None, model: LatentModel, proposals: list[Proposal], sign: float
) -> list[tuple[float, float] | None]:
    """Return (mean, standard deviation) for each proposal in the user's sign; None without a surrogate."""
    if surrogate is None:
        return [None] * len(proposals)
    points = points_for(
        surrogate,
        model,
        lambda: [proposal.x for proposal in proposals],
        lambda: torch.stack([proposal.z for proposal in proposals]).to("cpu", torch.float64),
    )
    mean, deviation = predict_measurements(surrogate, points)
    return [(sign * float(m), float(s)) for m, s in zip(mean, deviation, strict=True)]

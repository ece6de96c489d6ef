"""What a search knows, what it proposes, and the record of an ask."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from wrlso.models.protocol import LatentModel
from wrlso.rules.anchors import Anchor
from wrlso.surrogate.points import points_for
from wrlso.surrogate.predictions import predict_measurements
from wrlso.surrogate.protocol import Surrogate

__all__ = ["AskRecord", "Measured", "Past", "Proposal", "SearchState", "predict_proposals"]


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
    """

    y: Tensor
    weights: Tensor
    encode: Callable[[NDArray[np.int64]], Tensor]
    point: Callable[[int], Any] | None

    def encoded(self, places: NDArray[np.int64]) -> NDArray[np.float64]:
        """Return the encodings (m, d) of points at places (m,) that may repeat."""
        distinct, inverse = np.unique(places, return_inverse=True)
        return np.asarray(self.encode(distinct).numpy()[inverse])


@dataclass
class AskRecord:
    """What one search did.

    Attributes
    ----------
    n_decoded : int
        Candidates made.
    rejected : dict of str to int
        How many of them were rejected, by reason.
    seconds : dict of str to float
        By phase.
    strategy : str
        Name of the search.
    sources : dict of str to dict
        By source of candidates how many it "made", how many of these were "new", and how many were "chosen".
    surrogate : dict or None
        The summary of a surrogate that chooses among several, see
        :meth:`wrlso.surrogate.AutoSurrogate.summary`; None for others.
    """

    n_decoded: int = 0
    rejected: dict[str, int] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)
    strategy: str = ""
    sources: dict[str, dict[str, int]] = field(default_factory=dict)
    surrogate: dict[str, Any] | None = None


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
    """

    sources: Sequence[str] = ()
    places: Sequence[int | None] = ()
    n_start: int | None = None
    asks: Sequence[AskRecord] = ()


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
    anchor : Anchor or None
        Makes moves keep a core, or stay near to a molecule, where the rules ask for that.
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
    anchor: Anchor | None = None

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
    """

    x: Any
    z: Tensor
    value: float
    source: str = ""


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

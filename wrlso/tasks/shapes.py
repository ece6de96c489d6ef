"""The 2D shapes task: find the binary image with the most foreground pixels (paper, section 6.1).

There are two data sets of filled squares: the small one of the released experiments and the 245,760 squares
of the preprint. This module draws both from their parameters. The optimum, an all-foreground image, has
thirteen times (released: ten times) the area of the best starting image, so an optimizer must extrapolate.

Glossary: x (64, 64) uint8 image of zeros and ones, X (n, 64, 64) many of them, y (n,) areas in pixels.
"""

from bisect import insort
from collections.abc import Callable, Iterator
from hashlib import blake2b
from time import perf_counter
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from scipy.stats import qmc
from torch import Tensor

from wrlso._utils.estimator import BaseEstimator
from wrlso._utils.random import as_random_state
from wrlso._utils.validation import check_choice, check_count, check_real
from wrlso.acquisition.ask_record import AskRecord
from wrlso.acquisition.state import Proposal, SearchState
from wrlso.exceptions import DataError, DataTypeError, NoCandidateError, ParameterError, ParameterTypeError
from wrlso.models.conv import conv_vae
from wrlso.models.coordinate import coordinate_vae
from wrlso.models.vae import VAE

__all__ = ["CopiedRankWeighting", "OracleGrid", "Shapes", "draw_squares"]

SIZE = 64
LEFT_EDGE = 32
MAX_SIDE = 20

# dSprites' factors (its "square" shape). Side and margin are our choice: the largest square, 18 pixels
# wide, has a diagonal of 25.5, which stays inside the image when centres keep 13 pixels to the border.
SCALES = np.linspace(0.5, 1.0, 6)
ROTATIONS = np.linspace(0.0, 2 * np.pi, 40)
POSITIONS = np.linspace(0.0, 1.0, 32)
SPRITE_SIDE = 18.0
SPRITE_MARGIN = 13.0
N_SPRITES = len(SCALES) * len(ROTATIONS) * len(POSITIONS) ** 2

Images = NDArray[np.uint8]
Values = NDArray[np.float64]


def draw_squares(side: ArrayLike, angle: ArrayLike, centre_x: ArrayLike, centre_y: ArrayLike) -> Images:
    """Draw filled squares as binary images of 64 × 64 pixels.

    A pixel belongs to a square when its centre lies in the square. One of two opposite edges counts as
    inside, so an axis-aligned square of integer side s has exactly s² pixels.

    Parameters
    ----------
    side, angle, centre_x, centre_y : array_like of shape (n,)
        Side length and centre in pixels (the image spans 0 to 64, x to the right, y downwards), rotation
        in radians.

    Returns
    -------
    ndarray of shape (n, 64, 64), uint8
        Zeros and ones.

    Examples
    --------
    >>> draw_squares([4.0], [0.0], [32.0], [32.0]).sum()
    np.uint64(16)
    """
    half, angle, centre_x, centre_y = np.broadcast_arrays(
        *(
            np.atleast_1d(np.asarray(v, dtype=np.float32))
            for v in (np.divide(side, 2), angle, centre_x, centre_y)
        )
    )
    pixels = np.arange(SIZE, dtype=np.float32) + np.float32(0.5)
    images = np.empty((len(half), SIZE, SIZE), dtype=np.uint8)
    chunk = 64  # one megabyte of float32: stays in the cache
    for start in range(0, len(half), chunk):
        part = slice(start, start + chunk)
        h = half[part, None, None]
        cos, sin = np.cos(angle[part, None]), np.sin(angle[part, None])
        u, v = pixels - centre_x[part, None], pixels - centre_y[part, None]
        # The shift decides for pixels with their centre on an edge, despite rounding in cos and sin.
        along = (u * cos + np.float32(1e-4))[:, None, :] + (v * sin)[:, :, None]
        inside = (along >= -h) & (along < h)
        across = (v * cos + np.float32(1e-4))[:, :, None] - (u * sin)[:, None, :]
        inside &= (across >= -h) & (across < h)
        images[part] = inside
    return images


def _released_squares() -> Images:
    """Draw the 1,090 distinct axis-aligned squares of the released experiments."""
    corners = [(side, row) for side in range(1, MAX_SIDE + 1) for row in range(SIZE - side + 1)]
    images = np.zeros((len(corners), SIZE, SIZE), dtype=np.uint8)
    for image, (side, row) in zip(images, corners, strict=True):
        image[row : row + side, LEFT_EDGE : LEFT_EDGE + side] = 1
    return images


def _sprite_squares(index: NDArray[np.int64]) -> Images:
    """Draw the squares with these numbers, counted as dSprites does: the last factor varies fastest."""
    scale, rotation, x, y = np.unravel_index(
        index, (len(SCALES), len(ROTATIONS), len(POSITIONS), len(POSITIONS))
    )
    span = SIZE - 2 * SPRITE_MARGIN
    return draw_squares(
        SPRITE_SIDE * SCALES[scale],
        ROTATIONS[rotation],
        SPRITE_MARGIN + span * POSITIONS[x],
        SPRITE_MARGIN + span * POSITIONS[y],
    )


def _fingerprint(x: Images) -> bytes:
    return blake2b(np.packbits(x).tobytes(), digest_size=16).digest()


class Shapes(BaseEstimator):
    """Maximise the area of a binary image, starting from squares.

    Parameters
    ----------
    data : {"released", "dsprites"}, default="released"
        ``"released"``: the squares of the released experiments, axis-aligned, side 1 to 20, left edge at
        column 32, at any row where they fit: 1,090 distinct images, which light only 1,280 pixels.
        ``"dsprites"``: 6 scales × 40 rotations × 32 × 32 positions, 245,760 images (about 1 GB), drawn from
        the parameters of the preprint's data set instead of read from its file: the grid of factors is the
        same, pixels at a square's edge may differ. The rotations 0 and 2π coincide, as in the file.
    copies : int, default=1
        Number of copies of each image; the released experiments used 10 (10,900 images).
    subset : int, optional
        Start from this many images, sampled without replacement, instead of all.
    network : {"coordinate", "small", "preprint", "released"}, default="coordinate"
        The model that :meth:`model` builds: :func:`wrlso.coordinate_vae`, whose decoder can
        light pixels that no starting image lights, or :func:`wrlso.conv_vae` of this name.
    latent_dim : int, optional
        Dimension d of its latent space; the network's own default when None.

    Attributes
    ----------
    optimum : float
        The largest possible area, 4096.

    Examples
    --------
    >>> X, y = Shapes().initial_data()
    >>> X.shape, y.max()
    ((1090, 64, 64), np.float64(400.0))
    """

    optimum: float = float(SIZE * SIZE)
    name: str = "shapes"

    def __init__(
        self,
        data: Literal["released", "dsprites"] = "released",
        *,
        copies: int = 1,
        subset: int | None = None,
        network: str = "coordinate",
        latent_dim: int | None = None,
    ) -> None:
        self.data = data
        self.copies = copies
        self.subset = subset
        self.network = network
        self.latent_dim = latent_dim

    def objective(self, x: Any) -> float:
        """Return the number of foreground pixels of one image (64, 64) of zeros and ones.

        Raises
        ------
        DataError
            If x has another shape, or values other than zero and one.
        """
        return float(np.count_nonzero(_check_image(x)))

    def initial_data(self, random_state: Any = None) -> tuple[Images, Values]:
        """Return the starting images and their areas.

        Parameters
        ----------
        random_state : int, RandomState or None
            Samples the subset; without a subset the data are always the same.

        Returns
        -------
        X : ndarray of shape (n, 64, 64), uint8
        y : ndarray of shape (n,), float64
        """
        self._check_data()
        total = 1090 if self.data == "released" else N_SPRITES
        index = np.arange(total)
        if self.subset is not None:
            if self.subset > total:
                raise ParameterError(
                    f"subset must be at most the {total} images of the data, got {self.subset}"
                )
            index = np.sort(as_random_state(random_state).choice(total, self.subset, replace=False))
        X = _released_squares()[index] if self.data == "released" else _sprite_squares(index)
        if self.copies > 1:
            X = np.repeat(X, self.copies, axis=0)
        return X, np.count_nonzero(X.reshape(len(X), -1), axis=1).astype(np.float64)

    def model(self, random_state: Any = None) -> VAE:
        """Build the untrained model; ``random_state`` (int, RandomState or None) determines its weights."""
        check_choice("network", self.network, ("coordinate", "small", "preprint", "released"))
        sizes = {} if self.latent_dim is None else {"latent_dim": self.latent_dim}
        if self.network == "coordinate":
            model = coordinate_vae(random_state=random_state, **sizes)
        else:
            model = conv_vae(self.network, random_state=random_state, **sizes)
        model.tensorize(np.zeros((1, SIZE, SIZE), dtype=np.uint8))  # sets latent_dim
        return model

    def is_novel_and_valid(self, x: Any) -> bool:
        """Return whether x is a binary 64 × 64 image outside the whole data set, also with ``subset``."""
        self._check_data()
        try:
            image = _check_image(x)
        except DataError:
            return False
        if not hasattr(self, "_known"):
            whole = Shapes(data=self.data).initial_data()[0]
            self._known = (self.data, {_fingerprint(known) for known in whole})
        return _fingerprint(image) not in self._known[1]

    def _check_data(self) -> None:
        check_choice("data", self.data, ("released", "dsprites"))
        check_count("copies", self.copies)
        check_count("subset", self.subset, none="all")


def _check_image(x: Any) -> Images:
    image = np.asarray(x)
    if image.dtype.kind not in "buif":
        raise DataTypeError(f"an image holds numbers, got dtype {image.dtype}")
    if image.shape != (SIZE, SIZE):
        raise DataError(f"an image has shape ({SIZE}, {SIZE}), got {image.shape}")
    if not ((image == 0) | (image == 1)).all():
        raise DataError("an image holds only the values 0 and 1")
    return image.astype(np.uint8)


class CopiedRankWeighting(BaseEstimator):
    """Rank weights (Eq. 3) as if every starting point existed in several copies.

    The released experiments have ten copies of each starting image. Here equal points are one point, so its
    weight is the sum over its copies of 1 / (kN + rank), where N and rank count all copies. Queries have one
    copy. Starting data must come first in y, as in the optimizer.

    Parameters
    ----------
    k : float, default=1e-3
        Rank-weighting parameter, in (0, inf]; inf gives every copy the same weight.
    n_start : int, default=1090
        Number of distinct starting points, the first ones of y.
    copies : int, default=10
        Number of copies of each starting point.

    Examples
    --------
    >>> CopiedRankWeighting(k=float("inf"), n_start=1, copies=3)([5.0, 7.0])
    array([1.5, 0.5])
    """

    def __init__(self, k: float = 1e-3, n_start: int = 1090, copies: int = 10) -> None:
        self.k = k
        self.n_start = n_start
        self.copies = copies

    def __call__(self, y: ArrayLike) -> Values:
        """Return the weights (n,) float64, mean 1, of the values y (n,)."""
        check_real("k", self.k, above=0, finite=False)
        check_count("n_start", self.n_start)
        check_count("copies", self.copies)
        values = np.asarray(y, dtype=np.float64)
        count = np.ones(len(values))
        count[: self.n_start] = self.copies
        if np.isinf(self.k):
            weights = count
        else:
            order = np.argsort(-values, kind="stable")
            better = np.concatenate([[0.0], np.cumsum(count[order])])
            rank = better[np.searchsorted(-values[order], -values, side="left")]
            weights = count / (self.k * count.sum() + rank)
        return np.asarray(weights * (len(values) / weights.sum()), dtype=np.float64)


class OracleGrid(BaseEstimator):
    """An oracle instead of a search: evaluate the true objective everywhere and propose the best points.

    The oracle decodes a grid over the latent space, evaluates the **true objective** on all of it and
    proposes the best new points. No real optimizer can do that. The paper uses it to show "what a strong
    optimization algorithm could achieve" with a model (section 6.1); use it only for such studies. Only the
    proposed points count as queries, evaluations on the grid do not.

    When the grid has fewer new points than asked for, uniform random points of the same region follow.

    Parameters
    ----------
    objective : callable
        x → float, larger is better.
    bounds : float or "data", default=3.0
        Half-width of the box. ``"data"``: ``margin`` × the 99.9th percentile of the encoded data's absolute
        coordinates.
    n_per_axis : int, default=50
        Grid points on each axis. The preprint's grid is ``bounds=5, n_per_axis=21, radius=5`` at d = 5.
    radius : float, optional
        Leave out points further than this from the origin.
    n_points : int, optional
        Use this many quasi-random points of the box (Halton, scrambled anew in every call) instead of a
        grid, for spaces with more than a few dimensions.
    margin : float, default=1.1
        See ``bounds``.
    max_rounds : int, default=20
        Largest number of sets of points to try, the grid included.
    chunk_size : int, default=2500
        Points decoded at once, which bounds the memory.

    Examples
    --------
    >>> from wrlso import WeightedRetrainingOptimizer
    >>> from wrlso.tasks import Shapes
    >>> task = Shapes()
    >>> oracle = OracleGrid(task.objective, bounds="data")
    >>> opt = WeightedRetrainingOptimizer(model=task.model(random_state=0), acquisition=oracle)
    """

    uses_surrogate: bool = False

    def __init__(
        self,
        objective: Callable[[Any], float],
        bounds: float | Literal["data"] = 3.0,
        n_per_axis: int = 50,
        radius: float | None = None,
        *,
        n_points: int | None = None,
        margin: float = 1.1,
        max_rounds: int = 20,
        chunk_size: int = 2500,
    ) -> None:
        self.objective = objective
        self.bounds = bounds
        self.n_per_axis = n_per_axis
        self.radius = radius
        self.n_points = n_points
        self.margin = margin
        self.max_rounds = max_rounds
        self.chunk_size = chunk_size

    def propose(
        self, state: SearchState, n: int, rng: np.random.Generator
    ) -> tuple[list[Proposal], AskRecord]:
        """Propose the n best new points of the grid, best first.

        Raises
        ------
        NoCandidateError
            If fewer than n new points were found in ``max_rounds`` sets of points.
        """
        self._check_parameters()
        half_width = self._half_width(state.Z)
        shortlist = _Shortlist(state, n)
        for round_ in range(self.max_rounds):
            for Z in self._points(half_width, first=round_ == 0, rng=rng):
                shortlist.offer(Z, self.objective)
            if len(shortlist.proposals) == n:
                break
        else:
            reasons = ", ".join(f"{count} {why}" for why, count in sorted(shortlist.rejected.items()))
            raise NoCandidateError(
                f"found {len(shortlist.proposals)} of {n} new points among {shortlist.n_decoded} decoded ones"
                f" in {self.max_rounds} rounds (rejected: {reasons or 'none'});"
                " ask for fewer, or widen bounds"
            )
        return shortlist.proposals, shortlist.record()

    def points(self, Z: Tensor, rng: np.random.Generator) -> Iterator[Values]:
        """Yield the grid (or quasi-random) points of the latent space, at most ``chunk_size`` at a time.

        Parameters
        ----------
        Z : Tensor of shape (n, d)
            Encoded data: their dimension d, and their range for ``bounds="data"``.
        """
        self._check_parameters()
        return self._points(self._half_width(Z), first=True, rng=rng)

    def _half_width(self, Z: Tensor) -> Values:
        if self.bounds == "data":
            return np.full(Z.shape[1], self.margin * np.quantile(np.abs(Z.numpy(force=True)), 0.999))
        return np.full(Z.shape[1], float(self.bounds))

    def _points(self, half_width: Values, *, first: bool, rng: np.random.Generator) -> Iterator[Values]:
        """Yield the latent points of one round, at most ``chunk_size`` at a time."""
        d = len(half_width)
        total = self.n_points if self.n_points is not None else self.n_per_axis**d
        sequence = qmc.Halton(d, rng=rng) if self.n_points is not None else None
        ticks = np.linspace(-1.0, 1.0, self.n_per_axis)
        for start in range(0, total, self.chunk_size):
            flat = np.arange(start, min(start + self.chunk_size, total))
            if not first:
                unit = rng.uniform(-1.0, 1.0, (len(flat), d))
            elif sequence is not None:
                unit = 2 * sequence.random(len(flat)) - 1
            else:
                unit = ticks[np.stack(np.unravel_index(flat, (self.n_per_axis,) * d), axis=1)]
            Z = unit * half_width
            if self.radius is not None:
                # The tolerance keeps grid points that are on the sphere in exact arithmetic.
                Z = Z[np.linalg.norm(Z, axis=1) <= self.radius * (1 + 1e-12)]
            if len(Z):
                yield Z

    def _check_parameters(self) -> None:
        if not callable(self.objective):
            raise ParameterTypeError(f"objective must be callable, got {type(self.objective).__name__}")
        if self.bounds != "data":
            check_real("bounds", self.bounds, above=0)
        check_count("n_per_axis", self.n_per_axis, minimum=2)
        check_real("radius", self.radius, above=0, none="the whole box")
        check_count("n_points", self.n_points, none="a grid")
        check_real("margin", self.margin, above=0)
        check_count("max_rounds", self.max_rounds)
        check_count("chunk_size", self.chunk_size)


class _Shortlist:
    """The best new points so far, at most n, so that memory does not grow with the grid."""

    def __init__(self, state: SearchState, n: int) -> None:
        self.state = state
        self.n = n
        self.proposals: list[Proposal] = []
        self.keys: set[Any] = set()
        self.rejected: dict[str, int] = {}
        self.seconds = {"decode": 0.0, "acquire": 0.0}
        self.n_decoded = 0

    def offer(self, Z: Values, objective: Callable[[Any], float]) -> None:
        """Decode Z (m, d), evaluate the true objective, and keep the n best points."""
        start = perf_counter()
        points = torch.from_numpy(Z)
        X = self.state.model.decode(points)
        decoded = perf_counter()
        values = np.array([-np.inf if x is None else objective(x) for x in X])
        for i in np.argsort(-values, kind="stable"):
            if len(self.proposals) == self.n and values[i] <= self.proposals[-1].value:
                break
            if self._accept(X[i]):
                self._insert(Proposal(x=X[i], z=points[i], value=float(values[i])))
        self.n_decoded += len(X)
        self.seconds["decode"] += decoded - start
        self.seconds["acquire"] += perf_counter() - decoded

    def _accept(self, x: Any) -> bool:
        reason = "undecodable" if x is None else self.state.screen(x)
        if reason is None and self.state.model.key(x) in self.keys:
            reason = "chosen"
        if reason is not None:
            self.rejected[reason] = self.rejected.get(reason, 0) + 1
        return reason is None

    def _insert(self, proposal: Proposal) -> None:
        if len(self.proposals) == self.n:
            self.keys.discard(self.state.model.key(self.proposals.pop().x))
        insort(self.proposals, proposal, key=lambda kept: -kept.value)
        self.keys.add(self.state.model.key(proposal.x))

    def record(self) -> AskRecord:
        return AskRecord(
            n_decoded=self.n_decoded, rejected=self.rejected, seconds=self.seconds, strategy="oracle grid"
        )

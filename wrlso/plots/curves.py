"""Pictures of a campaign and of studies. Matplotlib, torch and scipy.stats are imported inside the functions.

Every function returns the figure it drew on: a new one, or the ``figure`` (or sub-figure) it was given.
Colours are those of Okabe and Ito, which colour-blind people can tell apart.
"""

from collections.abc import Mapping, Sequence
from itertools import cycle
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from wrlso.exceptions import DataError
from wrlso.plots.figures import new_figure
from wrlso.surrogate.calibration import interval_coverage

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure, SubFigure

    from wrlso.models.protocol import LatentModel

__all__ = [
    "KINDS",
    "before_after",
    "calibration_curve",
    "flattened",
    "front_scatter",
    "image_timeline",
    "latent_manifold",
    "latent_scatter",
    "prediction_scatter",
    "progress_curve",
    "score_distributions",
    "share_found_curves",
    "topk_curves",
    "weight_distribution",
]

BLUE, ORANGE, GREEN, PURPLE = "#0072B2", "#E69F00", "#009E73", "#CC79A7"
SKY, VERMILION, YELLOW, BLACK = "#56B4E9", "#D55E00", "#F0E442", "#000000"
COLOURS = (BLUE, VERMILION, GREEN, PURPLE, ORANGE, SKY, BLACK, YELLOW)
LINE_STYLES = ("-", "--", "-.", ":", (0, (5, 1)), (0, (3, 1, 1, 1)), (0, (1, 1)), (0, (8, 2)))
GREY = "#777777"
_MANY = 1000  # marks

Curve = NDArray[np.float64]

#: What a point of a campaign is: marker, size, and the colour where it has no value.
KINDS = {
    "no value": (".", 12, "#BBBBBB"),
    "starting data": ("o", 12, GREY),
    "told": ("D", 30, GREY),
    "asked and told": ("^", 42, GREY),
    "failed": ("x", 30, BLACK),
    "pending": ("*", 130, VERMILION),
}


def progress_curve(
    y: ArrayLike,
    *,
    start: float | None = None,
    retrained_at: Sequence[int] = (),
    optimum: float | None = None,
    maximize: bool = True,
    names: tuple[str, str] = ("queries", "value of a query"),
    figure: "Figure | SubFigure | None" = None,
) -> "Figure | SubFigure":
    """Draw all values in the order of the queries, the best so far, and when the model was retrained.

    Parameters
    ----------
    y : array_like of shape (n,)
        Values of the queries; NaN where the experiment failed.
    start : float, optional
        Best value of the starting data.
    retrained_at : sequence of int
        Numbers of queries that had been told when the model was retrained.
    optimum : float, optional
        Best possible value.
    maximize : bool, default=True
        Whether larger is better.
    names : tuple of 2 str, default=("queries", "value of a query")
        What the values are called, for values that are not those of queries: below the axis, in the legend.
    """
    values = np.asarray(y, dtype=np.float64)
    figure, axes = _axes(figure)
    queries = np.arange(1, len(values) + 1)
    for number, query in enumerate(retrained_at):
        axes.axvline(query, color="#DDDDDD", lw=0.8, zorder=0, label=None if number else "model retrained")
    # one picture in an SVG, as thousands of marks would take a megabyte
    axes.plot(queries, values, ".", color=SKY, ms=4, label=names[1], rasterized=len(values) > _MANY)
    accumulate = np.fmax.accumulate if maximize else np.fmin.accumulate
    axes.step(queries, accumulate(values), where="post", color=BLUE, lw=2, label="best so far")
    if start is not None:
        axes.axhline(start, color=VERMILION, ls="--", lw=1, label="best of the starting data")
    if optimum is not None:
        axes.axhline(optimum, color=GREEN, ls=":", lw=1.2, label="optimum")
    axes.set(xlabel=names[0], ylabel="objective")
    _legend(axes)
    return figure


def image_timeline(
    images: Sequence[ArrayLike],
    labels: Sequence[str],
    *,
    n_columns: int = 6,
    figure: "Figure | SubFigure | None" = None,
) -> "Figure | SubFigure":
    """Draw images (height, width) in reading order, each with its label, such as the best one over time."""
    if len(images) == 0 or len(images) != len(labels):
        raise DataError(
            f"expected as many labels as images, at least one, got {len(labels)} and {len(images)}"
        )
    n_rows = -(-len(images) // n_columns)
    figure = figure if figure is not None else new_figure(1.5 * n_columns, 1.8 * n_rows)
    grid = figure.subplots(n_rows, n_columns, squeeze=False)
    for axes in grid.flat:
        axes.set_axis_off()
    for axes, image, label in zip(grid.flat, images, labels, strict=False):
        axes.set_axis_on()
        axes.imshow(np.asarray(image), cmap="gray", vmin=0, vmax=1, interpolation="nearest")
        axes.set(xticks=[], yticks=[])
        axes.set_title(label, fontsize="small")
    return figure


def latent_manifold(
    model: "LatentModel",
    Z: ArrayLike,
    *,
    values: ArrayLike | None = None,
    n_per_axis: int = 15,
    margin: float = 1.1,
    figure: "Figure | SubFigure | None" = None,
) -> "Figure | SubFigure":
    """Draw what a plane through the latent space decodes to, as an image of images (paper, Fig. 1).

    Parameters
    ----------
    model : LatentModel
        Decodes to images (height, width).
    Z : array_like of shape (n, d)
        Encoded data. They span the plane: the latent space itself for d = 2, else their first two principal
        axes through their mean.
    values : array_like of shape (n,), optional
        Objective values: the data points are drawn on top, coloured by them.
    n_per_axis : int, default=15
        Images along each side.
    margin : float, default=1.1
        The plane reaches this many times as far as 99.9 % of the data.
    """
    import torch

    points = np.asarray(Z, dtype=np.float64)
    if points.ndim != 2 or points.shape[1] < 2 or len(points) < 2:
        raise DataError(f"Z must be (n, d) with n and d of at least 2, got shape {points.shape}")
    centre, axes_ = _plane(points)
    flat = (points - centre) @ axes_.T
    reach = margin * np.quantile(np.abs(flat), 0.999, axis=0).clip(1e-6)
    ticks = np.linspace(-1, 1, n_per_axis)
    first, second = np.meshgrid(ticks * reach[0], ticks[::-1] * reach[1])
    grid = centre + np.stack([first.ravel(), second.ravel()], axis=1) @ axes_
    mosaic = _mosaic(model.decode(torch.from_numpy(grid)), n_per_axis)
    figure, axes = _axes(figure, 5.0, 5.0)
    half = reach * n_per_axis / (n_per_axis - 1)
    axes.imshow(
        mosaic, cmap="gray", extent=(-half[0], half[0], -half[1], half[1]), aspect="auto", vmin=0, vmax=1
    )
    if values is not None:
        dots = axes.scatter(flat[:, 0], flat[:, 1], c=np.asarray(values), s=6, cmap="viridis", lw=0)
        figure.colorbar(dots, ax=axes, label="objective")
    axes.set(xlim=(-half[0], half[0]), ylim=(-half[1], half[1]))
    names = ("$z_1$", "$z_2$") if points.shape[1] == 2 else ("first principal axis", "second principal axis")
    axes.set(xlabel=names[0], ylabel=names[1])
    return figure


def weight_distribution(
    y: ArrayLike,
    weights: Mapping[str, ArrayLike],
    *,
    bins: int = 40,
    label: str = "objective",
    figure: "Figure | SubFigure | None" = None,
) -> "Figure | SubFigure":
    """Draw the distribution of the values y (n,) under several weightings (paper, Fig. 2).

    Parameters
    ----------
    y : array_like of shape (n,)
    weights : mapping from a label to weights (n,)
    bins : int, default=40
    label : str, default="objective"
        What the values are.
    """
    values = np.asarray(y, dtype=np.float64)
    figure, axes = _axes(figure)
    edges = _edges(values, bins)
    for (name, w), colour, style in zip(weights.items(), COLOURS, LINE_STYLES, strict=False):
        share, _ = np.histogram(values, edges, weights=np.asarray(w, dtype=np.float64), density=True)
        axes.stairs(share, edges, color=colour, ls=style, lw=1.6, label=name)
    axes.set(xlabel=label, ylabel="weighted density")
    _legend(axes)
    return figure


def latent_scatter(
    Z: ArrayLike,
    values: ArrayLike,
    kinds: Sequence[str],
    *,
    maximize: bool = True,
    figure: "Figure | SubFigure | None" = None,
) -> "Figure | SubFigure":
    """Draw encoded points in the plane, coloured by value, with a marker for what each of them is.

    Parameters
    ----------
    Z : array_like of shape (n, d)
        Encodings. Drawn as they are for d = 2, else on their first two principal axes; for d = 1 against
        the value.
    values : array_like of shape (n,)
        Objective values, NaN where there is none.
    kinds : sequence of n str
        Keys of ``KINDS``: "starting data", "told", "asked and told", "pending", "failed", "no value".
    maximize : bool, default=True
        Whether larger is better; better points are brighter and lie on top.
    """
    points, measured = np.asarray(Z, dtype=np.float64), np.asarray(values, dtype=np.float64)
    if points.ndim != 2 or 0 in points.shape or not len(points) == len(measured) == len(kinds):
        raise DataError(
            "Z must be (n, d), with n values and n kinds, n and d at least 1; got shapes "
            f"{points.shape}, {measured.shape} and {len(kinds)} kinds"
        )
    figure, axes = _axes(figure, 6.0, 4.6)
    flat, names = flattened(points, measured)
    known = np.isfinite(measured)
    order = np.argsort(np.where(known, measured if maximize else -measured, -np.inf), kind="stable")
    limits = (measured[known].min(), measured[known].max()) if known.any() else (0.0, 1.0)
    colours: Any = {"cmap": "viridis" if maximize else "viridis_r", "vmin": limits[0], "vmax": limits[1]}
    dots = None
    for kind, (marker, size, plain) in KINDS.items():
        rows = order[np.array([kinds[i] == kind for i in order], dtype=bool)]
        if len(rows) == 0:
            continue
        across, up = flat[rows].T
        look: Any = {"marker": marker, "s": size, "label": f"{kind} ({len(rows)})"}
        if known[rows].all():
            edge: Any = {"linewidths": 0.5, "edgecolors": BLACK} if marker not in ".o" else {"linewidths": 0}
            dots = axes.scatter(across, up, c=measured[rows], **look, **edge, **colours)
        else:
            edge = {} if marker == "x" else {"linewidths": 0.5, "edgecolors": "white"}
            axes.scatter(across, up, c=plain, **look, **edge)
    if dots is not None:
        figure.colorbar(dots, ax=axes, label="objective (brighter is better)")
    axes.set(xlabel=names[0], ylabel=names[1])
    # below the axes, as a legend inside hides points
    figure.legend(loc="outside lower center", ncols=3, frameon=False, fontsize="small", markerscale=0.8)
    return figure


def prediction_scatter(
    predicted: ArrayLike,
    deviation: ArrayLike,
    measured: ArrayLike,
    *,
    label: str = "",
    figure: "Figure | SubFigure | None" = None,
) -> "Figure | SubFigure":
    """Draw predictions (n,) with bars of 1.96 standard deviations (n,) against what was measured (n,).

    ``label``: what was measured, and in which unit, for the axes.
    """
    mean, error, truth = (np.asarray(a, dtype=np.float64) for a in (predicted, deviation, measured))
    figure, axes = _axes(figure, 5.0, 4.4)
    axes.errorbar(truth, mean, 1.96 * error, fmt="none", ecolor=SKY, elinewidth=0.8, alpha=0.6, zorder=1)
    axes.plot(truth, mean, ".", color=BLUE, ms=5, label="prediction with 95% interval")
    ends = [float(np.minimum(truth, mean).min()), float(np.maximum(truth, mean).max())]
    axes.plot(ends, ends, color=BLACK, lw=1, ls="--", label="prediction equals measurement")
    axes.set(xlabel=f"{label} measured".strip(), ylabel=f"{label} predicted".strip())
    _legend(axes)
    return figure


def calibration_curve(
    predicted: ArrayLike,
    deviation: ArrayLike,
    measured: ArrayLike,
    *,
    figure: "Figure | SubFigure | None" = None,
) -> "Figure | SubFigure":
    """Draw how many measurements (n,) lie in the central predictive interval of each level.

    The curve of calibrated predictions stays in the grey band at 19 of 20 levels; above the diagonal they
    are too cautious, below it too sure.
    """
    from scipy.stats import binom

    levels = np.linspace(0.01, 0.99, 99)
    share = interval_coverage(predicted, deviation, measured, levels)
    n = len(np.asarray(measured))
    low, high = binom.interval(0.95, n, levels)
    figure, axes = _axes(figure, 5.0, 4.4)
    axes.fill_between(levels, low / n, high / n, color="#DDDDDD", lw=0, label="what chance allows (95%)")
    axes.plot([0, 1], [0, 1], color=BLACK, lw=1, ls="--", label="calibrated")
    axes.step(levels, share, where="mid", color=BLUE, lw=2, label=f"share of {n} measurements")
    axes.set(xlim=(0, 1), ylim=(0, 1.02))
    axes.set(xlabel="level of the predicted interval", ylabel="measurements inside")
    _legend(axes, "upper left")
    return figure


def before_after(
    before: ArrayLike,
    after: ArrayLike,
    *,
    ylabel: str,
    ylim: tuple[float, float] | None = None,
    figure: "Figure | SubFigure | None" = None,
) -> "Figure | SubFigure":
    """Draw a quantity before (n,) and after (n,) each of n trainings; NaN where unknown.

    Positive values that differ more than tenfold, such as losses, are drawn on a logarithmic scale.
    """
    first, second = np.asarray(before, dtype=np.float64), np.asarray(after, dtype=np.float64)
    figure, axes = _axes(figure, 5.0, 3.4)
    numbers = np.arange(1, len(first) + 1)
    axes.vlines(numbers, first, second, color=GREY, lw=1)
    axes.plot(numbers, first, "o", color=VERMILION, mfc="white", ms=6, label="before")
    axes.plot(numbers, second, "o", color=BLUE, ms=6, label="after")
    if len(numbers) <= 12:
        axes.set_xticks(numbers)  # one training alone would get fractions
    known = np.concatenate([first, second])
    known = known[np.isfinite(known)]
    if ylim is None and len(known) and known.max() > 10 * known.min() > 0:
        axes.set_yscale("log")
    axes.set_ylim(ylim)
    axes.set(xlim=(0.5, len(first) + 0.5), xlabel="training", ylabel=ylabel)
    _legend(axes)
    return figure


def front_scatter(
    Y: ArrayLike,
    satisfies: ArrayLike,
    front: ArrayLike,
    names: Sequence[str],
    *,
    figure: "Figure | SubFigure | None" = None,
) -> "Figure | SubFigure":
    """Draw the values (n, 2) of two goals, those that satisfy limits (n,) apart, and mark the front.

    Parameters
    ----------
    Y : array_like of shape (n, 2)
    satisfies : array_like of bool of shape (n,)
    front : array_like
        The rows on the front: their numbers, or a bool for each row.
    names : sequence of 2 str
        Of the goals.

    Examples
    --------
    >>> figure = front_scatter([[1, 3], [2, 2], [1, 2]], [True, True, False], [True, True, False], ["a", "b"])
    """
    values, good = np.asarray(Y, dtype=np.float64), np.asarray(satisfies, dtype=bool)
    rows = np.asarray(front)
    best = values[rows if rows.dtype == bool else rows.astype(np.int64)]
    figure, axes = _axes(figure, 5.0, 3.8)
    axes.plot(*values[~good].T, "x", color="#BBBBBB", ms=4, label="limits violated or not all measured")
    axes.plot(*values[good].T, ".", color=SKY, ms=6, label="limits satisfied")
    axes.plot(*best.T, "o", color=VERMILION, mfc="none", label="front")
    axes.set(xlabel=names[0], ylabel=names[1])
    _legend(axes)
    return figure


def topk_curves(
    curves: Mapping[str, tuple[Curve, Curve]],
    *,
    title: str = "",
    released: Mapping[str, tuple[Sequence[int], Curve, Curve]] | None = None,
    optimum: float | None = None,
    labels: Sequence[str] = (),
    figure: "Figure | SubFigure | None" = None,
) -> "Figure | SubFigure":
    """Draw TopK curves: the mean over seeds with a band of one standard error.

    Parameters
    ----------
    curves : mapping from a label to (mean, error), each of shape (n,)
        One value a query.
    title : str
    released : mapping from a label to (queries, mean, error), optional
        Published curves, drawn with markers in the same colour where the label is the same.
    optimum : float, optional
        Best possible value.
    labels : sequence of str
        Labels that have the first colours, drawn here or not, so that panels agree.
    """
    figure, axes = _axes(figure)
    order = list(dict.fromkeys([*labels, *curves, *(released or {})]))
    colours, styles = (dict(zip(order, cycle(looks), strict=False)) for looks in (COLOURS, LINE_STYLES))
    for label, (mean, error) in curves.items():
        queries = np.arange(1, len(mean) + 1)
        axes.plot(queries, mean, color=colours[label], ls=styles[label], lw=1.8, label=label)
        axes.fill_between(queries, mean - error, mean + error, color=colours[label], alpha=0.2, lw=0)
    for label, (queries_, mean, error) in (released or {}).items():
        axes.errorbar(
            queries_, mean, error, color=colours[label], fmt="o", mfc="white", ms=4, lw=1, capsize=2,
            label=f"{label} (released)",
        )  # fmt: skip
    if optimum is not None:
        axes.axhline(optimum, color=GREY, ls=":", lw=1.2, label="optimum")
    axes.set(xlabel="queries", ylabel="objective", title=title)
    _legend(axes)
    return figure


def score_distributions(
    samples: Mapping[str, ArrayLike],
    *,
    title: str = "",
    bins: int = 60,
    figure: "Figure | SubFigure | None" = None,
) -> "Figure | SubFigure":
    """Draw one histogram of objective values per label, such as a k, with its median marked."""
    figure, axes = _axes(figure)
    values = {label: np.asarray(y, dtype=np.float64) for label, y in samples.items()}
    edges = _edges(np.concatenate(list(values.values())), bins)
    for row, (y, colour) in enumerate(zip(values.values(), _cycle(COLOURS, len(values)), strict=True)):
        share, _ = np.histogram(y, edges)
        height = 0.85 * share / max(1, share.max())
        axes.stairs(row + height, edges, baseline=row, fill=True, color=colour, alpha=0.6, lw=0)
        axes.plot([np.median(y)] * 2, [row, row + 0.9], color=BLACK, lw=1)
    axes.set_yticks(range(len(values)), list(values))
    axes.set(xlabel="objective", title=title)
    return figure


def flattened(
    points: NDArray[np.float64], measured: NDArray[np.float64]
) -> tuple[NDArray[np.float64], tuple[str, str]]:
    """Return coordinates (n, 2) of latent points (n, d) for drawing, and the names of the axes.

    Two dimensions stay as they are; one is drawn against the values (n,), NaN where there is none; of more
    the first two principal axes are taken.
    """
    if points.shape[1] == 1:
        known = measured[np.isfinite(measured)]
        bottom = known.min() - 0.08 * np.ptp(known) if len(known) else 0.0  # where there is no value yet
        height = np.where(np.isfinite(measured), measured, bottom)
        return np.column_stack([points[:, 0], height]), ("$z_1$", "objective")
    centre, axes = _plane(points)
    flat = (points - centre) @ axes.T
    if points.shape[1] == 2:
        return flat, ("$z_1$", "$z_2$")
    total = float(((points - centre) ** 2).sum())
    shares = (flat**2).sum(axis=0) / total if total > 0 else np.zeros(2)
    names = [f"{n} principal axis ({s:.0%} of variance)" for n, s in zip(("1st", "2nd"), shares, strict=True)]
    return flat, (names[0], names[1])


def _plane(points: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the origin (d,) and two orthonormal axes (2, d) of the plane to draw."""
    if points.shape[1] == 2:
        return np.zeros(2), np.eye(2)
    centre = points.mean(axis=0)
    # eigenvectors of the covariance: there are d of them however few the points are
    _, vectors = np.linalg.eigh((points - centre).T @ (points - centre))
    axes = vectors.T[::-1][:2]
    # a sign convention, so that the picture does not flip between machines
    signs = np.sign(axes[np.arange(2), np.abs(axes).argmax(axis=1)])
    return centre, axes * signs[:, None]


def _mosaic(images: Sequence[Any], n_per_axis: int) -> NDArray[np.float64]:
    shapes = {np.shape(image) for image in images if image is not None}
    if len(shapes) != 1 or len(next(iter(shapes))) != 2:
        raise DataError(f"the model must decode to images (height, width) of one size, got shapes {shapes}")
    height, width = next(iter(shapes))
    tiles = [np.zeros((height, width)) if image is None else np.asarray(image, float) for image in images]
    # a grey line around each image, else neighbours of one colour run into each other
    framed = np.pad(np.stack(tiles), ((0, 0), (1, 1), (1, 1)), constant_values=0.5)
    table = framed.reshape(n_per_axis, n_per_axis, height + 2, width + 2).swapaxes(1, 2)
    return np.ascontiguousarray(table).reshape(n_per_axis * (height + 2), n_per_axis * (width + 2))


def _edges(values: NDArray[np.float64], bins: int) -> NDArray[np.float64]:
    """Return edges of bins that hold all values, wide enough to be told apart where values hardly differ."""
    low, high = float(values.min()), float(values.max())
    size = max(abs(low), abs(high))
    if high - low <= 1e-9 * size:
        margin = 0.1 * size or 0.5
        low, high = low - margin, high + margin
    return np.linspace(low, high, bins + 1)


def _cycle(colours: Sequence[str], n: int) -> list[str]:
    return [colours[i % len(colours)] for i in range(n)]


def _legend(axes: "Axes", loc: str = "best") -> None:
    # a plain ground, as matplotlib's best place may still lie on a line
    axes.legend(loc=loc, fontsize="small", facecolor="white", edgecolor="none", framealpha=0.85)


def _axes(
    figure: "Figure | SubFigure | None", width: float = 6.0, height: float = 4.0
) -> tuple["Figure | SubFigure", "Axes"]:
    figure = figure if figure is not None else new_figure(width, height)
    return figure, figure.add_subplot()


def share_found_curves(
    curves: Mapping[str, ArrayLike], possible: ArrayLike, *, ax: "Axes | None" = None
) -> "Axes":
    """Plot the share of the best x that strategies found, with intervals of 95 % of the means.

    Parameters
    ----------
    curves : mapping
        Name → shares (repeats, n + 1) after 0, 1, … n queries.
    possible : array (n + 1,)
        What no strategy could exceed.
    ax : Axes, default=None
        None: of a new figure.

    Returns
    -------
    Axes
    """
    from scipy.stats import t as student

    if ax is None:
        ax = new_figure(6.4, 4.2).subplots()
    limit = np.asarray(possible, dtype=np.float64)
    ax.plot(np.arange(len(limit)), limit, color=GREY, linestyle=":", label="best possible")
    for (name, values), colour, style in zip(curves.items(), cycle(COLOURS), cycle(LINE_STYLES)):
        shares = np.asarray(values, dtype=np.float64)
        mean, n = shares.mean(axis=0), len(shares)
        half = student.ppf(0.975, n - 1) * shares.std(axis=0, ddof=1) / np.sqrt(n) if n > 1 else 0.0 * mean
        queries = np.arange(len(mean))
        ax.plot(queries, mean, color=colour, linestyle=style, label=name)
        ax.fill_between(queries, (mean - half).clip(0), (mean + half).clip(max=1), color=colour, alpha=0.15)
    ax.set_xlabel("queries")
    ax.set_ylabel("share of the best 5 % found")
    ax.set_ylim(0, 1.03)
    ax.set_xlim(0, len(limit) - 1)
    ax.legend(frameon=False, fontsize="small")
    return ax

"""The demonstration on shapes: from squares of at most 400 pixels the search grows much larger images."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from wrlso._utils.progress_bar import ProgressBar
from wrlso.benchmarks.shapes.study import ShapesStudy, shapes_study
from wrlso.benchmarks.study import quiet_about_small_k, run_queries
from wrlso.optimizer import WeightedRetrainingOptimizer
from wrlso.plots import curves as plots
from wrlso.plots.figures import new_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["DemoResult", "run_demo"]

N_IMAGES = 12


@dataclass(frozen=True)
class DemoResult:
    """Result of the demonstration, and its picture."""

    start: float
    best: float
    optimum: float
    queries: int
    retrainings: int
    picture: Path

    def __str__(self) -> str:
        """Return the areas at the start and at the end."""
        share = f" ({self.best / self.optimum:.0%} of the optimum {self.optimum:.0f})"
        return (
            f"Largest area: from {self.start:.0f} pixels in the starting data to {self.best:.0f}"
            f"{share if self.best < self.optimum else ', the optimum,'}"
            f" in {self.queries} queries with {self.retrainings} retrainings. Picture: {self.picture}"
        )


def run_demo(
    out: Path,
    *,
    seed: int = 0,
    budget: int = 500,
    search: Literal["oracle", "gp"] = "oracle",
    progress: bool = True,
) -> DemoResult:
    """Maximise the area of shapes by weighted retraining, and draw the progress.

    Parameters
    ----------
    out : Path
        File of the picture: the best images over time, the progress curve and the latent manifold.
    seed : int, default=0
    budget : int, default=500
        Most queries; the run stops earlier at the optimum.
    search : {"oracle", "gp"}, default="oracle"
        See :class:`wrlso.benchmarks.shapes.study.ShapesStudy`.
    progress : bool, default=True
        Show a bar with the best value so far.
    """
    figure = new_figure(13.0, 10.0)  # first, because matplotlib may be missing
    study = shapes_study("default", budget=budget, search=search)
    optimizer = study.optimizer("both", seed, out.parent)
    X, y = study.initial_data(seed)
    with (
        quiet_about_small_k(),
        ProgressBar(total=budget, desc="training on the squares", unit="query", disable=not progress) as bar,
    ):
        optimizer.fit(X, y)
        bar.set_description("asking, telling, retraining")
        run = run_queries(study, optimizer, bar, target=study.task.optimum)
    _draw(figure, study, optimizer, run.values, run.retrained_at)
    out.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(out, dpi=100)
    return DemoResult(
        start=float(y.max()),
        best=max(float(y.max()), *run.values) if run.values else float(y.max()),
        optimum=study.task.optimum,
        queries=len(run.values),
        retrainings=len(run.retrained_at),
        picture=out,
    )


def _draw(
    figure: "Figure",
    study: ShapesStudy,
    optimizer: WeightedRetrainingOptimizer,
    values: Sequence[float],
    retrained_at: Sequence[int],
) -> None:
    top, bottom = figure.subfigures(2, 1, height_ratios=(1, 1.3), squeeze=False).flat
    left, right = bottom.subfigures(1, 2, squeeze=False).flat
    n_start = optimizer.history_.n_start
    images, labels = _best_over_time(optimizer.X_, optimizer.y_, n_start)
    plots.image_timeline(images, labels, n_columns=N_IMAGES // 2, figure=top)
    top.suptitle("Best image so far")
    start = float(optimizer.y_[:n_start].max())
    plots.progress_curve(
        values, start=start, retrained_at=retrained_at, optimum=study.task.optimum, figure=left
    )
    left.suptitle("Progress")
    model = optimizer.model_
    plots.latent_manifold(model, model.encode(model.tensorize(optimizer.X_)), figure=right)
    right.suptitle("What the latent space decodes to in the end")


def _best_over_time(X: Sequence[Any], y: NDArray[np.float64], n_start: int) -> tuple[list[Any], list[str]]:
    """Pick the best image of the starting data, then the best so far at evenly spaced numbers of queries."""
    n_queries = len(y) - n_start
    images, labels = [], []
    for query in np.unique(np.linspace(0, n_queries, N_IMAGES).round().astype(int)):
        best = int(np.argmax(y[: n_start + query]))
        images.append(X[best])
        labels.append(f"start: {y[best]:.0f}" if query == 0 else f"query {query}: {y[best]:.0f}")
    return images, labels

"""The demonstration on molecules: 100 evaluations of a GuacaMol objective, and a picture."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch

from wrlso._utils.validation import check_count
from wrlso.acquisition.molecule_options import search_options
from wrlso.benchmarks.molecules.start import Shape
from wrlso.benchmarks.study import quiet_about_small_k
from wrlso.datasets.molecules import load_molecules
from wrlso.molecules import molecule_search
from wrlso.plots import curves as plots
from wrlso.plots.figures import improvements, new_figure
from wrlso.plots.molecules import molecule_grid
from wrlso.run.loop import maximize
from wrlso.tasks.molecules.tasks import GuacaMol

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from numpy.typing import NDArray
    from scipy.optimize import OptimizeResult

    from wrlso.optimizer import WeightedRetrainingOptimizer

__all__ = ["GOAL", "MoleculesDemoResult", "run_molecules_demo"]

#: The objective: similar to the drug ranolazine, but more polar, more lipophilic and with one fluorine atom.
GOAL = "ranolazine_mpo"
_N_START = 1000
_BATCH = 10
_RETRAIN_EVERY = 25
_SHAPE = Shape(max_heavy_atoms=38, max_ring=7)  # the size of ZINC250k's molecules
_N_MOLECULES = 12


@dataclass(frozen=True)
class MoleculesDemoResult:
    """Result of the demonstration, and its picture."""

    n_start: int
    start: float
    best: float
    best_x: str
    queries: int
    retrainings: int
    picture: Path

    def __str__(self) -> str:
        """Return the scores at the start and at the end, and the best molecule."""
        return (
            f"{GOAL} (0 to 1): from {self.start:.3f}, the best of {self.n_start} molecules, to "
            f"{self.best:.3f} in {self.queries} evaluations with {self.retrainings} retrainings: "
            f"{self.best_x}\nPicture: {self.picture}"
        )


def run_molecules_demo(
    out: Path, *, seed: int = 0, budget: int = 100, n_start: int | None = None, progress: bool = True
) -> MoleculesDemoResult:
    """Search with the model and the molecules that ship, and draw the progress.

    Parameters
    ----------
    out : Path
        File of the picture: the best molecules over time and the progress curve.
    seed : int, default=0
        Samples the starting molecules and determines all later randomness.
    budget : int, default=100
        Evaluations of the objective in the search.
    n_start : int, default=None
        Number of starting molecules among those that ship; None: 1000.
    progress : bool, default=True
        Show a bar with the best value so far.
    """
    figure = new_figure(13.0, 9.5)  # first, because matplotlib may be missing
    shipped = load_molecules()
    small = shipped.heavy_atoms <= _SHAPE.max_heavy_atoms
    molecules = [x for x, allowed in zip(shipped.smiles, small, strict=True) if allowed]
    check_count("n_start", n_start, none="1000")
    n_start = _N_START if n_start is None else n_start
    sampled = np.random.default_rng(seed).permutation(len(molecules))[:n_start]
    # a list, because the data's name would make the task read all of it
    task = GuacaMol(
        GOAL, max_heavy_atoms=_SHAPE.max_heavy_atoms, data=[molecules[i] for i in sampled], n_jobs=1
    )
    X, y = task.initial_data()
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # on a busy machine several threads would wait for each other
    try:
        opt, found = _search(task, X, y, seed, budget, int(progress))
    finally:
        torch.set_num_threads(threads)
    retrained_at = [training["n_observed"] - opt.history_.n_start for training in opt.history_.trainings[1:]]
    _draw(figure, (X[int(y.argmax())], float(y.max())), found, retrained_at)
    figure.savefig(out, dpi=100)
    return MoleculesDemoResult(
        n_start=len(X),
        start=float(y.max()),
        best=float(opt.best_y_),
        best_x=str(opt.best_x_),
        queries=found.nfev,
        retrainings=len(retrained_at),
        picture=out,
    )


def _search(
    task: GuacaMol, X: list[str], y: "NDArray[np.float64]", seed: int, budget: int, verbose: int
) -> "tuple[WeightedRetrainingOptimizer, OptimizeResult]":
    model = task.model()
    # shorter training than usual, for a short demonstration
    trainer = search_options(model)["trainer"].set_params(initial_epochs=5, retrain_epochs=2.5)
    with quiet_about_small_k():
        opt = molecule_search(
            X, y, model=model, trainer=trainer, feasible=_SHAPE, retrain_every=_RETRAIN_EVERY,
            random_state=seed, verbose=verbose,
        )  # fmt: skip
        return opt, maximize(task.objective, opt, budget, batch_size=_BATCH, verbose=verbose)


def _draw(
    figure: "Figure", start: tuple[str, float], found: "OptimizeResult", retrained_at: list[int]
) -> None:
    top, bottom = figure.subfigures(2, 1, height_ratios=(1.25, 1), squeeze=False).flat
    molecules, values = [start[0], *found.x_iters], np.append(start[1], found.func_vals)
    rows = improvements(values, _N_MOLECULES)
    labels = [f"query {row}: {values[row]:.3f}" if row else f"start: {start[1]:.3f}" for row in rows]
    molecule_grid([molecules[row] for row in rows], labels, n_columns=_N_MOLECULES // 2, figure=top)
    top.suptitle("Best molecule so far")
    plots.progress_curve(found.func_vals, start=start[1], retrained_at=retrained_at, figure=bottom)
    bottom.suptitle(f"Progress in {GOAL}")

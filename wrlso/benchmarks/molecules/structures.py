"""How well a Gaussian process on structures predicts.

``python -m wrlso.benchmarks.molecules.structures --out record.json``

For several objectives on molecules of ZINC250k, every process gets the same 10,000 molecules, takes the best
and some random others, and is judged by 2,000 unseen ones. The defaults of :class:`wrlso.TanimotoGP` come
from these figures. For comparison there is a :class:`wrlso.FeatureGP` with an RBF kernel on the square roots
of the same counts, folded to 1024 columns.
"""

import argparse
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.sparse import csr_array
from scipy.special import ndtri
from scipy.stats import spearmanr

from wrlso._utils.validation import check_count
from wrlso.benchmarks.records import machine, versions, write_record
from wrlso.datasets.molecules import fetch_zinc250k
from wrlso.exceptions import ParameterError
from wrlso.surrogate.feature_gp import FeatureGP
from wrlso.surrogate.morgan import MorganCounts
from wrlso.surrogate.predictions import predict_measurements
from wrlso.surrogate.sparse_gp import SparseGP
from wrlso.surrogate.tanimoto_gp import TanimotoGP
from wrlso.tasks.molecules.tasks import QED, GuacaMol, PenalizedLogP

__all__ = ["OBJECTIVES", "PROCESSES", "FoldedCounts", "main", "predict_held_out", "run", "table"]

Array = NDArray[np.float64]

OBJECTIVES: dict[str, Callable[[], Any]] = {
    "penalized-logp": PenalizedLogP,
    "perindopril-mpo": lambda: GuacaMol("perindopril_mpo"),
    "qed": QED,
}
"""Tasks with the predicted objectives."""


class FoldedCounts:
    """Square roots of Morgan counts, folded to D columns: features for a kernel of distances."""

    def __init__(self, radius: int, columns: int = 1024) -> None:
        self.counts = MorganCounts(radius)
        self.columns = columns

    def __call__(self, X: Sequence[str]) -> Array:
        """Return an array (n, D)."""
        counts = self.counts(X).tocoo()
        place = (counts.row, counts.col % self.columns)
        folded = csr_array((counts.data, place), shape=(len(X), self.columns))
        return np.sqrt(np.asarray(folded.toarray(), dtype=np.float64))


def _sparse(radius: int) -> FeatureGP:
    gp = SparseGP(500, 1000, 1000, n_hyper=200, kernel="rbf", ard=False, transform="winsorize")
    return FeatureGP(FoldedCounts(radius), gp)


PROCESSES: dict[str, Callable[[], TanimotoGP | FeatureGP]] = {
    "default": TanimotoGP,
    "radius 0": lambda: TanimotoGP(MorganCounts(0)),
    "radius 2": lambda: TanimotoGP(MorganCounts(2)),
    "radius 3": lambda: TanimotoGP(MorganCounts(3)),
    "bits": lambda: TanimotoGP(MorganCounts(counts=False)),
    "bits, radius 2": lambda: TanimotoGP(MorganCounts(2, counts=False)),
    "chirality": lambda: TanimotoGP(MorganCounts(chirality=True)),
    "standardize": lambda: TanimotoGP(transform="standardize"),
    "winsorize": lambda: TanimotoGP(transform="winsorize"),
    "250 + 250": lambda: TanimotoGP(None, 250, 250),
    "500 + 500": lambda: TanimotoGP(None, 500, 500),
    "500 + 1500": lambda: TanimotoGP(None, 500, 1500),
    "2000 best": lambda: TanimotoGP(None, 2000, 0),
    "2000 random": lambda: TanimotoGP(None, 0, 2000),
    "RBF on folded counts": lambda: _sparse(1),
}
"""The compared processes; each name states the difference from the default."""


def predict_held_out(
    make: Callable[[], TanimotoGP | FeatureGP],
    known: tuple[Sequence[str], Array],
    new: tuple[Sequence[str], Array],
    seed: int,
) -> dict[str, float]:
    """Fit one process to known molecules, and judge it by new ones.

    Parameters
    ----------
    make : callable
        Returns an unfitted process.
    known, new : (SMILES, values)
    seed : int
        Seed of the random part of the data.

    Returns
    -------
    dict
        ``rank_correlation`` of mean and value on all new molecules, ``top_rank_correlation`` on the fifth of
        them with the highest values, ``rmse``, ``coverage`` of the central 90 % interval,
        ``log_density`` (mean; it uses clipped values with winsorising, so compare only processes with the
        same transformation), ``fit_seconds`` and ``predict_seconds``.
    """
    X, y = new
    start = time.perf_counter()
    process = make().fit(known[0], torch.from_numpy(known[1]), np.random.default_rng(seed))
    process.predict(X[:1])  # the time of the fit includes one-time work of the first prediction
    fitted = time.perf_counter()
    mean, deviation = predict_measurements(process, X)
    predicted = time.perf_counter()
    top = y >= np.quantile(y, 0.8)
    reach = float(ndtri(0.95)) * deviation
    return {
        "rank_correlation": float(spearmanr(mean, y)[0]),
        "top_rank_correlation": float(spearmanr(mean[top], y[top])[0]),
        "rmse": float(np.sqrt(np.mean((mean - y) ** 2))),
        "coverage": float(np.mean(np.abs(mean - y) <= reach)),
        "log_density": process.score(X, torch.from_numpy(y)),
        "fit_seconds": fitted - start,
        "predict_seconds": predicted - fitted,
    }


def run(
    processes: Mapping[str, Callable[[], TanimotoGP | FeatureGP]],
    objectives: Mapping[str, Callable[[], Any]],
    molecules: Sequence[str],
    *,
    n_known: int,
    n_new: int,
    seeds: int,
) -> list[dict[str, Any]]:
    """Judge every process on every objective and seed; return one result for each."""
    check_count("n_known", n_known)
    check_count("n_new", n_new)
    check_count("seeds", seeds)
    if n_known + n_new > len(molecules):
        raise ParameterError(f"n_known + n_new: expected at most {len(molecules)}, got {n_known + n_new}")
    results = []
    for seed in range(seeds):
        rows = np.random.default_rng(seed).permutation(len(molecules))[: n_known + n_new]
        X = [molecules[i] for i in rows]
        MorganCounts()(X)  # parsed before the first process is timed
        for objective, task in objectives.items():
            y = np.array([task().objective(x) for x in X])
            known, new = (X[:n_known], y[:n_known]), (X[n_known:], y[n_known:])
            for name, make in processes.items():
                found = predict_held_out(make, known, new, seed)
                rounded = {key: float(f"{value:.4g}") for key, value in found.items()}
                results.append({"process": name, "objective": objective, "seed": seed} | rounded)
    return results


def table(results: Sequence[Mapping[str, Any]]) -> str:
    """Return means over seeds as lines of text."""
    lines = [f"{'objective':16}{'process':22}{'rank':>7}{'top':>7}{'density':>9}{'90 %':>7}{'fit s':>7}"]
    for objective, process in dict.fromkeys((r["objective"], r["process"]) for r in results):
        rows = [r for r in results if (r["objective"], r["process"]) == (objective, process)]
        means = [
            float(np.mean([row[key] for row in rows]))
            for key in ("rank_correlation", "top_rank_correlation", "log_density", "coverage", "fit_seconds")
        ]
        lines.append(
            f"{objective:16}{process:22}{means[0]:7.3f}{means[1]:7.3f}{means[2]:9.3f}{means[3]:7.2f}"
            f"{means[4]:7.1f}"
        )
    return "\n".join(lines)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run from the command line: print a table, and write the record to ``--out``."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--known", type=int, default=10_000)
    parser.add_argument("--new", type=int, default=2000)
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--data", type=Path, help="folder of zinc250k.smi or zinc250k.smi.xz")
    parser.add_argument("--out", type=Path, help="write the record here")
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)
    sizes = {"n_known": options.known, "n_new": options.new, "seeds": options.seeds}
    results = run(PROCESSES, OBJECTIVES, fetch_zinc250k(options.data), **sizes)
    sys.stdout.write(table(results) + "\n")
    if options.out is not None:
        about = {"kind": "structures", **sizes, "versions": versions(), "machine": machine()}
        write_record(options.out, about | {"results": results})
    return 0


if __name__ == "__main__":
    raise SystemExit(main())

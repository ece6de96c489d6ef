"""Comparison of kernels, transformations of y and policies of refitting over several tasks."""

import time
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.stats import spearmanr

from wrlso._utils.validation import check_choice, check_count
from wrlso.benchmarks.surrogate.data import LATENTS, MoleculeLatents, tensor
from wrlso.surrogate.refit import refit_is_due, standardized_errors
from wrlso.surrogate.sparse_gp import SparseGP

__all__ = ["OPTIONS", "SPLITS", "compare_options", "compare_refits", "options_table", "refits_table"]

Array = NDArray[np.float64]

OPTIONS: dict[str, dict[str, Any]] = {
    "default": {},
    "matern52": {"kernel": "matern52"},
    "linear+rbf": {"kernel": "linear+rbf"},
    "100 moved": {"n_trained": 100},
    "200 steps": {"train_iter": 200},
    "none moved": {"n_trained": 0},
    "none moved; matern52": {"n_trained": 0, "kernel": "matern52"},
    "winsorize": {"transform": "winsorize"},
}
"""Differences from kernel="rbf", n_trained=200, train_iter=100, transform="standardize"."""

SPLITS = ("random", "beyond")
_NEW = 0.28  # share of the data held out at random
_TOP = 0.1  # share of the best data held out and predicted from the rest
_MEASURES = ("log_density", "fits", "fit_processor_seconds")
_KNOWN = 500  # starting values of a search on a pool


def compare_options(
    tasks: Sequence[str], options: Sequence[str], seeds: Sequence[int], n_inducing: int = 500
) -> list[dict[str, Any]]:
    """Judge every option on every task by held-out values, random ones and ones above all known values.

    Densities are in nats per held-out value. Different transformations are comparable only for values that
    none of them clips, so there is also the density of the values above the held-out median.
    """
    for task in tasks:
        check_choice("tasks", task, LATENTS)
    for option in options:
        check_choice("options", option, OPTIONS)
    results = []
    for seed in seeds:
        for task in tasks:
            Z, y = LATENTS[task](seed)
            for split in SPLITS:
                known, new = _split(y, split, np.random.default_rng(seed))
                for option in options:
                    start = time.perf_counter()
                    gp = SparseGP(n_inducing, **OPTIONS[option])
                    gp.fit(tensor(Z[known]), tensor(y[known]), np.random.default_rng(seed))
                    seconds = time.perf_counter() - start
                    found = _judge(gp, Z[new], y[new]) | {"fit_seconds": seconds}
                    rounded = {key: float(f"{value:.4g}") for key, value in found.items()}
                    about = {"task": task, "split": split, "option": option, "seed": seed}
                    results.append(about | {"n": len(known), "d": Z.shape[1]} | rounded)
    return results


def _split(y: Array, split: str, rng: np.random.Generator) -> tuple[Any, Any]:
    """Return the known rows and the held-out rows."""
    if split == "random":
        order = rng.permutation(len(y))
        n = round(_NEW * len(y))
        return order[n:], order[:n]
    order = np.argsort(-y, kind="stable")
    n = round(_TOP * len(y))
    return order[n:], order[:n]


def _judge(gp: SparseGP, Z: Array, y: Array) -> dict[str, float]:
    points, upper = tensor(Z), y > np.median(y)
    upper = upper if upper.any() else y == y.max()
    mean = gp.predict(points)[0].numpy()
    constant = len(np.unique(y[upper])) < 2
    return {
        "log_density": gp.score(points, tensor(y)),
        "upper_log_density": gp.score(points[torch.from_numpy(upper)], tensor(y[upper])),
        "rank_correlation": float(spearmanr(mean, y).statistic),
        "upper_rank_correlation": 0.0 if constant else float(spearmanr(mean[upper], y[upper]).statistic),
        "coverage": float(gp.calibration(points, tensor(y), [0.9])[0]),
    }


def options_table(results: Sequence[Mapping[str, Any]]) -> str:
    """Return means over seeds as CSV with a row for each option and split, and a column for each task."""
    tasks = list(dict.fromkeys(str(row["task"]) for row in results))
    lines = [",".join(["Held out", "Option", *tasks])]
    for split, option in dict.fromkeys((row["split"], row["option"]) for row in results):
        cells = []
        for task in tasks:
            rows = [r for r in results if (r["split"], r["option"], r["task"]) == (split, option, task)]
            density, upper, correlation = (
                float(np.mean([row[key] for row in rows]))
                for key in ("log_density", "upper_log_density", "rank_correlation")
            )
            cells.append(f"{density:.3f} / {upper:.3f} / {correlation:.3f}")
        lines.append(",".join([split, option, *cells]))
    return "\n".join(lines) + "\n"


def compare_refits(
    policies: Sequence[int | str | None], seeds: Sequence[int], *, budget: int = 200, batch: int = 5
) -> list[dict[str, Any]]:
    """Search among known molecules with each policy of refitting, without a model.

    The search starts with 500 of the worse half of 7,000 molecules and asks for those with the largest
    mean + standard deviation. The surrogate predicts every value before it is told; the mean log density of
    these predictions judges the policy.
    """
    check_count("budget", budget)
    check_count("batch", batch)
    results = []
    for seed in seeds:
        data = MoleculeLatents(104, 7000, seed)
        for policy in policies:
            found = _search(data.Z, data.y, policy, seed, budget, batch)
            name = "never" if policy is None else policy
            results.append({"policy": name, "seed": seed, "budget": budget, "batch": batch} | found)
    return results


def _search(
    Z: Array, y: Array, policy: int | str | None, seed: int, budget: int, batch: int
) -> dict[str, float]:
    rng = np.random.default_rng(seed)
    worse = rng.permutation(np.argsort(y, kind="stable")[: len(y) // 2])
    seen, new = list(worse[:_KNOWN]), np.empty(0, dtype=np.int64)
    gp, n_fits, n_at_fit, fitting = SparseGP(200, n_hyper=1000), 0, 0, 0.0
    errors, densities = np.empty(0), list[float]()
    for _ in range(-(-budget // batch)):
        if n_fits == 0 or refit_is_due(policy, n_at_fit, len(seen) - n_at_fit, errors):
            start = time.process_time()
            gp.fit(tensor(Z[seen]), tensor(y[seen]), rng)
            fitting += time.process_time() - start
            n_fits, n_at_fit, errors = n_fits + 1, len(seen), np.empty(0)
        elif len(new):
            gp = gp.condition_on(tensor(Z[new]), tensor(y[new]))
        mean, variance = gp.predict(tensor(Z))
        worth = (mean + variance.sqrt()).numpy().copy()
        worth[seen] = -np.inf
        new = np.argsort(-worth, kind="stable")[:batch]
        densities.append(gp.score(tensor(Z[new]), tensor(y[new])))
        found = standardized_errors(gp, tensor(Z[new]), tensor(y[new]))
        errors = errors if found is None else np.concatenate([errors, found])
        seen += list(new)
    told = y[seen[_KNOWN:]]
    return {
        "log_density": float(np.mean(densities)),
        "fits": n_fits,
        "fit_processor_seconds": fitting,
        "best": float(told.max()),
        "top10": float(np.sort(told)[-10:].mean()),
    }


def refits_table(results: Sequence[Mapping[str, Any]]) -> str:
    """Return means over seeds as CSV with a row for each policy."""
    lines = ["Refit,Log density,Fits,Processor seconds in fits,Best,Mean of the 10 best"]
    for policy in dict.fromkeys(row["policy"] for row in results):
        rows = [row for row in results if row["policy"] == policy]
        means = [float(np.mean([row[k] for row in rows])) for k in _MEASURES]
        best = [float(np.mean([row[key] for row in rows])) for key in ("best", "top10")]
        lines.append(f"{policy},{means[0]:.3f},{means[1]:.1f},{means[2]:.1f},{best[0]:.2f},{best[1]:.2f}")
    return "\n".join(lines) + "\n"

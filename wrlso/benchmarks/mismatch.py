"""Where should told points lie for the surrogate? ``python -m wrlso.benchmarks.mismatch --out FILE``.

On expressions, where the decoder does not invert the encoder, the same searches in Z are made with the
process fitted to encodings, to the points that were asked, and to inverted encodings (``fit_on``). Compared
are the best values, and how well the process foretold the values of what it asked for.
"""

import argparse
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from scipy.stats import norm, spearmanr
from tqdm.auto import tqdm

from wrlso._validation import check_count
from wrlso.acquisition import LatentSearch, LogExpectedImprovement
from wrlso.benchmarks.expressions_study import CONFIGURATIONS
from wrlso.benchmarks.records import machine, versions, write_record
from wrlso.benchmarks.study import quiet_about_small_k, run_queries

__all__ = ["FIT_ON", "main", "run", "table"]

FIT_ON = ("encoding", "asked", "inverted")


def run(
    seeds: Sequence[int] = (100, 101, 102), budget: int = 50, n_start: int = 1000, progress: bool = True
) -> list[dict[str, Any]]:
    """Make every search with every seed.

    Parameters
    ----------
    seeds : sequence of int
        Of the starting data, the model's weights and the search.
    budget : int, default=50
        Queries of a search.
    n_start : int, default=1000
        Expressions with a value to begin with.
    progress : bool, default=True

    Returns
    -------
    list of dict
        One for each ``fit_on`` and ``seed``: ``top1`` and ``top10``, the best and the tenth best value;
        ``rank_correlation`` and ``log_density`` of the values told with what was foretold when they were
        asked for; ``seconds`` of fits with encoding, and in total.
    """
    check_count("budget", budget)
    study = replace(CONFIGURATIONS["default"], search="latent-ascent", budget=budget, n_start=n_start)
    results = []
    for seed in seeds:
        X, y = study.initial_data(seed)
        for fit_on in FIT_ON:
            acquisition = LogExpectedImprovement(LatentSearch(5, 256, max_iter=10))
            optimizer = study.optimizer("both", seed, Path())
            optimizer.set_params(fit_on=fit_on, acquisition=acquisition)
            bar = tqdm(total=budget, desc=f"{fit_on}, seed {seed}", disable=not progress)
            with bar, quiet_about_small_k():
                optimizer.fit(X, y)
                made = run_queries(study, optimizer, bar)
            best = sorted(made.values, reverse=True)
            results.append(
                {"fit_on": fit_on, "seed": seed, "n": len(best), "top1": best[0], "top10": best[:10][-1]}
                | _foretold(optimizer)
                | {"seconds": {"fit": made.seconds["fit"], "total": sum(made.seconds.values())}}
            )
    return results


def _foretold(optimizer: Any) -> dict[str, float]:
    records = [r for r in optimizer.history_.records if r.asked and r.prediction is not None and r.values]
    mean, deviation = np.array([r.prediction for r in records]).T
    values = np.array([r.values[0] for r in records])
    return {
        "rank_correlation": float(spearmanr(mean, values)[0]),
        "log_density": float(np.mean(norm.logpdf(values, mean, deviation))),
    }


def table(results: Sequence[dict[str, Any]]) -> str:
    """Return means over seeds as lines of text."""
    names = ("top1", "top10", "rank_correlation", "log_density")
    lines = [f"{'fit_on':10}" + "".join(f"{name:>18}" for name in names) + f"{'seconds':>10}"]
    for fit_on in FIT_ON:
        rows = [row for row in results if row["fit_on"] == fit_on]
        means = [float(np.mean([row[name] for row in rows])) for name in names]
        seconds = float(np.mean([row["seconds"]["total"] for row in rows]))
        lines.append(f"{fit_on:10}" + "".join(f"{mean:18.4f}" for mean in means) + f"{seconds:10.1f}")
    return "\n".join(lines)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run from the command line: print a table, and write the record to ``--out``."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--seeds", default="100,101,102", help="numbers with commas between them")
    parser.add_argument("--budget", type=int, default=50)
    parser.add_argument("--out", type=Path, help="write the record here")
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)
    seeds = [int(part) for part in options.seeds.split(",")]
    results = run(seeds, options.budget)
    sys.stdout.write(table(results) + "\n")
    if options.out is not None:
        about = {"kind": "mismatch", "seeds": seeds, "budget": options.budget}
        write_record(options.out, about | {"versions": versions(), "machine": machine(), "results": results})
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""The best latent point of a told x for the surrogate.

``python -m wrlso.benchmarks.surrogate.mismatch --out FILE``

The study uses expressions, whose decoder does not invert the encoder. Points of Z are decoded and evaluated,
and the process predicts the values of some of them at the decoded z, as in a search in Z. It is fitted to
starting data and to the other points: at their encodings, at the asked z, or at inverted encodings
(``fit_on``).
"""

import argparse
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.stats import spearmanr
from torch import Tensor

from wrlso._state.fit_on import FIT_ON, places_of_inputs
from wrlso._utils.random import torch_generator
from wrlso._utils.validation import check_count
from wrlso.benchmarks.expressions.study import CONFIGURATIONS
from wrlso.benchmarks.records import machine, versions, write_record
from wrlso.benchmarks.study import quiet_about_small_k
from wrlso.exceptions import DataError
from wrlso.surrogate.sparse_gp import SparseGP

__all__ = ["main", "run", "table"]

Array = NDArray[np.float64]
_SPREAD = 0.3  # of asked points around good points, in standard deviations of the encodings


def run(
    seeds: Sequence[int] = (100, 101, 102), n_start: int = 1000, n_told: int = 150, n_new: int = 100
) -> list[dict[str, Any]]:
    """Judge the three values of ``fit_on`` on the points of every seed.

    Parameters
    ----------
    seeds : sequence of int
        Seeds of the starting data, the model's weights and the points.
    n_start, n_told, n_new : int
        Starting expressions, points asked near the best fifth of them and told, and points to predict.

    Returns
    -------
    list of dict
        One for each ``fit_on`` and ``seed``: ``rank_correlation`` of mean and value at new points;
        ``log_density`` of their values (mean, nats); ``exact``: share of told points whose latent point
        decodes to them; ``moved``: mean distance of the latent points from the asked z, in standard
        deviations of the encodings.
    """
    for name, number in (("n_start", n_start), ("n_told", n_told), ("n_new", n_new)):
        check_count(name, number)
    results = []
    for seed in seeds:
        study = replace(CONFIGURATIONS["default"], search="latent", n_start=n_start)
        X, y = study.initial_data(seed)
        with quiet_about_small_k():
            model = study.optimizer("both", seed, Path()).fit(X, y).model_
        known = model.tensorize(X)
        rng = np.random.default_rng(seed)
        asked, new_X = _decoded(model, model.encode(known), np.asarray(y), n_told + n_new, rng)
        told, values = model.tensorize(new_X), np.array([study.objective(x) for x in new_X])
        keys = [model.key(x) for x in new_X]
        for fit_on in FIT_ON:
            places = asked if fit_on == "asked" else places_of_inputs(fit_on, model, told).double()
            start = places_of_inputs(fit_on, model, known).double()
            Z = torch.cat([start, places[:n_told]])
            t = torch.from_numpy(np.concatenate([y, values[:n_told]]))
            gp = SparseGP(transform="winsorize").fit(Z, t, np.random.default_rng(seed))
            mean = gp.predict(asked[n_told:])[0].numpy()
            again = model.decode(places)
            same = sum(x is not None and model.key(x) in keys[i : i + 1] for i, x in enumerate(again))
            distance = ((places - asked) / start.std(dim=0)).square().mean(dim=1).sqrt()
            results.append(
                {
                    "fit_on": fit_on,
                    "seed": seed,
                    "rank_correlation": float(spearmanr(mean, values[n_told:])[0]),
                    "log_density": gp.score(asked[n_told:], torch.from_numpy(values[n_told:])),
                    "exact": same / len(new_X),
                    "moved": float(distance.mean()),
                }
            )
    return results


def _decoded(model: Any, Z: Tensor, y: Array, n: int, rng: np.random.Generator) -> tuple[Tensor, list[str]]:
    """Return points near good encodings that decode to distinct expressions, and the expressions."""
    good = Z.double()[torch.from_numpy(np.argsort(-y)[: max(1, len(y) // 5)])]
    found: dict[Any, tuple[Tensor, str]] = {}
    for _ in range(100):
        rows = good[torch.from_numpy(rng.integers(len(good), size=n))]
        noise = torch.randn(rows.shape, dtype=torch.float64, generator=torch_generator(rng))
        trial = rows + _SPREAD * Z.double().std(dim=0) * noise
        for z, x in zip(trial, model.decode(trial), strict=True):
            if x is not None:
                found.setdefault(model.key(x), (z, x))
        if len(found) >= n:
            break
    if len(found) < n:
        raise DataError(f"the model decodes {len(found)} distinct expressions, {n} are wanted: ask for fewer")
    pairs = list(found.values())[:n]
    return torch.stack([z for z, _ in pairs]), [x for _, x in pairs]


def table(results: Sequence[dict[str, Any]]) -> str:
    """Return means over seeds as lines of text."""
    names = ("rank_correlation", "log_density", "exact", "moved")
    lines = [f"{'fit_on':10}" + "".join(f"{name:>18}" for name in names)]
    for fit_on in FIT_ON:
        rows = [row for row in results if row["fit_on"] == fit_on]
        means = [float(np.mean([row[name] for row in rows])) for name in names]
        lines.append(f"{fit_on:10}" + "".join(f"{mean:18.4f}" for mean in means))
    return "\n".join(lines)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run from the command line: print a table, and write the record to ``--out``."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--seeds", default="100,101,102", help="numbers separated by commas")
    parser.add_argument("--start", type=int, default=1000)
    parser.add_argument("--out", type=Path, help="write the record here")
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)
    seeds = [int(part) for part in options.seeds.split(",")]
    results = run(seeds, options.start)
    sys.stdout.write(table(results) + "\n")
    if options.out is not None:
        about = {"kind": "mismatch", "seeds": seeds, "n_start": options.start}
        write_record(options.out, about | {"versions": versions(), "machine": machine(), "results": results})
    return 0


if __name__ == "__main__":
    sys.exit(main())

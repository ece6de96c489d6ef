"""Values beyond a limit, such as "> 10": ``python -m wrlso.benchmarks.surrogate.limits --out FILE``.

An assay is simulated: a function drawn from a Gaussian process in 2 or 4 dimensions, measured with noise, of
which the largest 30 % of the measurements are only known to lie above a limit. Each method sees the same
measurements and predicts the function at 500 other points; what lies above the limit is looked at apart.

"limits" is this library's process, whose sites are found by expectation propagation; "limits as values" takes
a limit for a measurement; "left out" leaves these measurements out; "multiple imputation" draws them from a
process given all others, in turns, and averages the predictions of five; "botorch" is
:class:`wrlso.BoTorchSurrogate`, which takes what it expects; "no limit" is told all measurements.
"""

import argparse
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from scipy.special import ndtr, ndtri
from scipy.stats import norm, spearmanr
from torch import Tensor

from wrlso.benchmarks.records import machine, versions, write_record
from wrlso.surrogate.botorch_surrogate import BoTorchSurrogate
from wrlso.surrogate.kernels import Hyperparameters, covariance
from wrlso.surrogate.observations import Observations
from wrlso.surrogate.protocol import Array
from wrlso.surrogate.sparse_gp import SparseGP

__all__ = ["METHODS", "Assay", "judge", "main", "table"]

SIZES = ((60, 2), (150, 4))  # measurements and dimensions
SHARE = 0.3  # of the measurements, beyond the limit
NOISE = 0.04  # variance, where the function's is 1
LEVELS = (0.5, 0.8, 0.95)
_N_NEW = 500
_TURNS, _KEPT = 8, 5  # of the imputation
Moments = tuple[Array, Array]


@dataclass(frozen=True)
class Assay:
    """One simulated assay: n measurements in d dimensions, and the truth at other points."""

    Z: Tensor  # (n, d)
    y: Array  # (n,)
    limit: float
    new_Z: Tensor
    truth: Array

    @classmethod
    def make(cls, n: int, d: int, seed: int) -> "Assay":
        """Draw an assay."""
        rng = np.random.default_rng(seed)
        Z = rng.normal(size=(n + _N_NEW, d))
        K = covariance(Hyperparameters("rbf", np.full(d, d**0.5), 1.0, NOISE), Z, Z)
        f = np.linalg.cholesky(K + 1e-8 * np.eye(len(Z))) @ rng.normal(size=len(Z))
        y = f[:n] + NOISE**0.5 * rng.normal(size=n)
        points = torch.from_numpy(Z)
        return cls(points[:n], y, float(np.quantile(y, 1.0 - SHARE)), points[n:], f[n:])

    @property
    def known(self) -> Observations:
        """The measurements as the assay reports them."""
        plain = Observations.exact(np.minimum(self.y, self.limit))
        return replace(plain, bound=(self.y > self.limit).astype(np.int8))


def _predicted(surrogate: Any, Z: Tensor, y: Any, assay: Assay) -> Moments:
    surrogate.fit(Z, y, np.random.default_rng(0))
    with torch.no_grad():
        mean, variance = surrogate.predict(assay.new_Z)
    return mean.numpy(), variance.numpy()


def _left_out(assay: Assay) -> Moments:
    inside = torch.from_numpy(assay.y <= assay.limit)
    return _predicted(SparseGP(), assay.Z[inside], torch.from_numpy(assay.y)[inside], assay)


def _imputed(assay: Assay) -> Moments:
    found = list(_imputations(assay))[-_KEPT:]
    means, variances = (np.array([moments[i] for moments in found]) for i in (0, 1))
    return means.mean(0), variances.mean(0) + means.var(0, ddof=1)


def _imputations(assay: Assay) -> Iterator[Moments]:
    rng, gp = np.random.default_rng(1), SparseGP()
    beyond = assay.y > assay.limit
    y = np.where(beyond, assay.limit + 0.3, assay.y)
    for turn in range(_TURNS):
        yield _predicted(gp, assay.Z, torch.from_numpy(y), assay)
        generator = torch.Generator().manual_seed(turn)
        f = gp.sample(assay.Z[torch.from_numpy(beyond)], 1, generator)[0].numpy()
        deviation = gp.noise_variance() ** 0.5
        below = ndtr((assay.limit - f) / deviation)
        drawn = below + rng.uniform(size=len(f)) * (1.0 - below)
        y[beyond] = np.maximum(f + deviation * ndtri(drawn.clip(1e-12, 1 - 1e-12)), assay.limit)


METHODS: dict[str, Callable[[Assay], Moments]] = {
    "no limit": lambda assay: _predicted(SparseGP(), assay.Z, torch.from_numpy(assay.y), assay),
    "limits": lambda assay: _predicted(SparseGP(), assay.Z, assay.known, assay),
    "limits as values": lambda assay: _predicted(SparseGP(), assay.Z, torch.from_numpy(assay.known.y), assay),
    "left out": _left_out,
    "multiple imputation": _imputed,
    "botorch": lambda assay: _predicted(BoTorchSurrogate(), assay.Z, assay.known, assay),
}


def judge(assay: Assay, method: str) -> dict[str, float]:
    """Return how well a method predicts the truth, everywhere and above the limit ("above …")."""
    start = time.process_time()
    mean, variance = METHODS[method](assay)
    found = {"processor seconds": time.process_time() - start}
    deviation = np.sqrt(variance)
    error = np.abs(assay.truth - mean) / deviation
    density = norm.logpdf(assay.truth, mean, deviation)
    for name, part in (("", slice(None)), ("above ", assay.truth > assay.limit)):
        found[f"{name}log density"] = float(density[part].mean())
        for level in LEVELS:
            found[f"{name}within {level:.0%}"] = float((error[part] <= ndtri(0.5 + 0.5 * level)).mean())
    above = assay.truth > assay.limit
    found["above bias"] = float((mean - assay.truth)[above].mean())
    found["above rank correlation"] = float(spearmanr(mean[above], assay.truth[above])[0])
    return {name: round(value, 4) for name, value in found.items()}


def table(results: Sequence[Mapping[str, Any]]) -> str:
    """Return means over seeds as CSV with a line for each size and method."""
    measures = [name for name in results[0] if name not in ("n", "d", "method", "seed")]
    lines = [",".join(["n", "d", "method", "seeds", *measures])]
    groups: dict[tuple[int, int, str], list[Mapping[str, Any]]] = {}
    for result in results:
        groups.setdefault((result["n"], result["d"], result["method"]), []).append(result)
    for (n, d, method), runs in groups.items():
        means = [f"{np.mean([run[name] for run in runs]):.2f}" for name in measures]
        lines.append(",".join([str(n), str(d), method, str(len(runs)), *means]))
    return "\n".join(lines) + "\n"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run from the command line: write the record, and the table beside it."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--out", type=Path, required=True, help="file of the record")
    parser.add_argument("--methods", default=",".join(METHODS))
    parser.add_argument("--seeds", type=int, default=20, help="how many, from the first on")
    parser.add_argument("--first", type=int, default=0)
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)
    results = []
    for seed in range(options.first, options.first + options.seeds):
        for n, d in SIZES:
            assay = Assay.make(n, d, seed)
            for method in options.methods.split(","):
                results.append({"n": n, "d": d, "method": method, "seed": seed} | judge(assay, method))
    kind = "surrogate-limits"
    write_record(
        options.out, {"kind": kind, "results": results, "versions": versions(), "machine": machine()}
    )
    options.out.with_suffix(".csv").write_text(text := table(results), encoding="utf-8")
    sys.stdout.write(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())

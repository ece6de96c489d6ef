"""Speed and quality of the surrogate against other libraries: ``python -m wrlso.benchmarks.surrogate WHAT``.

``compare``
    Sequential queries in the latent space of molecules, against GPflow as in the released code and against
    BoTorch as in its documentation: seconds per ask, held-out log predictive density, and the acquisition
    value that each search reaches on the same model.
``scaling``
    Seconds of an ask between two fits, and memory, for 10,000 and for 1,000,000 observations.
``defaults``
    Held-out log predictive density of kernels and transformations of y on several tasks.
``refit``
    Policies of refitting hyperparameters, in a search among known molecules.

Only ``compare`` needs GPflow, TensorFlow and BoTorch (``--peers`` selects peers). Every part writes one
record to ``--out`` and a table beside it.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.stats import norm
from torch import Tensor

from wrlso._utils.validation import check_choice, check_count
from wrlso.acquisition.functions import LogExpectedImprovement, log_h
from wrlso.acquisition.latent_search import LatentSearch
from wrlso.acquisition.state import SearchState
from wrlso.benchmarks.records import machine, versions, write_record
from wrlso.benchmarks.surrogate.data import LATENTS, MoleculeLatents, tensor
from wrlso.benchmarks.surrogate.defaults import (
    OPTIONS,
    compare_options,
    compare_refits,
    options_table,
    refits_table,
)
from wrlso.benchmarks.surrogate.peers import PEERS, GPflowPeer, Peer
from wrlso.benchmarks.surrogate.points import PointModel
from wrlso.exceptions import ParameterError
from wrlso.optimizer import WeightedRetrainingOptimizer
from wrlso.surrogate.refit import refit_is_due, standardized_errors
from wrlso.surrogate.sparse_gp import SparseGP
from wrlso.training.trainer import Trainer

__all__ = ["Ours", "compare", "comparison_table", "main", "measure_asks", "scaling", "scaling_table"]

Array = NDArray[np.float64]
_MARGIN, _QUANTILE = 1.1, 0.999  # of the box of all methods


class Ours:
    """The surrogate and the gradient search of this library, with ``refit_every="auto"``."""

    def __init__(self, n_inducing: int = 500) -> None:
        self.gp = SparseGP(n_inducing)
        self.search = LatentSearch(margin=_MARGIN, quantile=_QUANTILE)
        self.n_fits, self.n_seen, self.n_at_fit = 0, 0, 0
        self.errors = np.empty(0)

    def fit(self, Z: Array, y: Array, seed: int) -> None:
        """Condition on the new part of Z (n, d) and y (n,), or refit to all data when a fit is due."""
        new_Z, new_y = tensor(Z[self.n_seen :]), tensor(y[self.n_seen :])
        if self.n_fits:
            found = standardized_errors(self.gp, new_Z, new_y)
            self.errors = np.concatenate([self.errors, np.empty(0) if found is None else found])
        if not self.n_fits or refit_is_due("auto", self.n_at_fit, len(y) - self.n_at_fit, self.errors):
            self.gp.fit(tensor(Z), tensor(y), np.random.default_rng(seed))
            self.n_fits, self.n_at_fit, self.errors = self.n_fits + 1, len(y), np.empty(0)
        else:
            self.gp = self.gp.condition_on(new_Z, new_y)
        self.n_seen = len(y)
        self.state = _state(self.gp, Z, y)
        self.noise, self.incumbent = self.gp.noise_variance(), float(y.max())

    def propose(self, half_width: Array, seed: int) -> Array:
        """Return the next point (d,) in the box of the search."""
        acquisition = LogExpectedImprovement(self.search)
        (proposal,), _ = acquisition.propose(self.state, 1, np.random.default_rng(seed))
        return np.asarray(proposal.z.numpy())

    def predict(self, Z: Tensor) -> tuple[Tensor, Tensor]:
        """Return mean and variance (q,) of the noise-free objective."""
        return self.gp.predict(Z)

    @property
    def facts(self) -> dict[str, Any]:
        """Return the number of fits of the hyperparameters."""
        return {"fits": self.n_fits}


def _state(surrogate: Any, Z: Array, y: Array) -> SearchState:
    points, model = tensor(Z), PointModel(Z.shape[1])
    known = set(map(model.key, Z))
    ones = torch.ones(len(y), dtype=torch.float64)
    return SearchState(
        model, surrogate, points, tensor(y), ones, points[:0],
        lambda x: "known" if model.key(x) in known else None,
    )  # fmt: skip


@dataclass
class _ByPeer:
    """A peer's fitted model as a surrogate, for predictions only."""

    peer: Peer
    space: str = "latent"

    def predict(self, Z: Tensor) -> tuple[Tensor, Tensor]:
        return self.peer.predict(Z)


@dataclass
class _ImprovementOver:
    """Log expected improvement over any given value."""

    incumbent: float
    differentiable: bool = True

    def score(self, surrogate: Any, points: Tensor, best: float, generator: torch.Generator) -> Tensor:
        return _log_improvement(surrogate, points, self.incumbent)


def _log_improvement(model: Any, Z: Tensor, incumbent: float) -> Tensor:
    """Return the acquisition values; the same function for all methods."""
    mean, variance = model.predict(Z)
    deviation = variance.clamp_min(1e-12).sqrt()
    value: Tensor = deviation.log() + log_h((mean - incumbent) / deviation)
    return value


def _log_density(model: Any, Z: Array, y: Array) -> float:
    """Return the mean log predictive density of held-out values, noise included; the same for all methods."""
    with torch.no_grad():
        mean, variance = model.predict(tensor(Z))
    return float(np.mean(norm.logpdf(y, mean.numpy(), np.sqrt(variance.numpy() + model.noise))))


def compare(
    peers: Sequence[str], *, known: int, new: int, d: int, n_inducing: int, queries: int,
    peer_queries: Sequence[int], seed: int,
) -> dict[str, Any]:  # fmt: skip
    """Run every method from the same known values; each asks for its own points, one at a time.

    Returns
    -------
    dict
        ``methods``: for each method the seconds of every fit and search, the log density of the held-out
        values at the first query, and the found values. For peers also the log expected improvement on the
        peer's model, at the peer's point (``acquisition``) and at the point of our search
        (``acquisition_by_ours``).
    """
    for name, value in (("known", known), ("new", new), ("queries", queries)):
        check_count(name, value)
    for peer in peers:
        check_choice("peers", peer, PEERS)
    if len(peer_queries) != len(peers) or min(peer_queries, default=1) < 1:
        raise ParameterError(f"peer_queries must be {len(peers)} numbers of at least 1, got {peer_queries}")
    task = _Task(MoleculeLatents(d, known + new, seed), known)
    methods: dict[str, Any] = {}
    for name, budget in zip(("ours", *peers), (queries, *peer_queries), strict=True):
        model: Any = Ours(n_inducing) if name == "ours" else PEERS[name]()
        methods[name] = _sequence(model, task, budget)
        for key in ("seconds_per_ask", "processor_seconds_per_ask"):
            methods[name][f"{key}_ratio"] = methods[name][key] / methods["ours"][key]
    about = {"known": known, "new": new, "d": d, "n_inducing": n_inducing, "seed": seed}
    return about | {"methods": methods}


class _Task:
    """The input of all methods: known and held-out points in random order, a box, and an objective."""

    def __init__(self, data: MoleculeLatents, known: int) -> None:
        order = np.random.default_rng(data.seed).permutation(data.n)
        self.Z, self.y = data.Z[order[:known]], data.y[order[:known]]
        self.held_out = data.Z[order[known:]], data.y[order[known:]]
        self.half_width: Array = _MARGIN * np.quantile(np.abs(self.Z), _QUANTILE, axis=0)
        self.objective = data.objective


def _sequence(model: Any, task: _Task, budget: int) -> dict[str, Any]:
    """Fit, ask and tell ``budget`` times; time the fits and asks only."""
    Z, y = task.Z, task.y
    kinds = ("fit_seconds", "search_seconds", "processor_seconds", "y", "facts")
    result: dict[str, Any] = {kind: [] for kind in kinds}
    reached: dict[str, list[float]] = {"acquisition": [], "acquisition_by_ours": []}
    for query in range(budget):
        start, busy = time.perf_counter(), time.process_time()
        model.fit(Z, y, query)
        fitted = time.perf_counter()
        z = model.propose(task.half_width, query)
        asked = time.perf_counter()
        result["processor_seconds"].append(time.process_time() - busy)
        result["fit_seconds"].append(fitted - start)
        result["search_seconds"].append(asked - fitted)
        result["facts"].append(dict(model.facts))
        if query == 0:
            result["log_density"] = _log_density(model, *task.held_out)
        if not isinstance(model, Ours):
            ours = _search_on(model, Z, y, task.half_width, query)
            for name, point in (("acquisition", z), ("acquisition_by_ours", ours)):
                with torch.no_grad():
                    reached[name].append(float(_log_improvement(model, tensor(point[None]), model.incumbent)))
        result["y"].append(task.objective(z))
        Z, y = np.concatenate([Z, z[None]]), np.append(y, result["y"][-1])
    if isinstance(model, GPflowPeer):
        result["uncached_gradient_seconds"] = model.seconds_without_cache(3, time.perf_counter)
    asks = np.add(result["fit_seconds"], result["search_seconds"])
    result |= {"seconds_per_ask": float(asks.mean()), "median_ask": float(np.median(asks))}
    result |= {"processor_seconds_per_ask": float(np.mean(result["processor_seconds"]))}
    return result | {name: values for name, values in reached.items() if values}


def _search_on(model: Peer, Z: Array, y: Array, half_width: Array, seed: int) -> Array:
    """Return the point (d,) of our search on a peer's model, with the peer's incumbent and box."""
    search = LatentSearch(margin=_MARGIN, quantile=_QUANTILE)
    state, rng = _state(_ByPeer(model), Z, y), np.random.default_rng(seed)
    (proposal,), _ = search.propose(state, 1, rng, _ImprovementOver(model.incumbent))
    return np.asarray(np.clip(proposal.z.numpy(), -half_width, half_width))


def comparison_table(record: dict[str, Any]) -> str:
    """Return the comparison as CSV with a row for each method."""
    keys = ("seconds_per_ask", "processor_seconds_per_ask")
    head = "Method,Queries,Seconds per ask,Processor seconds per ask,Ratio,Ratio of processor seconds"
    lines = [head + ",Log density,Log EI of its search,Log EI of ours there"]
    for name, found in record["methods"].items():
        cells = [name, str(len(found["y"])), *(f"{found[key]:.2f}" for key in keys)]
        cells += [f"{found[f'{key}_ratio']:.3g}" for key in keys] + [f"{found['log_density']:.3f}"]
        for key in ("acquisition", "acquisition_by_ours"):
            cells.append(f"{np.mean(found[key]):.4f}" if key in found else "")
        lines.append(",".join(cells))
    return "\n".join(lines) + "\n"


# ---------------------------------------------------------------- scaling


def measure_asks(n: int, d: int, n_inducing: int, asks: int) -> dict[str, Any]:
    """Fit an optimizer to n points that are their own latent points, and time asks between fits.

    ``megabytes`` is the peak memory beyond that of the process before the data, ``data_megabytes`` the memory
    of n · d numbers.
    """
    rng = np.random.default_rng(0)
    Z = rng.standard_normal((n, d))
    y = np.sin(Z[:, 0]) + 0.5 * Z[:, 1] + 0.1 * rng.standard_normal(n)
    opt = WeightedRetrainingOptimizer(
        model=PointModel(d), surrogate=SparseGP(n_inducing, n_trained=0, max_iter=10),
        trainer=Trainer(initial_epochs=0), retrain_every=None, refit_every=None, random_state=0,
    )  # fmt: skip
    before = _peak_megabytes()
    opt.fit(Z, y)
    seconds, busy = [], []
    for ask in range(asks + 1):
        start, start_busy = time.perf_counter(), time.process_time()
        x = opt.ask()
        if ask:  # the first ask fits
            seconds.append(time.perf_counter() - start)
            busy.append(time.process_time() - start_busy)
        opt.tell(x, float(np.sin(x[0]) + 0.5 * x[1]))
    return {
        "n": n, "d": d, "n_inducing": n_inducing, "seconds": seconds, "processor_seconds": busy,
        "megabytes": _peak_megabytes() - before, "data_megabytes": Z.nbytes / 1e6,
    }  # fmt: skip


def _peak_megabytes() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3


def scaling(sizes: Sequence[int], *, d: int, n_inducing: int, asks: int, repeats: int) -> dict[str, Any]:
    """Measure the sizes in turn, each in processes of its own; return medians over all asks of a size."""
    runs: list[dict[str, Any]] = []
    for _ in range(repeats):
        for n in sizes:
            code = (
                "import json, torch, sys; from wrlso.benchmarks.surrogate import measure_asks; "
                f"torch.set_num_threads({torch.get_num_threads()}); "
                f"json.dump(measure_asks({n}, {d}, {n_inducing}, {asks}), sys.stdout)"
            )
            done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
            runs.append(json.loads(done.stdout))
    found: dict[str, Any] = {"runs": runs}
    for key in ("seconds", "processor_seconds"):
        medians = [float(np.median([s for r in runs if r["n"] == n for s in r[key]])) for n in sizes]
        found[f"median_{key}"] = dict(zip(map(str, sizes), medians, strict=True))
        found[f"growth_of_{key}"] = medians[-1] / medians[0]
    return found


def scaling_table(record: dict[str, Any]) -> str:
    """Return medians and memory as CSV with a row for each size."""
    lines = ["Observations,Median ask (s),Of the processor (s),Megabytes,Megabytes of N · d numbers"]
    for n, median in record["median_seconds"].items():
        runs = [run for run in record["runs"] if run["n"] == int(n)]
        memory = float(np.median([run["megabytes"] for run in runs]))
        busy = record["median_processor_seconds"][n]
        data = runs[0]["data_megabytes"]
        lines.append(f"{int(n)},{median:.3f},{busy:.3f},{memory:.0f},{data:.0f}")
    return "\n".join(lines) + "\n"


# ---------------------------------------------------------------- the command


def _policy(text: str) -> int | str | None:
    if text in ("auto", "never"):
        return None if text == "never" else text
    if not text.isdecimal():
        raise ParameterError(f"policies must be numbers, 'auto' or 'never', got {text!r}")
    return int(text)


def _run(options: argparse.Namespace) -> tuple[dict[str, Any], str]:
    """Return the record of a part and its table."""
    seeds = [int(seed) for seed in options.seeds.split(",")]
    record: dict[str, Any]
    if options.what == "compare":
        peers = options.peers.split(",") if options.peers else []
        budgets = [int(number) for number in options.peer_queries.split(",")]
        record = compare(
            peers, known=options.known, new=options.new, d=options.d, n_inducing=options.inducing,
            queries=options.queries, seed=seeds[0],
            peer_queries=budgets * len(peers) if len(budgets) == 1 else budgets,
        )  # fmt: skip
        return record, comparison_table(record)
    if options.what == "scaling":
        sizes = [int(n) for n in options.sizes.split(",")]
        about = {"d": options.d, "n_inducing": options.inducing, "asks": options.asks}
        record = about | scaling(sizes, repeats=options.repeats, **about)
        return record, scaling_table(record)
    if options.what == "defaults":
        results = compare_options(options.tasks.split(","), list(OPTIONS), seeds, options.inducing)
        return {"n_inducing": options.inducing, "results": results}, options_table(results)
    results = compare_refits([_policy(text) for text in options.policies.split(",")], seeds)
    return {"results": results}, refits_table(results)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run from the command line: print a table, and write record and table to ``--out``."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("what", choices=("compare", "scaling", "defaults", "refit"))
    parser.add_argument("--peers", default=",".join(PEERS), help="separated by commas; empty: none")
    parser.add_argument("--known", type=int, default=10_000)
    parser.add_argument("--new", type=int, default=2000, help="held out")
    parser.add_argument("--d", type=int, default=56)
    parser.add_argument("--inducing", type=int, default=500)
    parser.add_argument("--queries", type=int, default=50)
    parser.add_argument("--peer-queries", default="3", help="one number, or one for each peer")
    parser.add_argument("--sizes", default="10000,1000000")
    parser.add_argument("--asks", type=int, default=15)
    parser.add_argument("--repeats", type=int, default=1)
    parser.add_argument("--tasks", default=",".join(LATENTS))
    parser.add_argument("--policies", default="5,20,auto,never")
    parser.add_argument("--seeds", default="0", help="separated by commas; compare takes the first")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--out", type=Path, help="write the record here, and the table as .csv beside it")
    options = parser.parse_args(arguments)
    torch.set_num_threads(options.threads)
    record, table = _run(options)
    sys.stdout.write(table)
    if options.out is not None:
        threads = {"torch": options.threads, "OMP_NUM_THREADS": os.environ.get("OMP_NUM_THREADS")}
        about = {"kind": f"surrogate-{options.what}", "threads": threads, "versions": versions()}
        write_record(options.out, about | {"machine": machine()} | record)
        options.out.with_suffix(".csv").write_text(table, encoding="utf-8")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())

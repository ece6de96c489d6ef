"""What an ask with nothing set costs: ``python -m wrlso.benchmarks.speed.asks``.

Two optimizers over the same data and networks answer in turn in the same process: one with the defaults, one
with the surrogate and acquisition that were the defaults before (a sparse process in Z, log expected
improvement). The figures are processor seconds of an ask on one thread, and the ratio of the medians. Asks
that refit the surrogate count too: ``first`` is the ask after training, ``mean`` holds all asks.
"""

import argparse
import json
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from wrlso.acquisition.functions import LogExpectedImprovement
from wrlso.benchmarks.records import machine, versions, write_record
from wrlso.optimizer import WeightedRetrainingOptimizer
from wrlso.surrogate.sparse_gp import SparseGP
from wrlso.training.trainer import Trainer

__all__ = ["main", "seconds_of_asks"]

_SIZES = ((1_000, 100, 8), (10_000, 100, 56))  # points, bits of x, dimensions of Z


def seconds_of_asks(n_points: int, n_bits: int, latent_dim: int, n_asks: int) -> dict[str, Any]:
    """Return processor seconds of each ask with the defaults and with those of before.

    Parameters
    ----------
    n_points, n_bits, latent_dim : int
        Random bit strings, three ones in ten, valued by a quadratic form over a twentieth of all pairs.
    n_asks : int
        How many asks are timed, with a tell after each.
    """
    rng = np.random.default_rng(0)
    X = (rng.random((n_points, n_bits)) < 0.3).astype(np.float32)
    pairs = rng.normal(size=(n_bits, n_bits)) * (rng.random((n_bits, n_bits)) < 0.05)

    def objective(x: np.ndarray) -> float:
        return float(x @ pairs @ x)

    former = {"surrogate": SparseGP(), "acquisition": LogExpectedImprovement()}
    optimizers = {
        name: _own_networks(n_bits, latent_dim, **options).fit(X, [objective(x) for x in X])
        for name, options in {"default": {}, "former": former}.items()
    }
    seconds: dict[str, list[float]] = {name: [] for name in optimizers}
    for _ in range(n_asks):
        for name, opt in optimizers.items():
            seconds[name].append(_seconds_of_ask(opt, objective))
    medians = {name: statistics.median(values[1:]) for name, values in seconds.items()}
    return {
        "n_points": n_points,
        "n_bits": n_bits,
        "latent_dim": latent_dim,
        "seconds": seconds,
        "first": {name: values[0] for name, values in seconds.items()},
        "median": medians,
        "mean": {name: statistics.fmean(values) for name, values in seconds.items()},
        "ratio": medians["default"] / medians["former"],
    }


def _own_networks(n_bits: int, latent_dim: int, **options: Any) -> WeightedRetrainingOptimizer:
    torch.manual_seed(0)
    encoder = torch.nn.Sequential(
        torch.nn.Linear(n_bits, 128), torch.nn.ReLU(), torch.nn.Linear(128, 2 * latent_dim)
    )
    decoder = torch.nn.Sequential(
        torch.nn.Linear(latent_dim, 128), torch.nn.ReLU(), torch.nn.Linear(128, n_bits)
    )
    return WeightedRetrainingOptimizer(
        encoder, decoder, trainer=Trainer(initial_epochs=2), retrain_every=None, random_state=0, **options
    )


def _seconds_of_ask(opt: WeightedRetrainingOptimizer, objective: Callable[[np.ndarray], float]) -> float:
    start = time.process_time()
    x = opt.ask()
    seconds = time.process_time() - start
    opt.tell(x, objective(x))
    return seconds


def main(arguments: Sequence[str] | None = None) -> int:
    """Run from the command line: print the result as JSON, or write it to ``--out``."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--asks", type=int, default=30)
    parser.add_argument("--out", type=Path, help="write the record here instead of to standard output")
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)
    record = {
        "kind": "asks",
        "sizes": [seconds_of_asks(*size, options.asks) for size in _SIZES],
        "versions": versions(),
        "machine": machine(),
    }
    if options.out is None:
        sys.stdout.write(json.dumps(record, indent=1) + "\n")
    else:
        write_record(options.out, record)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())

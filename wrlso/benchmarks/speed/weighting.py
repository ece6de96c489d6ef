"""Cost of rank weighting compared with its one sort: ``python -m wrlso.benchmarks.speed.weighting``.

Prints JSON: for each kind of values the median seconds of ``numpy.argsort`` and of
:func:`wrlso.weighting.rank_weights` on the same array in the same process, and their ratio. The calls
alternate, so that a change in the machine's load affects both.
"""

import argparse
import json
import os
import platform
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from wrlso._utils.validation import check_count
from wrlso.weighting import rank_weights

__all__ = ["main", "run"]

FloatArray = npt.NDArray[np.float64]

N_LEVELS = 1000
"""Distinct values in the data with ties."""


def run(n: int = 10_000_000, repeats: int = 5, seed: int = 0) -> dict[str, Any]:
    """Time ``numpy.argsort`` and ``rank_weights`` on three arrays of n values.

    Parameters
    ----------
    n : int, default=10_000_000
        Number of values, at least 1.
    repeats : int, default=5
        Number of timings of each call, at least 1.
    seed : int, default=0
        Seed of the values.

    Returns
    -------
    dict
        ``"n"``, ``"repeats"``, ``"seed"``, versions and machine, and ``"results"``: for "distinct" (normal),
        "tied" (1000 levels) and "constant" values a dict with ``argsort_seconds``, ``rank_weights_seconds``
        (medians) and ``ratio`` of the two.

    Raises
    ------
    ParameterError, ParameterTypeError
        If n or repeats is not an integer of at least 1.
    """
    check_count("n", n)
    check_count("repeats", repeats)
    rng = np.random.default_rng(seed)
    data: dict[str, Callable[[], FloatArray]] = {
        "distinct": lambda: rng.standard_normal(n),
        "tied": lambda: rng.integers(N_LEVELS, size=n).astype(np.float64),
        "constant": lambda: np.zeros(n),
    }
    return {
        "benchmark": "rank_weights against numpy.argsort",
        "n": n,
        "repeats": repeats,
        "seed": seed,
        "numpy": np.__version__,
        "python": platform.python_version(),
        "machine": f"{platform.machine()}, {os.cpu_count()} cores",
        "results": {name: _compare(make(), repeats) for name, make in data.items()},
    }


def _compare(values: FloatArray, repeats: int) -> dict[str, float]:
    """Return the median seconds of both calls on values, and their ratio."""
    argsort_seconds, rank_seconds = [], []
    for _ in range(repeats):
        argsort_seconds.append(_seconds(np.argsort, values))
        rank_seconds.append(_seconds(rank_weights, values))
    argsort, rank = statistics.median(argsort_seconds), statistics.median(rank_seconds)
    return {"argsort_seconds": argsort, "rank_weights_seconds": rank, "ratio": rank / argsort}


def _seconds(call: Callable[[FloatArray], Any], values: FloatArray) -> float:
    start = time.perf_counter()
    call(values)
    return time.perf_counter() - start


def main(arguments: Sequence[str] | None = None) -> dict[str, Any]:
    """Run the benchmark from the command line; write JSON to ``--out`` or standard output and return it."""
    parser = argparse.ArgumentParser(prog="python -m wrlso.benchmarks.speed.weighting")
    parser.description = "Time rank_weights against numpy.argsort."
    parser.add_argument("--n", type=int, default=10_000_000, help="number of values")
    parser.add_argument("--repeats", type=int, default=5, help="number of timings of each call")
    parser.add_argument("--seed", type=int, default=0, help="seed of the values")
    parser.add_argument("--out", type=Path, help="file for the JSON; standard output when left out")
    options = parser.parse_args(arguments)
    record = run(options.n, options.repeats, options.seed)
    text = json.dumps(record, indent=2) + "\n"
    if options.out is None:
        sys.stdout.write(text)
    else:
        options.out.write_text(text, encoding="utf-8")
    return record


if __name__ == "__main__":
    main()

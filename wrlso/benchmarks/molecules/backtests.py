"""Backtests on tables of ZINC250k with computed values and noise, and on tables with shuffled values.

``python -m wrlso.benchmarks.molecules.backtests --out FILE``

The shuffled tables cannot be learned from: the share of them on which the verdict is that the search would
have helped, or would have done worse, is that of false verdicts.
"""

import argparse
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from wrlso._chemistry.smiles import parse
from wrlso._utils.validation import check_count
from wrlso.benchmarks.molecules.small_assays import OBJECTIVES
from wrlso.benchmarks.records import machine, versions, write_record
from wrlso.datasets.molecules import fetch_zinc250k
from wrlso.run.backtest import backtest
from wrlso.run.backtest_result import BacktestResult

__all__ = ["assay", "main", "replayed", "table"]

_NOISE = 0.3  # standard deviation of the noise, in that of the values


def assay(molecules: Sequence[str], objective: str, n: int, seed: int) -> tuple[list[str], Any]:
    """Return n random molecules and their noisy values (n,)."""
    check_count("n", n)
    rng = np.random.default_rng(seed)
    X = [molecules[row] for row in rng.choice(len(molecules), n, replace=False)]
    y = np.array([OBJECTIVES[objective](parse(x)) for x in X])
    return X, y / y.std() + _NOISE * rng.normal(size=n)


def replayed(
    molecules: Sequence[str], objective: str, n: int, seed: int, *, shuffled: bool = False, **options: Any
) -> tuple[dict[str, Any], BacktestResult]:
    """Return what a backtest on one table says, for a record, and its result."""
    X, y = assay(molecules, objective, n, seed)
    if shuffled:
        y = np.random.default_rng(seed + 1).permutation(y)
    start, used = time.perf_counter(), time.process_time()
    result = backtest(X, y, random_state=seed, **options)
    seconds = {"wall": time.perf_counter() - start, "own_process": time.process_time() - used}
    others = [name for name in result.strategies if name != "random"]
    found = {
        "objective": objective,
        "n": n,
        "seed": seed,
        "shuffled": shuffled,
        "queries": result.n_queries,
        "repeats": len(result.starts),
        "found": {name: round(float(result.found(name)[:, -1].mean()), 4) for name in result.strategies},
        "difference": {name: [round(v, 4) for v in result.difference(name)] for name in others},
        "verdict": result.verdict,
        "seconds": {name: round(value, 1) for name, value in seconds.items()},
    }
    return found, result


def table(record: Mapping[str, Any]) -> str:
    """Return the record as lines of text."""
    head = f"{'values':26}{'n':>6}{'search':>8}{'features':>10}{'latent':>8}{'random':>8}"
    lines = [f"{head}  95 % of search - random"]
    for row in record["tables"]:
        low, high = row["difference"]["search"][1:]
        found = row["found"]
        cells = "".join(
            f"{found[name]:>{width}.0%}"
            for name, width in (("search", 8), ("features", 10), ("latent", 8), ("random", 8))
        )
        name = row["objective"] + (" (shuffled)" if row["shuffled"] else "")
        lines.append(f"{name:26}{row['n']:>6}{cells}  {low:+.0%} to {high:+.0%}")
    nothing = [row for row in record["tables"] if row["shuffled"]]
    if nothing:
        intervals = [row["difference"]["search"][1:] for row in nothing]
        wrong = sum(low > 0 or high < 0 for low, high in intervals)
        lines.append(f"false verdicts on shuffled values: {wrong} of {len(nothing)}")
    return "\n".join(lines)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run from the command line: print a table, and write the record to ``--out``."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--objectives", nargs="*", default=list(OBJECTIVES), choices=list(OBJECTIVES))
    parser.add_argument("--molecules", type=int, default=1000, help="rows of a table")
    parser.add_argument("--shuffled", type=int, default=20, help="tables with shuffled values")
    parser.add_argument("--small", type=int, default=150, help="rows of a table with shuffled values")
    parser.add_argument("--seed", type=int, default=100, help="seed of the first table")
    parser.add_argument("--jobs", type=int, default=None, help="processes")
    parser.add_argument("--picture", type=Path, help="write the curves of the first table here")
    parser.add_argument("--data", type=Path, help="folder of zinc250k.smi or zinc250k.smi.xz")
    parser.add_argument("--out", type=Path, help="write the record here")
    options = parser.parse_args(arguments)
    molecules, tables = fetch_zinc250k(options.data), []
    for i, objective in enumerate(options.objectives):
        found, result = replayed(
            molecules, objective, options.molecules, options.seed + i, n_jobs=options.jobs
        )
        tables.append(found)
        sys.stdout.write(f"{found['objective']}: {found['verdict']} ({found['seconds']['wall']:.0f} s)\n")
        if i == 0 and options.picture is not None:
            figure: Any = result.plot().figure_
            figure.savefig(options.picture, dpi=110)
    for i in range(options.shuffled):
        objective = list(OBJECTIVES)[i % len(OBJECTIVES)]
        few = {"n_repeats": 5, "n_queries": 40, "shuffled": True, "n_jobs": options.jobs}
        found, _ = replayed(molecules, objective, options.small, options.seed + 1000 + i, **few)
        tables.append(found)
    record = {"kind": "backtests", "noise": _NOISE, "seed": options.seed, "tables": tables}
    record |= {"versions": versions(), "machine": machine()}
    sys.stdout.write(table(record) + "\n")
    if options.out is not None:
        write_record(options.out, record)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())

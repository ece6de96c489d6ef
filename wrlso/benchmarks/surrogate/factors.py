"""Values that differ by factors: ``python -m wrlso.benchmarks.surrogate.factors --out FILE``.

A genetic algorithm searches among molecules or sequences. The process on structures is fitted to the starting
data and the first calls, and predicts the 50 next: once with the transformation of y that it chooses, "auto",
and once always with "floor". Infeasible sequences are left out.
"""

import argparse
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from scipy.stats import spearmanr

from wrlso._chemistry.smiles import canonical, parse
from wrlso.benchmarks.molecules.peers import graph_ga
from wrlso.benchmarks.molecules.realism import OBJECTIVES
from wrlso.benchmarks.records import machine, versions, write_record
from wrlso.benchmarks.sequences.study import SequencesRun, genetic_search
from wrlso.datasets.molecules import fetch_zinc250k
from wrlso.surrogate.pair_counts import PairCounts
from wrlso.surrogate.protocol import Array
from wrlso.surrogate.tanimoto_gp import TanimotoGP

__all__ = ["SEQUENCES", "judge", "main", "table", "walk"]

SEQUENCES = ("ehrlich-15", "ehrlich-64")
_START = 100  # molecules
_TOLD, _NEXT = (0, 50, 100, 150, 200, 250), 50
Walk = tuple[list[str], list[float | None], int, Callable[[], TanimotoGP]]


def walk(problem: str, seed: int) -> Walk:
    """Return what a genetic algorithm asks for, from its start, values, the start's size, and a process."""
    calls = _TOLD[-1] + _NEXT
    if problem in SEQUENCES:
        run = SequencesRun(problem, "genetic", seed, calls, 10)
        task = run.task()
        X, y = task.initial_data(seed)
        asked, told = list(X), [*y.tolist()]

        def evaluate(batch: Any) -> list[float | None]:
            found = [task.objective(x) for x in batch]
            asked.extend(batch)
            told.extend(found)
            return found

        genetic_search(run, task, X, y, evaluate)
        return asked, told, len(X), lambda: TanimotoGP(PairCounts(task.alphabet))
    objective, molecules = OBJECTIVES[problem], fetch_zinc250k()
    rows = np.random.default_rng(seed).choice(len(molecules), _START, replace=False)
    start = [canonical(molecules[row]) or molecules[row] for row in rows]
    values = [objective(parse(x)) for x in start]
    trace = graph_ga(lambda x: objective(parse(x)), start, values, calls, seed)
    return [*start, *(x for x, _ in trace)], [*values, *(value for _, value in trace)], _START, TanimotoGP


def judge(found: Walk, transform: str) -> Iterator[dict[str, Any]]:
    """Return how well the next values are predicted, each time."""
    X, y, n_start, process = found
    for told in _TOLD:
        known, new = (
            [i for i in rows if i < len(y) and y[i] is not None]
            for rows in (range(n_start + told), range(n_start + told, n_start + told + _NEXT))
        )
        if len(new) < 5:
            return
        values = torch.tensor([float(y[i] or 0.0) for i in [*known, *new]], dtype=torch.float64)
        start = time.process_time()
        gp = process().set_params(transform=transform)
        gp.fit([X[i] for i in known], values[: len(known)], np.random.default_rng(0))
        seconds = time.process_time() - start
        mean, _ = gp.predict([X[i] for i in new])
        truth = values[len(known) :]
        yield {
            "told": told,
            "transform": transform,
            "logarithm": hasattr(gp.transform_, "offset"),
            "log density": round(gp.score([X[i] for i in new], truth), 4),
            "rank correlation": round(_rank_correlation(mean.numpy(), truth.numpy()), 4),
            "processor seconds": round(seconds, 3),
        }


def _rank_correlation(mean: Array, truth: Array) -> float:
    """Return the rank correlation, 0 where there is nothing to rank."""
    return float(spearmanr(mean, truth)[0]) if np.ptp(mean) > 0 and np.ptp(truth) > 0 else 0.0


def table(results: Sequence[Mapping[str, Any]]) -> str:
    """Return medians over seeds and times as CSV with a line for each problem."""
    lines = ["problem,seeds,logarithm chosen,log density,with the floor,rank correlation,with the floor"]
    for problem in dict.fromkeys(result["problem"] for result in results):
        runs = [result for result in results if result["problem"] == problem]
        ours, floor = ([run for run in runs if run["transform"] == name] for name in ("auto", "floor"))
        line = [problem, str(len({run["seed"] for run in runs}))]
        line.append(f"{np.mean([run['logarithm'] for run in ours]):.0%}")
        for measure in ("log density", "rank correlation"):
            line += [f"{np.median([run[measure] for run in group]):.2f}" for group in (ours, floor)]
        lines.append(",".join(line))
    return "\n".join(lines) + "\n"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run from the command line: write the record, and the table beside it."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--out", type=Path, required=True, help="file of the record")
    parser.add_argument("--problems", default=",".join([*SEQUENCES, *OBJECTIVES]))
    parser.add_argument("--seeds", type=int, default=3, help="how many, from the first on")
    parser.add_argument("--first", type=int, default=200)
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)
    results = []
    for problem in options.problems.split(","):
        for seed in range(options.first, options.first + options.seeds):
            found = walk(problem, seed)
            for transform in ("auto", "floor"):
                results += [{"problem": problem, "seed": seed} | each for each in judge(found, transform)]
    record = {
        "kind": "surrogate-factors",
        "results": results,
        "versions": versions(),
        "machine": machine(),
    }
    write_record(options.out, record)
    options.out.with_suffix(".csv").write_text(text := table(results), encoding="utf-8")
    sys.stdout.write(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())

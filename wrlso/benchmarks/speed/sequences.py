"""What searches over proteins cost: ``python -m wrlso.benchmarks.speed.sequences``.

A plate of 96 from 1,000 told mutants of a protein of 250 residues, and the first training on 10,000 mutants
of 100 residues, both with nothing set. Seconds are those of a clock and of the processor; other processes on
the machine make the former longer.
"""

import argparse
import json
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from wrlso.benchmarks.records import machine, versions, write_record
from wrlso.optimizer import WeightedRetrainingOptimizer
from wrlso.sequences import sequence_search

__all__ = ["main", "mutants", "seconds_of_plates", "seconds_of_training"]

_RESIDUES = "ACDEFGHIKLMNPQRSTVWY"


def mutants(n: int, length: int) -> tuple[list[str], list[float]]:
    """Return n distinct sequences, a random protein with one to eight random changes each, and their values.

    The value is a sum over places of random numbers, of which the wild type's are 0.
    """
    rng = np.random.default_rng(0)
    wild, worth = rng.integers(20, size=length), rng.normal(size=(length, 20))
    worth[np.arange(length), wild] = 0.0
    found: dict[str, float] = {}
    while len(found) < n:
        x = wild.copy()
        places = rng.permutation(length)[: rng.integers(1, 9)]
        x[places] = rng.integers(20, size=len(places))
        found["".join(_RESIDUES[i] for i in x)] = float(worth[np.arange(length), x].sum())
    return list(found), list(found.values())


def seconds_of_plates(n: int = 1000, length: int = 250, plate: int = 96) -> dict[str, Any]:
    """Return what the first training, the first plate, and one after telling it cost."""
    X, y = mutants(n, length)
    opt: WeightedRetrainingOptimizer
    opt, training = _timed(lambda: sequence_search(X, y, random_state=0, retrain_every=None))
    seconds = []
    for _ in range(2):
        batch, spent = _timed(lambda: opt.ask(plate))
        opt.tell(batch, [float(sum(letter in "KR" for letter in x)) for x in batch])
        seconds.append(spent)
    return {"n": n, "length": length, "plate": plate, "training": training, "plates": seconds}


def seconds_of_training(n: int = 10_000, length: int = 100) -> dict[str, Any]:
    """Return what the first training on many sequences costs."""
    X, y = mutants(n, length)
    opt, training = _timed(lambda: sequence_search(X, y, random_state=0))
    log = opt.history_.trainings[0]
    steps = max((int(epoch["n_steps"]) for epoch in log["epochs"]), default=0) if "epochs" in log else None
    return {"n": n, "length": length, "training": training, "n_steps": steps}


def _timed(call: Callable[[], Any]) -> tuple[Any, dict[str, float]]:
    begin, worked = time.perf_counter(), time.process_time()
    found = call()
    spent = {"clock": time.perf_counter() - begin, "processor": time.process_time() - worked}
    return found, {name: round(seconds, 2) for name, seconds in spent.items()}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run from the command line: print the result as JSON, or write it to ``--out``."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--out", type=Path, help="write the record here instead of to standard output")
    options = parser.parse_args(arguments)
    record = {
        "kind": "sequences-speed",
        "plates": seconds_of_plates(),
        "training": seconds_of_training(),
        "threads": torch.get_num_threads(),
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

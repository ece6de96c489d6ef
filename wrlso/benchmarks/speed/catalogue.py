"""What an ask in a large catalogue of molecules costs: ``python -m wrlso.benchmarks.speed.catalogue``.

The list is ZINC250k, and the same molecules with a fluorine, a chlorine or an ethyl group in front, as far as
they are wanted: about one in four of these is no molecule, and is left out like any row that cannot be read.
Values of the start are penalised logP. Figures are seconds of the wall's clock and of the processor; those of
other processes that read the list are not in the latter.
"""

import argparse
import json
import sys
import time
from collections.abc import Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from wrlso.benchmarks.records import machine, versions, write_record
from wrlso.catalogue import Catalogue
from wrlso.datasets.molecules import fetch_zinc250k
from wrlso.molecules import molecule_search
from wrlso.tasks.molecules.tasks import PenalizedLogP

__all__ = ["main", "seconds_of_asks"]

_IN_FRONT = ("", "F", "Cl", "CC")


def seconds_of_asks(n_listed: int, n_told: int, n_asks: int, batch: int) -> dict[str, Any]:
    """Return how long each ask in a list took, the first with the reading of the list.

    Parameters
    ----------
    n_listed : int
        Rows of the list.
    n_told : int
        Random molecules of ZINC250k with a value.
    n_asks, batch : int
        How many asks, each for so many, with a tell after each.
    """
    known = fetch_zinc250k()
    rows = (f"{front}{x}" for front in _IN_FRONT for x in known)
    listed = Catalogue(list(islice(rows, n_listed)))
    objective = PenalizedLogP().objective
    start = [known[row] for row in np.random.default_rng(0).choice(len(known), n_told, replace=False)]
    opt = molecule_search(
        start, [objective(x) for x in start], candidates=listed, generate=False, random_state=0, verbose=1
    )
    wall, processor = [], []
    for _ in range(n_asks):
        began, worked = time.perf_counter(), time.process_time()
        X = opt.ask(batch)
        wall.append(round(time.perf_counter() - began, 2))
        processor.append(round(time.process_time() - worked, 2))
        opt.tell(X, [objective(x) for x in X])
    return {
        "n_listed": len(listed),
        "n_told": n_told,
        "batch": batch,
        "wall": wall,
        "processor": processor,
        "best": round(float(opt.best_y_), 3),
    }


def main(arguments: Sequence[str] | None = None) -> int:
    """Run from the command line: print the result as JSON, or write it to ``--out``."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--listed", type=int, default=len(_IN_FRONT) * 249_455)
    parser.add_argument("--told", type=int, default=300)
    parser.add_argument("--asks", type=int, default=5)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--out", type=Path, help="write the record here instead of to standard output")
    given = parser.parse_args(arguments)
    found = seconds_of_asks(given.listed, given.told, given.asks, given.batch)
    record = {"kind": "catalogue", **found, "versions": versions(), "machine": machine()}
    if given.out is None:
        sys.stdout.write(json.dumps(record, indent=1) + "\n")
    else:
        write_record(given.out, record)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())

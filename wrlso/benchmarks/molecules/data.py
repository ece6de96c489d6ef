"""Make a table of molecules and their properties: ``python -m wrlso.benchmarks.molecules.data``.

The input has one SMILES a line. The output is a table for :func:`wrlso.datasets.load_molecules`: distinct
canonical SMILES with their properties (:func:`wrlso.tasks.molecules.properties`)::

    python -m wrlso.benchmarks.molecules.data mine.smi mine.csv.xz

With a number instead of the file it samples that many new molecules from the model that ships. The table that
ships was made so::

    python -m wrlso.benchmarks.molecules.data 20000 wrlso/data/molecules.csv.xz
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from wrlso._chemistry.smiles import read_molecules
from wrlso._utils.progress_bar import ProgressBar
from wrlso._utils.validation import check_jobs
from wrlso.datasets.molecule_table import write_molecule_table
from wrlso.datasets.molecules import canonical_smiles, fetch_zinc250k
from wrlso.exceptions import DataError
from wrlso.models.selfies.vae import SelfiesVAE
from wrlso.tasks.molecules.tasks import properties

__all__ = ["main", "make_table"]


def make_table(X: Sequence[str], path: Path, *, n_jobs: int = 1) -> int:
    """Write the table of n molecules and return its number of distinct molecules.

    Parameters
    ----------
    X : sequence of n str
        SMILES of single molecules.
    path : Path
        File to write; compressed if its name ends in ``.xz``.
    n_jobs : int, default=1
        Processes that compute the properties, -1: one for each core.

    Raises
    ------
    DataError, DataTypeError
        When X is empty, or an x is not a single molecule; the error names the row.
    ParameterError, ParameterTypeError
        When ``n_jobs`` is invalid.
    """
    check_jobs(n_jobs)
    molecules = list(dict.fromkeys(read_molecules(X, radicals="keep", isotopes="keep")))
    if not molecules:
        raise DataError("X must hold at least one molecule, got none")
    from joblib import Parallel, delayed

    rows = Parallel(n_jobs=n_jobs, batch_size=100)(delayed(properties)(x) for x in molecules)
    columns = {name: [row[name] for row in rows] for name in rows[0]}
    write_molecule_table(path, {"smiles": molecules, **columns})
    return len(molecules)


def sampled(n: int, random_state: int = 0) -> list[str]:
    """Return n molecules outside ZINC250k, sampled from the model that ships.

    Each is decoded from a sample of the posterior of a random molecule of ZINC250k.
    """
    model = SelfiesVAE.pretrained()
    known = [x for x in canonical_smiles(fetch_zinc250k()) if x]
    rng, generator = np.random.default_rng(random_state), torch.Generator().manual_seed(random_state)
    seen, found = set(known), dict[str, None]()
    with ProgressBar(total=n, desc="sampling", unit="molecule") as bar:
        while len(found) < n:
            inputs = model.tensorize([known[i] for i in rng.choice(len(known), 1024, replace=False)])
            decoded = model.decode(model.sample_posterior(inputs, generator))
            found.update(dict.fromkeys(x for x in decoded if x is not None and x not in seen))
            bar.update(min(n, len(found)) - bar.n)
    return list(found)[:n]


def main(arguments: Sequence[str] | None = None) -> int:
    """Make a table from the command line; return its number of molecules."""
    parser = argparse.ArgumentParser(prog="python -m wrlso.benchmarks.molecules.data")
    parser.description = "Make a table of molecules and their properties."
    parser.add_argument("molecules", help="text file, one SMILES a line; or number of molecules to sample")
    parser.add_argument("table", type=Path, help="file to write, .csv or .csv.xz")
    parser.add_argument("--jobs", type=int, default=1, help="number of processes")
    options = parser.parse_args(arguments)
    if options.molecules.isdecimal():
        X = sampled(int(options.molecules))
    else:
        X = Path(options.molecules).read_text(encoding="utf-8").split()
    n = make_table(X, options.table, n_jobs=options.jobs)
    sys.stderr.write(f"{n} molecules in {options.table}\n")
    return n


if __name__ == "__main__":
    main()

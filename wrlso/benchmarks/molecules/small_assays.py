"""Small assays: whether intervals hold what they promise, and how large the first proposals are.

``python -m wrlso.benchmarks.molecules.small_assays --out FILE``

Fifty assays have 6 to 50 molecules of ZINC250k with computed values and noise; a process is fitted to each
and predicts the noisy values of 200 others. A hundred more have 6 to 12 reference drugs or molecules of
ZINC250k with random values, from which nothing can be learned; ``molecule_search`` proposes four
molecules for each. Its model is as it ships: few molecules train it for a few steps only, and those take
longer than the search.
"""

import argparse
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from wrlso._chemistry.scores import logp, qed
from wrlso._chemistry.smiles import optional_module, parse
from wrlso._utils.progress_bar import ProgressBar
from wrlso._utils.validation import check_count
from wrlso.acquisition.molecule_options import search_options
from wrlso.acquisition.size_range import heavy_atoms
from wrlso.benchmarks.molecules.objectives import ODD_MOLECULES
from wrlso.benchmarks.molecules.structures import predict_held_out
from wrlso.benchmarks.records import machine, versions, write_record
from wrlso.datasets.molecules import fetch_zinc250k
from wrlso.models.selfies.vae import SelfiesVAE
from wrlso.molecules import molecule_search
from wrlso.surrogate.tanimoto_gp import TanimotoGP
from wrlso.tasks.molecules.guacamol import guacamol_objective
from wrlso.training.trainer import Trainer

__all__ = ["OBJECTIVES", "calibration", "first_batches", "main", "table"]

OBJECTIVES: dict[str, Callable[[Any], float]] = {
    "logp": logp,
    "qed": qed,
    "tpsa": lambda molecule: float(optional_module("rdkit.Chem.rdMolDescriptors").CalcTPSA(molecule)),
    "osimertinib-mpo": lambda molecule: guacamol_objective("osimertinib_mpo")(molecule),
    "perindopril-mpo": lambda molecule: guacamol_objective("perindopril_mpo")(molecule),
}
"""What an assay of the first kind measures, of RDKit's molecule."""

_SIZES = (6, 7, 8, 10, 12, 15, 20, 28, 38, 50)
_NOISES = (0.1, 0.3, 1.0)  # standard deviations of the noise, in those of the values
_NEW = 200  # molecules that are predicted
_DRUGS = ODD_MOLECULES[:17]  # the references of GuacaMol's objectives
_BATCH = 4


def calibration(molecules: Sequence[str], n: int, seed: int) -> list[dict[str, Any]]:
    """Return a process's coverage, rank correlation and log density on n small assays.

    Parameters
    ----------
    molecules : sequence of str
        SMILES that the assays are drawn from, 250 at least.
    n : int
        Number of assays; sizes and objectives take turns.
    seed : int
        Seed of the first assay.

    Returns
    -------
    list of n dict
        ``log_density`` is that of values in their own standard deviations.
    """
    check_count("n", n)
    results = []
    for i in range(n):
        size, objective = _SIZES[i // len(OBJECTIVES) % len(_SIZES)], list(OBJECTIVES)[i % len(OBJECTIVES)]
        noise, rng = _NOISES[i % len(_NOISES)], np.random.default_rng(seed + i)
        X = [molecules[row] for row in rng.choice(len(molecules), size + _NEW, replace=False)]
        y = np.array([OBJECTIVES[objective](parse(x)) for x in X])
        y = y / y.std() + noise * rng.normal(size=len(y))
        found = predict_held_out(TanimotoGP, (X[:size], y[:size]), (X[size:], y[size:]), seed + i)
        rounded = {key: float(f"{found[key]:.4g}") for key in ("coverage", "rank_correlation", "log_density")}
        results.append({"seed": seed + i, "objective": objective, "n": size, "noise": noise} | rounded)
    return results


def first_batches(
    molecules: Sequence[str], n: int, seed: int, model: SelfiesVAE, **options: Any
) -> list[dict[str, Any]]:
    """Return the sizes of the first proposals for n assays with random values.

    Parameters
    ----------
    molecules : sequence of str
        SMILES that every second assay is drawn from; the others are reference drugs.
    n : int
    seed : int
        Seed of the first assay.
    model : SelfiesVAE
        The model of every search.
    **options
        Of :func:`wrlso.molecules.molecule_search`.

    Returns
    -------
    list of n dict
        ``known`` and ``asked`` are heavy atoms of the assay's molecules and of the proposals, ``proposals``
        their SMILES.
    """
    check_count("n", n)
    results = []
    for i in ProgressBar(range(n), desc="first batches", disable=n < 10):
        rng = np.random.default_rng(seed + i)
        source = molecules if i % 2 else _DRUGS
        X = [source[row] for row in rng.choice(len(source), int(rng.integers(6, 13)), replace=False)]
        y = rng.normal(6.0, 1.0, size=len(X))  # as pIC50 are
        untrained = Trainer(initial_epochs=0)
        opt = molecule_search(X, y, model=model, random_state=seed + i, trainer=untrained, **options)
        batch = opt.ask(_BATCH)
        sizes = {"known": [heavy_atoms(x) for x in X], "asked": [heavy_atoms(x) for x in batch]}
        results.append({"seed": seed + i, "drugs": i % 2 == 0} | sizes | {"proposals": batch})
    return results


def table(record: Mapping[str, Any]) -> str:
    """Return the record's means as lines of text."""
    lines = [f"{'molecules':12}{'assays':>7}{'90 % hold':>11}{'in 80-97 %':>12}{'rank':>7}{'density':>9}"]
    for name, low, high in (("6 to 10", 6, 10), ("12 to 20", 12, 20), ("28 to 50", 28, 50), ("all", 6, 50)):
        rows = [row for row in record["calibration"] if low <= row["n"] <= high]
        if rows:
            hold = np.array([row["coverage"] for row in rows])
            inside = float(np.mean((hold >= 0.8) & (hold <= 0.97)))
            rank, density = (
                np.mean([row[key] for row in rows]) for key in ("rank_correlation", "log_density")
            )
            lines.append(f"{name:12}{len(rows):7}{hold.mean():11.3f}{inside:12.2f}{rank:7.3f}{density:9.3f}")
    ratios = [max(row["asked"]) / max(row["known"]) for row in record["first_batches"]]
    small = [min(row["known"]) / min(row["asked"]) for row in record["first_batches"]]
    lines.append(
        f"first batches: {sum(r > 1.3 for r in ratios)} of {len(ratios)} hold a molecule of more than 1.3 "
        f"times the largest known\nsize (at most {max(ratios):.2f} times), {sum(r > 1.3 for r in small)} one "
        f"of less than 1/1.3 of the smallest (at least 1/{max(small):.2f})"
    )
    return "\n".join(lines)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run from the command line: print a table, and write the record to ``--out``."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--assays", type=int, default=50, help="assays whose values are predicted")
    parser.add_argument("--batches", type=int, default=100, help="assays for which molecules are proposed")
    parser.add_argument("--seed", type=int, default=0, help="seed of the first assay of each kind")
    parser.add_argument("--any-size", action="store_true", help="proposals without a range of sizes")
    parser.add_argument("--data", type=Path, help="folder of zinc250k.smi or zinc250k.smi.xz")
    parser.add_argument("--out", type=Path, help="write the record here")
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)
    molecules, model = fetch_zinc250k(options.data), SelfiesVAE.pretrained()
    about = {"kind": "small-assays", "assays": options.assays, "batches": options.batches}
    record = (
        about
        | {"seed": options.seed, "any_size": options.any_size}
        | {
            "versions": versions(),
            "machine": machine(),
            "calibration": calibration(molecules, options.assays, options.seed),
            "first_batches": first_batches(
                molecules, options.batches, options.seed, model, **_parts(model, options.any_size)
            ),
        }
    )
    sys.stdout.write(table(record) + "\n")
    if options.out is not None:
        write_record(options.out, record)
    return 0


def _parts(model: SelfiesVAE, any_size: bool) -> dict[str, Any]:
    """Return the parameters of a search without a range of sizes; none for the default one."""
    if not any_size:
        return {}
    acquisition = search_options(model)["acquisition"]
    return {"acquisition": acquisition.set_params(search=acquisition.search.search)}


if __name__ == "__main__":
    raise SystemExit(main())

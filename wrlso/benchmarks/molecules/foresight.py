"""How well a Gaussian process predicts the molecules that a search asks for.

``python -m wrlso.benchmarks.molecules.foresight DIR --out FILE``

DIR holds records of searches over molecules with all of ZINC250k (``wrlso bench molecules``). After 100, 200,
300 and 400 of their queries every process is fitted to the data known at that time, and predicts the next 50
queries. A search must judge such molecules, rather than unseen molecules of the data
(:mod:`wrlso.benchmarks.molecules.structures`).
"""

import argparse
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.stats import norm, spearmanr

from wrlso._utils.progress_bar import ProgressBar
from wrlso.benchmarks.molecules.study import molecules_study
from wrlso.benchmarks.records import data_hash, machine, read_records, versions, write_record
from wrlso.exceptions import DataError
from wrlso.surrogate.predictions import predict_measurements
from wrlso.surrogate.subset import select_subset
from wrlso.surrogate.tanimoto_gp import TanimotoGP

__all__ = ["PROCESSES", "foresight", "judge", "main", "table"]

Array = NDArray[np.float64]

PROCESSES: dict[str, Callable[[], TanimotoGP]] = {
    "default": TanimotoGP,
    "winsorize": lambda: TanimotoGP(transform="winsorize"),
    "1,500 best and 500 random": lambda: TanimotoGP(None, 1500, 500),
    "1,900 best and 100 random": lambda: TanimotoGP(None, 1900, 100),
}
"""The compared processes; each name states the difference from the default."""

_OPTIONS = ("goal", "data", "n_start", "max_heavy_atoms", "max_tokens", "stereo")
_CUTS, _NEXT = (100, 200, 300, 400), 50


def judge(
    make: Callable[[], TanimotoGP],
    known: tuple[Sequence[str], Array],
    asked: tuple[Sequence[str], Array],
    at: int,
) -> dict[str, float]:
    """Fit a process to known data and the first ``at`` asked points, and judge it by the next 50.

    Parameters
    ----------
    make : callable
        Returns an unfitted process.
    known, asked : (SMILES, values)
        The starting data; the asked points in order, with NaN for failed experiments.
    at : int

    Returns
    -------
    dict
        ``rank_correlation`` of mean and value, ``rmse``, and ``log_density`` (mean, of the normal
        distribution with the predicted moments, noise included).
    """
    gp = make()
    there = np.isfinite(asked[1])
    told = np.flatnonzero(there[:at]).tolist()
    coming = (at + np.flatnonzero(there[at : at + _NEXT])).tolist()
    values = np.concatenate([known[1], asked[1][told]])
    rows = select_subset(values, gp.n_best, gp.n_random, np.random.default_rng(0), n_latest=len(told))
    n = len(known[0])
    X = [known[0][i] if i < n else asked[0][told[i - n]] for i in rows]
    gp.fit(X, torch.from_numpy(values[rows]), np.random.default_rng(0))
    mean, deviation = predict_measurements(gp, [asked[0][i] for i in coming])
    y = asked[1][coming]
    return {
        "rank_correlation": float(spearmanr(mean, y)[0]),
        "rmse": float(np.sqrt(np.mean((mean - y) ** 2))),
        "log_density": float(norm.logpdf(y, mean, deviation).mean()),
    }


def foresight(
    records: Sequence[Mapping[str, Any]], processes: Mapping[str, Callable[[], TanimotoGP]]
) -> list[dict[str, Any]]:
    """Judge every process along every recorded search; return means over the four cuts."""
    results = []
    with ProgressBar(total=len(records) * len(processes), desc="foresight") as bar:
        for record in records:
            _check_molecules(record)
            options = {name: record["options"][name] for name in _OPTIONS}
            known = molecules_study(**options).initial_data(record["seed"])
            if record.get("starting_data", {}).get("sha256") != data_hash(*known):
                raise DataError(
                    f"the {record['setting']} search on {record['task']}, seed {record['seed']}, has other "
                    f"starting data than {options}"
                )
            asked = record["x"], np.array([np.nan if y is None else y for y in record["y"]])
            cuts = [at for at in _CUTS if at + _NEXT <= len(asked[1])]
            if not cuts:
                raise DataError(f"a search must have {_CUTS[0] + _NEXT} queries, got {len(asked[1])}")
            for name, make in processes.items():
                found = [judge(make, known, asked, at) for at in cuts]
                means = {key: float(f"{np.mean([one[key] for one in found]):.4g}") for key in found[0]}
                about = {"process": name, "objective": record["task"], "setting": record["setting"]}
                results.append(about | {"seed": record["seed"]} | means)
                bar.update(1)
    return results


def _check_molecules(record: Mapping[str, Any]) -> None:
    missing = [name for name in _OPTIONS if name not in record.get("options", {})]
    if missing:
        raise DataError(
            f"records must be of searches over molecules, got one of {record.get('task')!r} "
            f"without the option {missing[0]}"
        )
    if (model := record["options"].get("model")) is not None:
        raise DataError(f"records must be of searches with the model that ships, got one with {model}")


def table(results: Sequence[Mapping[str, Any]]) -> str:
    """Return the results and their means over searches as lines of text."""
    lines = [f"{'objective':22}{'process':28}{'rank':>7}{'rmse':>8}{'density':>9}"]
    for process in dict.fromkeys(row["process"] for row in results):
        rows = [row for row in results if row["process"] == process]
        keys = ("rank_correlation", "rmse", "log_density")
        mean = {key: float(np.mean([row[key] for row in rows])) for key in keys}
        for row in [*rows, {"objective": "mean"} | mean]:
            name = f"{row['objective']:22}{process:28}"
            lines.append(f"{name}{row['rank_correlation']:7.3f}{row['rmse']:8.3f}{row['log_density']:9.2f}")
    return "\n".join(lines)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run from the command line: print a table, and write the record to ``--out``."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("folder", type=Path, help="records of searches")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, help="write the record here")
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)
    records = [
        r for r in read_records(options.folder) if r.get("setting") == "both" and r["seed"] == options.seed
    ]
    if not records:
        raise DataError(f'{options.folder} must hold a search of setting "both" and seed {options.seed}')
    results = foresight(records, PROCESSES)
    sys.stdout.write(table(results) + "\n")
    if options.out is not None:
        about = {"kind": "foresight", "cuts": list(_CUTS), "versions": versions(), "machine": machine()}
        write_record(options.out, about | {"results": results})
    return 0


if __name__ == "__main__":
    raise SystemExit(main())

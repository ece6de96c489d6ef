"""The paper's Tables 1 and 2 and Figure 12 on searches over molecules, from our records."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from wrlso.benchmarks.records import Record
from wrlso.plots.figures import new_figure
from wrlso.plots.molecules import molecule_grid

__all__ = ["draw_best", "minutes_by_stage", "top_three"]

# Preprint, Table 1: penalised logP, no bound on size; "paper": its worst of three runs, and its best one
_PUBLISHED = (
    ("JT-VAE (Jin et al. 2018)", 5.30, 4.93, 4.49, "2500"),
    ("GCPN (You et al. 2018)", 7.98, 7.85, 7.80, "about 1e6"),
    ("MolDQN (Zhou et al. 2019)", 11.84, 11.84, 11.82, "at least 5000"),
    ("paper: neither", 5.46, 5.44, 5.28, "500"),
    ("paper: weighting", 6.72, 6.31, 6.10, "500"),
    ("paper: both", 20.80, 20.64, 20.27, "500"),
    ("paper: both, best run", 22.55, 21.75, 21.30, "500"),
)
_STAGES = ("train", "retrain", "fit", "acquire", "decode", "objective")
_COLUMNS = 5

Groups = Mapping[str, Sequence[Record]]


def top_three(groups: Groups) -> list[dict[str, str]]:
    """Return the three best values of each group's worst run, and of its best one, as in Table 1.

    Published values, of molecules of about 100 atoms, come first when our molecules may be as large.
    """
    rows = []
    records = [record for found in groups.values() for record in found]
    sizes = {r["options"]["max_heavy_atoms"] for r in records}
    if all(r["task"] == "penalized-logp" for r in records) and all(n is None or n >= 100 for n in sizes):
        rows = [_row(name, values, queries) for name, *values, queries in _PUBLISHED]
    for label, found in groups.items():
        ordered = sorted(found, key=lambda record: max(_values(record)))
        n = str(ordered[0]["options"]["budget"])
        named = f"{label}, worst of {len(found)}" if len(found) > 1 else label
        rows.append(_row(named, sorted(_values(ordered[0]))[-3:][::-1], n))
        if len(found) > 1:
            rows.append(_row(f"{label}, best of {len(found)}", sorted(_values(ordered[-1]))[-3:][::-1], n))
    return rows


def _values(record: Record) -> list[float]:
    return [value for value in record["y"] if value is not None]


def _row(name: str, values: Sequence[Any], queries: str) -> dict[str, str]:
    row = {"method": name}
    row |= {rank: f"{value:.2f}" for rank, value in zip(("1st", "2nd", "3rd"), values, strict=False)}
    return row | {"queries": queries}


def minutes_by_stage(groups: Groups) -> list[dict[str, str]]:
    """Return the mean minutes of a run and of its stages; Table 2 has hours of a GPU."""
    rows = []
    for label, found in groups.items():
        seconds = {
            stage: float(np.mean([record["seconds"].get(stage, 0.0) for record in found]))
            for stage in ("total", *_STAGES)
        }
        row = {"setting": label, "runs": str(len(found))}
        rows.append(row | {stage: f"{value / 60:.1f}" for stage, value in seconds.items()})
    return rows


def draw_best(groups: Groups, path: Path) -> None:
    """Draw the best molecule of each run into a PNG, with its value and size (Fig. 12)."""
    best = [
        (record["best"]["x"], f"{label}, seed {record['seed']}\n{record['best']['y']:.4g}")
        for label, records in groups.items()
        for record in records
        if "best" in record
    ]
    X, labels = zip(*best, strict=True)
    figure = new_figure(2.6 * _COLUMNS, 2.4 * -(-len(X) // _COLUMNS))
    molecule_grid(X, labels, n_columns=_COLUMNS, figure=figure)
    figure.savefig(path, dpi=110)

"""Scores and tables of the panel, made from records only.

A cell is a problem, a start and a seed. The score of a method in a cell is the share of the way from the best
starting value to the reference value: (best − start) / (reference − start), where best is the best value so
far, the start included. Its rank is its place among all methods in the cell, 1 the best; equal scores share
their mean rank. Intervals are those of Student's t over seeds: each seed's value is a mean over its cells, so
they say how much another seed would change a table, not another panel.
"""

import math
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata, t

from wrlso.benchmarks.panel.peers import PEERS
from wrlso.benchmarks.records import Record, read_records
from wrlso.benchmarks.study import SETTINGS
from wrlso.exceptions import DataError

__all__ = [
    "CHECKPOINTS",
    "FORMER",
    "differences",
    "interval",
    "problem_table",
    "ranks",
    "score_curve",
    "summarize_panel",
]

CHECKPOINTS = (50, 100, 200, 500)
FORMER = "former"  # the defaults before the surrogate and the candidates chose themselves: commit 85cfe28

_PAIRS = (
    ("both", "neither"),
    ("weighting", "neither"),
    ("retraining", "neither"),
    ("both", "weighting"),
    ("both", "retraining"),
    ("both", FORMER),
)
_NO_RIVALS = {FORMER, *SETTINGS} - {"both"}

Values = NDArray[np.float64]
Cell = tuple[str, str, int]  # problem, start, seed
Scores = dict[Cell, dict[str, float]]  # score of each peer


def score_curve(record: Record) -> Values:
    """Return the score (n,) after each call of a run: 0 at the start, 1 at the reference value."""
    sign = -1.0 if record["direction"] == "minimize" else 1.0
    start = sign * record["starting_data"]["best"]
    told = [-np.inf if value is None else sign * value for value in record["y"]]
    best = np.maximum.accumulate(np.array([start, *told], dtype=np.float64))[1:]
    return np.asarray((best - start) / (sign * record["reference"] - start))


def ranks(scores: Scores) -> Scores:
    """Return the rank of each peer in each cell, 1 the best; equal scores share their mean rank."""
    ranked: Scores = {}
    for cell, found in scores.items():
        places = rankdata([-value for value in found.values()])
        ranked[cell] = dict(zip(found, map(float, places), strict=True))
    return ranked


def interval(values: Sequence[float]) -> tuple[float, float]:
    """Return the mean and half of its 95 % interval by Student's t; NaN for the half with one value."""
    n = len(values)
    mean = float(np.mean(values))
    if n < 2:
        return mean, math.nan
    return mean, float(t.ppf(0.975, n - 1) * np.std(values, ddof=1) / math.sqrt(n))


def differences(scores: Scores, first: str, second: str) -> list[float]:
    """Return for each seed the mean over its cells of the first peer's score less the second's."""
    by_seed: dict[int, list[float]] = defaultdict(list)
    for (_, _, seed), found in scores.items():
        if first in found and second in found:
            by_seed[seed].append(found[first] - found[second])
    return [float(np.mean(by_seed[seed])) for seed in sorted(by_seed)]


def problem_table(records: Sequence[Record], calls: int) -> list[dict[str, str]]:
    """Return one row for each problem and start: every peer's mean score after so many calls."""
    scores = _scores(records, calls)
    rows = []
    for name, start in dict.fromkeys(cell[:2] for cell in scores):
        row = {"problem": name, "start": start}
        for peer in _peers(records):
            found = [values[peer] for cell, values in scores.items()
                     if cell[:2] == (name, start) and peer in values]  # fmt: skip
            row[peer] = _with_interval(found) if found else "–"
        rows.append(row)
    return rows


def summarize_panel(folder: Path) -> dict[str, list[dict[str, str]]]:
    """Return the tables of the records of a folder, by name, with one row each as a dict.

    ``overall-HALF``: mean rank and mean score of each peer at each checkpoint, over the seeds for which every
    method ran on every problem, if there are any. ``problems-HALF``: mean scores by problem and start after
    the most calls that all records have. ``settings-HALF``: differences between settings, paired by seed. The
    other settings are no rivals of "both": they have no rank. A subfolder ``former`` may hold runs of "both"
    by the code of before (see ``FORMER``); its differences come last.

    Raises
    ------
    DataError
        When the records of a cell have different starting data, or there is no record of the panel.
    """
    records = [record for record in read_records(folder) if record["kind"] == "panel"]
    if (folder / FORMER).is_dir():
        before = [record for record in read_records(folder / FORMER) if record["peer"] == "both"]
        records += [record | {"peer": FORMER} for record in before]
    if not records:
        raise DataError(f"{folder} holds no records of the panel")
    _check_starts(records)
    tables = {}
    for half in dict.fromkeys(record["half"] for record in records):
        part = [record for record in records if record["half"] == half]
        reached = [calls for calls in CHECKPOINTS if all(r["options"]["calls"] >= calls for r in part)]
        reached = reached or [min(record["options"]["calls"] for record in part)]
        tables[f"overall-{half}"] = _overall(part, reached)
        tables[f"problems-{half}"] = problem_table(part, reached[-1])
        if rows := _settings(part, reached):
            tables[f"settings-{half}"] = rows
    return tables


def _overall(records: Sequence[Record], checkpoints: Sequence[int]) -> list[dict[str, str]]:
    """Return one row for each peer."""
    records = _complete([record for record in records if record["peer"] not in _NO_RIVALS])
    rows = [{"method": peer} for peer in _peers(records)]
    for calls in checkpoints:
        scores = _scores(records, calls)
        ranked = ranks(scores)
        for row in rows:
            row[f"rank at {calls}"] = _with_interval(_by_seed(ranked, row["method"]))
        for row in rows:
            row[f"score at {calls}"] = _with_interval(_by_seed(scores, row["method"]))
    for row in rows:
        mine = [record for record in records if record["peer"] == row["method"]]
        row["runs"] = str(len(mine))
        row["seconds a run"] = f"{np.mean([record['seconds']['processor'] for record in mine]):.0f}"
    return rows


def _complete(records: Sequence[Record]) -> list[Record]:
    """Return the records of the seeds for which each method ran wherever it ran for any seed; else all."""
    there: dict[int, set[tuple[str, str, str]]] = defaultdict(set)
    for record in records:
        there[record["seed"]].add((record["problem"], record["start"], record["peer"]))
    most = set().union(*there.values())
    complete = [record for record in records if there[record["seed"]] == most]
    return complete or list(records)


def _cell(record: Record) -> Cell:
    return record["problem"], record["start"], record["seed"]


def _settings(records: Sequence[Record], checkpoints: Sequence[int]) -> list[dict[str, str]]:
    """Return the differences between settings, overall and for each problem."""
    rows: list[dict[str, str]] = []
    for first, second in _PAIRS:
        for name in ["all", *dict.fromkeys(record["problem"] for record in records)]:
            part = [record for record in records if name in ("all", record["problem"])]
            found = {calls: differences(_scores(part, calls), first, second) for calls in checkpoints}
            if found[checkpoints[0]]:
                row = {"difference": f"{first} − {second}", "problem": name}
                row["seeds"] = str(len(found[checkpoints[0]]))
                rows.append(row | {f"at {calls}": _with_interval(each) for calls, each in found.items()})
    return rows


def _scores(records: Iterable[Record], calls: int) -> Scores:
    """Return the scores after so many calls; a run that ended early keeps its last one."""
    scores: Scores = defaultdict(dict)
    for record in records:
        curve = score_curve(record)[:calls]
        scores[_cell(record)][record["peer"]] = float(curve[-1]) if len(curve) else 0.0
    return dict(scores)


def _by_seed(values: Scores, peer: str) -> list[float]:
    by_seed: dict[int, list[float]] = defaultdict(list)
    for (_, _, seed), found in values.items():
        if peer in found:
            by_seed[seed].append(found[peer])
    return [float(np.mean(by_seed[seed])) for seed in sorted(by_seed)]


def _peers(records: Iterable[Record]) -> list[str]:
    there = {record["peer"] for record in records}
    order: Callable[[str], Any] = [*PEERS, *sorted(there - set(PEERS))].index
    return sorted(there, key=order)


def _check_starts(records: Iterable[Record]) -> None:
    starts: dict[Cell, Mapping[str, Any]] = {}
    for record in records:
        cell, start = _cell(record), record["starting_data"]
        if starts.setdefault(cell, start)["sha256"] != start["sha256"]:
            raise DataError(
                f"the records of {cell[0]}, start {cell[1]}, seed {cell[2]} have different starting data: "
                "remove those of the older panel"
            )


def _with_interval(values: Sequence[float]) -> str:
    mean, half = interval(values)
    return f"{mean:.3f}" if math.isnan(half) else f"{mean:.3f} ± {half:.3f}"

"""Tables and pictures of studies, made from records only."""

import csv
import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wrlso.benchmarks.molecules.tables import draw_best, minutes_by_stage, top_three
from wrlso.benchmarks.panel.tables import summarize_panel
from wrlso.benchmarks.records import REACHED, Record, mean_and_error, read_records, topk_curve
from wrlso.benchmarks.study import SETTINGS
from wrlso.exceptions import DataError
from wrlso.plots import curves as plots
from wrlso.plots.figures import new_figure

__all__ = ["OPTIMA", "released_curves", "summarize", "table"]

TOP = (1, 10, 50)
OPTIMA = {"shapes": 4096.0, "expressions": 0.0}
PEERS = ("random", "subset", "genetic", "screened")
# options that distinguish groups of runs in a folder
VARIED = ("search", "surrogate", "max_heavy_atoms", "n_start", "k", "r", "transform", "thompson")
DIAGNOSIS = {
    "new": "new candidates", "valid": "valid candidates", "rank_correlation": "rank correlation of the GP",
}  # fmt: skip
RELEASED_TASKS = {"shapes": "shapes", "expressions": "expr", "penalized-logp": "chem"}
RELEASED_SETTINGS = {
    "neither": "neither", "weighting": "weight", "retraining": "retrain", "both": "weight+retrain",
}  # fmt: skip

Curve = NDArray[np.float64]
ReleasedCurves = dict[str, tuple[Sequence[int], Curve, Curve]]


@dataclass(frozen=True)
class Group:
    """The runs of one setting (and search), over seeds."""

    label: str
    setting: str
    records: tuple[Record, ...]

    def curves(self, K: int) -> list[Curve]:
        """Return one TopK curve for each seed."""
        return [topk_curve(record["y"], K) for record in self.records]


def summarize(folder: Path, *, released: Path | None = None) -> list[Path]:
    """Draw the plots and write the tables of the records in a folder, beside them.

    For runs: ``topk.png``, ``table.md`` and ``table.csv``. For score samples: ``scores-prior.png`` and
    ``scores-enumeration.png``. For several tasks ``topk.png`` shows Top1 only, and ``overview.md`` and
    ``overview.csv`` compare the tasks. For one task on molecules also: ``best.png``, the best molecules;
    ``top3.md`` and ``top3.csv``, the three best values beside published ones; ``minutes.md`` and
    ``minutes.csv``, the time of each stage. For the panel: the tables of
    :func:`wrlso.benchmarks.panel.tables.summarize_panel`.

    Parameters
    ----------
    folder : Path
    released : Path, optional
        JSON file of published curves to draw beside those of the runs.

    Returns
    -------
    list of Path
        The files that were written.

    Raises
    ------
    DataError
        If there is no record, or ``released`` is not a file of published curves.
    """
    records = read_records(folder)
    runs = [record for record in records if record["kind"] == "run"]
    scores = [record for record in records if record["kind"] == "scores"]
    written = _summarize_runs(folder, runs, released) if runs else []
    if any(record["kind"] == "panel" for record in records):
        for name, rows in summarize_panel(folder).items():
            written += _write_table(folder, name, rows)
    return written + (_draw_scores(folder, scores) if scores else [])


def table(records: Sequence[Record], varied: Sequence[str] | None = None) -> list[dict[str, str]]:
    """Return one row for each setting: TopK after the whole budget, and the number of optimal runs.

    Runs whose options differ in one of ``varied`` have rows of their own; None: in any option.
    """
    optimum = OPTIMA.get(records[0]["task"])
    rows = []
    for group in _groups(records, _varied(records) if varied is None else varied):
        row = {"setting": group.label, "seeds": str(len(group.records))}
        for K in TOP:
            mean, error = (values[-1] for values in mean_and_error(group.curves(K)))
            row[f"Top{K}"] = _number(mean) if np.isnan(error) else f"{_number(mean)} ± {_number(error)}"
        last = [curve[-1] for curve in group.curves(1)]
        row["Top1 range"] = f"{_number(min(last))} to {_number(max(last))}"
        if optimum is not None:
            target = REACHED.get(records[0]["task"], optimum)
            reached = [_first_reaching(record["y"], target) for record in group.records]
            queries = ", ".join("–" if query is None else str(query) for query in reached)
            row["optimum reached"] = f"{sum(query is not None for query in reached)} of {len(reached)}"
            row["queries needed"] = queries
        if "heavy_atoms" in group.records[0]:
            row |= _molecules(group.records)
        minutes = np.mean([record["seconds"]["total"] for record in group.records]) / 60
        row["minutes a run"] = f"{minutes:.1f}"
        rows.append(row)
    return rows


def _molecules(records: Sequence[Record]) -> dict[str, str]:
    """Return a table's further columns for molecules: cap and sizes, and data on the search if recorded."""
    options = records[0]["options"]
    most = options["max_heavy_atoms"]
    best = [record.get("best") for record in records]
    row = {
        "cap": f"{options['max_tokens']} tokens" if most is None else f"{most} heavy atoms",
        "best of each seed (heavy atoms; alkane of that size)": ", ".join(
            "–" if b is None else f"{_number(b['y'])} ({b['heavy_atoms']}; {_number(b['alkane'])})"
            for b in best
        ),
    }
    for name, title in DIAGNOSIS.items():
        found = [record.get("diagnosis", {}).get(name) for record in records]
        known = [value for value in found if value is not None]
        row[title] = f"{np.mean(known):.2f}" if known else "–"
    return row


def released_curves(path: Path, task: str, K: int) -> ReleasedCurves:
    """Read the published TopK curves of a task: setting → (queries, mean, standard error).

    Raises
    ------
    DataError
        If the file does not have the expected form.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        settings = content["tasks"][RELEASED_TASKS[task]]
        queries = list(content["queries"])
        found = {
            ours: [run[f"top{K}"] for run in settings[theirs]["runs"]]
            for ours, theirs in RELEASED_SETTINGS.items()
            if theirs in settings
        }
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(f"{path} is not a file of published curves for {task}: {error!r}") from error
    curves: ReleasedCurves = {}
    for setting, runs in found.items():
        # leave out seeds that stopped early, so that the mean is over the same seeds throughout
        complete = [np.asarray(run, float) for run in runs if None not in run]
        if complete:
            curves[setting] = (queries, *mean_and_error(complete))
    return curves


def _varied(records: Sequence[Record]) -> list[str]:
    """Return the options that distinguish our own runs."""
    ours = [record["options"] for record in records if record["setting"] in SETTINGS]
    return [name for name in VARIED if len({str(options.get(name)) for options in ours}) > 1]


def _groups(records: Sequence[Record], varied: Sequence[str]) -> list[Group]:
    """Group runs by setting and by the varied options."""
    by_key: dict[tuple[str, ...], list[Record]] = defaultdict(list)
    for record in records:
        options = record["options"] if record["setting"] in SETTINGS else {}
        parts = (_part(name, options[name]) for name in varied if name in options)
        by_key[(record["setting"], *parts)].append(record)
    order = (*SETTINGS, *PEERS)
    ordered = sorted(by_key, key=lambda key: (key[0] in PEERS, key[1:], order.index(key[0])))
    return [
        Group(", ".join(key), key[0], tuple(sorted(by_key[key], key=lambda record: record["seed"])))
        for key in ordered
    ]


def _part(name: str, value: Any) -> str:
    return str(value) if name in ("search", "surrogate") else f"{name} = {value}"


def _summarize_runs(folder: Path, records: Sequence[Record], released: Path | None) -> list[Path]:
    by_task = {
        task: [record for record in records if record["task"] == task]
        for task in sorted({record["task"] for record in records})
    }
    varied = _varied(records)
    groups = {task: _groups(runs, varied) for task, runs in by_task.items()}
    labels = list(dict.fromkeys(group.label for group in _groups(records, varied)))
    panels = [(task, K) for task in by_task for K in (TOP if len(by_task) == 1 else TOP[:1])]
    columns = min(len(panels), 4)
    rows = -(-len(panels) // columns)
    figure = new_figure(5.0 * columns, 4.2 * rows)
    for (task, K), panel in zip(panels, figure.subfigures(rows, columns, squeeze=False).flat, strict=False):
        plots.topk_curves(
            {group.label: mean_and_error(group.curves(K)) for group in groups[task]},
            title=f"Top{K}" if len(by_task) == 1 else task,
            released=_released(released, task, K, one=len(by_task) == 1),
            labels=labels,
            optimum=OPTIMA.get(task),
            figure=panel,
        )
    picture = folder / "topk.png"
    figure.savefig(picture, dpi=120)
    if len(by_task) == 1:
        written = [picture, *_write_table(folder, "table", table(records))]
        if "heavy_atoms" in records[0]:
            written += _show_molecules(folder, {g.label: g.records for g in next(iter(groups.values()))})
        return written
    long = [{"task": task} | row for task, runs in by_task.items() for row in table(runs, varied)]
    return [
        picture,
        *_write_table(folder, "overview", _overview(groups)),
        *_write_table(folder, "table", long),
    ]


def _show_molecules(folder: Path, groups: Mapping[str, Sequence[Record]]) -> list[Path]:
    drawing = folder / "best.png"
    draw_best(groups, drawing)
    return [
        drawing,
        *_write_table(folder, "top3", top_three(groups)),
        *_write_table(folder, "minutes", minutes_by_stage(groups)),
    ]


def _overview(groups: Mapping[str, Sequence[Group]]) -> list[dict[str, str]]:
    """Return one row for each task: the best starting value, and the final Top1 of every setting."""
    rows = []
    for task, found in groups.items():
        best = [record["starting_data"]["best"] for group in found for record in group.records]
        ends = list(dict.fromkeys(_number(value) for value in (min(best), max(best))))
        row = {"task": task, "starting data": " to ".join(ends)}
        for group in found:
            mean, error = (values[-1] for values in mean_and_error(group.curves(1)))
            row[group.label] = _number(mean) if np.isnan(error) else f"{_number(mean)} ± {_number(error)}"
        rows.append(row)
    return rows


def _released(path: Path | None, task: str, K: int, *, one: bool) -> ReleasedCurves | None:
    """Return the published curves of a task; with several tasks, None for an unpublished one."""
    if path is None or (task not in RELEASED_TASKS and not one):
        return None
    return released_curves(path, task, K)


def _write_table(folder: Path, name: str, rows: Sequence[Mapping[str, str]]) -> list[Path]:
    header = list(dict.fromkeys(column for row in rows for column in row))
    cells = [[row.get(column, "–") for column in header] for row in rows]
    lines = [header, ["---"] * len(header), *cells]
    markdown = folder / f"{name}.md"
    markdown.write_text("".join("| " + " | ".join(line) + " |\n" for line in lines), encoding="utf-8")
    comma = folder / f"{name}.csv"
    with comma.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([header, *cells])
    return [markdown, comma]


def _draw_scores(folder: Path, records: Sequence[Record]) -> list[Path]:
    """Draw the score distributions, pooled over the seeds of each k, largest k first."""
    ks = sorted({float(record["k"]) for record in records}, reverse=True)
    titles = {"prior": "samples of the prior", "enumeration": "uniform enumeration of the latent space"}
    written = []
    for kind, title in titles.items():
        if kind not in records[0]:
            continue
        samples = {"starting data": _expand(records[:1], "data")}
        for k in ks:
            samples[f"k = {k:g}"] = _expand([record for record in records if float(record["k"]) == k], kind)
        path = folder / f"scores-{kind}.png"
        figure = new_figure(6.0, 1.5 + 0.6 * len(samples))
        plots.score_distributions(samples, title=title, figure=figure)
        figure.savefig(path, dpi=120)
        written.append(path)
    return written


def _expand(records: Sequence[Record], kind: str) -> Curve:
    parts = [np.repeat(record[kind]["value"], record[kind]["count"]) for record in records]
    return np.concatenate(parts).astype(np.float64)


def _first_reaching(y: Sequence[Any], target: float) -> int | None:
    """Return the number of queries until a value of at least ``target``, or None."""
    return next((i for i, value in enumerate(y, start=1) if value is not None and value >= target), None)


def _number(value: float) -> str:
    if np.isnan(value):  # the run has fewer than K new points
        return "–"
    return f"{value:.4g}" if abs(value) < 1000 else f"{value:.0f}"

"""Models of molecules after their first weighted training, shared by runs, and scores of their samples."""

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import ArrayLike

from wrlso._utils.progress_bar import ProgressBar
from wrlso._utils.random import stream, torch_generator
from wrlso._utils.validation import check_count, check_real
from wrlso.benchmarks.molecules.start import Start
from wrlso.benchmarks.records import data_hash, is_recorded, jsonable, machine, versions, write_record
from wrlso.benchmarks.study import quiet_about_small_k
from wrlso.exceptions import ParameterError
from wrlso.models.molecules.base import MoleculeVAE
from wrlso.models.tokens.base import read_header
from wrlso.training.trainer import Trainer

__all__ = ["HasFirstTraining", "first_model", "sample_scores"]

_TRAINING, _DRAWS = 0, 1
_OPTIONS = ("max_tokens", "model", "k", "first_steps", "batch_size", "lr")  # a first model depends on these


class HasFirstTraining(Protocol):
    """A study of molecules with a training before its first query; a dataclass."""

    @property
    def k(self) -> float:
        """Parameter of the rank weighting."""

    @property
    def first_steps(self) -> int:
        """Steps of the first training."""

    @property
    def name(self) -> str:
        """Name of the task."""

    @property
    def model_variant(self) -> str:
        """Part of the file name that distinguishes the study's models."""

    def options(self) -> dict[str, Any]:
        """Return all options."""

    def objective(self, x: str) -> float:
        """Return the score of a molecule."""

    def start(self, seed: int) -> Start:
        """Return the starting data."""

    def prepared(self, found: Start, file: Path | None = None) -> MoleculeVAE:
        """Return the study's model, or that of a file, with the starting data already read."""

    def trainer(self, n: int, first_steps: int) -> Trainer:
        """Return the trainer for n starting molecules."""

    def weighting(self) -> Callable[[np.ndarray], np.ndarray]:
        """Return the weighting of the starting data."""


def first_model(study: HasFirstTraining, seed: int, folder: Path) -> Path:
    """Return the file of a study's model after its first training; train it if the file is missing.

    The training depends on the starting data and not on the seed.

    Raises
    ------
    ParameterError
        When the folder holds a model trained with other options.
    """
    start = study.start(seed)
    data = data_hash(start.X, start.y)
    path = folder / f"first-{study.name}-k{study.k:g}-{data[:8]}.safetensors"
    options = jsonable({name: study.options()[name] for name in _OPTIONS} | {"starting_data": data})
    if path.exists():
        found = read_header(path).get("about", {}).get("options")
        if found != options:
            raise ParameterError(f"{path} was trained with {found}, got {options}: use another folder")
        return path
    model = study.prepared(start)
    trainer, inputs = study.trainer(len(start.X), study.first_steps), model.tensorize(start.X)
    with quiet_about_small_k():
        log = trainer.fit(model, inputs, study.weighting()(start.y), stream(0, _TRAINING), verbose=1)
    done = {"seconds": round(sum(entry["seconds"] for entry in log), 1), "loss": log[-1]["loss"]}
    folder.mkdir(parents=True, exist_ok=True)
    model.to_file(path, half=False, about={"options": options, "training": done})
    return path


def sample_scores(
    study: HasFirstTraining,
    ks: Sequence[float],
    seeds: Sequence[int],
    out: Path,
    *,
    n_samples: int = 5000,
    temperature: float = 0.7,
    progress: bool = True,
) -> list[Path]:
    """Record the scores of samples of models trained with each k (paper, Fig. 10).

    Each record holds two distributions, as scores to two decimals with their counts: of the starting data,
    and of molecules from ``sample_prior``. With infinite k the model has had no weighted training.
    ``invalid`` counts the samples that are not molecules. Existing records are skipped.

    Parameters
    ----------
    study : HasFirstTraining
        The folder keeps its first trainings for the runs that share them.
    ks : sequence of float
    seeds : sequence of int
        Seeds of the samples.
    out : Path
    n_samples : int, default=5000
    temperature : float, default=0.7
        Temperature of the decoding.
    progress : bool, default=True

    Returns
    -------
    list of Path
        The records, one for each k and seed.
    """
    check_count("n_samples", n_samples)
    check_real("temperature", temperature, minimum=0)
    paths = []
    for seed in seeds:
        for k in ProgressBar(ks, desc=f"models, seed {seed}", disable=not progress):
            path = out / f"scores-{study.name}-{_with_k(study, k).model_variant}-seed{seed}.json"
            paths.append(path)
            if not is_recorded(path):
                _record(_with_k(study, k), seed, path, n_samples, temperature)
    return paths


def _record(study: HasFirstTraining, seed: int, path: Path, n_samples: int, temperature: float) -> None:
    start = study.start(seed)
    file = first_model(study, seed, path.parent) if math.isfinite(study.k) else None
    model = study.prepared(start, file)
    generator = torch_generator(stream(seed, _DRAWS))
    samples = model.decode(model.sample_prior(n_samples, generator), temperature, generator)
    there = [x for x in samples if x is not None]
    known = set(start.X)
    write_record(
        path,
        {
            "kind": "scores",
            "task": study.name,
            "k": study.k,
            "seed": seed,
            "n_samples": n_samples,
            "temperature": temperature,
            "options": study.options(),
            "versions": versions(),
            "machine": machine(),
            "starting_data": {"sha256": data_hash(start.X, start.y), "n": len(start.y),
                              "best": float(np.max(start.y))},
            "training": None if file is None else read_header(file)["about"]["training"],
            "invalid": len(samples) - len(there),
            "distinct": len(set(there)),
            "new": len(set(there) - known),
            "data": _counts(start.y),
            "prior": _counts([study.objective(x) for x in there]),
        },
    )  # fmt: skip


def _with_k(study: HasFirstTraining, k: float) -> HasFirstTraining:
    changed: HasFirstTraining = replace(study, k=k)  # type: ignore[type-var]
    return changed


def _counts(scores: ArrayLike) -> dict[str, Any]:
    values, counts = np.unique(np.asarray(scores, dtype=np.float64).round(2), return_counts=True)
    return {"value": values, "count": counts}

"""The study of molecules: its configurations, its peers with the same starting data, and its records."""

import math
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from scipy.stats import spearmanr

from wrlso._utils.progress_bar import ProgressBar
from wrlso._utils.validation import check_choice, check_count, check_real
from wrlso.acquisition.candidate_pool import CandidatePool
from wrlso.acquisition.functions import LogExpectedImprovement, Mixture, ThompsonSampling
from wrlso.acquisition.sources import Cross, Mutate, Near, Prior, Rewrite, Source, Splice
from wrlso.benchmarks.molecules import start as molecules_start
from wrlso.benchmarks.molecules.first_training import first_model
from wrlso.benchmarks.molecules.peers import best_of_set, graph_ga, prior_sampling, screened_ga
from wrlso.benchmarks.molecules.start import Shape, Start, make_task, prepared_model, shapes
from wrlso.benchmarks.records import (
    data_hash,
    file_name,
    is_recorded,
    machine,
    versions,
    write_record,
)
from wrlso.benchmarks.study import configured
from wrlso.models.molecules.base import MoleculeVAE
from wrlso.models.protocol import LatentModel
from wrlso.models.selfies.vae import SelfiesVAE
from wrlso.optimizer import WeightedRetrainingOptimizer
from wrlso.surrogate.protocol import Surrogate
from wrlso.surrogate.sparse_gp import SparseGP
from wrlso.surrogate.tanimoto_gp import TanimotoGP
from wrlso.tasks.molecules.guacamol import GUACAMOL_OBJECTIVES
from wrlso.training.trainer import Trainer
from wrlso.weighting import RankWeighting, UniformWeighting

__all__ = ["CONFIGURATIONS", "OBJECTIVES", "PEERS", "MoleculesStudy", "molecules_study", "run_peers"]

#: Names of the objectives.
OBJECTIVES = ("penalized-logp", "qed", *(name.replace("_", "-") for name in GUACAMOL_OBJECTIVES))
PEERS = ("random", "subset", "genetic", "screened")

_FREE = 20  # calls with infeasible molecules allowed for each call that counts
_WINDOW = 50  # queries in which predictions are ranked against values


@dataclass(frozen=True)
class MoleculesStudy:
    """Options of a study on molecules; records hold all of them.

    Parameters
    ----------
    goal : str
        The objective, one of :data:`OBJECTIVES`.
    max_heavy_atoms, max_ring : int or None
        Size of the largest molecules that a search may propose, and of their largest rings; None: any.
    max_tokens : int
        Longest decoded molecules, in SELFIES tokens; for junction trees the longest mutants, and the largest
        number of cliques.
    stereo : bool
        Whether stereochemistry distinguishes molecules. No objective depends on it, so with it the search
        wastes calls on molecules with known scores.
    data : {"zinc250k", "shipped"}
    n_start : int or None
        Number of starting molecules of a seed; None: all of the data.
    model : str or None
        "selfies" or "junction-tree" (the models that ship) or a model's file; None: selfies. Records hold
        the file's name and a part of its hash.
    surrogate : {"tanimoto", "latent"}
        Input of the Gaussian process: fingerprints of decoded candidates, or Z.
    budget, k, r, batch
        Queries M; rank-weighting parameter; retrain every r new values; points asked for at once.
    first_steps, later_steps : int
        Training steps of the first training (of weighted settings) and of every retraining.
    batch_size, lr
        See :class:`wrlso.Trainer`.
    shared_first : bool
        Whether all runs with one k share the first training. The records' folder keeps the model, and records
        have the seconds of this training separately.
    turns : pair of int
        Numbers of points of a batch that log EI and Thompson sampling choose.
    n_candidates, generations, parents
        See :class:`wrlso.CandidatePool`.
    sigma_low, sigma_high
        See :class:`wrlso.acquisition.Near`.
    mutate, cross, splice, rewrite, explore
        Shares of the candidates at the start: mutants and crosses of all; of the others spliced and rewritten
        ones; of the rest samples of the prior.
    n_best, n_random, refit_every
        Data of the process, and number of new values between its fits.
    n_inducing : int
        Inducing points of the process on Z.
    """

    goal: str = "penalized-logp"
    max_heavy_atoms: int | None = None
    max_ring: int | None = 8
    max_tokens: int = 100
    stereo: bool = False
    data: Literal["zinc250k", "shipped"] = "zinc250k"
    n_start: int | None = None
    model: str | None = None
    surrogate: Literal["tanimoto", "latent"] = "tanimoto"
    budget: int = 500
    k: float = 1e-3
    r: int = 50
    batch: int = 5
    first_steps: int = 75
    later_steps: int = 25
    batch_size: int = 128
    lr: float = 3e-4
    shared_first: bool = False
    turns: tuple[int, int] = (3, 2)
    n_candidates: int = 600
    generations: int = 3
    sigma_low: float = 0.06
    sigma_high: float = 0.3
    splice: float = 0.3
    rewrite: float = 0.1
    mutate: float = 0.35
    cross: float = 0.35
    explore: float = 0.05
    parents: tuple[float, ...] = (2.5, 250.0)
    n_best: int = 1000
    n_random: int = 1000
    refit_every: int = 50
    n_inducing: int = 500

    def __post_init__(self) -> None:
        """Check the options that nothing else checks, before a run takes hours."""
        object.__setattr__(self, "model", molecules_start.model_file(self.model))
        check_choice("goal", self.goal, OBJECTIVES)
        check_choice("data", self.data, ("zinc250k", "shipped"))
        check_choice("surrogate", self.surrogate, ("tanimoto", "latent"))
        check_real("k", self.k, above=0, finite=False)
        for name in ("budget", "r", "batch", "max_tokens", "batch_size", "n_candidates", "refit_every"):
            check_count(name, getattr(self, name))
        for name in ("first_steps", "later_steps"):
            check_count(name, getattr(self, name), minimum=0)
        for name in ("max_heavy_atoms", "max_ring", "n_start"):
            check_count(name, getattr(self, name), none="any")

    @property
    def name(self) -> str:
        """Name of the task, the objective's."""
        return self.goal

    @property
    def variant(self) -> str:
        """Name part that distinguishes runs of a folder with the same setting and seed."""
        return f"{self._start_variant}-{self.surrogate}-k{self.k:g}-r{self.r}{self._model_name}"

    @property
    def model_variant(self) -> str:
        """Name part that distinguishes models of a folder after their first training."""
        return f"{self._start_variant}-k{self.k:g}{self._model_name}"

    @property
    def _model_name(self) -> str:
        return "" if self.model is None else f"-{file_name(self.model)}"

    @property
    def _start_variant(self) -> str:
        size = "any" if self.max_heavy_atoms is None else f"atoms{self.max_heavy_atoms}"
        return size if self.n_start is None else f"{size}-start{self.n_start}"

    @property
    def feasible(self) -> Shape:
        """The molecules that a search may propose."""
        return Shape(self.max_heavy_atoms, self.max_ring)

    def options(self) -> dict[str, Any]:
        """Return every option."""
        options = asdict(self) | {"model": None if self.model is None else file_name(self.model)}
        if not self.shared_first:
            del options["shared_first"]  # as in records older than this option
        return options

    def objective(self, x: Any) -> float:
        """Return the score of x."""
        score: float = make_task(self.goal, self.data).objective(x)
        return score

    def start(self, seed: int) -> Start:
        """Return the starting data of a seed."""
        # all seeds share the whole data
        seed = 0 if self.n_start is None else seed
        return molecules_start.start(
            self.goal, self.data, self.n_start, self.max_heavy_atoms, self.max_tokens, self.stereo, seed,
            self.model,
        )  # fmt: skip

    def initial_data(self, seed: int) -> tuple[list[str], Any]:
        """Return the starting molecules and scores of a seed."""
        found = self.start(seed)
        return list(found.X), found.y

    def prepare(self, seed: int, folder: Path) -> None:
        """Score and read the starting molecules, and keep the result on disk."""
        self.start(seed)

    def optimizer(self, setting: str, seed: int, folder: Path) -> WeightedRetrainingOptimizer:
        """Return the optimizer of one run, not yet fitted; all settings start from the same model."""
        weighted, retrained = setting in ("weighting", "both"), setting in ("retraining", "both")
        found = self.start(seed)
        trained_here = weighted and not self.shared_first
        file = first_model(self, seed, folder) if weighted and self.shared_first else None
        model = self.prepared(found, file)
        return WeightedRetrainingOptimizer(
            model=model,
            feasible=self.feasible,
            weighting=self.weighting() if weighted else UniformWeighting(),
            acquisition=self.acquisition(model),
            surrogate=self.process(),
            trainer=self.trainer(len(found.X), self.first_steps if trained_here else 0),
            retrain_every=self.r if retrained else None,
            refit_every=self.refit_every,
            device="cpu",
            random_state=seed,
        )

    def weighting(self) -> RankWeighting | UniformWeighting:
        """Return the weighting of weighted settings: uniform with infinite k."""
        return RankWeighting(self.k) if math.isfinite(self.k) else UniformWeighting()

    def trainer(self, n: int, first_steps: int) -> Trainer:
        """Return the trainer for n starting molecules."""
        share = self.batch_size / n  # of the data in one step
        return Trainer(
            initial_epochs=share * first_steps,
            retrain_epochs=share * self.later_steps,
            batch_size=self.batch_size,
            lr=self.lr,
            variance_reduction="sample",
            grad_clip=1.0,
        )

    def prepared(self, found: Start, file: Path | None = None) -> MoleculeVAE:
        """Return the study's model, or that of a file, with the starting data already read."""
        return prepared_model(
            found.known, self.max_tokens, self.stereo, self.model if file is None else str(file)
        )

    def process(self) -> Surrogate:
        """Return the Gaussian process, not yet fitted."""
        if self.surrogate == "tanimoto":
            return TanimotoGP(None, self.n_best, self.n_random)
        return SparseGP(
            self.n_inducing, self.n_best, self.n_random, n_hyper=500, ard=False, transform="winsorize"
        )

    def acquisition(self, model: LatentModel) -> Mixture:
        """Return the acquisition function with its pool.

        Splicing, rewriting and the sigmas are for models whose z has a block for each part of a molecule.
        """
        pool = CandidatePool(
            self.n_candidates,
            generations=self.generations,
            sources=self._sources(isinstance(model, SelfiesVAE)),
            parents=self.parents,
            max_attempts=10 * self.n_candidates,
        )
        return Mixture([LogExpectedImprovement(), ThompsonSampling()], self.turns, search=pool)

    def _sources(self, blocks: bool) -> list[Source]:
        decoded = 1.0 - self.mutate - self.cross
        plain = decoded * (1.0 - (self.splice + self.rewrite) * blocks)
        sigma = (self.sigma_low, self.sigma_high) if blocks else Near().sigma
        sources: list[Source] = [Near(plain * (1.0 - self.explore), sigma=sigma), Prior(plain * self.explore)]
        if blocks:
            sources += [Splice(decoded * self.splice), Rewrite(decoded * self.rewrite)]
        sources += [Mutate(self.mutate), Cross(self.cross)]
        return [each for each in sources if each.share > 0]

    def describe(self, X: Sequence[str], y: Sequence[float], optimizer: Any) -> dict[str, Any]:
        """Return the record's data on the evaluated molecules and on the progress of the search."""
        history = optimizer.history_
        predicted = [history.records[history.row(optimizer.model_.key(x))].prediction for x in X]
        means = [None if p is None else float(f"{p[0]:.5g}") for p in predicted]
        asks = history.asks
        n_new = [ask.n_decoded - sum(ask.rejected.values()) for ask in asks]
        return self.molecules(X, y) | {
            "predicted": means,
            "asks": {
                "n_decoded": [ask.n_decoded for ask in asks],
                "new": n_new,
                **{stage: [round(ask.seconds.get(stage, 0.0), 3) for ask in asks] for stage in _STAGES},
            },
            "diagnosis": {
                "rank_correlation": _rank_correlation(means, y),
                **_shares(asks),
                "reconstruction": [
                    {name: training["reconstruction"][name]["n_exact"] for name in ("before", "after")}
                    for training in history.trainings
                ],
            },
        }

    def molecules(self, X: Sequence[str], y: Sequence[float]) -> dict[str, Any]:
        """Return the evaluated molecules, their sizes, and the score of the n-alkane as large as the best."""
        heavy_atoms = [int(n) for n in shapes(X)[0]]
        found: dict[str, Any] = {"x": list(X), "heavy_atoms": heavy_atoms}
        if X:
            n = heavy_atoms[int(np.nanargmax(y))]
            found["best"] = {
                "x": X[int(np.nanargmax(y))],
                "y": float(np.nanmax(y)),
                "heavy_atoms": n,
                "alkane": self.objective("C" * n),
            }
        return found


_STAGES = ("fit", "acquire", "decode")

CONFIGURATIONS: dict[str, MoleculesStudy] = {
    # The paper's protocol: all of ZINC250k, the decoder's length as the only bound on size.
    "default": MoleculesStudy(),
    # No larger than the largest molecule of the data.
    "capped": MoleculesStudy(max_heavy_atoms=38),
    # The paper's own model, and its training: one epoch at first, and a tenth of one after every 50 values.
    # Its decoder has no tokens; a cap of 100 atoms matches chains of 100 tokens of the other model.
    "junction-tree": MoleculesStudy(
        model="junction-tree", max_heavy_atoms=100, first_steps=1936, later_steps=194, shared_first=True
    ),
    # For quick trials: a part of the data, few queries.
    "development": MoleculesStudy(n_start=10_000, budget=150),
}


def molecules_study(config: str = "default", **options: Any) -> MoleculesStudy:
    """Return a configuration with some options changed; None keeps an option.

    Raises
    ------
    ParameterError, ParameterTypeError
        For an unknown configuration or option, or an invalid value.
    """
    return configured(CONFIGURATIONS, config, options)


def run_peers(
    study: MoleculesStudy, peers: Sequence[str], seeds: Sequence[int], out: Path, *, progress: bool = True
) -> list[Path]:
    """Run other methods with the study's starting data and budget; skip finished runs.

    Parameters
    ----------
    peers : sequence of {"random", "subset", "genetic", "screened"}
        Samples from the prior of the study's model; random molecules of the data set outside the starting
        data (any molecules when all of them start); a genetic algorithm on graphs; the same screened by the
        study's process. See :mod:`wrlso.benchmarks.molecules.peers`.

    Returns
    -------
    list of Path
        The records; their setting is the peer's name.
    """
    for peer in peers:
        check_choice("peers", peer, PEERS)
    paths = []
    for seed in ProgressBar(seeds, desc="peers", disable=not progress):
        for peer in peers:
            # include the process, which screens the children
            path = out / f"{study.name}-{study.variant}-{peer}-seed{seed}.json"
            paths.append(path)
            if not is_recorded(path, study.options()):
                _run_peer(study, peer, seed, path)
    return paths


def _run_peer(study: MoleculesStudy, peer: str, seed: int, path: Path) -> None:
    X, y = study.initial_data(seed)
    begin = time.perf_counter()
    calls = _Counted(study.objective, study.feasible, study.budget)
    with suppress(_Enough):
        _PEERS[peer](study, calls, X, y, seed)
    molecules, values = [x for x, _ in calls.trace], [value for _, value in calls.trace]
    write_record(
        path,
        {
            "kind": "run",
            "task": study.name,
            "setting": peer,
            "seed": seed,
            "options": study.options(),
            "versions": versions(),
            "machine": machine(),
            "threads": 1,
            "starting_data": {"sha256": data_hash(X, y), "n": len(y), "best": float(np.max(y))},
            "stopped": "budget" if len(values) == study.budget else "nothing new",
            "seconds": {
                "total": round(time.perf_counter() - begin, 2),
                "objective": round(calls.seconds, 2),
            },
            "retrained_at": [],
            "y": values,
            **study.molecules(molecules, values),
        },
    )


class _Enough(Exception):
    """Ends a method's loop when the budget is spent."""


class _Counted:
    """An objective that counts its calls; an infeasible molecule has no value and costs no call."""

    def __init__(self, objective: Callable[[str], float], feasible: Shape, budget: int) -> None:
        self.objective = objective
        self.feasible = feasible
        self.budget = budget
        self.trace: list[tuple[str, float]] = []
        self.seconds = 0.0

    def __call__(self, x: str) -> float:
        if not self.feasible(x):
            return math.nan
        if len(self.trace) == self.budget:
            raise _Enough
        begin = time.perf_counter()
        value = self.objective(x)
        self.seconds += time.perf_counter() - begin
        self.trace.append((x, value))
        return value


def _random(study: MoleculesStudy, calls: _Counted, X: list[str], y: Any, seed: int) -> None:
    model = study.prepared(study.start(seed))
    prior_sampling(calls, X, y, _FREE * study.budget, seed, model=model)


def _subset(study: MoleculesStudy, calls: _Counted, X: list[str], y: Any, seed: int) -> None:
    if study.n_start is None:
        best_of_set(calls, X[:1], y[:1], _FREE * study.budget, seed, molecules=X)
        return
    # the objective whose scores are most likely on disk
    everything, _ = molecules_start.make_task("penalized-logp", study.data).initial_data(0)
    best_of_set(calls, X, y, _FREE * study.budget, seed, molecules=everything)


def _genetic(study: MoleculesStudy, calls: _Counted, X: list[str], y: Any, seed: int) -> None:
    graph_ga(calls, X, y, _FREE * study.budget, seed)


def _screened(study: MoleculesStudy, calls: _Counted, X: list[str], y: Any, seed: int) -> None:
    screened_ga(
        calls, X, y, _FREE * study.budget, seed, surrogate=TanimotoGP(None, study.n_best, study.n_random),
        acquisition=Mixture([LogExpectedImprovement(), ThompsonSampling()], study.turns),
        offspring=study.n_candidates, batch=study.batch, refit_every=study.refit_every,
    )  # fmt: skip


_PEERS = {"random": _random, "subset": _subset, "genetic": _genetic, "screened": _screened}


def _rank_correlation(predicted: Sequence[float | None], y: Sequence[float]) -> float | None:
    """Return the mean correlation over windows of 50 queries, so that progress alone gives none."""
    found = []
    for first in range(0, len(y), _WINDOW):
        pairs = [
            (p, value)
            for p, value in zip(predicted[first : first + _WINDOW], y[first : first + _WINDOW], strict=True)
            if p is not None and math.isfinite(value)
        ]
        if pairs and all(len(set(column)) > 1 for column in zip(*pairs, strict=True)):
            found.append(float(spearmanr(*zip(*pairs, strict=True)).statistic))
    return round(float(np.mean(found)), 3) if found else None


def _shares(asks: Sequence[Any]) -> dict[str, float]:
    """Return the shares of decoded candidates that are valid, new, and allowed to be asked."""
    n = max(sum(ask.n_decoded for ask in asks), 1)

    def count(*reasons: str) -> int:
        return sum(ask.rejected.get(reason, 0) for ask in asks for reason in reasons)

    invalid, infeasible = count("undecodable"), count("infeasible")
    known, repeated = count("known", "pending", "failed"), count("duplicate")
    new = n - invalid - infeasible - known - repeated - count("unencodable")
    collapsed = [ask.n_decoded - sum(ask.rejected.values()) < 0.2 * ask.n_decoded for ask in asks]
    return {
        "valid": round(1 - invalid / n, 4),
        "known": round(known / n, 4),
        "repeated": round(repeated / n, 4),
        "infeasible": round(infeasible / n, 4),
        "new": round(new / n, 4),
        "asks_with_little_new": round(float(np.mean(collapsed)), 4) if collapsed else 0.0,
    }

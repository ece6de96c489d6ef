"""The study of the expressions task: its configurations, and its peers with the same starting data."""

import math
import re
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from wrlso._utils.progress_bar import ProgressBar
from wrlso._utils.random import stream
from wrlso._utils.validation import check_choice, check_count, check_real
from wrlso.acquisition.candidate_pool import CandidatePool
from wrlso.acquisition.functions import LogExpectedImprovement, Mixture, ThompsonSampling
from wrlso.acquisition.latent_search import LatentSearch
from wrlso.acquisition.sources import Near, Prior
from wrlso.benchmarks.expressions.peers import genetic_algorithm, random_search
from wrlso.benchmarks.records import (
    REACHED,
    data_hash,
    is_recorded,
    machine,
    versions,
    write_record,
)
from wrlso.benchmarks.study import configured
from wrlso.models.grammar import GrammarVAE
from wrlso.optimizer import WeightedRetrainingOptimizer
from wrlso.surrogate.feature_gp import FeatureGP
from wrlso.surrogate.protocol import Surrogate
from wrlso.surrogate.sparse_gp import SparseGP
from wrlso.tasks.expressions.task import Expressions
from wrlso.training.trainer import Trainer
from wrlso.weighting import RankWeighting, UniformWeighting

__all__ = ["CONFIGURATIONS", "PEERS", "ExpressionsStudy", "expressions_study", "run_peers"]

PEERS = {"random": random_search, "genetic": genetic_algorithm}
_PEER_STREAM = 0
_WITH_DEFAULTS = ("behaviour", "auto")


@dataclass(frozen=True)
class ExpressionsStudy:
    """Options of a study on :class:`wrlso.tasks.Expressions`; records hold all of them.

    Parameters
    ----------
    target, identity, n_start
        See :class:`wrlso.tasks.Expressions`.
    search : {"features", "latent", "latent-ascent", "behaviour", "auto"}
        Input of the Gaussian process, and maximisation of the acquisition. "features": fragments of
        derivation trees, over a pool of decoded candidates; "latent": Z, over the same pool;
        "latent-ascent": Z, by gradient ascent, as in the paper. "behaviour":
        :meth:`wrlso.tasks.Expressions.search_options`; "auto": the model only. In these two the library's
        defaults hold for everything else, and of the options below only budget, r, batch and stop count.
    budget, k, r, batch
        Queries M; rank-weighting parameter; retrain every r new values; points asked for at once.
    network, latent_dim, hidden, beta
        See :class:`wrlso.GrammarVAE`.
    initial_epochs, retrain_epochs, batch_size
        See :class:`wrlso.Trainer`.
    turns : pair of int
        Numbers of points of a batch that log EI and Thompson sampling choose.
    n_candidates, temperature, sigma_low, sigma_high
        See :class:`wrlso.CandidatePool` and :class:`wrlso.acquisition.Near`.
    n_best, n_random, n_inducing, transform, kernel
        See :class:`wrlso.SparseGP`.
    stop : bool or None
        Whether a run ends when it has found the target.
    """

    target: str = "reference"
    identity: Literal["values", "text"] = "values"
    n_start: int | None = 5000
    search: Literal["features", "latent", "latent-ascent", "behaviour", "auto"] = "features"
    budget: int = 500
    k: float = 1e-2
    r: int = 50
    batch: int = 5
    network: str = "dense"
    latent_dim: int = 25
    hidden: int = 256
    beta: float = 0.1
    initial_epochs: float = 10.0
    retrain_epochs: float = 0.3
    batch_size: int = 64
    turns: tuple[int, int] = (3, 2)
    n_candidates: int = 1000
    temperature: float = 2.0
    sigma_low: float = 0.1
    sigma_high: float = 2.0
    n_best: int = 300
    n_random: int = 50
    n_inducing: int = 400
    transform: str = "winsorize"
    kernel: str = "rbf"
    stop: bool | None = None

    def __post_init__(self) -> None:
        """Check the options that nothing else checks, before a run takes hours."""
        check_choice("search", self.search, ("features", "latent", "latent-ascent", *_WITH_DEFAULTS))
        check_real("k", self.k, above=0, finite=False)
        for name in ("budget", "r", "batch", "latent_dim"):
            check_count(name, getattr(self, name))

    @property
    def name(self) -> str:
        """Name of the task."""
        return "expressions"

    @property
    def variant(self) -> str:
        """Name part that distinguishes runs of a folder with the same setting and seed."""
        k = "" if self.search in _WITH_DEFAULTS else f"-k{self.k:g}"
        return f"{_file_name(self.target)}-{self.identity}-{self.search}{k}-r{self.r}"

    @property
    def task(self) -> Expressions:
        """The task with this study's target, identity and data."""
        return Expressions(self.target, identity=self.identity, n_start=self.n_start)

    def options(self) -> dict[str, Any]:
        """Return every option."""
        return asdict(self)

    @property
    def enough(self) -> float:
        """The value with which a run ends: the optimum up to rounding, or none."""
        return REACHED[self.name] if self.stop else math.inf

    def objective(self, x: Any) -> float:
        """Return the score of x."""
        return self.task.objective(x)

    def initial_data(self, seed: int) -> tuple[Any, Any]:
        """Return the starting expressions and scores of a seed."""
        return self.task.initial_data(seed)

    def prepare(self, seed: int, folder: Path) -> None:
        """Do nothing: every run trains its own model in seconds."""

    def optimizer(self, setting: str, seed: int, folder: Path) -> WeightedRetrainingOptimizer:
        """Return the optimizer of one run, not yet fitted."""
        weighted, retrained = setting in ("weighting", "both"), setting in ("retraining", "both")
        if self.search in _WITH_DEFAULTS:
            task = self.task
            parts = task.search_options(seed) if self.search == "behaviour" else {"model": task.model(seed)}
            return WeightedRetrainingOptimizer(
                **parts,
                weighting=None if weighted else UniformWeighting(),
                retrain_every=self.r if retrained else None,
                random_state=seed,
            )
        return WeightedRetrainingOptimizer(
            model=self._model(seed),
            weighting=RankWeighting(self.k) if weighted and math.isfinite(self.k) else UniformWeighting(),
            acquisition=self._acquisition(),
            surrogate=self._surrogate(),
            trainer=Trainer(
                initial_epochs=self.initial_epochs,
                retrain_epochs=self.retrain_epochs,
                batch_size=self.batch_size,
            ),
            retrain_every=self.r if retrained else None,
            refit_every=self.r,
            random_state=seed,
        )

    def _model(self, seed: int) -> GrammarVAE:
        return self.task.model(
            seed, network=self.network, latent_dim=self.latent_dim, hidden=self.hidden, beta=self.beta
        )

    def _surrogate(self) -> Surrogate:
        features = self.search == "features"
        gp = SparseGP(
            self.n_inducing,
            self.n_best,
            self.n_random,
            n_hyper=200 if features else 2000,
            kernel=self.kernel,
            transform=self.transform,
            ard=not features,
        )
        return FeatureGP(self.task.surrogate().features, gp) if features else gp

    def _acquisition(self) -> LogExpectedImprovement | Mixture:
        if self.search == "latent-ascent":
            return LogExpectedImprovement(LatentSearch())
        pool = CandidatePool(
            self.n_candidates,
            generations=1,
            sources=[
                Near(sigma=(self.sigma_low, self.sigma_high), temperature=self.temperature),
                Prior(0.2, temperature=self.temperature),
            ],
            max_attempts=10 * self.n_candidates,
        )
        return Mixture([LogExpectedImprovement(), ThompsonSampling()], self.turns, search=pool)


CONFIGURATIONS: dict[str, ExpressionsStudy] = {
    "default": ExpressionsStudy(),
    # The library's defaults, with and without features of what expressions do.
    "behaviour": ExpressionsStudy(search="behaviour", stop=True),
    "auto": ExpressionsStudy(search="auto", stop=True),
    # The released code's protocol with the paper's network: identity by text, log EI maximised in Z.
    "released": ExpressionsStudy(
        identity="text",
        search="latent-ascent",
        k=1e-3,
        batch=1,
        network="paper",
        beta=1.0,
        initial_epochs=50,
        retrain_epochs=1,
        batch_size=600,
        n_best=1000,
        n_random=4000,
        n_inducing=500,
        transform="standardize",
    ),
    # The starting data of the paper's successors (LOL-BO, CoBO): 40,000 expressions.
    "successors": ExpressionsStudy(n_start=40_000, initial_epochs=2, batch_size=128),
}


def expressions_study(config: str = "default", **options: Any) -> ExpressionsStudy:
    """Return a configuration with some options changed; None keeps an option.

    Raises
    ------
    ParameterError, ParameterTypeError
        For an unknown configuration or option, or an invalid value.
    """
    return configured(CONFIGURATIONS, config, options)


def run_peers(
    study: ExpressionsStudy, peers: Sequence[str], seeds: Sequence[int], out: Path, *, progress: bool = True
) -> list[Path]:
    """Run other methods with the study's starting data and budget; skip finished runs.

    Parameters
    ----------
    peers : sequence of {"random", "genetic"}
        See :mod:`wrlso.benchmarks.expressions.peers`.

    Returns
    -------
    list of Path
        The records; their setting is the peer's name.
    """
    for peer in peers:
        check_choice("peers", peer, PEERS)
    task = study.task
    options = {
        "target": study.target, "identity": study.identity, "n_start": study.n_start,
        "budget": study.budget, "search": "peer",
    }  # fmt: skip
    paths = []
    for seed in ProgressBar(seeds, desc="peers", disable=not progress):
        X, y = study.initial_data(seed)
        for peer in peers:
            path = out / f"{study.name}-{_file_name(study.target)}-{study.identity}-{peer}-seed{seed}.json"
            paths.append(path)
            if is_recorded(path, options):
                continue
            start = time.perf_counter()
            values = PEERS[peer](task, X, y, study.budget, stream(seed, _PEER_STREAM))
            write_record(
                path,
                {
                    "kind": "run",
                    "task": study.name,
                    "setting": peer,
                    "seed": seed,
                    "options": options,
                    "versions": versions(),
                    "machine": machine(),
                    "threads": 1,
                    "starting_data": {"sha256": data_hash(X, y), "n": len(y), "best": float(np.max(y))},
                    "stopped": "budget",
                    "seconds": {"total": round(time.perf_counter() - start, 2)},
                    "retrained_at": [],
                    "y": values,
                },
            )
    return paths


def _file_name(target: str) -> str:
    """Return a target in a form that fits into a file name."""
    return re.sub(r"[^\w.]+", "_", target)

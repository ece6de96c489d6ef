"""One replay of a table: a search that may ask only for its rows, from a few of them."""

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wrlso._utils.random import stream
from wrlso._utils.threads import bounded_threads
from wrlso.acquisition.functions import LogExpectedImprovement
from wrlso.acquisition.molecule_options import search_options
from wrlso.catalogue import Catalogue
from wrlso.models.inference import encoded, evaluating, key_of, tensorized, to_array, to_model
from wrlso.models.molecules.base import MoleculeVAE
from wrlso.models.protocol import Objects
from wrlso.optimizer import WeightedRetrainingOptimizer
from wrlso.surrogate.feature_gp import FeatureGP
from wrlso.surrogate.points import features_of
from wrlso.surrogate.sparse_gp import SparseGP
from wrlso.surrogate.tanimoto_gp import TanimotoGP
from wrlso.training.trainer import Trainer

__all__ = ["Replay", "strategies_for"]

Rows = NDArray[np.int64]

_SIZE = 400  # values that a process over Z or features is fitted to


@dataclass(frozen=True)
class Looked:
    """Vectors of known objects, by the model's key: what a process sees of them."""

    model: Any
    row_of: Mapping[Hashable, int]
    vectors: NDArray[np.float64]  # (N, D)

    def __call__(self, X: Sequence[Any]) -> NDArray[np.float64]:
        """Return the vectors (n, D)."""
        return self.vectors[[self.row_of[key_of(self.model, x)] for x in X]]


def strategies_for(model: Any, X: Objects, options: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Return the optimizer's parameters by the name of a strategy, for N different objects.

    "search" is what the library does with nothing set but ``options``; the others are log expected
    improvement with one process, over features of x or over Z.
    """
    row_of = {key_of(model, x): i for i, x in enumerate(X)}
    untrained = {"trainer": Trainer(initial_epochs=0), "retrain_every": None}
    search = search_options(model, generate=False) or untrained
    found: dict[str, dict[str, Any]] = {"search": {**search, **options}}
    greedy = {**options, "acquisition": LogExpectedImprovement()}
    if isinstance(model, MoleculeVAE):
        found["features"] = greedy | {"surrogate": TanimotoGP()}
    elif (features := features_of(model, list(X))) is not None:
        process = FeatureGP(Looked(model, row_of, features.numpy()), _process(ard=False))
        found["features"] = greedy | {"surrogate": process}
    with evaluating(model):
        Z = to_array(encoded(model, to_model(model, tensorized(model, X), like_weights=False)))
    found["latent"] = greedy | {"surrogate": FeatureGP(Looked(model, row_of, Z), _process(ard=True))}
    for name in ("features", "latent"):
        if name in found:
            found[name].pop("trainer", None)
    return found


def _process(*, ard: bool) -> SparseGP:
    return SparseGP(_SIZE, _SIZE, 0, n_trained=0, n_hyper=300, transform="robust", ard=ard)


@dataclass(frozen=True)
class Replay:
    """What all replays of one table share.

    Attributes
    ----------
    model : LatentModel
    X : sequence of N objects
    y : ndarray (N,)
        Their values, NaN for an experiment that failed.
    direction : str
    n_start, n_queries, batch_size : int
    seed : int
    strategies : dict
        Parameters of the optimizer by name; "random" needs none.
    """

    model: Any
    X: Objects
    y: NDArray[np.float64]
    direction: str
    n_start: int
    n_queries: int
    batch_size: int
    seed: int
    strategies: Mapping[str, Mapping[str, Any]]

    def start(self, repeat: int) -> Rows:
        """Return the rows that are known at the start: the same for all strategies."""
        return stream(self.seed, repeat, 0).permutation(len(self.X))[: self.n_start]

    def run(self, strategy: str, repeat: int) -> Rows:
        """Return the rows in the order in which a strategy asks for them, without the start."""
        start = self.start(repeat)
        if strategy == "random":
            others = np.setdiff1d(np.arange(len(self.X)), start)
            return stream(self.seed, repeat, 1).permutation(others)[: self.n_queries]
        with bounded_threads(0.0, networks=True):  # the same to the last bit for any number of processes
            return self._searched(self.strategies[strategy], start, repeat)

    def _searched(self, options: Mapping[str, Any], start: Rows, repeat: int) -> Rows:
        row_of = {key_of(self.model, x): i for i, x in enumerate(self.X)}
        opt = WeightedRetrainingOptimizer(
            model=self.model,
            candidates=Catalogue(self.X),
            generate=False,
            direction=self.direction,
            random_state=int(stream(self.seed, repeat, 2).integers(2**31)),
            **options,
        )
        known = [row for row in start if np.isfinite(self.y[row])]
        failed = [row for row in start if not np.isfinite(self.y[row])]
        opt.tell([self.X[row] for row in [*known, *failed]], self._told([*known, *failed]))
        asked: list[int] = []
        while len(asked) < self.n_queries:
            batch = opt.ask(min(self.batch_size, self.n_queries - len(asked)))
            rows = [row_of[key_of(self.model, x)] for x in batch]
            opt.tell(batch, self._told(rows))
            asked += rows
        return np.array(asked, dtype=np.int64)

    def _told(self, rows: Sequence[int]) -> list[float | None]:
        return [float(self.y[row]) if np.isfinite(self.y[row]) else None for row in rows]

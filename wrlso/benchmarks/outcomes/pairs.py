"""Two goals of a molecule, larger is better, from a hundred random molecules of ZINC250k.

Perindopril's and osimertinib's goals are the parts of GuacaMol's objectives of these names: to be like the
drug, and to have other properties. QED goes with penalised logP, which counts from -2 to 4: more lipophilic
molecules are no better.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wrlso._chemistry.scores import qed
from wrlso._chemistry.smiles import parse
from wrlso._utils.random import stream
from wrlso.acquisition.molecule_options import search_options
from wrlso.benchmarks.outcomes.problems import NAMES
from wrlso.datasets.molecules import canonical_smiles, fetch_zinc250k
from wrlso.models.selfies.vae import SelfiesVAE
from wrlso.molecules import molecule_search
from wrlso.optimizer import WeightedRetrainingOptimizer
from wrlso.outcomes import Maximize
from wrlso.tasks.molecules.guacamol import guacamol_terms
from wrlso.tasks.molecules.scores import penalized_logp

__all__ = ["PAIRS", "MoleculeGoals"]

Values = NDArray[np.float64]
Goals = Callable[[Any], tuple[float, float]]  # of RDKit's molecule

_WINDOW = (-2.0, 4.0)  # of penalised logP


@dataclass(frozen=True)
class MoleculeGoals:
    """Two goals of a molecule, larger is better.

    Attributes
    ----------
    name : str
    goals : callable
        Returns the function of a molecule of RDKit → two values.
    reference : tuple of float
        Of the hypervolume; also the values of what is no molecule.
    n_start : int
        Random molecules with values, from which all methods start.
    """

    name: str
    goals: Callable[[], Goals]
    reference: tuple[float, float]
    n_start: int = 100
    larger: bool = True
    batch: int = 10

    def values(self, x: str) -> Values:
        """Return the values (2,) of one SMILES."""
        molecule = parse(x)
        return np.array(self.reference if molecule is None else self.goals()(molecule), dtype=np.float64)

    def start(self, seed: int) -> tuple[list[str], Values]:
        """Return the start of a seed: n SMILES, and their values (n, 2)."""
        known = _molecules()
        rows = stream(seed, 0).choice(len(known), self.n_start, replace=False)
        X = [x for x in canonical_smiles([known[row] for row in rows], n_jobs=1) if x is not None]
        return X, np.array([self.values(x) for x in X])

    def search(
        self, X: list[str], Y: Values, seed: int, acquisition: Any, surrogate: Any
    ) -> WeightedRetrainingOptimizer:
        """Return a fitted search over molecules, with nothing set but what is given."""
        model = SelfiesVAE.pretrained()
        options: dict[str, Any] = {}
        if acquisition is not None:
            options["acquisition"] = acquisition(search_options(model)["acquisition"].search)
        if surrogate is not None:
            options["surrogate"] = surrogate()
        aims = [Maximize(name, reference=r) for name, r in zip(NAMES, self.reference, strict=True)]
        return molecule_search(X, Y, model=model, outcomes=aims, random_state=seed, **options)


@cache
def _molecules() -> list[str]:
    return fetch_zinc250k()


def _like_and_other(name: str, n_like: int) -> Goals:
    """Return, of an objective of GuacaMol, the mean of the terms of similarity and that of the others."""
    terms = guacamol_terms(name)

    def goals(molecule: Any) -> tuple[float, float]:
        found = [term(molecule) for term in terms]
        return _mean(found[:n_like]), _mean(found[n_like:])

    return goals


def _mean(terms: Sequence[float]) -> float:
    return float(math.prod(terms) ** (1.0 / len(terms)))


def _qed_and_window(molecule: Any) -> tuple[float, float]:
    return qed(molecule), min(max(penalized_logp(molecule), _WINDOW[0]), _WINDOW[1])


PAIRS = (
    MoleculeGoals("perindopril", lambda: _like_and_other("perindopril_mpo", 1), (0.0, 0.0)),
    MoleculeGoals("osimertinib", lambda: _like_and_other("osimertinib_mpo", 2), (0.0, 0.0)),
    MoleculeGoals("qed-window", lambda: _qed_and_window, (0.0, _WINDOW[0])),
)

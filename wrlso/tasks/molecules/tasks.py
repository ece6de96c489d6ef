"""Molecule tasks: find molecules with a high score, starting from known ones.

A score depends on the molecule, not on the spelling of its SMILES. An invalid SMILES, a molecule with more
heavy atoms than allowed and a text of more than 1000 characters score NaN, a failed experiment.

Glossary: x a molecule (SMILES), X list of them, y (n,) scores, larger is better.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from math import nan
from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from wrlso._chemistry.scores import logp, qed, synthetic_accessibility
from wrlso._chemistry.smiles import canonical, optional_module, parse, read_molecules
from wrlso._utils.estimator import BaseEstimator
from wrlso._utils.random import as_random_state
from wrlso._utils.validation import check_choice, check_count, check_real
from wrlso.datasets.molecules import canonical_smiles, fetch_zinc250k, load_molecules, score
from wrlso.exceptions import ParameterError, ParameterTypeError
from wrlso.models.junction_tree.vae import JunctionTreeVAE
from wrlso.models.selfies.vae import SelfiesVAE
from wrlso.surrogate.tanimoto_gp import TanimotoGP
from wrlso.tasks.molecules.guacamol import GUACAMOL_OBJECTIVES, guacamol_objective
from wrlso.tasks.molecules.scores import excess_cycle, penalized_logp

__all__ = ["GUACAMOL_OBJECTIVES", "QED", "GuacaMol", "Molecules", "PenalizedLogP", "properties"]

Values: TypeAlias = NDArray[np.float64]
Data: TypeAlias = Literal["zinc250k", "shipped"] | Sequence[str]

_VERSION = 1  # of the scores' definitions; cached scores of another version are not used
_WORTH_KEEPING = 1000  # scores of more molecules are cached, because they take seconds
_REACHED = 1.0
_KNOWN_OPTIMA = frozenset(
    name
    for name in GUACAMOL_OBJECTIVES
    if name.endswith(("_rediscovery", "_similarity")) or "isomers" in name
)


def properties(x: str) -> dict[str, float] | None:
    """Return the properties shown beside the score of a molecule, None for an invalid SMILES.

    Returns
    -------
    dict or None
        ``penalized_logp`` (not clipped), ``qed``, ``logp``, ``synthetic_accessibility``, ``excess_cycle``,
        ``weight`` (g/mol) and ``heavy_atoms``.

    Examples
    --------
    >>> {name: round(value, 2) for name, value in properties("CCO").items()}
    {'penalized_logp': -0.26, 'qed': 0.41, 'logp': -0.0, 'synthetic_accessibility': 1.98, 'excess_cycle': 0,
    'weight': 46.07, 'heavy_atoms': 3}
    """
    molecule = parse(x)
    if molecule is None:
        return None
    return {
        "penalized_logp": penalized_logp(molecule),
        "qed": qed(molecule),
        "logp": logp(molecule),
        "synthetic_accessibility": synthetic_accessibility(molecule),
        "excess_cycle": excess_cycle(molecule),
        "weight": optional_module("rdkit.Chem.Descriptors").MolWt(molecule),
        "heavy_atoms": molecule.GetNumHeavyAtoms(),
    }


@dataclass(frozen=True)
class _Objective:
    """A ready score as a function of SMILES that other processes can unpickle."""

    name: str
    max_heavy_atoms: int | None = None
    clip: float | None = None

    def __call__(self, x: Any) -> float:
        molecule = parse(x)
        if molecule is None or _too_large(molecule, self.max_heavy_atoms):
            return nan
        if self.name == "penalized_logp":
            value = penalized_logp(molecule)
        else:
            value = guacamol_objective(self.name)(molecule)
        return float(value if self.clip is None else max(value, self.clip))

    @property
    def cache_key(self) -> str:
        """Name of the score, version of its definition, and RDKit's version."""
        options = f"atoms{self.max_heavy_atoms}-clip{self.clip}"
        return f"{self.name}-{_VERSION}-{options}-rdkit{optional_module('rdkit').__version__}"


@dataclass(frozen=True)
class _OwnObjective:
    """A user's function of SMILES, called with canonical SMILES only."""

    function: Callable[[str], float | None]
    max_heavy_atoms: int | None
    stereo: bool

    def __call__(self, x: Any) -> float:
        molecule = parse(x)
        if molecule is None or _too_large(molecule, self.max_heavy_atoms):
            return nan
        spelling = canonical(x, self.stereo)
        value = None if spelling is None else self.function(spelling)
        return nan if value is None else float(value)


def _too_large(molecule: Any, most: int | None) -> bool:
    return most is not None and molecule.GetNumHeavyAtoms() > most


@lru_cache(maxsize=4)
def _named_pool(data: str, stereo: bool, n_jobs: int | None) -> tuple[str, ...]:
    """Return the distinct molecules of a data set as canonical SMILES."""
    X = fetch_zinc250k() if data == "zinc250k" else load_molecules().smiles
    return tuple(dict.fromkeys(filter(None, canonical_smiles(X, stereo=stereo, n_jobs=n_jobs))))


@lru_cache(maxsize=4)
def _own_pool(data: tuple[str, ...], stereo: bool) -> tuple[str, ...]:
    return tuple(dict.fromkeys(read_molecules(data, stereo=stereo, salts="keep", name="data")))


@lru_cache(maxsize=4)
def _known(pool: tuple[str, ...]) -> frozenset[str]:
    return frozenset(pool)


class _MoleculeTask(ABC, BaseEstimator):
    """Base of the tasks; each adds a score."""

    max_heavy_atoms: int | None
    data: Data
    n_start: int | None
    stereo: bool
    n_jobs: int | None

    @property
    def optimum(self) -> float | None:
        """The largest score of a molecule, None if unknown."""
        return None

    @abstractmethod
    def _scorer(self) -> Callable[[Any], float]:
        """Check the parameters and return the objective."""

    def objective(self, x: str) -> float:
        """Return the score of one molecule, NaN for an invalid or too large one. Always ends."""
        return self._scorer()(x)

    def objectives(self, X: Sequence[str]) -> Values:
        """Return the scores (n,) of n molecules, in this process; see :func:`wrlso.datasets.score`."""
        scorer = self._scorer()
        return np.array([scorer(x) for x in X], dtype=np.float64)

    def initial_data(self, random_state: Any = None) -> tuple[list[str], Values]:
        """Return starting molecules within the cap on size, as canonical SMILES, and their scores.

        More than 1000 molecules are scored in parallel, with a progress bar. Their scores are kept on disk,
        except those of your own function.

        Parameters
        ----------
        random_state : int, RandomState or None
            Samples the ``n_start`` molecules.

        Returns
        -------
        X : list of n str
        y : ndarray of shape (n,), float64
            NaN where a user's own function failed.

        Raises
        ------
        DataError
            When the data is not available (see :func:`wrlso.datasets.fetch_zinc250k`) or has invalid SMILES.
        ParameterError, ParameterTypeError
            When a parameter is invalid.
        """
        scorer = self._scorer()
        check_count("n_start", self.n_start, none="all")
        X = [x for x in self._pool() if self.feasible(x)] if self.max_heavy_atoms else list(self._pool())
        if self.n_start is not None:
            if self.n_start > len(X):
                raise ParameterError(
                    f"n_start must be at most {len(X)}, the number of molecules, got {self.n_start}"
                )
            chosen = as_random_state(random_state).choice(len(X), self.n_start, replace=False)
            X = [X[i] for i in np.sort(chosen)]
        if not isinstance(scorer, _Objective):
            return X, score(scorer, X, n_jobs=self.n_jobs)
        # score without cap and clipping, so that one cached file serves all of them: X is within the cap
        y = score(_Objective(scorer.name), X, n_jobs=self.n_jobs, cache=len(X) > _WORTH_KEEPING)
        return X, y if scorer.clip is None else np.maximum(y, scorer.clip)

    def model(self, random_state: Any = None, *, kind: str = "selfies", **options: Any) -> Any:
        """Return a model of molecules that ships with the package.

        It is already trained, so ``random_state`` has no effect; a search trains a copy further.

        Parameters
        ----------
        random_state : object, default=None
        kind : {"selfies", "junction-tree"}, default="selfies"
            "selfies" distinguishes molecules as the task does; "junction-tree" ignores stereochemistry.
        **options
            For ``pretrained`` of :class:`wrlso.models.SelfiesVAE` or :class:`wrlso.models.JunctionTreeVAE`.
        """
        check_choice("kind", kind, ("selfies", "junction-tree"))
        if kind == "junction-tree":
            return JunctionTreeVAE.pretrained(**options)
        return SelfiesVAE.pretrained(**({"stereo": bool(self.stereo)} | options))

    def surrogate(self) -> TanimotoGP:
        """Return an unfitted Gaussian process over fragments of molecules."""
        return TanimotoGP()

    def feasible(self, x: Any) -> bool:
        """Return whether x is a molecule within the cap on size: the optimizer's ``feasible``."""
        molecule = parse(x)
        return molecule is not None and not _too_large(molecule, self.max_heavy_atoms)

    def is_novel_and_valid(self, x: Any) -> bool:
        """Return whether x is feasible and not in the data.

        All of the data counts as known, also when ``n_start`` takes only a part of it.
        """
        spelling = canonical(x, self.stereo)
        return spelling is not None and self.feasible(x) and spelling not in _known(self._pool())

    def _pool(self) -> tuple[str, ...]:
        if isinstance(self.data, str):
            check_choice("data", self.data, ("zinc250k", "shipped"))
            return _named_pool(self.data, bool(self.stereo), self.n_jobs)
        return _own_pool(tuple(self.data), bool(self.stereo))


class PenalizedLogP(_MoleculeTask):
    """Penalised logP, the paper's headline task: logP - synthetic accessibility - longest cycle, normalised.

    The score grows with size: a straight chain of n carbon atoms scores 6.45, 11.20, 19.06, 26.14 and 48.88
    for n = 20, 38, 70, 100, 200. So state a cap and the chain's score beside every result.

    Parameters
    ----------
    max_heavy_atoms : int, optional
        Larger molecules are infeasible. The largest molecule of ZINC250k and MolDQN's best published one have
        38. None: any size.
    clip : float or None, default=-6.0
        Lower bound of the score, as in the paper's released code. None: no bound.
    data : {"zinc250k", "shipped"} or sequence of str, default="zinc250k"
        The molecules to start from: all of ZINC250k (downloaded if necessary), the molecules that ship with
        the package, or your own.
    n_start : int, optional
        Number of these molecules, sampled at random; None: all, as in the paper.
    stereo : bool, default=True
        Whether stereochemistry distinguishes molecules. It does not change the score.
    n_jobs : int or None, default=-1
        Processes that score the starting data.

    Examples
    --------
    >>> round(PenalizedLogP().objective("C" * 38), 2), PenalizedLogP(20).objective("C" * 38)
    (11.2, nan)
    """

    name = "penalized-logp"

    def __init__(
        self,
        max_heavy_atoms: int | None = None,
        *,
        clip: float | None = -6.0,
        data: Data = "zinc250k",
        n_start: int | None = None,
        stereo: bool = True,
        n_jobs: int | None = -1,
    ) -> None:
        self.max_heavy_atoms = max_heavy_atoms
        self.clip = clip
        self.data = data
        self.n_start = n_start
        self.stereo = stereo
        self.n_jobs = n_jobs

    def _scorer(self) -> _Objective:
        check_count("max_heavy_atoms", self.max_heavy_atoms, none="any size")
        check_real("clip", self.clip, none="no bound")
        clip = None if self.clip is None else float(self.clip)
        return _Objective("penalized_logp", self.max_heavy_atoms, clip)


class QED(_MoleculeTask):
    """Quantitative estimate of drug-likeness, 0 to 1; the best possible is about 0.948.

    Parameters
    ----------
    max_heavy_atoms, data, n_start, stereo, n_jobs
        As for :class:`PenalizedLogP`.

    Examples
    --------
    >>> round(QED().objective("CC(=O)Oc1ccccc1C(=O)O"), 2)
    0.55
    """

    name = "qed"

    def __init__(
        self,
        max_heavy_atoms: int | None = None,
        *,
        data: Data = "zinc250k",
        n_start: int | None = None,
        stereo: bool = True,
        n_jobs: int | None = -1,
    ) -> None:
        self.max_heavy_atoms = max_heavy_atoms
        self.data = data
        self.n_start = n_start
        self.stereo = stereo
        self.n_jobs = n_jobs

    def _scorer(self) -> _Objective:
        check_count("max_heavy_atoms", self.max_heavy_atoms, none="any size")
        return _Objective("qed", self.max_heavy_atoms)


class GuacaMol(_MoleculeTask):
    """One of the 20 objectives of the PMO benchmark that need only RDKit, as GuacaMol defines them.

    Papers on search in latent spaces use seven of them: ``amlodipine_mpo``, ``median2``,
    ``osimertinib_mpo``, ``perindopril_mpo``, ``ranolazine_mpo``, ``valsartan_smarts`` and ``zaleplon_mpo``.
    Scores lie in [0, 1].

    Parameters
    ----------
    goal : str
        One of ``GUACAMOL_OBJECTIVES``.
    max_heavy_atoms, data, n_start, stereo, n_jobs
        As for :class:`PenalizedLogP`.

    References
    ----------
    Brown et al., "GuacaMol", J. Chem. Inf. Model. 59, 2019; Gao et al., "Sample Efficiency Matters", 2022.

    Examples
    --------
    >>> task = GuacaMol("celecoxib_rediscovery")
    >>> task.objective("Cc1ccc(cc1)-c1cc(nn1-c1ccc(cc1)S(N)(=O)=O)C(F)(F)F"), task.optimum
    (1.0, 1.0)
    """

    def __init__(
        self,
        goal: str,
        *,
        max_heavy_atoms: int | None = None,
        data: Data = "zinc250k",
        n_start: int | None = None,
        stereo: bool = True,
        n_jobs: int | None = -1,
    ) -> None:
        self.goal = goal
        self.max_heavy_atoms = max_heavy_atoms
        self.data = data
        self.n_start = n_start
        self.stereo = stereo
        self.n_jobs = n_jobs

    @property
    def name(self) -> str:
        """Name of the task in benchmark records, such as ``"perindopril-mpo"``."""
        return self._scorer().name.replace("_", "-")

    @property
    def optimum(self) -> float | None:
        """1 if a molecule with this score is known, else None."""
        return _REACHED if self._scorer().name in _KNOWN_OPTIMA else None

    def _scorer(self) -> _Objective:
        check_choice("goal", self.goal, GUACAMOL_OBJECTIVES)
        check_count("max_heavy_atoms", self.max_heavy_atoms, none="any size")
        return _Objective(self.goal, self.max_heavy_atoms)


class Molecules(_MoleculeTask):
    """A task with your own function, SMILES → float.

    Parameters
    ----------
    function : callable
        Takes a canonical SMILES and returns a number, larger is better; None or NaN for a failure. The task
        never calls it with an invalid SMILES, and uses several processes for more than 1000 starting
        molecules.
    max_heavy_atoms : int, optional
        Larger molecules are infeasible; the task does not call the function for them.
    data : {"zinc250k", "shipped"} or sequence of str, default="zinc250k"
        The molecules to start from.
    n_start : int, optional, default=100
        Number of these molecules that get a value, sampled at random; None: all.
    stereo : bool, default=True
        Whether stereochemistry distinguishes molecules. False: the function gets SMILES without it.
    n_jobs : int or None, default=-1
        Processes that score the starting data.
    name : str, default="molecules"
        Name of the task in benchmark records.

    Examples
    --------
    >>> task = Molecules(lambda smiles: -abs(len(smiles) - 12), data=["CCO", "CCCO", "OCC"], n_start=None)
    >>> task.initial_data()
    (['CCO', 'CCCO'], array([-9., -8.]))
    >>> task.is_novel_and_valid("OCC"), task.is_novel_and_valid("CCN")
    (False, True)
    """

    def __init__(
        self,
        function: Callable[[str], float | None],
        *,
        max_heavy_atoms: int | None = None,
        data: Data = "zinc250k",
        n_start: int | None = 100,
        stereo: bool = True,
        n_jobs: int | None = -1,
        name: str = "molecules",
    ) -> None:
        self.function = function
        self.max_heavy_atoms = max_heavy_atoms
        self.data = data
        self.n_start = n_start
        self.stereo = stereo
        self.n_jobs = n_jobs
        self.name = name

    def _scorer(self) -> _OwnObjective:
        if not callable(self.function):
            raise ParameterTypeError(f"function must be callable with a SMILES, got {self.function!r}")
        check_count("max_heavy_atoms", self.max_heavy_atoms, none="any size")
        return _OwnObjective(self.function, self.max_heavy_atoms, bool(self.stereo))

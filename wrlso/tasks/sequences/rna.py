"""Design of RNA: sequences that fold into a structure, and sequences that fold firmly.

Structures and energies are those of the ViennaRNA package (Lorenz et al., Algorithms for Molecular Biology
6:26, 2011), in the extra ``rna``.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from importlib import import_module
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator

from wrlso._sequences.alphabets import make_alphabet
from wrlso._utils.random import as_random_state, draw_seed, isolated_torch_rng
from wrlso._utils.validation import check_count
from wrlso.exceptions import DataError, ParameterError, ParameterTypeError
from wrlso.models.sequences.vae import SequenceVAE

__all__ = ["TARGETS", "FreeEnergy", "InverseFolding", "vienna_rna"]

TARGETS: Mapping[str, str] = {
    "loops": "((((..((((..((((....))))..))))..))))",
    "cross": "(((((..((((....))))..((((....))))..((((....))))..)))))",
    "bulges": "(((.((((..(((.((((....)))))))..(((.((((....)))))))..(((.((((....)))))))..)))))))",
}
"""Structures of the kind that players of Eterna are set: inner loops, four arms, arms with bulges."""

_RNA = make_alphabet("rna")


def vienna_rna() -> Any:
    """Return the module of ViennaRNA; raises ModuleNotFoundError that names the extra which installs it."""
    try:
        return import_module("RNA")
    except ModuleNotFoundError as error:
        message = "ViennaRNA is missing, which tasks of RNA need; pip install 'wrlso[rna]' installs it"
        raise ModuleNotFoundError(message, name="RNA") from error


class _Folding(BaseEstimator, ABC):
    """What tasks of RNA share; not public."""

    n_start: int
    alphabet = _RNA.letters
    n_letters = len(_RNA.letters)

    @abstractmethod
    def _n(self) -> int:
        """Return the length of sequences; raises ParameterError for wrong parameters."""

    @abstractmethod
    def _value(self, x: str) -> float:
        """Return the value of a sequence that was read."""

    def objective(self, x: str) -> float:
        """Return the value of a sequence.

        Raises DataError for other letters or another length.
        """
        return self._value(self._read(x))

    def is_novel_and_valid(self, x: Any) -> bool:
        """Whether x is a sequence of the length; the starting data are not excluded."""
        try:
            self._read(x)
        except DataError:
            return False
        return True

    def initial_data(self, random_state: Any = None) -> tuple[list[str], NDArray[np.float64]]:
        """Return ``n_start`` random sequences and their values."""
        check_count("n_start", self.n_start)
        rng = np.random.default_rng(draw_seed(as_random_state(random_state)))
        X = [_RNA.text(row) for row in rng.integers(self.n_letters, size=(self.n_start, self._n()))]
        return X, np.array([self._value(x) for x in X])

    def model(self, random_state: Any = None) -> SequenceVAE:
        """Return an untrained :class:`wrlso.models.SequenceVAE` of RNA of the length."""
        with isolated_torch_rng(draw_seed(as_random_state(random_state))):
            return SequenceVAE("rna", length=self._n())

    def _read(self, x: Any) -> str:
        if not isinstance(x, str) or len(found := _RNA.read(x)) != self._n():
            raise DataError(f"x must be RNA of {self._n()} letters, got {x!r:.80}")
        return found


class InverseFolding(_Folding):
    """Find RNA whose structure of least free energy is a given one.

    The value is 1 less the distance in base pairs of the two structures for each letter; 1 is solved.

    Parameters
    ----------
    target : str, default="loops"
        A structure in dots and brackets, or one of "loops", "cross" and "bulges".
    n_start : int, default=10
        Number of random sequences in the starting data.

    Examples
    --------
    >>> task = InverseFolding("((((....))))")
    >>> task.objective("GGGGAAAACCCC")
    1.0
    """

    optimum = 1.0

    def __init__(self, target: str = "loops", *, n_start: int = 10) -> None:
        self.target = target
        self.n_start = n_start
        self.structure  # noqa: B018  # which refuses what is none

    @property
    def structure(self) -> str:
        """The target in dots and brackets.

        Raises ParameterError or ParameterTypeError for what is none.
        """
        if not isinstance(self.target, str):
            raise ParameterTypeError(f"target must be a structure or a name, str, got {self.target!r:.80}")
        found = TARGETS.get(self.target, self.target)
        depths = np.cumsum([{"(": 1, ")": -1}.get(sign, 0) for sign in found])
        if not found or set(found) - set("(.)") or depths[-1] != 0 or (depths < 0).any():
            raise ParameterError(
                f"target must be dots and matching brackets such as '((((....))))', or one of "
                f"{', '.join(TARGETS)}, got {self.target!r:.80}"
            )
        return found

    @property
    def length(self) -> int:
        """Letters of a sequence."""
        return len(self.structure)

    def _n(self) -> int:
        return self.length

    def _value(self, x: str) -> float:
        vienna, target = vienna_rna(), self.structure
        return 1.0 - float(vienna.bp_distance(vienna.fold(x)[0], target)) / len(target)


class FreeEnergy(_Folding):
    """Find RNA of a length that folds as firmly as possible: the value is minus the least free energy.

    Parameters
    ----------
    length : int, default=30
        Letters of a sequence.
    n_start : int, default=10
        Number of random sequences in the starting data.

    Examples
    --------
    >>> round(FreeEnergy(12).objective("GGGGAAAACCCC"), 1)  # kcal/mol
    5.4
    """

    optimum = None

    def __init__(self, length: int = 30, *, n_start: int = 10) -> None:
        self.length = length
        self.n_start = n_start

    def _n(self) -> int:
        check_count("length", self.length)
        return self.length

    def _value(self, x: str) -> float:
        return -float(vienna_rna().fold(x)[1])

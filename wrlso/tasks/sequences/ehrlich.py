"""Ehrlich functions: tests that are hard in the ways in which the design of proteins is hard.

Stanton et al., "Closed-form test functions for biophysical sequence design", 2024, arXiv:2407.00236.

Glossary: v number of letters, L length, c number of motifs, k elements of a motif, q levels of quality.
"""

import math
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from wrlso._utils.estimator import BaseEstimator
from wrlso._utils.random import as_random_state, draw_seed, isolated_torch_rng
from wrlso._utils.validation import check_count, check_real, check_seed
from wrlso.exceptions import DataError, ParameterError
from wrlso.models.sequences.vae import SequenceVAE

__all__ = ["Ehrlich", "EhrlichFunction"]

_LETTERS = "ACDEFGHIKLMNPQRSTVWYBJOUXZabcdefghijklmnopqrstuvwxyz"
_BAND = 0.4  # share of the states on either side that a row of the transition matrix allows
_TEMPERATURE = 0.5  # of the softmax that makes a row

Ints = NDArray[np.int64]
Array = NDArray[np.float64]


class EhrlichFunction:
    """The product of how much of each motif is there, for sequences without forbidden neighbours.

    Parameters
    ----------
    transitions : ndarray (v, v)
        Probabilities of the next letter; zero: forbidden.
    motifs : ndarray (c, k)
        Their elements.
    spacings : ndarray (c, k)
        Places of the elements relative to the first, which is 0.
    length : int
    quantization : int
        q; only whole multiples of ceil(k/q) elements count.
    epistasis : float, default=0
        How much an incomplete motif is worth less than its share of elements.
    """

    def __init__(
        self,
        transitions: Array,
        motifs: Ints,
        spacings: Ints,
        length: int,
        quantization: int,
        epistasis: float = 0.0,
    ) -> None:
        self.transitions, self.motifs, self.spacings = transitions, motifs, spacings
        self.length, self.quantization, self.epistasis = length, quantization, epistasis

    @property
    def n_classes(self) -> int:
        """Number v of letters."""
        return len(self.transitions)

    def __call__(self, x: Any) -> float | None:
        """Return the value of x (L,), None for an infeasible one."""
        x = np.asarray(x)
        if not self.feasible(x):
            return None
        value = np.float32(1.0)  # single precision, as the authors' code has it
        for motif, spacing in zip(self.motifs, self.spacings, strict=True):
            value = value * self._quality(x, motif, spacing)
        return float(value)

    def feasible(self, x: Any) -> bool:
        """Return whether each transition of x has a positive probability."""
        return bool((self.transitions[x[:-1], x[1:]] > 0).all())

    def optimum(self) -> Ints:
        """Return a feasible x with value 1: motif after motif, each element held until the next."""
        parts: list[int] = []
        for motif, spacing in zip(self.motifs, self.spacings, strict=True):
            parts += np.repeat(motif, np.diff(spacing, append=spacing[-1] + 1)).tolist()
        return np.array(parts + parts[-1:] * (self.length - len(parts)), dtype=np.int64)

    def sample(self, n: int, rng: np.random.Generator) -> Ints:
        """Return n random feasible sequences (n, L): walks by the transition matrix."""
        walks = rng.integers(self.n_classes, size=(n, self.length))
        ends = self.transitions.cumsum(axis=1)
        # rounding must not make a last state possible that is not
        ends[ends >= ends[:, -1:]] = np.inf
        for i in range(1, self.length):
            walks[:, i] = (ends[walks[:, i - 1]] < rng.random((n, 1))).sum(axis=1)
        return walks

    def _quality(self, x: Any, motif: Ints, spacing: Ints) -> np.float32:
        places = np.arange(self.length - spacing[-1])[:, None] + spacing
        most = int((x[places] == motif).sum(axis=1).max())
        step = math.ceil(len(motif) / self.quantization)
        share = np.float32(most // step) / np.float32(len(motif) / step)
        worth = np.float32(self.epistasis) * share * (share - np.float32(1.0)) + np.float32(1.0)
        return np.float32(worth * share)


class Ehrlich(BaseEstimator):
    """An Ehrlich function as a task: find a sequence that holds all motifs, without forbidden neighbours.

    The same arguments give the same function, and each sequence the same value to the last bit, as the class
    of this name in the authors' package ``pytorch-holo``. An infeasible sequence is a failed experiment.

    Parameters
    ----------
    n_letters : int, default=20
        v; the letters are those of proteins first.
    length : int, default=15
        L.
    n_motifs, motif_length : int, default=2 and 5
        c and k.
    quantization : int, default=None
        q, a divisor of k; None: k.
    epistasis : float, default=0
        How much an incomplete motif is worth less than its share of elements.
    n_start : int, default=10
        Number of sequences in the starting data.
    seed : int, default=0
        Of the function.

    Examples
    --------
    >>> task = Ehrlich()
    >>> task.objective(task.best)
    1.0
    """

    optimum = 1.0

    def __init__(
        self,
        n_letters: int = 20,
        length: int = 15,
        n_motifs: int = 2,
        motif_length: int = 5,
        quantization: int | None = None,
        *,
        epistasis: float = 0.0,
        n_start: int = 10,
        seed: int = 0,
    ) -> None:
        self.n_letters = n_letters
        self.length = length
        self.n_motifs = n_motifs
        self.motif_length = motif_length
        self.quantization = quantization
        self.epistasis = epistasis
        self.n_start = n_start
        self.seed = seed

    @property
    def alphabet(self) -> str:
        """The letters."""
        return _LETTERS[: self.n_letters]

    @property
    def best(self) -> str:
        """A sequence with the largest value, 1."""
        return self._text(self.function.optimum())

    def objective(self, x: str) -> float | None:
        """Return the value of a sequence, in [0, 1]; None for an infeasible one.

        Raises DataError for other letters or another length.
        """
        return self.function(self._numbers(x))

    def is_novel_and_valid(self, x: Any) -> bool:
        """Whether x is a feasible sequence; the starting data are not excluded."""
        try:
            return self.function.feasible(self._numbers(x))
        except DataError:
            return False

    def initial_data(self, random_state: Any = None) -> tuple[list[str], Array]:
        """Return ``n_start`` random feasible sequences, walks by the transition matrix, and their values."""
        rng = np.random.default_rng(draw_seed(as_random_state(random_state)))
        X = self.function.sample(self.n_start, rng)
        y = np.array([self.function(x) for x in X], dtype=np.float64)
        return [self._text(x) for x in X], y

    def model(self, random_state: Any = None) -> SequenceVAE:
        """Return an untrained :class:`wrlso.models.SequenceVAE` of the letters and the length."""
        with isolated_torch_rng(draw_seed(as_random_state(random_state))):
            return SequenceVAE(self.alphabet, length=self.length)

    @property
    def function(self) -> EhrlichFunction:
        """The function on arrays of numbers, made once for the parameters of now."""
        wanted = tuple(self.get_params().values())
        kept: tuple[Any, EhrlichFunction] | None = self.__dict__.get("_made")
        if kept is None or kept[0] != wanted:
            kept = wanted, self._make()
            self.__dict__["_made"] = kept
        return kept[1]

    def __getstate__(self) -> dict[str, Any]:
        """Return the parameters alone."""
        return {name: value for name, value in self.__dict__.items() if name != "_made"}

    def _make(self) -> EhrlichFunction:
        """Draw the function, in the order and with the random numbers of the authors' code."""
        self._check_parameters()
        generator = torch.Generator().manual_seed(self.seed)
        transitions = _transitions(self.n_letters, generator)
        c, k = self.n_motifs, self.motif_length
        motifs = _walk(_stationary(transitions), transitions, c * k, generator).reshape(c, k)
        slack = (self.length - c * k) // c
        spacings = np.zeros((c, k), dtype=np.int64)
        for spacing in spacings:
            weights = torch.rand(k - 1, generator=generator)
            weights /= weights.sum()
            spacing[1:] = np.cumsum(1 + (slack * weights).floor().to(torch.int64).numpy())
        quantization = k if self.quantization is None else self.quantization
        matrix = transitions.double().numpy()
        return EhrlichFunction(matrix, motifs, spacings, self.length, quantization, self.epistasis)

    def _check_parameters(self) -> None:
        for name, least in (
            ("n_letters", 2),
            ("length", 2),
            ("n_motifs", 1),
            ("motif_length", 2),
            ("n_start", 1),
        ):
            check_count(name, getattr(self, name), minimum=least)
        check_count("quantization", self.quantization, none="motif_length")
        check_real("epistasis", self.epistasis, minimum=0)
        check_seed("seed", self.seed)
        if self.n_letters > len(_LETTERS):
            raise ParameterError(f"n_letters must be at most {len(_LETTERS)}, got {self.n_letters}")
        if self.n_motifs * self.motif_length > self.length:
            raise ParameterError(
                f"n_motifs · motif_length must be at most the length {self.length}, got "
                f"{self.n_motifs} · {self.motif_length}"
            )
        if self.quantization is not None and self.motif_length % self.quantization:
            raise ParameterError(
                f"quantization must divide motif_length={self.motif_length}, so that 1 can be reached, got "
                f"{self.quantization}"
            )

    def _numbers(self, x: Any) -> Ints:
        if not isinstance(x, str) or len(x) != self.length or not set(x) <= set(self.alphabet):
            raise DataError(f"x must be {self.length} letters of {self.alphabet}, got {x!r:.80}")
        return np.array([self.alphabet.index(letter) for letter in x], dtype=np.int64)

    def _text(self, numbers: Ints) -> str:
        return "".join(self.alphabet[n] for n in numbers)


def _transitions(v: int, generator: torch.Generator) -> torch.Tensor:
    """Return a transition matrix (v, v) float32: a softmax of random numbers, with a band of neighbours."""
    dense = (torch.randn(v, v, generator=generator) / _TEMPERATURE).softmax(dim=-1)
    width, places = int(v * _BAND), torch.arange(v)
    apart = (places[None] - places[:, None]) % v
    mask = (apart <= width) | (apart >= v - width)
    mask = mask[torch.randperm(v, generator=generator)] | torch.eye(v, dtype=torch.bool)
    kept = torch.where(mask, dense, torch.zeros_like(dense))
    return kept / kept.sum(dim=-1, keepdim=True)


def _stationary(transitions: torch.Tensor) -> torch.Tensor:
    """Return the stationary distribution (v,) of a transition matrix."""
    v = len(transitions)
    system = torch.cat([(torch.eye(v) - transitions).T, torch.ones(1, v)], dim=0)
    wanted = torch.zeros(v + 1, 1)
    wanted[-1] = 1
    Q, R = torch.linalg.qr(system)
    found: torch.Tensor = torch.linalg.solve(R, Q.T @ wanted)
    return found[:, 0]


def _walk(start: torch.Tensor, transitions: torch.Tensor, n: int, generator: torch.Generator) -> Ints:
    """Return a walk (n,) by the transition matrix."""
    walk = [torch.multinomial(start, 1, replacement=True, generator=generator)]
    for _ in range(n - 1):
        walk.append(torch.multinomial(transitions[walk[-1]], 1, generator=generator)[:, 0])
    return np.asarray(torch.cat(walk).numpy(), dtype=np.int64)

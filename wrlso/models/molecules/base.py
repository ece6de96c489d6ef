"""Shared parts of the models of molecules: drawing, mutation and crossover."""

from abc import abstractmethod
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from wrlso._chemistry.cores import Core
from wrlso._chemistry.crossover import crossed, kekulized
from wrlso._chemistry.familiar import Familiar, n_alerts
from wrlso._chemistry.selfies_tokens import read_part, to_smiles
from wrlso._chemistry.smiles import listed_smiles, molecule_key, parse
from wrlso._chemistry.token_mutation import edited
from wrlso.exceptions import DataError
from wrlso.models.protocol import Objects
from wrlso.models.tokens.base import TokenVAE

__all__ = ["SHIPPED", "MoleculeVAE"]

_DATA = Path(__file__).parents[2] / "data"
SHIPPED = {
    "selfies": _DATA / "selfies_zinc250k.safetensors",
    "junction-tree": _DATA / "junction_tree_zinc250k.safetensors",
}
"""Files of the models that ship, by name."""

_FAMILIAR = 0.5  # share of the new tokens of mutants that come from the other molecules


class MoleculeVAE(TokenVAE):
    """Base of models of molecules whose vocabulary can grow; not public."""

    stereo: bool
    salts: str
    max_tokens: int  # of a mutant
    _TEXT = "SMILES"

    @abstractmethod
    def encode(self, inputs: Tensor) -> Tensor:
        """Return the posterior means (n, d)."""

    @abstractmethod
    def decode(
        self, Z: Tensor, temperature: float = 0.0, generator: torch.Generator | None = None
    ) -> list[str | None]:
        """Return n canonical SMILES, None for invalid ones."""

    @abstractmethod
    def sample_prior(self, n: int, generator: torch.Generator | None = None) -> Tensor:
        """Sample n points (n, d) from the region of the last training's data."""

    @abstractmethod
    def key(self, x: str) -> str:
        """Return the identity of a molecule, its canonical SMILES."""

    @abstractmethod
    def _can_read(self, x: str) -> bool:
        """Whether :meth:`tensorize` can read a molecule."""

    @abstractmethod
    def _token_lists(self, X: Objects) -> list[list[str]]:
        """Return the SELFIES tokens of n SMILES; an empty list when SELFIES cannot write a molecule."""

    @abstractmethod
    def _alphabet(self) -> Sequence[str]:
        """Return the SELFIES tokens that the model knows."""

    def full_key(self, x: str) -> str:
        """Return the canonical SMILES with its stereochemistry, also where :meth:`key` leaves that out."""
        return molecule_key(x, True, self.salts)

    def oddities(self, known: Objects) -> list[Callable[[Objects], np.ndarray]]:
        """Return functions that count in n SMILES (n,) what is odd beside some that are known.

        Three: surroundings of atoms (two bonds, as of ECFP4) that neither known molecules have nor at least
        three of ZINC250k; shapes of ring systems, likewise, but 25 of ZINC250k; Brenk's structural alerts.
        """
        familiar = Familiar(listed_smiles(known))
        counts = (familiar.odd_surroundings, familiar.odd_rings, n_alerts)
        return [_of_each(count) for count in counts]

    def draw(self, x: str, size: tuple[int, int] = (220, 160)) -> str:
        """Return a drawing of a molecule as SVG, for plots and reports."""
        from wrlso._chemistry.drawing import molecule_svg

        return molecule_svg(x, size)

    def mutate(self, X: Objects, generator: torch.Generator | None = None) -> list[str | None]:
        """Return n molecules, each of X (n SMILES) with one random change of its SELFIES tokens.

        A change replaces one or several tokens, inserts one, or removes or repeats a part. Half of the new
        tokens are sampled as often as they occur in X, the others uniformly from the model's tokens; so
        mutants leave the data, which ``decode`` hardly ever does. None for a mutant that the model could not
        read (a few with a vocabulary of tokens, a quarter with one of cliques) and for a molecule that
        SELFIES cannot write. Some mutants are the same molecule in another spelling.

        Raises
        ------
        DataError, DataTypeError
            As ``tensorize``.
        """
        rng = _numpy_rng(generator)
        rows = self._token_lists(X)
        sample = self._sampler(rows, rng)

        def mutant(row: list[str]) -> str | None:
            longest = max(self.max_tokens, len(row))  # never cut a molecule that is already longer
            return to_smiles(edited(row, sample, longest, rng), self.stereo) if row else None

        return self._readable([mutant(row) for row in rows])

    def mutate_around(
        self, X: Objects, core: Core, generator: torch.Generator | None = None
    ) -> list[str | None]:
        """Return n molecules, each of X (n SMILES) with one substituent of a core changed as ``mutate`` does.

        Some get a substituent more, or lose one. None also for a molecule without the core.
        """
        rng = _numpy_rng(generator)
        X = listed_smiles(X)
        sample = self._sampler(self._token_lists(X), rng)

        def change(part: str) -> str | None:
            tokens = read_part(part)
            if len(tokens) < 2:
                return None
            return to_smiles([tokens[0], *edited(tokens[1:], sample, self.max_tokens, rng)], self.stereo)

        found = [core.mutated(self.key(x), change, rng) for x in X]
        return self._canonical(found)

    def cross_around(
        self, X: Objects, Y: Objects, core: Core, generator: torch.Generator | None = None
    ) -> list[str | None]:
        """Return n molecules, the i-th X[i] with a part of Y[i] in place of a substituent of a core.

        None also where X[i] has no such core, or none of its places takes a part. Y[i] need not have it.
        """
        rng = _numpy_rng(generator)
        pairs = zip(listed_smiles(X), listed_smiles(Y, "Y"), strict=True)
        return self._canonical([core.crossed(self.key(x), self.key(y), rng) for x, y in pairs])

    def cross(self, X: Objects, Y: Objects, generator: torch.Generator | None = None) -> list[str | None]:
        """Return n molecules, the i-th of a part of X[i] and a part of Y[i] (n SMILES each).

        Both parents are cut at a bond outside rings, or at two bonds of a ring, and joined there. None when
        a few trials give no valid molecule, or one that the model cannot read.

        Raises
        ------
        DataError, DataTypeError
            For an invalid SMILES, when X and Y differ in length, or when one is not a sequence of str.
        """
        X, Y = listed_smiles(X), listed_smiles(Y, "Y")
        if len(X) != len(Y):
            raise DataError(f"X and Y must have the same length, got {len(X)} and {len(Y)}")
        rng = _numpy_rng(generator)
        parents = {x: kekulized(parse(self.key(x))) for x in {*X, *Y}}
        found = [crossed(parents[x], parents[y], rng) for x, y in zip(X, Y, strict=True)]
        return self._canonical(found)

    def tensorize_readable(self, X: Objects) -> tuple[Tensor, list[bool]]:
        """Return the rows of the readable SMILES among n, and whether each of the n is readable."""
        readable = [self._can_read(x) for x in X]
        return self.tensorize([x for x, there in zip(X, readable, strict=True) if there]), readable

    def _readable(self, found: Sequence[str | None]) -> list[str | None]:
        """Return molecules as this model reads them, None for each that it cannot read."""
        return self._as_read([x if x is not None and self._can_read(x) else None for x in found])

    def _as_read(self, found: Sequence[str | None]) -> list[str | None]:
        """Return molecules without charges, where the model takes these away."""
        if self.salts != "neutral":
            return list(found)
        return [None if x is None else self.key(x) for x in found]

    def _canonical(self, found: Sequence[str | None]) -> list[str | None]:
        return [None if x is None else self.key(x) for x in self._readable(found)]

    def _sampler(self, rows: Sequence[Sequence[str]], rng: np.random.Generator) -> Callable[[], str]:
        """Return a source of new tokens: half of them as frequent as in the rows, the others of all."""
        alphabet, present = self._alphabet(), [token for row in rows for token in row]

        def sample() -> str:
            tokens = present if present and rng.random() < _FAMILIAR else alphabet
            return tokens[int(rng.integers(len(tokens)))]

        return sample


def _of_each(count: Callable[[str], int]) -> Callable[[Objects], np.ndarray]:
    return lambda X: np.array([count(x) for x in X], dtype=np.float64)


def _numpy_rng(generator: torch.Generator | None) -> np.random.Generator:
    return np.random.default_rng(int(torch.randint(2**62, (1,), generator=generator)))

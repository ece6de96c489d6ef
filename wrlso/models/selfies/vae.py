"""A variational autoencoder of molecules as SELFIES, which decodes only valid molecules."""

from collections.abc import Iterable, Sequence
from typing import Any, Self

import numpy as np
import torch
from torch import Tensor

from wrlso._chemistry.selfies_tokens import Reading, read_all, read_smiles, to_smiles
from wrlso._chemistry.smiles import SALTS, listed_smiles, molecule_key, refuse_rows, texts
from wrlso._utils.validation import check_choice, check_count, check_flag, check_real
from wrlso.exceptions import ParameterError, ParameterTypeError
from wrlso.models.molecules.base import SHIPPED, MoleculeVAE
from wrlso.models.protocol import Objects
from wrlso.models.tokens.aggregate_posterior import CodeMemory
from wrlso.models.tokens.base import read_header
from wrlso.models.tokens.chunk_vae import CHUNK, ChunkVAE
from wrlso.models.tokens.networks import END, ChunkDecoder, ChunkEncoder, ChunkSizes

__all__ = ["SelfiesVAE"]

_N_SPECIAL = 2  # END and MASK stand before the vocabulary's tokens


class SelfiesVAE(ChunkVAE, MoleculeVAE):
    """Latent model of molecules: SMILES in, canonical SMILES out.

    The class implements :class:`wrlso.models.LatentModel`. It spells a molecule as SELFIES (Krenn et al.
    2020) and cuts it into 13 chunks of eight tokens. Each chunk has its own latent dimensions, so molecules
    at neighbouring points differ in a part. Every sequence of SELFIES tokens is a valid molecule.

    Two molecules are one point when their canonical SMILES are equal. Charges are kept. The model refuses
    invalid SMILES, isotopes, radicals and several fragments (see ``salts``); the error names SMILES and row.

    Parameters
    ----------
    vocabulary : sequence of str, default=None
        SELFIES tokens of the model; None: those of the model that ships. :meth:`extend` adds more.
    stereo : bool, default=True
        Whether the model reads and writes stereochemistry, and whether it is part of a molecule's identity.
    salts : {"refuse", "largest", "neutral"}, default="refuse"
        For a SMILES of several fragments: refuse it, or take the largest fragment. "neutral": this one, and
        every other molecule, without charges, as far as protons can balance them.
    max_tokens : int, default=100
        Longest molecule in tokens, at most 103; the model refuses longer ones and decodes none.
    beta : float, default=0.1
        Weight of the divergence from N(0, I) in the loss.
    token_dropout : float in [0, 1), default=0.2
        Share of the previous tokens hidden from the decoder in training.
    chunk_dropout : float in [0, 1), default=0.1
        Share of the chunks hidden from the decoder in training by a latent block of zeros. So the decoder
        writes a plausible chunk for a block of zeros.
    chunk_dim : int, default=8
        Latent dimensions of each of the 13 chunks.
    width, hidden : int, default=192, 256
        Units of the layers over chunks and of those over tokens.

    Examples
    --------
    >>> model = SelfiesVAE.pretrained()
    >>> Z = model.encode(model.tensorize(["CC(C)Cc1ccc(C(C)C(=O)O)cc1"]))
    >>> model.decode(Z)
    ['CC(C)Cc1ccc(C(C)C(=O)O)cc1']
    """

    _FORMAT = 2
    _CHANGEABLE = ("stereo", "salts", "max_tokens", "beta", "token_dropout", "chunk_dropout")
    _WORD = "token"

    def __init__(
        self,
        vocabulary: Sequence[str] | None = None,
        *,
        stereo: bool = True,
        salts: str = "refuse",
        max_tokens: int = 100,
        beta: float = 0.1,
        token_dropout: float = 0.2,
        chunk_dropout: float = 0.1,
        chunk_dim: int = 8,
        width: int = 192,
        hidden: int = 256,
    ) -> None:
        super().__init__()
        check_choice("salts", salts, SALTS)
        check_real("beta", beta, minimum=0)
        check_real("token_dropout", token_dropout, minimum=0, maximum=0.99)
        check_real("chunk_dropout", chunk_dropout, minimum=0, maximum=0.99)
        for name, value in (("chunk_dim", chunk_dim), ("width", width), ("hidden", hidden)):
            check_count(name, value)
        self.vocabulary = _checked(_shipped_vocabulary() if vocabulary is None else vocabulary)
        check_flag("stereo", stereo)
        self.stereo, self.salts, self.beta = bool(stereo), salts, beta
        self.token_dropout, self.chunk_dropout = token_dropout, chunk_dropout
        n_tokens = _N_SPECIAL + len(self.vocabulary)
        self.sizes = ChunkSizes(n_tokens, chunk_dim=chunk_dim, width=width, hidden=hidden)
        self._set_max_tokens(max_tokens)
        self.encoder, self.decoder = ChunkEncoder(self.sizes), ChunkDecoder(self.sizes)
        self.memory = CodeMemory(self.sizes.latent_dim, self.sizes.chunk_dim)
        self._index()

    @classmethod
    def pretrained(
        cls, *, stereo: bool = True, salts: str = "refuse", max_tokens: int = 100, beta: float | None = None
    ) -> "SelfiesVAE":
        """Return the model that ships, trained on ZINC250k; the docs have its card."""
        return cls.from_file(SHIPPED["selfies"], stereo=stereo, salts=salts, max_tokens=max_tokens, beta=beta)

    # ---------------------------------------------------------------- molecules and tokens

    def tensorize(self, X: Objects) -> Tensor:
        """Return the token numbers of n SMILES (n, 104), uint8 (int16 for more than 255), 0 behind the end.

        Raises
        ------
        DataError
            For invalid SMILES, more than ``max_tokens`` tokens, or tokens outside the vocabulary; the error
            names row and problem of up to five SMILES.
        DataTypeError
            When X is not a sequence of str.
        """
        smiles = listed_smiles(X)
        dtype = np.uint8 if self.sizes.n_tokens < 256 else np.int16
        array = np.zeros((len(smiles), self.sizes.length), dtype)
        problems = []
        readings = read_all(smiles, self.stereo, self.salts)
        for row, (x, reading) in enumerate(zip(smiles, readings, strict=True)):
            numbers, problem = self._numbers(x, reading)
            if problem is None:
                array[row, : len(numbers)] = numbers
            else:
                problems.append(f"row {row}: {problem}")
        refuse_rows(problems)
        return torch.from_numpy(array)

    def key(self, x: str) -> str:
        """Return the identity of a molecule, its canonical SMILES; DataError for an invalid SMILES."""
        return molecule_key(x, self.stereo, self.salts)

    def missing_tokens(self, X: Iterable[str]) -> list[str]:
        """Return the SELFIES tokens of some SMILES that the vocabulary lacks, in order of appearance."""
        X = texts(X)
        found = (token for reading in read_all(X, self.stereo, self.salts) for token in reading.tokens)
        return list(dict.fromkeys(token for token in found if token not in self._numbered))

    def extend(self, X: Iterable[str]) -> Self:
        """Add the tokens of some SMILES to the vocabulary, in place; return self.

        Molecules of known tokens keep their encodings. The new tokens are untrained: train the model
        further, or let the optimizer do so.
        """
        new = self.missing_tokens(X)
        return self._grow(new) if new else self

    def _read(self, x: str) -> Reading:
        return read_smiles(x, self.stereo, self.salts)

    def _numbers(self, x: str, reading: Reading) -> tuple[list[int], str | None]:
        if reading.problem is not None:
            return [], reading.problem
        if len(reading.tokens) > self.max_tokens:
            n = len(reading.tokens)
            return [], f"{x!r:.80} takes {n} tokens, more than max_tokens={self.max_tokens} allows"
        missing = [token for token in reading.tokens if token not in self._numbered]
        if missing:
            return [], (
                f"{x!r:.80} needs the token {missing[0]}, which is not in the vocabulary; extend(X) adds it"
            )
        return [self._numbered[token] for token in reading.tokens], None

    def _molecule(self, numbers: list[int]) -> str | None:
        end = numbers.index(END) if END in numbers else len(numbers)
        return to_smiles([self.vocabulary[n - _N_SPECIAL] for n in numbers[:end]], self.stereo)

    # ---------------------------------------------------------------- the latent space

    @torch.no_grad()
    def decode(
        self, Z: Tensor, temperature: float = 0.0, generator: torch.Generator | None = None
    ) -> list[str | None]:
        """Return n canonical SMILES: the likeliest token at each step at temperature 0, else sampled tokens.

        None when z is not finite, when the sequence is empty, and for the few molecules without a spelling
        of at most ``max_tokens`` tokens of the vocabulary.
        """
        return self._readable(self.write(Z, temperature, generator))

    def _token_lists(self, X: Objects) -> list[list[str]]:
        rows = self.tensorize(X).tolist()
        return [[self.vocabulary[number - _N_SPECIAL] for number in row if number != END] for row in rows]

    def _alphabet(self) -> Sequence[str]:
        return self.vocabulary

    def _can_read(self, x: str) -> bool:
        return self._numbers(x, self._read(x))[1] is None

    @torch.no_grad()
    def write(
        self, Z: Tensor, temperature: float = 0.0, generator: torch.Generator | None = None
    ) -> list[str | None]:
        """Decode like :meth:`decode`, but also return molecules that this model cannot read."""
        check_real("temperature", temperature, minimum=0)
        Z = self._points(Z)
        found: list[str | None] = []
        for part in Z.split(CHUNK):
            points, finite = self._finite(part)
            rows = zip(self._write(points, temperature, generator).tolist(), finite, strict=True)
            found += [self._molecule(row) if ok else None for row, ok in rows]
        return found

    # ---------------------------------------------------------------- training by oneself

    def fit(
        self,
        X: Sequence[str],
        epochs: float = 20,
        *,
        batch_size: int = 256,
        lr: float = 2e-3,
        random_state: Any = 0,
        verbose: int = 1,
    ) -> Self:
        """Add the new tokens of a list of SMILES, then train on it from the current weights.

        Parameters
        ----------
        X : sequence of n str
        epochs : float, default=20
            Passes over the data.
        batch_size : int, default=256
        lr : float, default=2e-3
            Largest learning rate; the rate rises for 200 steps and falls along a cosine.
        random_state : int, RandomState or None, default=0
        verbose : int, default=1
            0: no progress bar.
        """
        return self._fit(X, epochs, batch_size, lr, random_state, verbose)

    # ---------------------------------------------------------------- state

    def _parameters_to_keep(self) -> dict[str, Any]:
        parameters = {name: getattr(self, name) for name in self._CHANGEABLE}
        return parameters | {name: getattr(self.sizes, name) for name in ("chunk_dim", "width", "hidden")}

    def extra_repr(self) -> str:
        """Show the parameters that are not modules."""
        sizes = f"{len(self.vocabulary)} tokens, max_tokens={self.max_tokens}"
        return f"{sizes}, stereo={self.stereo}, beta={self.beta}"

    def _set_max_tokens(self, max_tokens: int) -> None:
        check_count("max_tokens", max_tokens)
        if max_tokens >= self.sizes.length:
            raise ParameterError(f"max_tokens must be at most {self.sizes.length - 1}, got {max_tokens}")
        self.max_tokens = int(max_tokens)

    def _index(self) -> None:
        self._numbered = {token: _N_SPECIAL + i for i, token in enumerate(self.vocabulary)}

    def _grow(self, new: Sequence[str]) -> Self:
        if new:
            self.vocabulary = _checked([*self.vocabulary, *new])
            self.encoder.grow(len(new))
            self.decoder.grow(len(new))
            self.sizes = self.encoder.sizes
            self._index()
        return self


def _checked(vocabulary: Sequence[str]) -> list[str]:
    if isinstance(vocabulary, str) or not all(isinstance(token, str) for token in vocabulary):
        raise ParameterTypeError(f"vocabulary must be a sequence of SELFIES tokens, got {vocabulary!r:.80}")
    tokens = list(vocabulary)
    wrong = [t for t in tokens if not (t.startswith("[") and t.endswith("]") and t.count("[") == 1)]
    if wrong:
        raise ParameterError(f"vocabulary must hold SELFIES tokens such as '[=C]', got {wrong[0]!r:.80}")
    if not tokens or len(set(tokens)) < len(tokens):
        n = len(set(tokens))
        raise ParameterError(f"vocabulary must hold distinct tokens, got {len(tokens)}, of them {n} distinct")
    return tokens


def _shipped_vocabulary() -> list[str]:
    vocabulary: list[str] = read_header(SHIPPED["selfies"])["vocabulary"]
    return vocabulary

"""A variational autoencoder of molecules as SELFIES, which decodes only valid molecules."""

from collections.abc import Iterable, Sequence
from typing import Any, Self

import numpy as np
import torch
from torch import Tensor

from wrlso._chemistry.selfies_tokens import Reading, read_all, read_smiles, to_smiles
from wrlso._chemistry.smiles import SALTS, listed_smiles, molecule_key, refuse_rows, texts
from wrlso._utils.validation import check_choice, check_count, check_flag, check_real
from wrlso.exceptions import ModelError, ParameterError, ParameterTypeError
from wrlso.models.molecules.aggregate_posterior import CodeMemory
from wrlso.models.molecules.base import SHIPPED, MoleculeVAE, read_header
from wrlso.models.molecules.training import fast_in_bfloat16
from wrlso.models.protocol import Objects
from wrlso.models.selfies.networks import (
    END,
    MASK,
    ChunkDecoder,
    ChunkEncoder,
    ChunkSizes,
    chunks_used,
    gaussian_divergence,
    sequence_nll,
    trimmed,
    without_chunks,
)

__all__ = ["SelfiesVAE"]

_CHUNK = 1024  # molecules that go through a network at once
_STAGES = (4, 6, 9)  # chunks computed first, and then for longer molecules only
_MOST_ENDED = 0.2  # share of ended sequences above which they are removed from the batch
_N_SPECIAL = 2  # END and MASK stand before the vocabulary's tokens


class SelfiesVAE(MoleculeVAE):
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

    @property
    def latent_dim(self) -> int:
        """Dimension d of the latent space."""
        return self.sizes.latent_dim

    @property
    def block(self) -> int:
        """Coordinates of a chunk, which belong together: see :class:`wrlso.models.HasBlocks`."""
        return self.sizes.chunk_dim

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
    def encode(self, inputs: Tensor) -> Tensor:
        """Return the posterior means (n, d) of token numbers (n, 104).

        Raises ModelError when a mean is NaN or infinite.
        """
        # sort by length, so that short molecules need no chunks of padding
        order = (inputs != END).sum(dim=1).argsort()
        Z = torch.empty(len(inputs), self.latent_dim)
        for rows in order.split(_CHUNK):
            tokens = trimmed(inputs[rows].to(self._device), self.sizes.chunk)
            Z[rows] = self.encoder(tokens)[0].cpu()
        if not bool(torch.isfinite(Z).all()):
            raise ModelError("the encoder must return finite means, got NaN or infinity")
        return Z

    @torch.no_grad()
    def sample_posterior(self, inputs: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """Return one sample (n, d) from the posterior of each of n molecules: variations of them."""
        tokens = trimmed(inputs.to(self._device), self.sizes.chunk)
        mean, log_variance = (t.cpu() for t in self.encoder(tokens))
        Z: Tensor = mean + torch.exp(0.5 * log_variance) * torch.randn(mean.shape, generator=generator)
        return Z

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
        for part in Z.split(_CHUNK):
            finite = torch.isfinite(part).all(dim=1)
            # huge coordinates would overflow; no data lie there
            points = torch.where(finite[:, None], part, 0.0).clamp(-1e4, 1e4).to(self._device)
            rows = zip(self._write(points, temperature, generator).tolist(), finite.tolist(), strict=True)
            found += [self._molecule(row) if ok else None for row, ok in rows]
        return found

    def _write(self, Z: Tensor, temperature: float, generator: torch.Generator | None) -> Tensor:
        """Choose token numbers (n, max_tokens), one step for all molecules at a time."""
        written = torch.full((len(Z), self.max_tokens), END)
        rows = torch.arange(len(Z))  # rows of the batch
        ended = torch.zeros(len(Z), dtype=torch.bool)  # for each of these rows
        state = self.decoder.begin(len(Z), Z.device)
        features, n_chunks = Z, 0
        for step in range(self.max_tokens):
            if step == n_chunks * self.sizes.chunk:
                # chunks do not see later ones, so compute the later ones for long molecules only
                n_chunks = next(n for n in (*_STAGES, self.sizes.n_chunks) if n > n_chunks)
                features = self.decoder.features(Z[rows.to(Z.device)], n_chunks)
            logits = self.decoder.step(features[:, step], state).float().cpu()
            logits[:, MASK] = -torch.inf
            if step == 0:
                logits[:, END] = -torch.inf  # no empty molecules
            chosen = _choose(logits, temperature, generator).masked_fill(ended, END)
            written[rows, step] = chosen
            ended = chosen == END
            n_ended = int(ended.sum())
            if n_ended == len(rows):
                break
            state.push(chosen.to(Z.device))
            if n_ended > _MOST_ENDED * len(rows):
                rows, going = rows[~ended], ~ended.to(Z.device)
                features, ended = features[going], ended[~ended]
                state.keep(going)
        return written

    def loss(self, inputs: Tensor) -> Tensor:
        """Return the negative ELBOs (n,): one-sample reconstruction plus beta times the divergence.

        In training mode the model stores some of the posteriors for :meth:`sample_prior`, and computes matrix
        products in bfloat16 on machines with instructions for it.
        """
        tokens = trimmed(inputs.to(self._device), self.sizes.chunk)
        fast = self.training and fast_in_bfloat16(self._device)
        dropout = self.token_dropout if self.training else 0.0
        with torch.autocast(self._device.type, torch.bfloat16, enabled=fast):
            mean, log_variance = self.encoder(tokens)
            z = mean + torch.exp(0.5 * log_variance) * torch.randn_like(mean)
            if self.training and self.chunk_dropout:
                z = without_chunks(z, self.chunk_dropout, self.sizes.chunk_dim)
            out: Tensor = sequence_nll(self.decoder(z, tokens, dropout), tokens)
            out = out + self.beta * gaussian_divergence(mean, log_variance)
        if self.training:
            self.memory.remember(mean, log_variance, chunks_used(tokens, self.sizes.chunk))
        return out

    def log_likelihood(self, inputs: Tensor, Z: Tensor) -> Tensor:
        """Return log p(x_i | z_i) (n,) of decoding at temperature 1, differentiable in Z (n, d)."""
        Z = self._points(Z, len(inputs))
        Z, tokens = Z.to(self._device), trimmed(inputs.to(self._device), self.sizes.chunk)
        return -sequence_nll(self.decoder(Z, tokens), tokens)

    def sample_prior(
        self, n: int, generator: torch.Generator | None = None, *, completed: bool = True
    ) -> Tensor:
        """Sample n points (n, d) from the region of the last training's data.

        The points come from the posteriors of remembered examples, sampled by weight. Before any training:
        N(0, I).

        Parameters
        ----------
        n : int
        generator : torch.Generator, default=None
        completed : bool, default=True
            True: only the first chunks come from an example; the others are zero, and the decoder completes
            them (decode at a temperature of about 0.7). False: molecules closer to the data, about half of
            them in it.
        """
        check_count("n", n, minimum=0)
        return self.memory.sample(n, generator, completed)

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

    @property
    def _device(self) -> torch.device:
        return self.decoder.logits.weight.device

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


def _choose(logits: Tensor, temperature: float, generator: torch.Generator | None) -> Tensor:
    """Return the likeliest tokens (n,) at temperature 0, else sampled ones."""
    if temperature > 0:
        # the argmax of logits plus Gumbel noise is a sample from their softmax
        uniform = torch.rand(logits.shape, generator=generator).clamp(1e-30, 1 - 1e-7)
        logits = logits - temperature * torch.log(-torch.log(uniform))
    return logits.argmax(dim=1)


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

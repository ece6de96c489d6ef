"""A variational autoencoder of sequences of letters, whose decoder is a language model."""

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.sparse import csr_array
from torch import Tensor

from wrlso._sequences.alphabets import (
    listed_sequences,
    make_alphabet,
    read_rows,
    refuse,
    substitution_odds,
)
from wrlso._sequences.coding_rules import CodingRules
from wrlso._sequences.codons import coded_proteins, split_coding
from wrlso._sequences.places import length_bounds
from wrlso._sequences.rules import SequenceRules
from wrlso._sequences.variation import Changes, crossed
from wrlso._utils.validation import check_count, check_real
from wrlso.exceptions import DataError, ModelError, ParameterError, ParameterTypeError
from wrlso.models.protocol import Objects
from wrlso.models.sequences.features import aligned_letters, pair_counts, word_counts
from wrlso.models.tokens.aggregate_posterior import CodeMemory
from wrlso.models.tokens.chunk_vae import CHUNK, ChunkVAE
from wrlso.models.tokens.networks import (
    END,
    ChunkDecoder,
    ChunkEncoder,
    ChunkSizes,
    before_end,
    trimmed,
)

__all__ = ["SequenceVAE"]

_N_SPECIAL = 2  # END and MASK stand before the letters
_LONGER = 1.1  # how much longer than the longest, or shorter than the shortest, a new sequence may be
_WORDS = 1.0  # weight of words beside aligned letters in the features

Ints = NDArray[np.int64]


class SequenceVAE(ChunkVAE):
    """Latent model of sequences of letters: proteins, peptides, DNA, RNA, or any alphabet.

    The class implements :class:`wrlso.models.LatentModel`. It cuts a sequence into chunks of eight letters,
    each with latent dimensions of its own, so that sequences at neighbouring points differ in a part. The
    decoder writes letter by letter, and knows the letters before.

    x are texts. Two of them are one point when they are equal after reading: white space and gaps are left
    out; small letters, T and U, and the stop at a protein's end are read as what they mean. Ambiguous letters
    are refused.

    With :class:`wrlso.sequences.CodingRules` x are DNA that codes for proteins: the model is one of the
    proteins, and x that code for the same protein are one point.

    Parameters
    ----------
    alphabet : str or sequence of str, default="protein"
        "protein", "dna", "rna", or the letters themselves.
    length : int or tuple of two ints, default=None
        The length of sequences, or the shortest and the longest that are proposed; the model reads none that
        is longer. None: learned from the first x that it sees. Where they have one length, new ones have it,
        too, else up to a tenth more or less.
    rules : SequenceRules or CodingRules, default=None
        What decoded, mutated and crossed sequences are repaired to keep, see
        :class:`wrlso.sequences.SequenceRules`; None where that fails.
    beta : float, default=0.1
        Weight of the divergence from N(0, I) in the loss.
    token_dropout : float in [0, 1), default=0.2
        Share of the previous letters hidden from the decoder in training.
    chunk_dropout : float in [0, 1), default=0.1
        Share of the chunks hidden from the decoder in training by a latent block of zeros. So the decoder
        writes a plausible chunk for a block of zeros.
    chunk_dim : int, default=8
        Latent dimensions of each chunk.
    width, hidden : int, default=128
        Units of the layers over chunks and of those over letters.

    Examples
    --------
    >>> model = SequenceVAE("dna")
    >>> X = ["ACGTACGTAA", "ACGTTCGTAA", "ACCTACGTCA"]
    >>> model.encode(model.tensorize(X)).shape
    torch.Size([3, 16])
    >>> [len(x) for x in model.mutate(X, torch.Generator().manual_seed(0))]
    [10, 10, 10]
    """

    _FORMAT = "sequences-1"
    _CHANGEABLE = ("rules", "beta", "token_dropout", "chunk_dropout")
    _WORD = "letter"
    _TEXT = "sequence"

    seen: Tensor  # (v, v) which pairs of neighbours the training data had

    def __init__(
        self,
        alphabet: str | Sequence[str] = "protein",
        *,
        length: int | tuple[int, int] | None = None,
        rules: SequenceRules | CodingRules | None = None,
        beta: float = 0.1,
        token_dropout: float = 0.2,
        chunk_dropout: float = 0.1,
        chunk_dim: int = 8,
        width: int = 128,
        hidden: int = 128,
    ) -> None:
        super().__init__()
        check_real("beta", beta, minimum=0)
        check_real("token_dropout", token_dropout, minimum=0, maximum=0.99)
        check_real("chunk_dropout", chunk_dropout, minimum=0, maximum=0.99)
        for name, value in (("chunk_dim", chunk_dim), ("width", width), ("hidden", hidden)):
            check_count(name, value)
        self.alphabet = make_alphabet(alphabet)
        self.vocabulary = list(self.alphabet.letters)
        self.beta, self.token_dropout, self.chunk_dropout = beta, token_dropout, chunk_dropout
        self.rules: SequenceRules | CodingRules | None = None
        v = len(self.vocabulary)
        self.sizes = ChunkSizes(_N_SPECIAL + v, n_chunks=0, chunk_dim=chunk_dim, width=width, hidden=hidden)
        self.encoder, self.decoder = ChunkEncoder(self.sizes), ChunkDecoder(self.sizes)
        self.register_buffer("seen", torch.zeros(v, v))
        self._shortest, self.max_tokens, self._reference = 0, 0, ""
        if (bounds := length_bounds(length)) is not None:
            self._set_length(*bounds)
        if rules is not None:
            self.keep(rules)

    def keep(self, rules: SequenceRules | CodingRules) -> Self:
        """Keep rules from now on, in place of earlier ones; return self.

        Lengths that they name, and the wild type that others are aligned to, are taken where no x was seen.

        Raises
        ------
        ParameterError, ParameterTypeError
            For something else than rules, and for rules of other letters; for rules of DNA that codes for
            proteins once the model has seen proteins, and the other way round.
        """
        if not isinstance(rules, SequenceRules | CodingRules):
            raise ParameterTypeError(f"rules must be SequenceRules, CodingRules or None, got {rules!r:.80}")
        if rules.letters != self.alphabet.letters:
            letters = self.alphabet.letters
            raise ParameterError(
                f"rules must have the model's letters {letters}, got rules for {rules.letters}"
            )
        if self._reference and self.is_coding != isinstance(rules, CodingRules):
            raise ParameterError(
                f"rules must be for {'DNA' if self.is_coding else 'proteins'}, which the model has seen"
            )
        self.rules = rules
        self._reference = self._reference or rules.start or ""
        if not self.max_tokens and rules.bounds is not None:
            self._set_length(*rules.bounds)
        return self

    # ---------------------------------------------------------------- sequences and tokens

    @property
    def is_coding(self) -> bool:
        """Whether x are DNA that codes for proteins."""
        return isinstance(self.rules, CodingRules)

    @property
    def latent_dim(self) -> int:
        """Dimension d of the latent space, known once the first x has been seen."""
        self._check_length()
        return self.sizes.latent_dim

    def tensorize(self, X: Objects) -> Tensor:
        """Return the letters of n sequences as numbers (n, t), uint8 (int16 for more than 253 letters).

        Raises
        ------
        DataError
            For letters outside of the alphabet, and sequences that are empty or too long; the error names row
            and problem of up to five sequences.
        DataTypeError
            When X is not a sequence of str.
        """
        return self._tensor(self._read(X))

    def _tensor(self, sequences: list[str]) -> Tensor:
        self._learn(sequences)
        self._check_length()
        problems = [
            f"row {row}: {x!r:.60} has {len(x)} letters, more than the model's longest sequence of "
            f"{self._capacity}"
            for row, x in enumerate(sequences)
            if len(x) > self._capacity
        ]
        refuse(problems)
        dtype = np.uint8 if self.sizes.n_tokens < 256 else np.int16
        array = np.zeros((len(sequences), self.sizes.length), dtype)
        for row, x in zip(array, sequences, strict=True):
            row[: len(x)] = self.alphabet.numbers(x) + _N_SPECIAL
        return torch.from_numpy(array)

    def key(self, x: str) -> str:
        """Return the identity of a sequence: as the alphabet writes it, of coding DNA its protein.

        Raises DataError where it cannot be read.
        """
        return self._read([x])[0]

    def spelled(self, X: Objects) -> list[str]:
        """Return n sequences in letters of the alphabet, coding DNA in bases; raises as :meth:`tensorize`."""
        return read_rows(X, lambda x: split_coding(x)[0]) if self.is_coding else self._read(X)

    def extend(self, X: Iterable[str]) -> Self:
        """Return self: alphabets do not grow."""
        return self

    def missing_tokens(self, X: Iterable[str]) -> list[str]:
        """Return an empty list: alphabets do not grow."""
        return []

    def _read(self, X: Objects, name: str = "X") -> list[str]:
        """Return n sequences of the alphabet: what the model works on."""
        return coded_proteins(X, name) if self.is_coding else listed_sequences(X, self.alphabet, name)

    def _rows(self, X: Objects, name: str = "X") -> list[Ints]:
        return [self.alphabet.numbers(x) for x in self._read(X, name)]

    def _finished(self, found: Iterable[str]) -> list[str | None]:
        """Return sequences that keep the rules; None where repairs fail."""
        return [x if self.rules is None else self.rules.repaired(x) for x in found]

    # ---------------------------------------------------------------- the latent space

    @torch.no_grad()
    def decode(
        self, Z: Tensor, temperature: float = 0.0, generator: torch.Generator | None = None
    ) -> list[str | None]:
        """Return n sequences: the likeliest letter at each step at temperature 0, else sampled ones.

        None when z is not finite, and where the rules cannot be kept.
        """
        check_real("temperature", temperature, minimum=0)
        found: list[str | None] = []
        for part in self._points(Z).split(CHUNK):
            points, finite = self._finite(part)
            rows = self._write(points, temperature, generator).tolist()
            texts = [self._text(row) if ok else None for row, ok in zip(rows, finite, strict=True)]
            kept = iter(self._finished([x for x in texts if x is not None]))
            found += [None if x is None else next(kept) for x in texts]
        return found

    def _text(self, numbers: list[int]) -> str:
        end = numbers.index(END) if END in numbers else len(numbers)
        return self.alphabet.text([n - _N_SPECIAL for n in numbers[:end]])

    def _forbid(self, logits: Tensor, step: int) -> None:
        super()._forbid(logits, step)
        if step < self._shortest:
            logits[:, END] = -torch.inf

    def loss(self, inputs: Tensor) -> Tensor:
        """Return the negative ELBOs (n,): one-sample reconstruction plus beta times the divergence.

        In training mode the model stores posteriors for :meth:`sample_prior`, and which letters are
        neighbours.
        """
        if self.training:
            self._remember_neighbours(inputs)
        return super().loss(inputs)

    @torch.no_grad()
    def _remember_neighbours(self, inputs: Tensor) -> None:
        tokens, v = inputs.to(self._device).to(torch.int64), len(self.vocabulary)
        left, right = tokens[:, :-1], tokens[:, 1:]
        there = (left != END) & (right != END)
        pairs = (left[there] - _N_SPECIAL) * v + right[there] - _N_SPECIAL
        self.seen.view(-1)[pairs] = 1.0

    @torch.no_grad()
    def log_probability(self, X: Objects) -> NDArray[np.float64]:
        """Return log p(x) (n,) of n sequences by the language model, without a latent point.

        Of proteins like the training data it is large, of others small. Compare sequences of one length, or
        divide by the length.
        """
        return np.asarray(self.likelihood(X)[0])

    # ---------------------------------------------------------------- changes

    def mutate(self, X: Objects, generator: torch.Generator | None = None) -> list[str | None]:
        """Return n sequences, each of X (n) with one random change, repaired to keep the rules.

        Letters are replaced at one, a few or many places; inserted or left out where lengths may differ;
        segments are shifted, moved, copied or repeated; two letters change places. New letters follow the
        model's own likelihood, for proteins BLOSUM62, other sequences of X, or nothing. Mostly they make
        pairs of neighbours that the data have.

        Raises
        ------
        DataError, DataTypeError
            As :meth:`tensorize`.
        """
        self.tensorize(X)  # refuses what is too long, and learns the length from the first x
        rng = _numpy_rng(generator)
        rows = self._rows(X)
        seen = self.seen.cpu().numpy() > 0
        changes = Changes(
            len(self.vocabulary),
            substitution_odds(self.alphabet.letters),
            seen if seen.any() else np.ones_like(seen),
            self._shortest,
            self.max_tokens,
            self._likely if seen.any() else None,  # before a training it knows nothing
        )
        return self._finished(map(self.alphabet.text, changes.mutated(rows, rng)))

    def cross(self, X: Objects, Y: Objects, generator: torch.Generator | None = None) -> list[str | None]:
        """Return n sequences, the i-th of parts of X[i] and Y[i] (n each), repaired to keep the rules.

        Single letters, a segment, or all up to the end come from Y[i]. Sequences of one length are exchanged
        at their places, others at aligned ones.

        Raises
        ------
        DataError, DataTypeError
            As :meth:`tensorize`, and when X and Y differ in length.
        """
        if len(X) != len(Y):
            raise DataError(f"X and Y must have the same length, got {len(X)} and {len(Y)}")
        self.tensorize([*X, *Y])
        found = crossed(
            self._rows(X), self._rows(Y, "Y"), self._shortest, self.max_tokens, _numpy_rng(generator)
        )
        return self._finished(map(self.alphabet.text, found))

    @torch.no_grad()
    def _likely(self, rows: list[Ints], places: list[Ints]) -> NDArray[np.float64]:
        """Return the probabilities (m, v) of letters at some places of rows, with their chunks hidden."""
        inputs = self._tensor([self.alphabet.text(row) for row in rows])
        tokens = trimmed(inputs.to(self._device), self.sizes.chunk)
        z = self.encoder(tokens)[0].view(len(rows), -1, self.sizes.chunk_dim)
        for i, there in enumerate(places):
            z[i, there // self.sizes.chunk] = 0.0
        logits = self.decoder(z.reshape(len(rows), -1), tokens)[0][:, _N_SPECIAL:]
        starts = np.cumsum([0, *before_end(tokens).sum(dim=1).tolist()])
        which = np.concatenate([start + there for start, there in zip(starts, places, strict=False)])
        chances = logits[torch.from_numpy(which)].float().softmax(dim=1)
        return np.asarray(chances.double().cpu().numpy())

    # ---------------------------------------------------------------- what a sequence is

    def features(self, X: Objects) -> NDArray[np.float64]:
        """Return the letters at aligned places and how often words occur (n, D), for a surrogate.

        Places are those of the wild type, or of the first x that the model saw.
        """
        self.tensorize(X)
        rows, v = self._rows(X), len(self.vocabulary)
        letters = aligned_letters(rows, self.alphabet.numbers(self._reference), v)
        return np.concatenate([letters, _WORDS * word_counts(rows, v)], axis=1)

    def parts(self, X: Objects) -> csr_array:
        """Return how often each pair of neighbouring letters occurs in n sequences (n, v²), sparse."""
        return pair_counts(self._rows(X), len(self.vocabulary), 1, 1)

    # ---------------------------------------------------------------- training by oneself

    def fit(
        self,
        X: Sequence[str],
        epochs: float = 20,
        *,
        batch_size: int = 64,
        lr: float = 2e-3,
        random_state: Any = 0,
        verbose: int = 1,
    ) -> Self:
        """Train on a list of sequences from the current weights.

        Parameters
        ----------
        X : sequence of n str
        epochs : float, default=20
            Passes over the data.
        batch_size : int, default=64
        lr : float, default=2e-3
            Largest learning rate; the rate rises for 200 steps and falls along a cosine.
        random_state : int, RandomState or None, default=0
        verbose : int, default=1
            0: no progress bar.
        """
        self.tensorize(X)  # the copy that is trained has its length then
        return self._fit(X, epochs, batch_size, lr, random_state, verbose)

    # ---------------------------------------------------------------- state

    def get_state(self) -> dict[str, Any]:
        """Return the state beside the weights, for :meth:`set_state`."""
        return {
            "vocabulary": list(self.vocabulary),
            "length": [self._shortest, self.max_tokens] if self.max_tokens else None,
            "reference": self._reference,
            "rules": None if self.rules is None else self.rules.get_params(),
            "coding": self.is_coding,
        }

    def set_state(self, state: Mapping[str, Any]) -> None:
        """Restore the state that :meth:`get_state` returned."""
        if list(state["vocabulary"]) != self.vocabulary:
            raise ModelError(
                f"the stored model's letters are {''.join(state['vocabulary'])}, but this model's are "
                f"{self.alphabet.letters}: create the model with the original alphabet"
            )
        if state["length"] is not None:
            self._set_length(*state["length"])
        self._reference = str(state["reference"])
        kind = CodingRules if state.get("coding") else SequenceRules
        self.rules = None if state["rules"] is None else kind(**state["rules"])

    def _parameters_to_keep(self) -> dict[str, Any]:
        self._check_length()
        parameters = {name: getattr(self, name) for name in ("beta", "token_dropout", "chunk_dropout")}
        shape = {name: getattr(self.sizes, name) for name in ("chunk_dim", "width", "hidden")}
        return parameters | shape | {"length": [self._shortest, self.max_tokens]}

    def _grow(self, new: Sequence[str]) -> Self:
        return self

    def _set_length(self, shortest: int, longest: int) -> None:
        """Take the lengths of new sequences; these shape the latent space."""
        self._shortest, self.max_tokens = int(shortest), int(longest)
        n_chunks = longest // self.sizes.chunk + 1  # the END has a place, too
        if n_chunks != self.sizes.n_chunks:
            for part in (self, self.encoder, self.decoder):
                part.sizes = ChunkSizes(**(vars(self.sizes) | {"n_chunks": n_chunks}))
            self.memory = CodeMemory(self.sizes.latent_dim, self.sizes.chunk_dim).to(self._device)

    def _check_length(self) -> None:
        if not self.max_tokens:
            raise ModelError("the latent dimension is unknown before the first x: call tensorize first")

    @property
    def _capacity(self) -> int:
        return self.sizes.length - 1

    def _learn(self, sequences: list[str]) -> None:
        """Learn from the first x what is not known yet: lengths, and what others are aligned to."""
        if sequences and not self._reference:
            self._reference = sequences[0]
        if not sequences or self.max_tokens:
            return
        known = [] if self.rules is None or self.rules.start is None else [self.rules.start]
        lengths = [len(x) for x in [*known, *sequences]]
        low, high = min(lengths), max(lengths)
        if low < high:
            low, high = max(1, math.floor(low / _LONGER)), math.ceil(high * _LONGER)
        self._set_length(low, high)

    def extra_repr(self) -> str:
        """Show the parameters that are not modules."""
        length = f"{self._shortest} to {self.max_tokens}" if self.max_tokens else "to be learned"
        return f"alphabet={self.alphabet.name!r}, length {length}, beta={self.beta}"


def _numpy_rng(generator: torch.Generator | None) -> np.random.Generator:
    return np.random.default_rng(int(torch.randint(2**62, (1,), generator=generator)))

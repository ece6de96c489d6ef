"""A variational autoencoder over the derivations of a context-free grammar.

The decoder returns complete derivations only. At each step it allows only the rules (1) for the nonterminal
on top of the stack and (2) that leave room to complete the rest within ``max_rules``. Mask (1) is that of
Kusner, Paige and Hernández-Lobato ("Grammar Variational Autoencoder", ICML 2017); without (2) their decoder
can run out of steps.
"""

from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from wrlso._utils.validation import check_choice, check_count, check_real
from wrlso.exceptions import DataError, DataTypeError, ModelError, ParameterError, ParameterTypeError
from wrlso.models.context_free import ContextFreeGrammar, shared_grammar
from wrlso.models.fragments import DerivationFragments
from wrlso.models.protocol import Objects

__all__ = ["NETWORKS", "GrammarVAE"]

_CHUNK = 4096  # rows that go through a network at once
_SHORTEST_CONVOLVED = 7  # steps that the three convolutions reduce to one


class GrammarVAE(nn.Module):
    r"""Latent model of the strings of a context-free grammar.

    Parameters
    ----------
    grammar : ContextFreeGrammar or str
        See :class:`wrlso.models.ContextFreeGrammar`.
    max_rules : int, default=15
        Longest derivation; the model refuses longer strings and decodes none.
    latent_dim : int, default=25
        Dimension d of the latent space.
    network : {"dense", "paper"}, default="dense"
        "dense": hidden layers over all steps at once. "paper": convolutions of width 2, 3 and 4, a dense
        layer of 100, and three GRU layers of 100 units in the decoder (Kusner et al. 2017).
    hidden : int, default=256
        Units of the hidden layers of the dense network.
    beta : float, default=0.1
        Weight of the divergence from N(0, I).
    label_smoothing : float in [0, 1), default=0.0
        Share of each step's target spread over all allowed rules.
    identity : callable string → hashable, default=None
        Strings with equal identities are one point; None: the canonical text of the derivation.

    Examples
    --------
    >>> import torch
    >>> model = GrammarVAE("S -> S '+' T | T \n T -> '(' S ')' | 'x' | '1'", max_rules=9, latent_dim=2)
    >>> inputs = model.tensorize(["x + 1", "( x )"])
    >>> tuple(inputs.shape), tuple(model.encode(inputs).shape)
    ((2, 9), (2, 2))
    >>> all(len(model.grammar.parse(x)) <= 9 for x in model.decode(torch.randn(50, 2)))
    True
    """

    _fits: Tensor  # (n_nonterminals + 1, n_rules) bool
    _left: Tensor  # (n_rules,)
    _right: Tensor  # (n_rules, width), padded with -1
    _growth: Tensor  # (n_rules,)

    def __init__(
        self,
        grammar: ContextFreeGrammar | str,
        *,
        max_rules: int = 15,
        latent_dim: int = 25,
        network: str = "dense",
        hidden: int = 256,
        beta: float = 0.1,
        label_smoothing: float = 0.0,
        identity: Callable[[str], Hashable] | None = None,
    ) -> None:
        super().__init__()
        self.grammar = shared_grammar(grammar, " ") if isinstance(grammar, str) else grammar
        if not isinstance(self.grammar, ContextFreeGrammar):
            raise ParameterTypeError(f"grammar must be a ContextFreeGrammar or its text, got {grammar!r:.80}")
        check_count("max_rules", max_rules)
        check_count("latent_dim", latent_dim)
        check_count("hidden", hidden)
        check_choice("network", network, NETWORKS)
        check_real("beta", beta, minimum=0)
        check_real("label_smoothing", label_smoothing, minimum=0, maximum=0.99)
        if max_rules < self.grammar.shortest[0]:
            raise ParameterError(
                f"max_rules must be at least {self.grammar.shortest[0]}, the length of the grammar's "
                f"shortest derivation, got {max_rules}"
            )
        if identity is not None and not callable(identity):
            raise ParameterTypeError(f"identity must be callable or None, got {identity!r}")
        self.max_rules = max_rules
        self.latent_dim = latent_dim
        self.beta = beta
        self.label_smoothing = label_smoothing
        self.identity = identity
        self._fragments = DerivationFragments(self.grammar.source, separator=self.grammar.separator)
        self._stop = len(self.grammar.rules)  # pads the end of a derivation
        self._register_tables()
        sizes = _Sizes(max_rules, self._stop, latent_dim, hidden)
        self.encoder, self.decoder = NETWORKS[network](sizes)

    def _register_tables(self) -> None:
        grammar = self.grammar
        left = torch.from_numpy(grammar.left)
        symbols = torch.arange(len(grammar.nonterminals) + 1)[:, None]
        # row s: the rules for nonterminal s; the last row, for the empty stack, has none
        self.register_buffer("_fits", left[None] == symbols, persistent=False)
        self.register_buffer("_left", left, persistent=False)
        self.register_buffer("_right", torch.from_numpy(grammar.right), persistent=False)
        self.register_buffer("_growth", torch.from_numpy(grammar.growth), persistent=False)

    # ---------------------------------------------------------------- strings and derivations

    def derivation(self, x: str) -> tuple[int, ...]:
        """Return the derivation of a string; raise DataError when it has none or a too long one."""
        rules = self.grammar.parse(x)
        if len(rules) > self.max_rules:
            raise DataError(
                f"{x!r:.80} takes {len(rules)} rules, more than max_rules={self.max_rules} allows"
            )
        return rules

    def tensorize(self, X: Objects) -> Tensor:
        """Return the derivations of n strings as (n, max_rules) uint8, padded with the number of rules.

        Grammars of more than 255 rules take int16.

        Raises
        ------
        DataError, DataTypeError
            For an x that is not a string of the language or takes more than ``max_rules`` rules.
        """
        if X is None or isinstance(X, str) or not hasattr(X, "__len__"):
            raise DataTypeError(f"X must be a list of strings of the grammar, got {X!r:.80}")
        rows = []
        for i, x in enumerate(X):
            try:
                derivation = self.derivation(x)
            except DataTypeError as error:
                raise DataTypeError(f"{error} in row {i}") from None
            except DataError as error:
                raise DataError(f"{error} (row {i})") from None
            rows.append([*derivation, *[self._stop] * (self.max_rules - len(derivation))])
        dtype = torch.uint8 if self._stop < 256 else torch.int16
        return torch.tensor(rows, dtype=dtype).reshape(len(rows), self.max_rules)

    def features(self, X: Objects) -> np.ndarray:
        """Return counts of fragments of derivation trees, see :class:`wrlso.models.DerivationFragments`."""
        return np.asarray(self._fragments(list(X)))

    def key(self, x: str) -> Hashable:
        """Return the identity of a string."""
        if self.identity is not None:
            return self.identity(x)
        return self.derivation(x)

    # ---------------------------------------------------------------- the two networks

    @torch.no_grad()
    def encode(self, inputs: Tensor) -> Tensor:
        """Return the posterior means (n, d).

        Raises ModelError when a mean is NaN or infinite.
        """
        chunks = [self.encoder(self._one_hot(part)).chunk(2, dim=1)[0] for part in inputs.split(_CHUNK)]
        Z = torch.cat(chunks) if chunks else torch.empty(0, self.latent_dim)
        if not torch.isfinite(Z).all():
            raise ModelError("the encoder must return finite means, got NaN or infinity")
        return Z

    @torch.no_grad()
    def decode(
        self, Z: Tensor, temperature: float = 0.0, generator: torch.Generator | None = None
    ) -> list[Any]:
        """Return n strings: the likeliest allowed rule at each step at temperature 0, else sampled rules.

        Every string has a complete derivation of at most ``max_rules`` rules. None when z is not finite, or
        when adjacent terminals without a separator make the string invalid.
        """
        check_real("temperature", temperature, minimum=0)
        Z = torch.as_tensor(Z, dtype=torch.float32)
        if Z.ndim != 2 or Z.shape[1] != self.latent_dim:
            raise DataError(f"Z must have shape (n, {self.latent_dim}), got {tuple(Z.shape)}")
        strings: list[str | None] = []
        for part in Z.split(_CHUNK):
            finite = torch.isfinite(part).all(dim=1)
            points = torch.where(finite[:, None], part, 0.0).to(self._growth.device)
            rows = self._derive(self.decoder(points).cpu(), temperature, generator).tolist()
            strings += [
                self._string(row) if ok else None for row, ok in zip(rows, finite.tolist(), strict=True)
            ]
        return strings

    def _string(self, row: list[int]) -> str | None:
        rules = tuple(row[: row.index(self._stop)] if self._stop in row else row)
        x = self.grammar.canonical_text(rules)
        # a string that parses into other terminals may take more rules
        return x if x is not None and len(self.grammar.parse(x)) <= self.max_rules else None

    def _derive(self, logits: Tensor, temperature: float, generator: torch.Generator | None) -> Tensor:
        """Choose rules (n, max_rules) by logits (n, max_rules, n_rules) on the CPU."""
        if temperature > 0:
            # the argmax of logits plus Gumbel noise is a sample from their softmax
            uniform = torch.rand(logits.shape, generator=generator).clamp(1e-30, 1 - 1e-7)
            logits = logits - temperature * torch.log(-torch.log(uniform))
        fits, right, growth = self._fits.cpu(), self._right.cpu(), self._growth.cpu()
        stacks = _Stacks(len(logits), self.max_rules * right.shape[1] + 1, len(self.grammar.nonterminals))
        need = torch.full((len(logits),), int(self.grammar.shortest[0]))
        rows = torch.full(logits.shape[:2], self._stop)
        for step in range(self.max_rules):
            symbol = stacks.pop()
            open_ = symbol < len(self.grammar.nonterminals)
            room = self.max_rules - step - 1 - need
            allowed = fits[symbol] & (growth <= room[:, None])
            rule = logits[:, step].masked_fill(~allowed, -torch.inf).argmax(dim=1)
            rows[:, step] = torch.where(open_, rule, self._stop)
            need += growth[rule] * open_
            for column in range(right.shape[1] - 1, -1, -1):
                stacks.push(right[rule, column].masked_fill(~open_, -1))
        return rows

    def loss(self, inputs: Tensor) -> Tensor:
        """Return the negative ELBOs (n,): one-sample reconstruction plus beta times the divergence."""
        mean, log_variance = self.encoder(self._one_hot(inputs)).chunk(2, dim=1)
        z = mean + torch.exp(0.5 * log_variance) * torch.randn_like(mean)
        divergence = 0.5 * (log_variance.exp() + mean.square() - 1.0 - log_variance).sum(dim=1)
        reconstruction = self._nll(inputs, z, self.label_smoothing)
        negative_elbo: Tensor = reconstruction + self.beta * divergence
        return negative_elbo

    def log_likelihood(self, inputs: Tensor, Z: Tensor) -> Tensor:
        """Return log p(x_i | z_i) (n,) of decoding at temperature 1, differentiable in Z (n, d)."""
        return -self._nll(inputs, Z, 0.0)

    def _nll(self, inputs: Tensor, Z: Tensor, smoothing: float) -> Tensor:
        rules = inputs.to(Z.device, torch.int64)
        there = rules != self._stop
        rules = rules.masked_fill(~there, 0)
        allowed = self._allowed(rules, there)
        log_p = self.decoder(Z).masked_fill(~allowed, -1e9).log_softmax(dim=2)
        nll = -log_p.gather(2, rules[:, :, None])[:, :, 0]
        if smoothing:
            spread = -(log_p * allowed).sum(dim=2) / allowed.sum(dim=2)
            nll = (1.0 - smoothing) * nll + smoothing * spread
        total: Tensor = (nll * there).sum(dim=1)
        return total

    def _allowed(self, rules: Tensor, there: Tensor) -> Tensor:
        """Return the allowed rules (n, max_rules, n_rules); all rules after the end of a derivation."""
        growth = self._growth[rules] * there
        need = int(self.grammar.shortest[0]) + growth.cumsum(dim=1) - growth
        room = self.max_rules - 1 - torch.arange(self.max_rules, device=rules.device) - need
        fitting = self._fits[self._left[rules]] & (self._growth <= room[:, :, None])
        return fitting | ~there[:, :, None]

    def _one_hot(self, inputs: Tensor) -> Tensor:
        rules = inputs.to(self._growth.device, torch.int64)
        return nn.functional.one_hot(rules, self._stop + 1)[:, :, : self._stop].float()


class _Stacks:
    """n stacks of nonterminals side by side; the start is on each."""

    def __init__(self, n: int, width: int, empty: int) -> None:
        self._cells = torch.full((n, width + 2), empty)
        self._cells[:, 1] = 0
        self._top = torch.ones(n, dtype=torch.int64)
        self._rows = torch.arange(n)

    def pop(self) -> Tensor:
        """Take the top symbols (n,); an empty stack gives ``empty`` and stays empty."""
        symbols = self._cells[self._rows, self._top]
        self._top = (self._top - 1).clamp_min(0)
        return symbols

    def push(self, symbols: Tensor) -> None:
        """Put symbols (n,) on top, nothing where they are negative."""
        self._top += symbols >= 0
        # a row that pushes nothing writes to a cell above its top that is never read
        self._cells[self._rows, torch.where(symbols >= 0, self._top, self._top + 1)] = symbols


@dataclass(frozen=True)
class _Sizes:
    """Sizes of the grammar and the model for the networks."""

    max_rules: int
    n_rules: int
    latent_dim: int
    hidden: int


def _dense(sizes: _Sizes) -> tuple[nn.Module, nn.Module]:
    size = sizes.max_rules * sizes.n_rules
    encoder = nn.Sequential(
        nn.Flatten(),
        nn.Linear(size, sizes.hidden),
        nn.ReLU(),
        nn.Linear(sizes.hidden, 2 * sizes.latent_dim),
    )
    decoder = nn.Sequential(
        nn.Linear(sizes.latent_dim, sizes.hidden),
        nn.ReLU(),
        nn.Linear(sizes.hidden, sizes.hidden),
        nn.ReLU(),
        nn.Linear(sizes.hidden, size),
        nn.Unflatten(1, (sizes.max_rules, sizes.n_rules)),
    )
    return encoder, decoder


def _paper(sizes: _Sizes) -> tuple[nn.Module, nn.Module]:
    if sizes.max_rules < _SHORTEST_CONVOLVED:
        raise ParameterError(
            f"network='paper' needs max_rules of at least {_SHORTEST_CONVOLVED}, because its convolutions "
            f"shorten sequences, got {sizes.max_rules}"
        )
    return _ConvolutionalEncoder(sizes), _RecurrentDecoder(sizes)


NETWORKS = {"dense": _dense, "paper": _paper}


class _ConvolutionalEncoder(nn.Module):
    """Convolutions of width 2, 3, 4 with 2, 3, 4 channels, then 100 units (Kusner et al. 2017)."""

    def __init__(self, sizes: _Sizes) -> None:
        super().__init__()
        self.convolutions = nn.Sequential(
            nn.Conv1d(sizes.n_rules, 2, 2),
            nn.ReLU(),
            nn.Conv1d(2, 3, 3),
            nn.ReLU(),
            nn.Conv1d(3, 4, 4),
            nn.ReLU(),
        )
        size = 4 * (sizes.max_rules - _SHORTEST_CONVOLVED + 1)
        self.dense = nn.Sequential(
            nn.Flatten(), nn.Linear(size, 100), nn.ReLU(), nn.Linear(100, 2 * sizes.latent_dim)
        )

    def forward(self, x: Tensor) -> Tensor:
        """Map one-hot rules (n, max_rules, n_rules) to mean and log-variance side by side (n, 2d)."""
        out: Tensor = self.dense(self.convolutions(x.transpose(1, 2)))
        return out


class _RecurrentDecoder(nn.Module):
    """Three GRU layers of 100 units, with z through a dense layer at every step (Kusner et al. 2017)."""

    def __init__(self, sizes: _Sizes) -> None:
        super().__init__()
        self.max_rules = sizes.max_rules
        self.dense = nn.Sequential(nn.Linear(sizes.latent_dim, sizes.latent_dim), nn.ReLU())
        self.recurrent = nn.GRU(sizes.latent_dim, 100, num_layers=3, batch_first=True)
        self.logits = nn.Linear(100, sizes.n_rules)

    def forward(self, z: Tensor) -> Tensor:
        """Map z (n, d) to logits (n, max_rules, n_rules)."""
        repeated = self.dense(z)[:, None].expand(-1, self.max_rules, -1)
        out: Tensor = self.logits(self.recurrent(repeated)[0])
        return out

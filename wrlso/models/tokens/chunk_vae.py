"""A variational autoencoder of sequences of tokens that are cut into chunks: what its users share."""

import numpy as np
import torch
from torch import Tensor

from wrlso._utils.validation import check_count
from wrlso.exceptions import ModelError
from wrlso.models.protocol import Objects
from wrlso.models.tokens.aggregate_posterior import CodeMemory
from wrlso.models.tokens.base import TokenVAE
from wrlso.models.tokens.networks import (
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
from wrlso.models.tokens.training import fast_in_bfloat16

__all__ = ["CHUNK", "ChunkVAE"]

CHUNK = 1024  # objects that go through a network at once
_SCORED = 64  # objects whose likelihoods are computed at once
_MANY = 768  # tokens of a batch from which bfloat16 saves more than the conversion of weights costs
_STAGES = (4, 6, 9)  # chunks computed first, and then for longer sequences only
_MOST_ENDED = 0.2  # share of ended sequences above which they are removed from the batch


class ChunkVAE(TokenVAE):
    """Base of models that write tokens, a latent block for each chunk of them; not public."""

    sizes: ChunkSizes
    beta: float
    token_dropout: float
    chunk_dropout: float
    max_tokens: int  # that it writes
    encoder: ChunkEncoder
    decoder: ChunkDecoder
    memory: CodeMemory

    @property
    def latent_dim(self) -> int:
        """Dimension d of the latent space."""
        return self.sizes.latent_dim

    @property
    def block(self) -> int:
        """Coordinates of a chunk, which belong together: see :class:`wrlso.models.HasBlocks`."""
        return self.sizes.chunk_dim

    @torch.no_grad()
    def encode(self, inputs: Tensor) -> Tensor:
        """Return the posterior means (n, d) of token numbers (n, t).

        Raises ModelError when a mean is NaN or infinite.
        """
        # sort by length, so that short sequences need no chunks of padding
        order = (inputs != END).sum(dim=1).argsort()
        Z = torch.empty(len(inputs), self.latent_dim)
        for rows in order.split(CHUNK):
            tokens = trimmed(inputs[rows].to(self._device), self.sizes.chunk)
            Z[rows] = self.encoder(tokens)[0].cpu()
        if not bool(torch.isfinite(Z).all()):
            raise ModelError("the encoder must return finite means, got NaN or infinity")
        return Z

    @torch.no_grad()
    def sample_posterior(self, inputs: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """Return one sample (n, d) from the posterior of each of n objects: variations of them."""
        tokens = trimmed(inputs.to(self._device), self.sizes.chunk)
        mean, log_variance = (t.cpu() for t in self.encoder(tokens))
        Z: Tensor = mean + torch.exp(0.5 * log_variance) * torch.randn(mean.shape, generator=generator)
        return Z

    def _finite(self, part: Tensor) -> tuple[Tensor, list[bool]]:
        """Return points (n, d) that the decoder takes, and which of them were finite."""
        finite = torch.isfinite(part).all(dim=1)
        # huge coordinates would overflow; no data lie there
        points = torch.where(finite[:, None], part, 0.0).clamp(-1e4, 1e4).to(self._device)
        return points, finite.tolist()

    def _forbid(self, logits: Tensor, step: int) -> None:
        """Make tokens impossible (n, n_tokens) that must not be the next one; in place."""
        logits[:, MASK] = -torch.inf
        if step == 0:
            logits[:, END] = -torch.inf  # nothing is empty

    def _write(self, Z: Tensor, temperature: float, generator: torch.Generator | None) -> Tensor:
        """Choose token numbers (n, max_tokens), one step for all sequences at a time."""
        written = torch.full((len(Z), self.max_tokens), END)
        rows = torch.arange(len(Z))  # rows of the batch
        ended = torch.zeros(len(Z), dtype=torch.bool)  # for each of these rows
        state = self.decoder.begin(len(Z), Z.device)
        features, n_chunks, most = Z, 0, self.sizes.n_chunks
        for step in range(self.max_tokens):
            if step == n_chunks * self.sizes.chunk:
                # chunks do not see later ones, so compute the later ones for long sequences only
                n_chunks = next(min(n, most) for n in (*_STAGES, most) if n > n_chunks)
                features = self.decoder.features(Z[rows.to(Z.device)], n_chunks)
            logits = self.decoder.step(features[:, step], state).float().cpu()
            self._forbid(logits, step)
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
        products of large batches in bfloat16 on machines with instructions for it.
        """
        tokens = trimmed(inputs.to(self._device), self.sizes.chunk)
        fast = self.training and tokens.numel() >= _MANY and fast_in_bfloat16(self._device)
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

    @torch.no_grad()
    def likelihood(self, X: Objects) -> tuple[np.ndarray, np.ndarray]:
        """Return the log-likelihood (n,) of n objects to the decoder alone, and their lengths in tokens (n,).

        That is log p(x | z = 0). In training chunks of z are hidden, as zeros, at random; so the decoder
        without z is a language model of the data.
        """
        inputs = self.tensorize(X)
        lengths = (inputs != END).sum(dim=1) + 1  # the end is a token too
        found = torch.empty(len(inputs))
        # by length, so that short sequences need no chunks of padding
        for rows in lengths.argsort(stable=True).split(_SCORED):
            part = inputs[rows]
            found[rows] = self.log_likelihood(part, torch.zeros(len(part), self.latent_dim)).cpu()
        return found.double().numpy(), lengths.double().numpy()

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
            them (decode at a temperature of about 0.7). False: objects closer to the data, about half of
            them in it.
        """
        check_count("n", n, minimum=0)
        return self.memory.sample(n, generator, completed)

    @property
    def _device(self) -> torch.device:
        return self.decoder.logits.weight.device


def _choose(logits: Tensor, temperature: float, generator: torch.Generator | None) -> Tensor:
    """Return the likeliest tokens (n,) at temperature 0, else sampled ones."""
    if temperature > 0:
        # the argmax of logits plus Gumbel noise is a sample from their softmax
        uniform = torch.rand(logits.shape, generator=generator).clamp(1e-30, 1 - 1e-7)
        logits = logits - temperature * torch.log(-torch.log(uniform))
    return logits.argmax(dim=1)

"""The networks of models of tokens: a latent block for every chunk of tokens.

A sequence of tokens is cut into chunks of ``chunk`` tokens, and each chunk has ``chunk_dim`` latent
dimensions of its own. So the networks learn reconstruction in minutes; a recurrent network with one latent
vector for all needs hours. Attention between chunks (few, so cheap) shares information among them. The
decoder's chunks attend only to earlier chunks, with relative positions, so that it extrapolates from short
sequences to long ones and ignores chunks behind the end.

Inside a chunk each token sees the tokens before it, the last eight one by one and forty more through
convolutions. So the decoder is a language model that continues plausibly when z says little. A latent block
of zeros, the mean of N(0, I), carries no information; training hides chunks in this way.
"""

from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

END, MASK = 0, 1  # special token numbers; the vocabulary's tokens follow
_FAR = 6  # attention does not distinguish larger distances between chunks
_TAPS, _SQUEEZED = 4, 64  # earlier positions in a convolution, and units of each


@dataclass(frozen=True)
class ChunkSizes:
    """Sizes of the networks; ``n_tokens`` counts END and MASK."""

    n_tokens: int
    n_chunks: int = 13
    chunk: int = 8
    chunk_dim: int = 5
    width: int = 192
    n_layers: int = 2
    n_heads: int = 4
    hidden: int = 256
    context: int = 8
    gaps: tuple[int, ...] = (2, 8)

    @property
    def length(self) -> int:
        """Positions of a sequence, its END included."""
        return self.n_chunks * self.chunk

    @property
    def latent_dim(self) -> int:
        """Latent dimensions d of all chunks."""
        return self.n_chunks * self.chunk_dim


class _Layer(nn.Module):
    """Attention between chunks and a feed-forward part, both with normalised input (pre-norm)."""

    def __init__(self, sizes: ChunkSizes, causal: bool) -> None:
        super().__init__()
        width = sizes.width
        self.n_heads, self.causal = sizes.n_heads, causal
        self.norm_1, self.norm_2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.project, self.mix = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.distance = nn.Parameter(torch.zeros(2 * _FAR + 1, sizes.n_heads))
        self.feed = nn.Sequential(nn.Linear(width, 2 * width), nn.GELU(), nn.Linear(2 * width, width))

    def forward(self, x: Tensor, there: Tensor | None) -> Tensor:
        """Map chunks (n, s, width); attention sees only the chunks where ``there`` (n, s) is True."""
        n, s, width = x.shape
        parts = self.project(self.norm_1(x)).view(n, s, 3, self.n_heads, -1).permute(2, 0, 3, 1, 4)
        places = torch.arange(s, device=x.device)
        apart = (places[None] - places[:, None]).clamp(-_FAR, _FAR) + _FAR
        bias = self.distance[apart].permute(2, 0, 1)[None]
        if self.causal:
            bias = bias.masked_fill(places[None] > places[:, None], -torch.inf)
        if there is not None:
            bias = bias.masked_fill(~there[:, None, None], -torch.inf)
        attended = F.scaled_dot_product_attention(parts[0], parts[1], parts[2], bias.to(parts.dtype))
        x = x + self.mix(attended.transpose(1, 2).reshape(n, s, width))
        out: Tensor = x + self.feed(self.norm_2(x))
        return out


class ChunkEncoder(nn.Module):
    """Tokens (n, t) → means and log-variances (n, d); chunks behind the end get those of N(0, I)."""

    def __init__(self, sizes: ChunkSizes) -> None:
        super().__init__()
        self.sizes = sizes
        self.tokens = nn.Embedding(sizes.n_tokens, 48)
        self.read = nn.Linear((sizes.chunk + 4) * 48, sizes.width)
        self.layers = nn.ModuleList([_Layer(sizes, causal=False) for _ in range(sizes.n_layers)])
        self.norm = nn.LayerNorm(sizes.width)
        self.out = nn.Linear(sizes.width, 2 * sizes.chunk_dim)

    def forward(self, tokens: Tensor) -> tuple[Tensor, Tensor]:
        """Encode tokens (n, t), t a multiple of the chunk size."""
        sizes, n = self.sizes, len(tokens)
        # a chunk also sees two tokens of each neighbour, for the context of its ends
        windows = self.tokens(F.pad(tokens, (2, 2), value=END)).unfold(1, sizes.chunk + 4, sizes.chunk)
        used = chunks_used(tokens, sizes.chunk)
        there = torch.arange(windows.shape[1], device=tokens.device) < used[:, None]
        x = F.gelu(self.read(windows.flatten(2)))
        for layer in self.layers:
            x = layer(x, there)
        out = self.out(self.norm(x)).float().masked_fill(~there[..., None], 0.0)
        out = F.pad(out, (0, 0, 0, sizes.n_chunks - out.shape[1]))
        mean, log_variance = out.chunk(2, dim=2)
        return mean.reshape(n, -1), log_variance.reshape(n, -1).clamp(-12.0, 4.0)

    @torch.no_grad()
    def grow(self, n_new: int) -> None:
        """Make room for new tokens; the old ones keep their numbers and meaning."""
        old = self.tokens.weight
        self.tokens = nn.Embedding.from_pretrained(torch.cat([old, _like(old, n_new)]), freeze=False)
        self.sizes = replace(self.sizes, n_tokens=self.sizes.n_tokens + n_new)


class _Past(nn.Module):
    """A causal convolution with gaps: adds to position t information of t - gap, …, t - 4 gap."""

    def __init__(self, width: int, gap: int) -> None:
        super().__init__()
        self.gap = gap
        self.norm, self.squeeze = nn.LayerNorm(width), nn.Linear(width, _SQUEEZED)
        self.look = nn.Linear((_TAPS + 1) * _SQUEEZED, width)
        self.scale = nn.Parameter(torch.zeros(width))  # no effect at first

    def forward(self, x: Tensor) -> Tensor:
        """Map positions (n, t, width)."""
        seen, t = self.squeeze(self.norm(x)), x.shape[1]
        padded = F.pad(seen, (0, 0, _TAPS * self.gap, 0))
        taps = [padded[:, i * self.gap : i * self.gap + t] for i in range(_TAPS)]
        return self._added(x, [*taps, seen])

    def step(self, x: Tensor, memory: Tensor, t: int) -> Tensor:
        """Map position t (n, width); ``memory`` (n, 4 gap, …) is a ring buffer of earlier positions."""
        seen, size = self.squeeze(self.norm(x)), _TAPS * self.gap
        out = self._added(x, [*(memory[:, (t + i * self.gap) % size] for i in range(_TAPS)), seen])
        memory[:, t % size] = seen
        return out

    def _added(self, x: Tensor, seen: list[Tensor]) -> Tensor:
        out: Tensor = x + self.scale * F.gelu(self.look(torch.cat(seen, dim=-1)))
        return out


@dataclass
class WritingState:
    """The decoder's memory of n sequences that it writes.

    Attributes
    ----------
    recent : Tensor (n, context)
        The last tokens, newest first.
    memories : list of Tensor (n, 4 gap, 64)
    t : int
        The next position.
    """

    recent: Tensor
    memories: list[Tensor]
    t: int = 0

    def push(self, tokens: Tensor) -> None:
        """Append tokens (n,) and move to the next position."""
        self.recent = torch.cat([tokens[:, None], self.recent[:, :-1]], dim=1)
        self.t += 1

    def keep(self, there: Tensor) -> None:
        """Forget the rows where ``there`` (n,) is False."""
        self.recent = self.recent[there]
        self.memories = [memory[there] for memory in self.memories]


class ChunkDecoder(nn.Module):
    """Latent points and earlier tokens → logits of the next token."""

    def __init__(self, sizes: ChunkSizes) -> None:
        super().__init__()
        self.sizes = sizes
        self.read = nn.Linear(sizes.chunk_dim, sizes.width)
        self.layers = nn.ModuleList([_Layer(sizes, causal=True) for _ in range(sizes.n_layers)])
        self.norm = nn.LayerNorm(sizes.width)
        self.spread = nn.Linear(sizes.width, sizes.chunk * sizes.hidden)
        self.recent = nn.Parameter(torch.randn(sizes.context, sizes.n_tokens, sizes.hidden) * 0.3)
        self.past = nn.ModuleList([_Past(sizes.hidden, gap) for gap in sizes.gaps])
        self.think = nn.Sequential(
            nn.LayerNorm(sizes.hidden),
            nn.Linear(sizes.hidden, sizes.hidden),
            nn.GELU(),
            nn.Linear(sizes.hidden, sizes.hidden),
        )
        self.norm_out = nn.LayerNorm(sizes.hidden)
        self.logits = nn.Linear(sizes.hidden, sizes.n_tokens)

    def features(self, z: Tensor, n_chunks: int | None = None) -> Tensor:
        """Return the features of each position from z: (n, n_chunks * chunk, hidden)."""
        sizes, n = self.sizes, len(z)
        s = sizes.n_chunks if n_chunks is None else n_chunks
        x = self.read(z.view(n, sizes.n_chunks, sizes.chunk_dim)[:, :s])
        for layer in self.layers:
            x = layer(x, None)
        out: Tensor = self.spread(self.norm(x)).view(n, s * sizes.chunk, sizes.hidden)
        return out

    def begin(self, n: int, device: torch.device) -> WritingState:
        """Return the state of n empty sequences."""
        sizes = self.sizes
        recent = torch.full((n, sizes.context), END, device=device)
        memories = [torch.zeros(n, _TAPS * gap, _SQUEEZED, device=device) for gap in sizes.gaps]
        return WritingState(recent, memories)

    def step(self, features: Tensor, state: WritingState) -> Tensor:
        """Return logits (n, n_tokens) of the next position from its features (n, hidden)."""
        x = F.gelu(features + self._said(state.recent))
        layers: Any = self.past
        for layer, memory in zip(layers, state.memories, strict=True):
            x = layer.step(x, memory, state.t)
        return self._logits(x)

    def forward(self, z: Tensor, tokens: Tensor, dropout: float = 0.0) -> tuple[Tensor, Tensor]:
        """Return logits (m, n_tokens) and targets (m,) at the m positions up to each sequence's END.

        ``dropout`` is the share of hidden earlier tokens, which makes the decoder use z.
        """
        n, t = tokens.shape
        context = self.sizes.context
        features = self.features(z, t // self.sizes.chunk)
        earlier = tokens
        if dropout:
            hidden = torch.rand(tokens.shape, device=tokens.device) < dropout
            earlier = tokens.masked_fill(hidden, MASK)
        windows = F.pad(earlier, (context, 0))[:, :-1].unfold(1, context, 1).flip(2)
        x = F.gelu(features + self._said(windows.reshape(n * t, context)).view(n, t, -1))
        for layer in self.past:
            x = layer(x)
        valid = before_end(tokens)
        return self._logits(x[valid]), tokens[valid]

    def _said(self, recent: Tensor) -> Tensor:
        """Map tokens (m, context), newest first, to (m, hidden)."""
        places = torch.arange(self.sizes.context, device=recent.device) * self.sizes.n_tokens
        return F.embedding_bag(recent + places, self.recent.flatten(0, 1), mode="sum")

    def _logits(self, x: Tensor) -> Tensor:
        out: Tensor = self.logits(self.norm_out(x + self.think(x)))
        return out

    @torch.no_grad()
    def grow(self, n_new: int) -> None:
        """Make room for new tokens, unlikely at first; the old ones keep their numbers and meaning."""
        recent, old = self.recent, self.logits
        new = torch.stack([_like(table, n_new) for table in recent])
        self.recent = nn.Parameter(torch.cat([recent, new], dim=1))
        self.logits = nn.Linear(old.in_features, old.out_features + n_new, device=old.weight.device)
        self.logits.weight[:-n_new] = old.weight
        self.logits.bias[:-n_new] = old.bias
        self.logits.weight[-n_new:] = _like(old.weight, n_new)
        self.logits.bias[-n_new:] = old.bias.min()
        self.sizes = replace(self.sizes, n_tokens=self.sizes.n_tokens + n_new)


def before_end(tokens: Tensor) -> Tensor:
    """Whether positions (n, t) hold a token or the first END."""
    lengths = (tokens != END).sum(dim=1)
    return torch.arange(tokens.shape[1], device=tokens.device) <= lengths[:, None]


def chunks_used(tokens: Tensor, chunk: int) -> Tensor:
    """Number of chunks (n,) that hold a token or the first END."""
    return torch.div((tokens != END).sum(dim=1), chunk, rounding_mode="floor") + 1


def without_chunks(z: Tensor, share: float, chunk_dim: int) -> Tensor:
    """Return z (n, d) with the blocks of a share of the chunks set to zero."""
    hidden = torch.rand(len(z), z.shape[1] // chunk_dim, device=z.device) < share
    return z.masked_fill(hidden.repeat_interleave(chunk_dim, dim=1), 0.0)


def trimmed(tokens: Tensor, chunk: int) -> Tensor:
    """Return int64 tokens without unused chunks at the end."""
    used = int(chunks_used(tokens, chunk).max()) if len(tokens) else 1
    return tokens[:, : used * chunk].to(torch.int64)


def sequence_nll(prediction: tuple[Tensor, Tensor], tokens: Tensor) -> Tensor:
    """Return the negative log-likelihood (n,) of each sequence from the decoder's logits and targets."""
    logits, targets = prediction
    each = F.cross_entropy(logits.float(), targets, reduction="none")
    rows = before_end(tokens).nonzero()[:, 0]
    return torch.zeros(len(tokens), device=each.device).index_add(0, rows, each)


def gaussian_divergence(mean: Tensor, log_variance: Tensor) -> Tensor:
    """Divergence (n,) of N(mean, exp(log_variance)) from N(0, I)."""
    return 0.5 * (log_variance.exp() + mean.square() - 1.0 - log_variance).sum(dim=1)


def _like(table: Tensor, n_new: int) -> Tensor:
    """Return n_new rows near the mean of a table's rows, always the same ones."""
    generator = torch.Generator().manual_seed(len(table) + n_new)  # rows added one by one differ, too
    noise = torch.randn(n_new, table.shape[1], generator=generator).to(table)
    return table.mean(dim=0) + 0.1 * table.std() * noise

"""The networks of the SELFIES model: a latent block for every chunk of tokens.

A sequence of tokens is cut into chunks of ``chunk`` tokens; each chunk owns ``chunk_dim`` latent dimensions,
so that what is to be reproduced at a place is close at hand there and reconstruction is learned in minutes,
where a recurrent network with one latent vector for everything needs hours. Attention between chunks (few,
so cheap) carries what they have in common. The decoder's chunks see only chunks before them, with relative
positions: what was learned on short sequences holds for long ones, and chunks behind the end do not matter.
"""

import math
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn
from torch.nn import functional as F

END, MASK = 0, 1  # token numbers with a meaning; a sequence's own tokens follow
_FAR = 6  # chunks further away than this look alike


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

    @property
    def length(self) -> int:
        """Positions of a sequence, its END included."""
        return self.n_chunks * self.chunk

    @property
    def latent_dim(self) -> int:
        """Latent dimensions d of all chunks."""
        return self.n_chunks * self.chunk_dim


class _Layer(nn.Module):
    """Attention between chunks and a feed-forward part, both normalised first (pre-norm)."""

    def __init__(self, sizes: ChunkSizes, causal: bool) -> None:
        super().__init__()
        width = sizes.width
        self.n_heads, self.causal = sizes.n_heads, causal
        self.norm_1, self.norm_2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.project, self.mix = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.distance = nn.Parameter(torch.zeros(2 * _FAR + 1, sizes.n_heads))
        self.feed = nn.Sequential(nn.Linear(width, 2 * width), nn.GELU(), nn.Linear(2 * width, width))

    def forward(self, x: Tensor, there: Tensor | None) -> Tensor:
        """Map chunks (n, s, width); ``there`` (n, s) says which may be attended to."""
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
        # two tokens of each neighbour are seen too, so that a chunk's ends are read in context
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


class ChunkDecoder(nn.Module):
    """Latent points and the last few tokens → logits of the next token."""

    def __init__(self, sizes: ChunkSizes) -> None:
        super().__init__()
        self.sizes = sizes
        self.read = nn.Linear(sizes.chunk_dim, sizes.width)
        self.layers = nn.ModuleList([_Layer(sizes, causal=True) for _ in range(sizes.n_layers)])
        self.norm = nn.LayerNorm(sizes.width)
        self.spread = nn.Linear(sizes.width, sizes.chunk * sizes.hidden)
        self.recent = nn.Parameter(torch.randn(sizes.context, sizes.n_tokens, sizes.hidden) * 0.3)
        self.think = nn.Sequential(
            nn.LayerNorm(sizes.hidden),
            nn.Linear(sizes.hidden, sizes.hidden),
            nn.GELU(),
            nn.Linear(sizes.hidden, sizes.hidden),
        )
        self.norm_out = nn.LayerNorm(sizes.hidden)
        self.logits = nn.Linear(sizes.hidden, sizes.n_tokens)

    def features(self, z: Tensor, n_chunks: int | None = None) -> Tensor:
        """Return what z says of each position: (n, n_chunks * chunk, hidden)."""
        sizes, n = self.sizes, len(z)
        s = sizes.n_chunks if n_chunks is None else n_chunks
        x = self.read(z.view(n, sizes.n_chunks, sizes.chunk_dim)[:, :s])
        for layer in self.layers:
            x = layer(x, None)
        out: Tensor = self.spread(self.norm(x)).view(n, s * sizes.chunk, sizes.hidden)
        return out

    def next_logits(self, features: Tensor, recent: Tensor) -> Tensor:
        """Return logits (m, n_tokens) from features (m, hidden) and tokens (m, context), newest first."""
        places = torch.arange(self.sizes.context, device=recent.device) * self.sizes.n_tokens
        said = F.embedding_bag(recent + places, self.recent.flatten(0, 1), mode="sum")
        x = F.gelu(features + said)
        out: Tensor = self.logits(self.norm_out(x + self.think(x)))
        return out

    def forward(self, z: Tensor, tokens: Tensor, dropout: float = 0.0) -> tuple[Tensor, Tensor]:
        """Return logits (m, n_tokens) and targets (m,) at the m positions up to each sequence's END.

        ``dropout`` is the share of the earlier tokens that are hidden, so that z has to say what they said.
        """
        valid = before_end(tokens)
        features = self.features(z, tokens.shape[1] // self.sizes.chunk)
        earlier = tokens
        if dropout:
            hidden = torch.rand(tokens.shape, device=tokens.device) < dropout
            earlier = tokens.masked_fill(hidden, MASK)
        windows = F.pad(earlier, (self.sizes.context, 0))[:, :-1].unfold(1, self.sizes.context, 1).flip(2)
        return self.next_logits(features[valid], windows[valid]), tokens[valid]

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


class CodeMemory(nn.Module):
    """Where the data lies in Z: the posteriors of examples that training saw of late, in buffers.

    N(0, I) is where a variational autoencoder's data would lie were its divergence term zero; the mixture of
    the posteriors (the aggregate posterior) is where it does lie. Training draws examples in proportion to
    their weights, so that what is remembered follows the weights. Before any training: N(0, I).
    """

    means: Tensor  # (m, d)
    log_variances: Tensor  # (m, d)
    n_chunks: Tensor  # (m,) chunks that the example uses, 0 where nothing is remembered yet

    def __init__(self, sizes: ChunkSizes, size: int = 2048, share: float = 0.125) -> None:
        super().__init__()
        self.sizes, self.share = sizes, share
        self.register_buffer("means", torch.zeros(size, sizes.latent_dim))
        self.register_buffer("log_variances", torch.zeros(size, sizes.latent_dim))
        self.register_buffer("n_chunks", torch.zeros(size))

    @torch.no_grad()
    def remember(self, means: Tensor, log_variances: Tensor, n_chunks: Tensor) -> None:
        """Let some of a batch's posteriors (n, d) take the place of others, or fill places that are free."""
        n = len(means)
        free = (self.n_chunks == 0).nonzero()[:, 0]
        # few of each batch, at random places: neighbouring batches hold examples of like length
        n_taken = min(n, len(free)) if len(free) else math.ceil(self.share * n)
        rows = torch.randperm(n, device=means.device)[:n_taken]
        places = (
            free[:n_taken] if len(free) else torch.randperm(len(self.means), device=means.device)[:n_taken]
        )
        self.means[places] = means[rows].float()
        self.log_variances[places] = log_variances[rows].float()
        self.n_chunks[places] = n_chunks[rows].float()

    @torch.no_grad()
    def sample(self, n: int, generator: torch.Generator | None, spliced: bool) -> Tensor:
        """Return n draws (n, d) on the CPU.

        Draws from the posterior of a random example; ``spliced``: the first chunks from that of one example
        and the others from that of another, so that they are like the data and rarely the data.
        """
        filled = (self.n_chunks > 0).nonzero()[:, 0].cpu()
        noise = torch.randn(n, self.sizes.latent_dim, generator=generator)
        if not len(filled):
            return noise
        means, log_variances = self.means.cpu(), self.log_variances.cpu()
        first, second = (filled[torch.randint(len(filled), (n,), generator=generator)] for _ in range(2))
        used = self.n_chunks.cpu()
        where = torch.rand(n, generator=generator)
        if not spliced:
            second = first
        cut = (where * torch.minimum(used[first], used[second])).ceil().clamp_min(1.0)
        chunk = torch.arange(self.sizes.latent_dim) // self.sizes.chunk_dim
        rows = torch.where(chunk[None] < cut[:, None], first[:, None], second[:, None])
        place = torch.arange(self.sizes.latent_dim)[None]
        return means[rows, place] + torch.exp(0.5 * log_variances[rows, place]) * noise


def before_end(tokens: Tensor) -> Tensor:
    """Which positions (n, t) hold a token or the first END."""
    lengths = (tokens != END).sum(dim=1)
    return torch.arange(tokens.shape[1], device=tokens.device) <= lengths[:, None]


def chunks_used(tokens: Tensor, chunk: int) -> Tensor:
    """Number of chunks (n,) that hold a token or the first END."""
    return torch.div((tokens != END).sum(dim=1), chunk, rounding_mode="floor") + 1


def trimmed(tokens: Tensor, chunk: int) -> Tensor:
    """Return int64 tokens without the chunks that no row uses."""
    used = int(chunks_used(tokens, chunk).max()) if len(tokens) else 1
    return tokens[:, : used * chunk].to(torch.int64)


def sequence_nll(prediction: tuple[Tensor, Tensor], tokens: Tensor) -> Tensor:
    """Negative log-likelihood (n,) of each sequence, from the logits and targets that the decoder returns."""
    logits, targets = prediction
    each = F.cross_entropy(logits.float(), targets, reduction="none")
    rows = before_end(tokens).nonzero()[:, 0]
    return torch.zeros(len(tokens), device=each.device).index_add(0, rows, each)


def gaussian_divergence(mean: Tensor, log_variance: Tensor) -> Tensor:
    """Divergence (n,) of N(mean, exp(log_variance)) from N(0, I)."""
    return 0.5 * (log_variance.exp() + mean.square() - 1.0 - log_variance).sum(dim=1)


def _like(table: Tensor, n_new: int) -> Tensor:
    """Return n_new rows about the mean of a table's; the same ones always."""
    generator = torch.Generator().manual_seed(n_new)
    noise = torch.randn(n_new, table.shape[1], generator=generator).to(table)
    return table.mean(dim=0) + 0.1 * table.std() * noise

"""The region of a latent space that holds the data of the last training."""

import math

import torch
from torch import Tensor, nn

__all__ = ["CodeMemory"]


class CodeMemory(nn.Module):
    """Posteriors of recent training examples, kept in buffers, as an estimate of the data's region in Z.

    The data of a variational autoencoder would follow N(0, I) if its divergence term were zero. It does
    follow the mixture of the posteriors (the aggregate posterior). Training samples examples in proportion
    to their weights, so the remembered posteriors follow the weights. Before any training: N(0, I).

    Each chunk has ``chunk_dim`` coordinates, and an example may use only some of the chunks. None: there is
    one chunk.
    """

    means: Tensor  # (m, d)
    log_variances: Tensor  # (m, d)
    n_chunks: Tensor  # (m,) chunks that the example uses, 0 for an empty place

    def __init__(
        self, latent_dim: int, chunk_dim: int | None = None, size: int = 2048, share: float = 0.125
    ) -> None:
        super().__init__()
        self.latent_dim, self.share = latent_dim, share
        self.chunk_dim = latent_dim if chunk_dim is None else chunk_dim
        self.register_buffer("means", torch.zeros(size, latent_dim))
        self.register_buffer("log_variances", torch.zeros(size, latent_dim))
        self.register_buffer("n_chunks", torch.zeros(size))

    @torch.no_grad()
    def remember(self, means: Tensor, log_variances: Tensor, n_chunks: Tensor) -> None:
        """Store some of a batch's posteriors (n, d) at free places, or in place of older ones."""
        n = len(means)
        free = (self.n_chunks == 0).nonzero()[:, 0]
        # a few of each batch at random places, because neighbouring batches hold examples of similar length
        n_taken = min(n, len(free)) if len(free) else math.ceil(self.share * n)
        rows = torch.randperm(n, device=means.device)[:n_taken]
        places = (
            free[:n_taken] if len(free) else torch.randperm(len(self.means), device=means.device)[:n_taken]
        )
        self.means[places] = means[rows].float()
        self.log_variances[places] = log_variances[rows].float()
        self.n_chunks[places] = n_chunks[rows].float()

    @torch.no_grad()
    def sample(self, n: int, generator: torch.Generator | None, completed: bool = False) -> Tensor:
        """Return n samples (n, d) on the CPU, each from the posterior of a random example.

        ``completed``: sample only the first chunks of the example, one to all but two, and let the decoder
        complete them. The results resemble the data and are rarely in it.
        """
        filled = (self.n_chunks > 0).nonzero()[:, 0].cpu()
        noise = torch.randn(n, self.latent_dim, generator=generator)
        if not len(filled):
            return noise
        rows = filled[torch.randint(len(filled), (n,), generator=generator)]
        where = torch.rand(n, generator=generator)
        Z = self.means.cpu()[rows] + torch.exp(0.5 * self.log_variances.cpu()[rows]) * noise
        if not completed:
            return Z
        n_kept = 1.0 + (where * (self.n_chunks.cpu()[rows] - 2.0).clamp_min(0.0)).floor()
        chunk = torch.arange(self.latent_dim) // self.chunk_dim
        return Z.masked_fill(chunk[None] >= n_kept[:, None], 0.0)

    @torch.no_grad()
    def sample_between(self, n: int, generator: torch.Generator | None, smoothing: float) -> Tensor:
        """Return n samples (n, d) on the CPU from a smooth density through the examples' means.

        Each is the mean of a random example, shrunk towards the mean of all, plus normal noise of
        ``smoothing`` times the root of their covariance. So mean and covariance are those of the examples
        for any ``smoothing`` (West, Approximating posterior distributions by mixture, JRSS B 55, 1993). At 0
        the samples are the examples' means, at 1 they follow one normal distribution.
        """
        means = self.means[self.n_chunks > 0].cpu()
        if not len(means):
            return torch.randn(n, self.latent_dim, generator=generator)
        middle = means.mean(dim=0)
        rows = torch.randint(len(means), (n,), generator=generator)
        # a normal combination of the deviations has their covariance, without decomposing it
        shares = torch.randn(n, len(means), generator=generator) / len(means) ** 0.5
        about = (1.0 - smoothing**2) ** 0.5 * (means[rows] - middle)
        Z: Tensor = middle + about + smoothing * (shares @ (means - middle))
        return Z

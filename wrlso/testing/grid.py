"""The search on which :func:`wrlso.testing.check_acquisition` checks by default: points of a grid."""

from collections.abc import Hashable, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from wrlso.acquisition.state import SearchState
from wrlso.surrogate.sparse_gp import SparseGP

__all__ = ["grid_state"]

_REACH = 9  # largest coordinate up and down
_STEPS = 4.0  # cells in a unit of Z


class Grid(nn.Module):
    """Latent model of tuples of integers, z a scaled copy; some lie out of reach and decode to nothing."""

    latent_dim = 4

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.tensor(_STEPS))

    def tensorize(self, X: Sequence[Any]) -> Tensor:
        return torch.tensor(np.array(X, dtype=np.int64).reshape(-1, self.latent_dim))

    def encode(self, inputs: Tensor) -> Tensor:
        return inputs / self.scale

    def decode(
        self, Z: Tensor, temperature: float = 0.0, generator: torch.Generator | None = None
    ) -> list[Any]:
        noise = torch.randn(Z.shape, generator=generator, dtype=Z.dtype)
        cells = torch.round(self.scale * (Z + 0.2 * temperature * noise)).long()
        near = (cells.abs() <= _REACH).all(dim=1).tolist()
        return [tuple(x) if there else None for x, there in zip(cells.tolist(), near, strict=True)]

    def loss(self, inputs: Tensor) -> Tensor:
        return self.scale * torch.ones(len(inputs))

    def key(self, x: Any) -> Hashable:
        return tuple(x)

    def mutate(self, X: Sequence[Any], generator: torch.Generator | None = None) -> list[Any]:
        moves = torch.randint(-2, 3, (len(X), self.latent_dim), generator=generator).tolist()
        return [tuple(a + b for a, b in zip(x, move, strict=True)) for x, move in zip(X, moves, strict=True)]

    def cross(
        self, X: Sequence[Any], Y: Sequence[Any], generator: torch.Generator | None = None
    ) -> list[Any]:
        cuts = torch.randint(1, self.latent_dim, (len(X),), generator=generator).tolist()
        return [(*x[:cut], *y[cut:]) for x, y, cut in zip(X, Y, cuts, strict=True)]


def grid_state() -> SearchState:
    """Return a search among tuples of four integers, 40 of them with a value, two pending."""
    rng, model = np.random.default_rng(0), Grid()
    X = [tuple(x) for x in np.unique(rng.integers(-6, 7, size=(42, model.latent_dim)), axis=0).tolist()]
    with torch.no_grad():
        Z = model.encode(model.tensorize(X)).double()
    pending, Z, known = Z[-2:], Z[:-2], set(X)
    y = -((Z - 0.5) ** 2).sum(dim=1)
    return SearchState(
        model=model,  # type: ignore[arg-type]
        surrogate=SparseGP(max_iter=10).fit(Z, y, rng),
        Z=Z,
        y=y,
        weights=torch.ones_like(y),
        pending=pending,
        screen=lambda x: "known" if tuple(x) in known else None,
        pending_X=X[-2:],
        point=X.__getitem__,
    )

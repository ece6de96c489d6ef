"""Gradient ascent from many starts at once."""

from collections.abc import Callable

import torch
from torch import Tensor

__all__ = ["ascend"]


def ascend(
    score: Callable[[Tensor], Tensor],
    start: Tensor,
    steps: int,
    length: float,
    project: Callable[[Tensor], Tensor] | None = None,
) -> tuple[Tensor, Tensor]:
    """Move every row of ``start`` (n, d) uphill; return the best point of each path, and its value (n,).

    Adam (Kingma and Ba 2015) gives every coordinate a step of its own, of ``length`` at first and shrinking
    linearly: the values of different rows may differ by orders of magnitude, which a quasi-Newton method on
    their sum cannot follow. ``score`` gives (n,) values, row by row; one that is not a number is never best.
    ``project`` puts rows back where they may lie. No gradient is left in anything else.
    """
    point = start.clone().requires_grad_(True)
    best, best_value = start.clone(), torch.full_like(start[:, 0], -torch.inf)
    # smaller gradients have squares that underflow
    smallest = torch.finfo(start.dtype).tiny ** 0.5
    optimizer = torch.optim.Adam([point], lr=length, betas=(0.9, 0.99), eps=smallest, maximize=True)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda i: 1.0 - i / (steps + 1))
    for _ in range(steps + 1):
        with torch.enable_grad():
            value = score(point)
            (gradient,) = torch.autograd.grad(value.sum(), point)
        better = value.detach() > best_value
        best_value = torch.where(better, value.detach().to(best_value.dtype), best_value)
        best = torch.where(better[:, None], point.detach(), best)
        point.grad = torch.nan_to_num(gradient, posinf=0.0, neginf=0.0)
        optimizer.step()
        schedule.step()
        if project is not None:
            with torch.no_grad():
                point.copy_(project(point))
    return best, best_value

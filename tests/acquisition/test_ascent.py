"""Gradient ascent from many starts: Adam by the book, row by row, and never worse than the start."""

import numpy as np
import pytest
import torch

from wrlso._utils.ascent import ascend


def bumps(Z):
    """A sum of waves of very different heights."""
    return torch.tensor([1e-8, 1.0, 1e8]).to(Z)[: len(Z)] * torch.sin(3.0 * Z).sum(dim=1)


def starts(dtype=torch.float64):
    return torch.randn(3, 4, dtype=dtype, generator=torch.Generator().manual_seed(0))


def adam(score, Z, steps, length):
    """Kingma and Ba (2015), algorithm 1, with β = (0.9, 0.99) and shrinking steps."""
    m = v = torch.zeros_like(Z)
    path, values = [], []
    for i in range(steps + 1):
        point = Z.clone().requires_grad_(True)
        value = score(point)
        (g,) = torch.autograd.grad(value.sum(), point)
        path.append(Z)
        values.append(value.detach())
        m, v = 0.9 * m + 0.1 * g, 0.99 * v + 0.01 * g * g
        rate = length * (1 - i / (steps + 1))
        Z = Z + rate * (m / (1 - 0.9 ** (i + 1))) / (v / (1 - 0.99 ** (i + 1))).sqrt()
    values = torch.stack(values)
    best = values.argmax(dim=0)
    return torch.stack(path)[best, torch.arange(len(Z))], values.amax(dim=0)


def test_it_is_adam_by_the_book():
    for mine, expected in zip(ascend(bumps, starts(), 25, 0.1), adam(bumps, starts(), 25, 0.1), strict=True):
        torch.testing.assert_close(mine, expected, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_rows_climb_by_themselves_and_end_no_lower_than_they_began(dtype):
    best, value = ascend(bumps, starts(dtype), 10, 0.1)
    assert best.dtype == value.dtype == dtype
    assert not best.requires_grad
    assert (value > bumps(starts(dtype))).all()
    torch.testing.assert_close(value, bumps(best))
    assert ((best - starts(dtype)).abs() > 0.05).any(dim=1).all()  # the heights do not matter
    alone, _ = ascend(bumps, starts(dtype)[:1], 10, 0.1)
    torch.testing.assert_close(best[:1], alone)


def test_what_is_not_a_number_stays_and_what_is_flat_does_not_move():
    def score(Z):
        return torch.where(Z[:, 0] > 0, torch.nan, 0.0) + 0.0 * Z.sum(dim=1)

    start = torch.tensor([[1.0, 2.0], [-1.0, 2.0]])
    best, value = ascend(score, start, 5, 0.1)
    assert torch.equal(best, start)
    assert value.tolist() == [-np.inf, 0.0]


@pytest.mark.parametrize("size", [1e-35, 1e-20, 1e35])
def test_gradients_of_any_size_make_no_long_steps(size):
    best, _ = ascend(lambda Z: size * Z.sum(dim=1), torch.zeros(1, 2), 9, 0.1)
    assert 0.0 <= float(best.min()) <= float(best.max()) <= 0.5


def test_points_stay_where_they_may_lie():
    seen = []

    def score(Z):
        seen.append(Z.detach().clone())
        return Z.sum(dim=1)

    best, _ = ascend(score, torch.zeros(2, 3), 20, 0.3, lambda Z: Z.clamp(max=0.5))
    assert float(torch.cat(seen).max()) == 0.5
    assert torch.equal(best, torch.full((2, 3), 0.5))


def test_no_gradient_is_left_in_the_parameters_of_the_score():
    layer = torch.nn.Linear(4, 1)
    with torch.no_grad():
        ascend(lambda Z: layer(Z)[:, 0], starts(torch.float32), 3, 0.1)
    assert layer.weight.grad is None

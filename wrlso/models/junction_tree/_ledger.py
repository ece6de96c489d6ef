"""Rows that are added to and read again and again, with gradients in one buffer.

Where a traversal of trees reads a few rows at each of fifty steps, the gradient of every such selection would
be as large as the whole table, and be added to that of all others. Here both share one table of slopes.
"""

from typing import Any

import torch
from torch import Tensor
from torch.autograd import Function
from torch.autograd.function import once_differentiable

__all__ = ["Ledger"]


class Ledger:
    """A table (m, hidden) of zeros that grows by what is added to its rows; differentiable, once.

    What is read depends on all that was added before. A token that passes from one operation to the next
    says so to autograd, so that the way back meets them in the opposite order.

    Parameters
    ----------
    m, hidden : int
    like : Tensor
        Of the type and on the device of the table.
    """

    def __init__(self, m: int, hidden: int, like: Tensor) -> None:
        self.value = like.new_zeros(m, hidden)
        self.slope: Tensor | None = None
        self._token = like.new_zeros((), requires_grad=torch.is_grad_enabled())

    def read(self, rows: Tensor) -> Tensor:
        """Return rows (k,) of the table as they are now: (k, hidden)."""
        found: Tensor = _Read.apply(self._token, self, rows)  # type: ignore[no-untyped-call]
        return found

    def add(self, rows: Tensor, part: Tensor) -> None:
        """Add ``part`` (k, hidden) to rows (k,)."""
        self._token = _Add.apply(self._token, part, self, rows)  # type: ignore[no-untyped-call]

    def slopes(self) -> Tensor:
        """Return the table of slopes, zeros at first."""
        if self.slope is None:
            self.slope = torch.zeros_like(self.value)
        return self.slope


class _Read(Function):
    @staticmethod
    def forward(ctx: Any, token: Tensor, ledger: Ledger, rows: Tensor) -> Tensor:
        ctx.ledger, ctx.rows = ledger, rows
        return ledger.value.index_select(0, rows)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, slope: Tensor) -> tuple[Tensor, None, None]:
        ctx.ledger.slopes().index_add_(0, ctx.rows, slope)
        return slope.new_zeros(()), None, None


class _Add(Function):
    @staticmethod
    def forward(ctx: Any, token: Tensor, part: Tensor, ledger: Ledger, rows: Tensor) -> Tensor:
        ctx.ledger, ctx.rows = ledger, rows
        ledger.value.index_add_(0, rows, part)
        return token.new_zeros(())

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, slope: Tensor) -> tuple[Tensor, Tensor, None, None]:
        return slope, ctx.ledger.slopes().index_select(0, ctx.rows), None, None

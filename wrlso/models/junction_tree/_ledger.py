"""A table whose rows are read and added to repeatedly, with all gradients in one buffer.

A traversal of trees reads a few rows at each of fifty steps. With plain indexing the gradient of each
selection would be as large as the table. Here all selections share one table of gradients ("slopes").
"""

from typing import Any

import torch
from torch import Tensor
from torch.autograd import Function
from torch.autograd.function import once_differentiable

__all__ = ["Ledger"]


class Ledger:
    """A table (m, hidden) of zeros with differentiable reading and adding of rows; only one backward pass.

    Each operation passes a token to the next, so autograd visits the operations in reverse order. Then the
    slopes at any time are those of all later reads.

    Parameters
    ----------
    m, hidden : int
    like : Tensor
        Gives the table's dtype and device.
    """

    def __init__(self, m: int, hidden: int, like: Tensor) -> None:
        self._table = _Table(like.new_zeros(m, hidden))
        self._token = like.new_zeros((), requires_grad=torch.is_grad_enabled())
        self._n = 0  # operations so far

    def read(self, rows: Tensor) -> Tensor:
        """Return the current rows (k,) of the table: (k, hidden)."""
        found: Tensor
        found, self._token = _Read.apply(self._token, self._table, rows, self._n)  # type: ignore[no-untyped-call]
        self._n += 1
        return found

    def add(self, rows: Tensor, part: Tensor) -> None:
        """Add ``part`` (k, hidden) to rows (k,)."""
        self._token = _Add.apply(self._token, part, self._table, rows, self._n)  # type: ignore[no-untyped-call]
        self._n += 1


class _Table:
    """Values and slopes.

    Operations refer to this table and not to the ledger: the ledger's token refers to them, and such a cycle
    would never be freed.
    """

    def __init__(self, value: Tensor) -> None:
        self.value = value
        self.slope: Tensor | None = None
        self._reached = -1

    def reach(self, number: int) -> None:
        """Forget the slopes of an earlier backward pass; within one pass the numbers only fall."""
        if number >= self._reached:
            self.slope = None
        self._reached = number

    def leave(self, number: int) -> None:
        """Free the slopes at the end of the backward pass."""
        if number == 0:
            self.slope = None


class _Read(Function):
    @staticmethod
    def forward(ctx: Any, token: Tensor, table: _Table, rows: Tensor, number: int) -> tuple[Tensor, Tensor]:
        ctx.table, ctx.rows, ctx.number = table, rows, number
        return table.value.index_select(0, rows), token.new_zeros(())

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, slope: Tensor, token: Tensor) -> tuple[Tensor, None, None, None]:
        ctx.table.reach(ctx.number)
        if ctx.table.slope is None:
            ctx.table.slope = torch.zeros_like(ctx.table.value)
        ctx.table.slope.index_add_(0, ctx.rows, slope)
        ctx.table.leave(ctx.number)
        return token, None, None, None


class _Add(Function):
    @staticmethod
    def forward(ctx: Any, token: Tensor, part: Tensor, table: _Table, rows: Tensor, number: int) -> Tensor:
        ctx.table, ctx.rows, ctx.number = table, rows, number
        table.value.index_add_(0, rows, part)
        return token.new_zeros(())

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, token: Tensor) -> tuple[Tensor, Tensor, None, None, None]:
        ctx.table.reach(ctx.number)
        slope = ctx.table.slope
        found = token.new_zeros(len(ctx.rows), ctx.table.value.shape[1]) if slope is None else slope[ctx.rows]
        ctx.table.leave(ctx.number)
        return token, found, None, None, None

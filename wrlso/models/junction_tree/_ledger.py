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

    A token that passes from one operation to the next has autograd meet them in the opposite order, so that
    the slopes at any time are those of all that was read later.

    Parameters
    ----------
    m, hidden : int
    like : Tensor
        Of the type and on the device of the table.
    """

    def __init__(self, m: int, hidden: int, like: Tensor) -> None:
        self._table = _Table(like.new_zeros(m, hidden))
        self._token = like.new_zeros((), requires_grad=torch.is_grad_enabled())
        self._n = 0  # operations so far

    def read(self, rows: Tensor) -> Tensor:
        """Return rows (k,) of the table as they are now: (k, hidden)."""
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

    Operations hold it and not the ledger: the ledger's token holds them, and nothing would ever be freed.
    """

    def __init__(self, value: Tensor) -> None:
        self.value = value
        self.slope: Tensor | None = None
        self._reached = -1

    def reach(self, number: int) -> None:
        """Forget the slopes of another way back: on one way, the numbers of the operations only fall."""
        if number >= self._reached:
            self.slope = None
        self._reached = number

    def leave(self, number: int) -> None:
        """Free the slopes where the way back ends."""
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

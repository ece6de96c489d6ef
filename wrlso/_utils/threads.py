"""Threads of the linear algebra, bounded by the size of the problem.

OpenBLAS spreads every product over all cores. For matrices of a few hundred rows its threads wait for each
other longer than they work, and beside a busy neighbour each wait lasts a time slice of the scheduler.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

__all__ = ["ENOUGH_WORK", "bounded_threads"]

# Multiplications below which one thread is as fast as two on an idle machine: a product of two matrices of
# 1,000 rows, or the Cholesky factor of one of 1,400.
ENOUGH_WORK = 1e9


@cache
def _controller() -> Any:
    # looking through the loaded libraries takes milliseconds, and numpy and scipy are loaded by now
    from threadpoolctl import ThreadpoolController

    return ThreadpoolController()


@contextmanager
def bounded_threads(n_multiplications: float, *, networks: bool = False) -> Iterator[None]:
    """Let the linear algebra inside run on one thread where the largest product or factor is small.

    The number of threads that was set before is there again afterwards. OpenBLAS has one number for the whole
    process: of several threads that are inside, threadpoolctl lets the first set and restore it.

    Parameters
    ----------
    n_multiplications : float
        Of the largest single product or factorisation inside.
    networks : bool, default=False
        Whether PyTorch's threads are bounded, too.
    """
    if n_multiplications >= ENOUGH_WORK:
        yield
        return
    with _controller().limit(limits=1, user_api=None if networks else "blas"):
        yield

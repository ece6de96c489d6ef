"""The ask → evaluate → tell loop (Algorithm 1, lines 2 to 8) around an objective that can be called."""

import math
import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from scipy.optimize import OptimizeResult
from tqdm.auto import tqdm

from wrlso._inputs import read_value
from wrlso._validation import check_count, check_real
from wrlso.exceptions import NoCandidateError, ParameterError, ParameterTypeError
from wrlso.optimizer import WeightedRetrainingOptimizer

__all__ = ["maximize", "minimize"]


def maximize(
    objective: Callable[[Any], float | None],
    opt: WeightedRetrainingOptimizer,
    n_calls: int = 500,
    *,
    batch_size: int = 1,
    target: float | None = None,
    patience: int | None = None,
    max_seconds: float | None = None,
    callbacks: Sequence[Callable[[OptimizeResult], Any]] = (),
    catch: tuple[type[Exception], ...] = (),
    verbose: int = 1,
) -> OptimizeResult:
    """Evaluate an objective at the points that an optimizer asks for, and tell it the values.

    Parameters
    ----------
    objective : callable x → float
        None or NaN means that the evaluation failed.
    opt : WeightedRetrainingOptimizer
        With starting data, and built for this direction. It stays usable: a second call goes on.
    n_calls : int, default=500
        Budget M: calls of the objective, failed ones included.
    batch_size : int, default=1
        Points asked for at once.
    target : float, default=None
        Stop when a value at least as good as this has been told.
    patience : int, default=None
        Stop after this many calls without a better value.
    max_seconds : float, default=None
        Stop when this wall time has passed (checked between evaluations).
    callbacks : sequence of callables result → bool, default=()
        Called after every evaluation with the result so far; a true return value stops the loop.
    catch : tuple of exception types, default=()
        Raised by the objective, these make the point a failed one; all others release it and propagate.
    verbose : int, default=1
        0 for no progress bar.

    Returns
    -------
    scipy.optimize.OptimizeResult
        ``x``, ``fun`` (best of all data, starting data included; None and NaN when there is none),
        ``x_iters`` and ``func_vals`` (evaluated here, in order; NaN where failed), ``nfev``, ``success``,
        ``message`` and ``opt``.

    Raises
    ------
    ParameterError, ParameterTypeError
        For impossible arguments or an optimizer of the other direction.
    NotFittedError
        When the optimizer has no data.
    """
    loop = _Loop(objective, opt, target, patience, max_seconds, callbacks, catch)
    return _run(loop, "maximize", n_calls, batch_size, verbose)


def minimize(
    objective: Callable[[Any], float | None],
    opt: WeightedRetrainingOptimizer,
    n_calls: int = 500,
    *,
    batch_size: int = 1,
    target: float | None = None,
    patience: int | None = None,
    max_seconds: float | None = None,
    callbacks: Sequence[Callable[[OptimizeResult], Any]] = (),
    catch: tuple[type[Exception], ...] = (),
    verbose: int = 1,
) -> OptimizeResult:
    """Do as :func:`maximize`, for small values and an optimizer with ``direction="minimize"``."""
    loop = _Loop(objective, opt, target, patience, max_seconds, callbacks, catch)
    return _run(loop, "minimize", n_calls, batch_size, verbose)


def _run(loop: "_Loop", direction: str, n_calls: int, batch_size: int, verbose: int) -> OptimizeResult:
    check_count("n_calls", n_calls)
    check_count("batch_size", batch_size)
    opt = loop.opt
    if opt.direction != direction:
        raise ParameterError(
            f"opt was built with direction={opt.direction!r}: call {opt.direction}(), "
            f"or build it with direction={direction!r}"
        )
    with tqdm(total=n_calls, desc=direction, unit="call", disable=not verbose) as bar:
        while loop.message is None and loop.n_calls < n_calls:
            loop.round(min(batch_size, n_calls - loop.n_calls), bar)
    result = loop.result(loop.message or f"the budget of {n_calls} calls is used up")
    for callback in opt.callbacks:
        if hasattr(callback, "on_stop"):
            callback.on_stop(opt, result)
    return result


class _Loop:
    """What the loop knows of itself: evaluated points, values and reasons to stop."""

    def __init__(
        self,
        objective: Callable[[Any], float | None],
        opt: WeightedRetrainingOptimizer,
        target: float | None,
        patience: int | None,
        max_seconds: float | None,
        callbacks: Sequence[Callable[[OptimizeResult], Any]],
        catch: tuple[type[Exception], ...],
    ) -> None:
        if not callable(objective):
            raise ParameterTypeError(f"objective must be callable, got {objective!r}")
        check_real("target", target, none="no target")
        check_count("patience", patience, none="no limit")
        check_real("max_seconds", max_seconds, above=0, none="no limit")
        self.objective = objective
        self.opt = opt
        self.target = target
        self.patience = patience
        self.callbacks = callbacks
        self.catch = catch
        self.deadline = None if max_seconds is None else time.monotonic() + max_seconds
        self.message: str | None = None
        self.x_iters: list[Any] = []
        self.func_vals: list[float] = []
        self.sign = 1.0 if opt.direction == "maximize" else -1.0
        self.best = self._best()
        self.since_best = 0

    @property
    def n_calls(self) -> int:
        return len(self.func_vals)

    def round(self, n: int, bar: Any) -> None:
        """Ask for n points, evaluate and tell each of them; stop early when there is a reason."""
        try:
            X = self.opt.ask(n)
        except NoCandidateError as error:
            self.message = f"no candidate left: {error}"
            return
        waiting = list(X)
        try:
            while waiting and self.message is None:
                x = waiting[0]
                value = self._evaluate(x)
                self.opt.tell(x, value)
                waiting.pop(0)
                self._note(x, value)
                bar.update()
                bar.set_postfix(best=f"{self.sign * self.best:.6g}", refresh=False)
        finally:
            # what was asked and not evaluated may be asked again, also after an interrupt
            for x in waiting:
                self.opt.release(x)

    def result(self, message: str) -> OptimizeResult:
        """Return all that was found so far."""
        known = math.isfinite(self.best)
        return OptimizeResult(
            x=self.opt.best_x_ if known else None,
            fun=self.opt.best_y_ if known else math.nan,
            x_iters=list(self.x_iters),
            func_vals=np.array(self.func_vals),
            nfev=self.n_calls,
            success=known,
            message=message,
            opt=self.opt,
        )

    def _evaluate(self, x: Any) -> float | None:
        try:
            y = self.objective(x)
        except self.catch:
            return None
        return read_value(y, "the objective's value")

    def _note(self, x: Any, value: float | None) -> None:
        self.x_iters.append(x)
        self.func_vals.append(math.nan if value is None else value)
        best = self._best()
        self.since_best = 0 if best > self.best else self.since_best + 1
        self.best = best
        if self.target is not None and self.best >= self.sign * self.target:
            self.message = f"the target {self.target:g} is reached"
        elif self.patience is not None and self.since_best >= self.patience:
            self.message = f"no better value in {self.patience} calls"
        elif self.deadline is not None and time.monotonic() >= self.deadline:
            self.message = "the time is used up"
        elif self.callbacks:
            result = self.result("running")
            asked = [bool(callback(result)) for callback in self.callbacks]  # every one is called
            if any(asked):
                self.message = "a callback asked to stop"

    def _best(self) -> float:
        """Return the best value so far, larger is better; -inf when there is none."""
        y = self.opt.history_.y
        return float(np.max(self.sign * y)) if len(y) else -math.inf

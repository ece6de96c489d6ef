"""The result of a loop so far, and its reasons to stop."""

import math
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from typing import Any

import numpy as np
from scipy.optimize import OptimizeResult

from wrlso._state.settings import sign_of
from wrlso._utils.validation import check_count, check_real
from wrlso.exceptions import UnknownPointError
from wrlso.optimizer import WeightedRetrainingOptimizer
from wrlso.run.evaluations import Evaluations, Finished
from wrlso.timeline import Evaluation, Timeline

__all__ = ["Progress"]


class Progress:
    """Tells the optimizer the values, and keeps the points, values and times of this loop."""

    def __init__(
        self,
        opt: WeightedRetrainingOptimizer,
        n_calls: int,
        bar: Any,
        target: float | None,
        patience: int | None,
        max_seconds: float | None,
        callbacks: Sequence[Callable[[OptimizeResult], Any]],
    ) -> None:
        check_real("target", target, none="no target")
        check_count("patience", patience, none="no limit")
        check_real("max_seconds", max_seconds, above=0, none="no limit")
        self.opt = opt
        self.left = n_calls
        self.timeline = Timeline(1)
        self.message: str | None = None
        self._target = target
        self._patience = patience
        self._callbacks = callbacks
        self._bar = bar
        self._deadline = math.inf if max_seconds is None else time.monotonic() + max_seconds
        self._x_iters: list[Any] = []
        self._func_vals: list[float] = []
        self._sign = sign_of(opt.direction)
        self._best = self._best_of_all()
        self._since_best = 0

    @property
    def seconds_left(self) -> float:
        """Wall time until the loop must stop."""
        return self._deadline - time.monotonic()

    @property
    def out_of_time(self) -> bool:
        """Whether the wall time is used up."""
        if self.seconds_left <= 0:
            self.message = self.message or "the time is used up"
        return self.seconds_left <= 0

    def take(self, finished: Finished) -> None:
        """Tell the optimizer, and look for a reason to stop; raise an exception that was not caught."""
        if finished.error is not None:
            self.release([finished.evaluation.x])
            raise finished.error
        self.tell(finished.evaluation)
        self._look_for_reasons()

    def tell(self, evaluation: Evaluation) -> None:
        """Tell the optimizer the outcome of an evaluation, and record it."""
        self.opt.tell(evaluation.x, evaluation.value, reason=evaluation.reason)
        self.left -= 1
        self.timeline.evaluations.append(evaluation)
        self._x_iters.append(evaluation.x)
        self._func_vals.append(math.nan if evaluation.value is None else evaluation.value)
        self._bar.update()

    def settle(self, finished: Finished) -> None:
        """Tell the optimizer, or release a point whose exception was not caught."""
        if finished.error is None:
            self.tell(finished.evaluation)
        else:
            self.release([finished.evaluation.x])

    def clean_up(self, evaluations: Evaluations, waiting: Iterable[Any]) -> None:
        """Settle the finished points, and release those that are out or waiting."""
        for finished in evaluations.ended():
            self.settle(finished)
        self.release([*evaluations.take_back(), *waiting])

    def release(self, X: Iterable[Any]) -> None:
        """Release points, except those that another program has told meanwhile."""
        for x in X:
            with suppress(UnknownPointError):
                self.opt.release(x)

    def result(self, message: str) -> OptimizeResult:
        """Return the result so far."""
        known = math.isfinite(self._best)
        return OptimizeResult(
            x=self.opt.best_x_ if known else None,
            fun=self.opt.best_y_ if known else math.nan,
            x_iters=list(self._x_iters),
            func_vals=np.array(self._func_vals),
            nfev=len(self._func_vals),
            success=known,
            message=message,
            opt=self.opt,
            timeline=self.timeline,
        )

    def _look_for_reasons(self) -> None:
        best = self._best_of_all()
        self._since_best = 0 if best > self._best else self._since_best + 1
        self._best = best
        self._bar.set_postfix(best=f"{self._sign * best:.6g}", refresh=False)
        if self.message is not None or self.out_of_time:
            return
        if self._target is not None and best >= self._sign * self._target:
            self.message = f"the target {self._target:g} is reached"
        elif self._patience is not None and self._since_best >= self._patience:
            self.message = f"no better value in {self._patience} calls"
        elif self._callbacks:
            result = self.result("running")
            asked = [bool(callback(result)) for callback in self._callbacks]  # call every one
            if any(asked):
                self.message = "a callback asked to stop"

    def _best_of_all(self) -> float:
        """Return the best value so far, larger is better; -inf when there is none."""
        y = self.opt.history_.y
        return float(np.max(self._sign * y)) if len(y) else -math.inf

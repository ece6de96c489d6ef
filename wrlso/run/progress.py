"""The result of a loop so far, and its reasons to stop."""

import logging
import math
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any

import numpy as np
from scipy.optimize import OptimizeResult

from wrlso._state.merits import standing
from wrlso._utils.validation import check_count, check_real
from wrlso.exceptions import UnknownPointError
from wrlso.optimizer import WeightedRetrainingOptimizer
from wrlso.outcomes import aims_of
from wrlso.run.call import error_text
from wrlso.run.evaluations import Evaluations, Finished
from wrlso.timeline import Evaluation, Timeline

__all__ = ["Progress"]

_logger = logging.getLogger("wrlso.run")


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
        self.timeline: Timeline = Timeline(1)
        self.message: str | None = None
        self._target = target
        self._patience = patience
        self._callbacks = callbacks
        self._bar = bar
        self._deadline = math.inf if max_seconds is None else time.monotonic() + max_seconds
        self._x_iters: list[Any] = []
        self._func_vals: list[float | list[float]] = []
        self._aims = aims_of(opt.outcomes, opt.direction)
        self._sign = self._aims.goals[0][1] if len(self._aims.goals) == 1 else 1.0
        self._best = self._best_of_all()
        self._since_best = 0
        self._errors: list[Exception] = []

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
            self._give_back([finished.evaluation.x])
            raise finished.error
        self.tell(finished.evaluation)
        self._look_for_reasons()

    def tell(self, evaluation: Evaluation) -> None:
        """Tell the optimizer the outcome of an evaluation, and record it."""
        try:
            self.opt.tell(evaluation.x, evaluation.value, reason=evaluation.reason)
        except BaseException as error:
            self._note_loss(evaluation, error)
            raise
        self.left -= 1
        self.timeline.evaluations.append(evaluation)
        self._x_iters.append(evaluation.x)
        self._func_vals.append(self._numbers(evaluation.value))
        self._bar.update()

    def _numbers(self, value: Any) -> float | list[float]:
        """Return a value as a number, NaN for a failure; with names one for each outcome."""
        if not self._aims.are_named:
            return math.nan if value is None else getattr(value, "value", value)
        return [value[name].value if value and name in value else math.nan for name in self._aims.names]

    def _note_loss(self, evaluation: Evaluation, error: BaseException) -> None:
        """Release a point that could not be told, and say so; errors of callbacks come after the tell."""
        try:
            self.opt.release(evaluation.x)
        except UnknownPointError:
            return
        except Exception:  # where the campaign cannot be written, for example
            error.add_note(f"{evaluation.x!r:.80} is still pending")
        error.add_note(
            f"{evaluation.x!r:.80} has the value {evaluation.value}, which is not recorded: tell it"
        )

    def settle(self, every: Iterable[Finished]) -> None:
        """Tell the optimizer, or release points whose exception was not caught."""
        for finished in every:
            if finished.error is not None:
                self._give_back([finished.evaluation.x])
                continue
            with self._errors_later():
                self.tell(finished.evaluation)

    def clean_up(self, evaluations: Evaluations, waiting: Iterable[Any]) -> None:
        """Settle the finished points, and release those that are out or waiting."""
        self.settle(evaluations.ended())
        self._give_back([*evaluations.take_back(), *waiting])

    def release(self, X: Iterable[Any]) -> None:
        """Release points, except those that another program has told meanwhile."""
        for x in X:
            with suppress(UnknownPointError):
                self.opt.release(x)

    def raise_errors(self) -> None:
        """Raise the first error that came while the loop ended, unless another has ended it."""
        if self._errors:
            raise self._errors[0]

    def _give_back(self, X: Iterable[Any]) -> None:
        for x in X:
            with self._errors_later():
                self.release([x])

    @contextmanager
    def _errors_later(self) -> Iterator[None]:
        """Log and keep an error of one point, which must not keep the others from being settled."""
        try:
            yield
        except Exception as error:
            self._errors.append(error)
            text = "; ".join([error_text(error), *getattr(error, "__notes__", [])])
            _logger.error("an error while the loop ends: %s", text)

    def result(self, message: str) -> OptimizeResult:
        """Return the result so far."""
        known = math.isfinite(self._best)
        x: Any = None
        fun: Any = math.nan
        if known and len(self._aims.goals) > 1:
            x, fun = self.opt.pareto_X_, self.opt.pareto_Y_
        elif known:
            x, fun = self.opt.best_x_, self.opt.best_y_
        return OptimizeResult(
            x=x,
            fun=fun,
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
        state = standing(self.opt.history_, self._aims)
        if len(self._aims.goals) > 1:
            return self.opt.hypervolume_ if state.satisfies.any() else -math.inf
        y = state.goals[state.satisfies, 0]
        return float(np.max(y)) if len(y) else -math.inf

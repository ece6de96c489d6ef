"""The ask → evaluate → tell loop (Algorithm 1, lines 2 to 8) around an objective that can be called.

The objective runs in this process, one point at a time, or on workers: an executor's or the loop's own. On
workers the loop waits for none in particular; it keeps a number of evaluations out, and the engine runs them.
"""

import inspect
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import wraps
from typing import Any, Concatenate, ParamSpec

from scipy.optimize import OptimizeResult

from wrlso._utils.progress_bar import ProgressBar
from wrlso._utils.validation import check_choice, check_count, check_real
from wrlso.exceptions import ParameterError
from wrlso.optimizer import WeightedRetrainingOptimizer
from wrlso.outcomes import Aims, aims_of
from wrlso.run.asynchronous import interruptible, run_asynchronously
from wrlso.run.call import check_objective
from wrlso.run.engines import Engine, make_engine
from wrlso.run.evaluations import Evaluations
from wrlso.run.progress import Progress
from wrlso.run.rounds import run_rounds

__all__ = ["maximize", "minimize"]

_logger = logging.getLogger(__name__)
_PENDING = ("keep", "evaluate", "release")
P = ParamSpec("P")


@dataclass(frozen=True)
class _Options:
    executor: Any
    n_jobs: int | None
    max_pending: int | None
    batch_size: int | None
    stock: int | None
    timeout: float | None
    retries: int
    pending: str
    catch: tuple[type[Exception], ...] | None

    def check(self) -> None:
        """Raise for impossible values, before anything is started."""
        check_count("max_pending", self.max_pending, none="the number of workers")
        check_count("batch_size", self.batch_size, none="one, or asynchronous with workers")
        check_count("stock", self.stock, minimum=0, none="as many as are needed")
        check_real("timeout", self.timeout, above=0, none="no limit")
        check_count("retries", self.retries, minimum=0)
        check_choice("pending", self.pending, _PENDING)
        if self.executor is None and self.n_jobs is None:
            for name in ("max_pending", "timeout", "stock"):
                if getattr(self, name) is not None:
                    raise ParameterError(
                        f"{name} needs workers, because without them the loop stops during an evaluation: "
                        "give n_jobs or executor"
                    )

    def evaluations(self, engine: Engine, objective: Callable[[Any], Any], aims: Aims) -> Evaluations:
        """Return the evaluations on an engine, none of them begun."""
        size = engine.n_workers if self.max_pending is None else self.max_pending
        if size is None:
            raise ParameterError(
                f"the number of workers of {type(self.executor).__name__} is not known: give max_pending"
            )
        catch = self.catch if self.catch is not None else () if engine.immediate else (Exception,)
        return Evaluations(
            engine, objective, size=size, timeout=self.timeout, retries=self.retries, catch=catch, aims=aims
        )


def _evaluate(progress: Progress, options: _Options, evaluations: Evaluations) -> None:
    progress.timeline.n_workers = evaluations.size
    leftovers = [] if options.pending == "keep" else progress.opt.pending_
    if options.pending == "release":
        progress.release(leftovers)
        leftovers = []
    if options.batch_size is None and not evaluations.engine.immediate:
        run_asynchronously(progress, evaluations, options.stock, leftovers)
        return
    with interruptible():
        run_rounds(progress, evaluations, options.batch_size or 1, leftovers)


def _optimize(
    direction: str,
    /,
    objective: Callable[[Any], float | None],
    opt: WeightedRetrainingOptimizer,
    n_calls: int = 500,
    *,
    executor: Any = None,
    n_jobs: int | None = None,
    max_pending: int | None = None,
    batch_size: int | None = None,
    stock: int | None = None,
    timeout: float | None = None,
    retries: int = 0,
    pending: str = "keep",
    target: float | None = None,
    patience: int | None = None,
    max_seconds: float | None = None,
    callbacks: Sequence[Callable[[OptimizeResult], Any]] = (),
    catch: tuple[type[Exception], ...] | None = None,
    verbose: int = 1,
) -> OptimizeResult:
    """Maximize an objective: evaluate it at the points that an optimizer asks for, and tell the values.

    Without ``executor`` and ``n_jobs`` the objective is called in this process, one point at a time. With
    either of them the loop is asynchronous: as soon as an evaluation ends, its value is told and another
    evaluation begins; training runs beside the evaluations and the search. ``batch_size`` makes the loop
    synchronous, and then a fixed seed gives the same bits whatever the number of workers.

    Parameters
    ----------
    objective : callable x → float
        With outcomes by name it returns a mapping of name to value. None or NaN means that the evaluation
        failed. It is pickled by value for other processes, so that lambdas and functions of a script can be
        used.
    opt : WeightedRetrainingOptimizer
        With starting data, and ``direction="maximize"``. A second call with it continues the search.
    n_calls : int, default=500
        Budget M: points evaluated, failed ones included; further attempts at a point do not count.
    executor : executor, Dask client, or callable that returns an executor, default=None
        Runs the evaluations: anything with the ``submit`` of :class:`concurrent.futures.Executor`. A
        callable, such as ``lambda: ProcessPoolExecutor(8, mp_context=context)``, is called again when workers
        died or hang; executors that it made are shut down at the end, a given executor is not.
    n_jobs : int, default=None
        Number of worker processes to start, -1: one for each processor.
    max_pending : int, default=None
        Evaluations that are out at once; None: the number of workers, if the executor tells it.
    batch_size : int, default=None
        Points to ask for at once; they are told in that order before the next batch is asked for. None: one
        without workers, asynchronous with workers.
    stock : int, default=None
        Candidates that the asynchronous loop holds ready; None: as many as evaluations end during an ask.
        They are pending like the points that are out.
    timeout : float, default=None
        Seconds after which an evaluation counts as failed, from when a worker takes it if the engine knows
        that, and from its submission otherwise. Workers of ``n_jobs``, and Dask workers of one thread, are
        replaced when they hang; workers of other executors stay occupied until the call ends.
    retries : int, default=0
        Further attempts at a point whose evaluation failed, in whatever way.
    pending : {"keep", "evaluate", "release"}, default="keep"
        What to do with points that are pending from before: keep them, as another program may be evaluating
        them; evaluate them first; or release them.
    target : float, default=None
        Stop when a value at least as good as this has been told; with several goals, a hypervolume.
    patience : int, default=None
        Stop after this many calls without a better value.
    max_seconds : float, default=None
        Stop when this wall time has passed (checked between evaluations if there are no workers).
    callbacks : sequence of callables result → bool, default=()
        Called after every evaluation with the result so far; a true return value stops the loop.
    catch : tuple of exception types, default=None
        If the objective raises one of these, the point has failed; any other exception releases the point and
        propagates. None: (Exception,) with workers, () without.
    verbose : int, default=1
        0 for no progress bar.

    Returns
    -------
    scipy.optimize.OptimizeResult
        ``x``, ``fun`` (best of all data, starting data included; None and NaN when there is none),
        ``x_iters`` and ``func_vals`` (evaluated in this call, in the order of telling; NaN where failed),
        ``nfev``, ``success``, ``message``, ``opt`` and ``timeline`` (a :class:`wrlso.timeline.Timeline`).

    Raises
    ------
    ParameterError, ParameterTypeError
        For impossible arguments, an optimizer of the other direction, or an objective that cannot be sent to
        another process.
    NotFittedError
        When the optimizer has no data.
    ExecutorError
        When workers die faster than they evaluate, or none is left.

    Notes
    -----
    Whatever ends the loop (the budget, a reason to stop, an error, Ctrl-C or SIGTERM), values that have come
    back are told, and points that are still out are released: they may be asked again.
    """
    check_objective(objective)
    check_count("n_calls", n_calls)
    options = _Options(executor, n_jobs, max_pending, batch_size, stock, timeout, retries, pending, catch)
    options.check()
    if opt.outcomes is not None and direction == "minimize":
        raise ParameterError("outcomes say what is to be minimized: call maximize() in any case")
    if opt.direction != direction:
        raise ParameterError(
            f"opt was built with direction={opt.direction!r}: call {opt.direction}(), "
            f"or build it with direction={direction!r}"
        )
    with ProgressBar(total=n_calls, desc=direction, unit="call", disable=not verbose) as bar:
        progress = Progress(opt, n_calls, bar, target, patience, max_seconds, callbacks)
        engine = make_engine(executor, n_jobs)
        idle = False
        try:
            evaluations = options.evaluations(engine, objective, aims_of(opt.outcomes, opt.direction))
            _evaluate(progress, options, evaluations)
            idle = progress.left <= 0 and not evaluations.hangs
        finally:
            engine.close(kill=not idle)
    progress.raise_errors()
    result = progress.result(progress.message or f"the budget of {n_calls} calls is used up")
    _logger.info("stopped after %d calls: %s", result.nfev, result.message)
    for callback in opt.callbacks:
        if hasattr(callback, "on_stop"):
            callback.on_stop(opt, result)
    return result


def _in_direction(
    direction: str, optimize: Callable[Concatenate[str, P], OptimizeResult]
) -> Callable[P, OptimizeResult]:
    """Return the loop of one direction: its signature and docstring are those of the common one."""

    @wraps(optimize)
    def loop(*args: P.args, **kwargs: P.kwargs) -> OptimizeResult:
        return optimize(direction, *args, **kwargs)

    common = inspect.signature(optimize)
    signature = common.replace(parameters=list(common.parameters.values())[1:])
    vars(loop).update(__signature__=signature)
    loop.__name__ = loop.__qualname__ = direction
    documentation = optimize.__doc__ or ""  # None under python -OO
    documentation = documentation.replace("Maximize", direction.capitalize())
    loop.__doc__ = documentation.replace('direction="maximize"', f'direction="{direction}"')
    return loop


maximize = _in_direction("maximize", _optimize)
minimize = _in_direction("minimize", _optimize)

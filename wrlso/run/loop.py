"""The ask → evaluate → tell loop (Algorithm 1, lines 2 to 8) around an objective that can be called.

In this process, one point after the other; or on workers, of any executor or of its own, without waiting for
the slowest. The loop schedules nothing: it keeps a number of evaluations out, and the engine runs them.
"""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from scipy.optimize import OptimizeResult

from wrlso._utils.progress_bar import ProgressBar
from wrlso._utils.validation import check_choice, check_count, check_real
from wrlso.exceptions import ParameterError, ParameterTypeError
from wrlso.optimizer import WeightedRetrainingOptimizer
from wrlso.run.asynchronous import interruptible, run_asynchronously
from wrlso.run.engines import Engine, make_engine
from wrlso.run.evaluations import Crew
from wrlso.run.progress import Progress
from wrlso.run.rounds import run_rounds

__all__ = ["maximize", "minimize"]

_logger = logging.getLogger(__name__)
_PENDING = ("keep", "evaluate", "release")


def maximize(
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
    """Evaluate an objective at the points that an optimizer asks for, and tell it the values.

    Without ``executor`` and ``n_jobs`` the objective is called here, one point after the other. With one of
    them the loop is asynchronous: as soon as an evaluation ends, it is told and another begins; training
    goes on beside the evaluations and the search. ``batch_size`` makes it synchronous, and then a fixed seed
    gives the same bits whatever the number of workers.

    Parameters
    ----------
    objective : callable x → float
        None or NaN means that the evaluation failed. It is pickled by value for other processes, so that
        lambdas and functions of a script will do.
    opt : WeightedRetrainingOptimizer
        With starting data, and built for this direction. It stays usable: a second call goes on.
    n_calls : int, default=500
        Budget M: points evaluated, failed ones included; further attempts at a point do not count.
    executor : executor, Dask client, or callable that returns an executor, default=None
        What runs the evaluations: anything with the ``submit`` of :class:`concurrent.futures.Executor`. A
        callable, such as ``lambda: ProcessPoolExecutor(8, mp_context=context)``, is called again when workers
        died or hang; what it made is shut down in the end, and an executor is not.
    n_jobs : int, default=None
        Worker processes to start here, -1: one for each processor; or, inside
        :func:`joblib.parallel_config`, workers of another backend than loky.
    max_pending : int, default=None
        Evaluations that are out at once; None: the number of workers, where the executor says it.
    batch_size : int, default=None
        Points asked for at once and told in that order before the next are asked for; None: one without
        workers, asynchronous with workers.
    stock : int, default=None
        Candidates that the asynchronous loop holds ready; None: as many as evaluations end during an ask.
        They are pending like those that are out.
    timeout : float, default=None
        Seconds after which an evaluation has failed, from when a worker takes it where the engine says when
        that is, and from its submission otherwise. Workers of ``n_jobs``, and Dask
        workers of one thread, are replaced when they hang; those of other executors stay occupied until the
        call ends.
    retries : int, default=0
        Further attempts at a point whose evaluation failed, in whatever way.
    pending : {"keep", "evaluate", "release"}, default="keep"
        What to do with points that are pending from before: nothing, as somebody else may be evaluating
        them; evaluate them first; or forget them.
    target : float, default=None
        Stop when a value at least as good as this has been told.
    patience : int, default=None
        Stop after this many calls without a better value.
    max_seconds : float, default=None
        Stop when this wall time has passed (checked between evaluations where there are no workers).
    callbacks : sequence of callables result → bool, default=()
        Called after every evaluation with the result so far; a true return value stops the loop.
    catch : tuple of exception types, default=None
        Raised by the objective, these make the point a failed one; all others release it and propagate.
        None: (Exception,) with workers, () without.
    verbose : int, default=1
        0 for no progress bar.

    Returns
    -------
    scipy.optimize.OptimizeResult
        ``x``, ``fun`` (best of all data, starting data included; None and NaN when there is none),
        ``x_iters`` and ``func_vals`` (evaluated here, in the order of telling; NaN where failed), ``nfev``,
        ``success``, ``message``, ``opt`` and ``timeline`` (a :class:`wrlso.timeline.Timeline`).

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
    options = _Options(
        executor, n_jobs, max_pending, batch_size, stock, timeout, retries, pending, catch, verbose
    )
    reasons = (target, patience, max_seconds, callbacks)
    return _run("maximize", objective, opt, n_calls, options, reasons)


def minimize(
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
    """Do as :func:`maximize`, for small values and an optimizer with ``direction="minimize"``."""
    options = _Options(
        executor, n_jobs, max_pending, batch_size, stock, timeout, retries, pending, catch, verbose
    )
    reasons = (target, patience, max_seconds, callbacks)
    return _run("minimize", objective, opt, n_calls, options, reasons)


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
    verbose: int

    def check(self) -> None:
        """Raise for what cannot be, before anything is started."""
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
                        f"{name} needs workers, as nothing else goes on here during an evaluation: give "
                        "n_jobs or executor"
                    )

    def crew(self, engine: Engine, objective: Callable[[Any], Any]) -> Crew:
        """Return who evaluates."""
        size = engine.n_workers if self.max_pending is None else self.max_pending
        if size is None:
            raise ParameterError(
                f"the number of workers of {type(self.executor).__name__} is not known: give max_pending"
            )
        catch = self.catch if self.catch is not None else () if engine.immediate else (Exception,)
        return Crew(engine, objective, size=size, timeout=self.timeout, retries=self.retries, catch=catch)


def _run(
    direction: str,
    objective: Callable[[Any], Any],
    opt: WeightedRetrainingOptimizer,
    n_calls: int,
    options: _Options,
    reasons: tuple[Any, ...],
) -> OptimizeResult:
    if not callable(objective):
        raise ParameterTypeError(f"objective must be callable, got {objective!r}")
    check_count("n_calls", n_calls)
    options.check()
    if opt.direction != direction:
        raise ParameterError(
            f"opt was built with direction={opt.direction!r}: call {opt.direction}(), "
            f"or build it with direction={direction!r}"
        )
    with ProgressBar(total=n_calls, desc=direction, unit="call", disable=not options.verbose) as bar:
        progress = Progress(opt, n_calls, bar, *reasons)
        engine = make_engine(options.executor, options.n_jobs)
        idle = False
        try:
            crew = options.crew(engine, objective)
            _evaluate(progress, options, crew)
            idle = progress.left <= 0 and not crew.hangs
        finally:
            engine.close(kill=not idle)
    result = progress.result(progress.message or f"the budget of {n_calls} calls is used up")
    _logger.info("stopped after %d calls: %s", result.nfev, result.message)
    for callback in opt.callbacks:
        if hasattr(callback, "on_stop"):
            callback.on_stop(opt, result)
    return result


def _evaluate(progress: Progress, options: _Options, crew: Crew) -> None:
    progress.timeline.n_workers = crew.size
    leftovers = [] if options.pending == "keep" else progress.opt.pending_
    if options.pending == "release":
        progress.release(leftovers)
        leftovers = []
    if options.batch_size is None and not crew.engine.immediate:
        run_asynchronously(progress, crew, options.stock, leftovers)
        return
    with interruptible():
        run_rounds(progress, crew, options.batch_size or 1, leftovers)

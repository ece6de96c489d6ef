"""The asynchronous loop, which keeps all workers busy.

The main thread tells and submits; it never searches or trains. A second thread asks, a little ahead of need.
A third trains a copy of the model, while asks use the current model until the copy replaces it.
"""

import logging
import math
import signal
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

from wrlso.exceptions import NoCandidateError
from wrlso.run.evaluations import Evaluations
from wrlso.run.progress import Progress

__all__ = ["interruptible", "run_asynchronously"]

_logger = logging.getLogger("wrlso.run")
_NEGLIGIBLE = 0.05  # evaluations that end during one ask: with fewer, no stock is held


def run_asynchronously(
    progress: Progress, evaluations: Evaluations, stock: int | None, leftovers: list[Any]
) -> None:
    """Keep all workers busy until there is a reason to stop.

    Parameters
    ----------
    stock : int or None
        Candidates to hold ready beside the points that are out; None: as many as evaluations end during an
        ask.
    leftovers : list
        Pending points to evaluate first.
    """
    loop = _Loop(progress, evaluations, stock, leftovers)
    with interruptible(evaluations.wake) as check:
        try:
            while loop.goes_on():
                check()
                loop.step()
        finally:
            loop.close()


class _Loop:
    def __init__(
        self, progress: Progress, evaluations: Evaluations, stock: int | None, leftovers: list[Any]
    ) -> None:
        self._progress = progress
        self._evaluations = evaluations
        self._opt = progress.opt
        self._wanted_stock = stock
        self._stock = deque(leftovers[: progress.left])
        self._threads = ThreadPoolExecutor(2, thread_name_prefix="wrlso")
        self._asking: Future[list[Any]] | None = None
        self._training: Future[None] | None = None
        self._stop_training = threading.Event()
        self._most = math.inf  # points to ask for at once
        self._exhausted: str | None = None  # why no candidate was found, until something changes
        self._ask_seconds: deque[float] = deque(maxlen=10)
        self._evaluation_seconds: float | None = None

    def goes_on(self) -> bool:
        """Return False if there is a reason to stop."""
        progress = self._progress
        if progress.left <= 0 or progress.message is not None or progress.out_of_time:
            return False
        idle = (
            self._evaluations.n_out == 0
            and not self._stock
            and self._asking is None
            and self._training is None
        )
        if idle and self._exhausted is not None and not self._training_is_due():
            progress.message = f"no candidate left: {self._exhausted}"
            return False
        return True

    def step(self) -> None:
        """Submit candidates, ask and train if due, and wait for something to end."""
        while self._stock and self._evaluations.free > 0:
            self._evaluations.submit(self._stock[0])
            self._stock.popleft()
        if self._training is None and self._training_is_due():
            self._training = self._in_background(self._train)
        if self._asking is None and self._exhausted is None:
            n = self._n_wanted()
            if n > 0:
                self._asking = self._in_background(self._ask, n)
        finished = self._evaluations.wait(self._progress.seconds_left)
        for i, one in enumerate(finished):
            try:
                self._progress.take(one)
            except BaseException:
                for other in finished[i + 1 :]:
                    self._progress.settle(other)
                raise
            seconds, known = one.evaluation.seconds, self._evaluation_seconds
            self._evaluation_seconds = seconds if known is None else 0.8 * known + 0.2 * seconds
            self._exhausted = None
        self._take_in()

    def close(self) -> None:
        """End the threads, tell the values that have come back, and release the points that are out."""
        self._stop_training.set()
        try:
            asked = self._asking.result() if self._asking is not None else []
        except Exception:  # its points are not needed any more
            asked = []
        self._threads.shutdown(wait=True)
        self._progress.clean_up(self._evaluations, [*self._stock, *asked])

    def _take_in(self) -> None:
        """Take the results of the threads."""
        if self._asking is not None and self._asking.done():
            asking, self._asking = self._asking, None
            try:
                self._stock += asking.result()
                self._most = math.inf
            except NoCandidateError as error:
                if self._most > 1:
                    self._most = 1  # fewer may still be found
                else:
                    self._exhausted = str(error)
        if self._training is not None and self._training.done():
            training, self._training = self._training, None
            training.result()
            self._exhausted = None

    def _n_wanted(self) -> int:
        held = len(self._stock)
        budget = self._progress.left - self._evaluations.n_out - held
        return int(min(budget, self._evaluations.free + self._stock_wanted() - held, self._most))

    def _stock_wanted(self) -> int:
        if self._wanted_stock is not None:
            return self._wanted_stock
        if self._evaluation_seconds is None:
            return 0
        # the slowest, because some asks fit the surrogate first
        slowest = max(self._ask_seconds, default=0.0)
        ending = self._evaluations.size * slowest / max(self._evaluation_seconds, 1e-9)
        most = 4 * self._evaluations.size  # more would be chosen from too few values
        return 0 if ending < _NEGLIGIBLE else min(most, math.ceil(1.2 * ending))

    def _training_is_due(self) -> bool:
        history = self._opt.history_
        # the first ask does the first training itself
        return bool(history.trainings) and self._opt.training_due_

    def _in_background(self, work: Callable[..., Any], *arguments: Any) -> Any:
        future = self._threads.submit(work, *arguments)
        future.add_done_callback(lambda future: self._evaluations.wake())
        return future

    def _ask(self, n: int) -> list[Any]:
        start = time.time()
        X: list[Any] = self._opt.ask(n, retrain=False)
        self._progress.timeline.asks.append((start, time.time()))
        self._ask_seconds.append(time.time() - start)
        _logger.debug("asked for %d in %.3f s", n, time.time() - start)
        return X

    def _train(self) -> None:
        start, before = time.time(), len(self._opt.history_.trainings)
        self._opt.retrain(block=False, stop=self._stop_training)
        # a training that was stopped is not in the history
        if len(self._opt.history_.trainings) > before:
            self._progress.timeline.trainings.append((start, time.time()))
            _logger.info(
                "retrained in %.1f s beside %d evaluations", time.time() - start, self._evaluations.n_out
            )


@contextmanager
def interruptible(wake: Callable[[], None] | None = None) -> Iterator[Callable[[], None]]:
    """Make SIGTERM end a loop in an orderly way, as Ctrl-C does.

    Without ``wake``, SIGTERM raises SystemExit at once. With ``wake``, both signals are raised only when the
    loop calls the function that this yields, so that neither interrupts a tell; a second Ctrl-C is raised at
    once.
    """
    received: list[int] = []

    def keep(number: int, frame: Any) -> None:
        if wake is None or (received and number == signal.SIGINT):
            _raise(number)
        received.append(number)
        if wake is not None:
            wake()

    def check() -> None:
        if received:
            _raise(received[0])

    ours = {signal.SIGTERM: signal.SIG_DFL}
    if wake is not None:
        ours[signal.SIGINT] = signal.default_int_handler  # type: ignore[assignment]
    before: dict[int, Any] = {}
    if threading.current_thread() is threading.main_thread():
        # leave handlers that the program has set
        before = {number: plain for number, plain in ours.items() if signal.getsignal(number) is plain}
        for number in before:
            signal.signal(number, keep)
    try:
        yield check
        check()
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _raise(number: int) -> None:
    if number == signal.SIGINT:
        raise KeyboardInterrupt
    raise SystemExit(128 + number)

"""Evaluations on an engine: submitted, awaited, tried again, given up.

A point is out from its submission until its evaluation has finished.
"""

import copy
import itertools
import logging
import math
import queue
import time
import uuid
from collections import deque
from collections.abc import Callable
from concurrent.futures import BrokenExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from wrlso._state.reading import read_returned
from wrlso.exceptions import DataError, DataTypeError, ExecutorError, WrlsoError
from wrlso.outcomes import Aims, Reading
from wrlso.run.call import Outcome, Task, error_text
from wrlso.run.engines import Engine
from wrlso.timeline import Attempt, Evaluation

__all__ = ["Evaluations", "Finished"]

Value = float | Reading | dict[str, Reading | None] | None  # of one evaluation

_logger = logging.getLogger("wrlso.run")
_POLL = 1.0  # seconds between two looks at futures that should report their end
_SHORT_POLL = 0.05  # seconds between two looks at futures that cannot


class Finished(NamedTuple):
    """A finished point: its evaluation, or the exception that ``catch`` does not cover."""

    number: int
    evaluation: Evaluation
    error: BaseException | None = None


@dataclass
class _Ticket:
    """One point that is out."""

    number: int
    x: Any
    token: str = ""
    job: Any = None
    submitted: float = 0.0
    deadline: float = math.inf
    attempts: list[Attempt] = field(default_factory=list)


class Evaluations:
    """Keeps up to ``size`` points out at once on an engine.

    One thread calls all methods; other threads call only :meth:`wake`.
    """

    def __init__(
        self,
        engine: Engine,
        objective: Callable[[Any], Any],
        *,
        size: int,
        timeout: float | None,
        retries: int,
        catch: tuple[type[Exception], ...],
        aims: Aims,
    ) -> None:
        self.engine = engine
        self._aims = aims
        self.size = size
        self._task = Task(objective)
        self._timeout = timeout
        self._retries = retries
        self._catch = catch
        self._out: dict[str, _Ticket] = {}
        self._hanging: list[Callable[[], bool]] = []  # each says whether one worker is free again
        self._again: deque[_Ticket] = deque()  # to be tried again
        self._finished: list[Finished] = []  # not handed out yet
        self._failure: BaseException | None = None
        self._inbox: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        self._numbers = itertools.count()
        self._polled = False
        self._losses = 0  # evaluations lost since the last that came back

    @property
    def n_out(self) -> int:
        """Number of points that are out."""
        return len(self._out) + len(self._again)

    @property
    def hangs(self) -> bool:
        """Whether a worker is still busy with a call that was given up."""
        return any(not freed() for freed in self._hanging)

    @property
    def free(self) -> int:
        """Number of points that can be submitted now."""
        if self._hanging:
            self._hanging = [freed for freed in self._hanging if not freed()]
        return self.size - self.n_out - len(self._hanging)

    def submit(self, x: Any) -> int:
        """Begin the evaluation of x; return the number of its :class:`Finished`."""
        ticket = _Ticket(next(self._numbers), x)
        self._begin(ticket)
        return ticket.number

    def wake(self) -> None:
        """Make :meth:`wait` return."""
        self._inbox.put(None)

    def wait(self, seconds: float = math.inf) -> list[Finished]:
        """Wait for a finished point, for :meth:`wake` or until time is up; return the finished points.

        Raises ExecutorError, ParameterTypeError or what the executor raises when evaluations cannot go on,
        but not before it has returned all points that finished until then.
        """
        if self._failure is not None:
            raise self._failure
        try:
            for token in self._tokens(seconds):
                if token in self._out:
                    self._take(self._out[token])
            now = time.monotonic()
            for ticket in [ticket for ticket in self._out.values() if ticket.deadline <= now]:
                began = self.engine.began(ticket.token, ticket.job)
                ticket.deadline = (now if began is None else began) + (self._timeout or 0.0)
                if ticket.deadline <= now:
                    self._time_out(ticket)
            while self._again and self.free + len(self._again) > 0:
                self._begin(self._again[0])
                self._again.popleft()
            if not self._out and self._hanging and self.free + len(self._again) <= 0:
                self._renew()
        except BaseException as error:
            if not self._finished:
                raise
            self._failure = error
        return self._hand_out()

    def ended(self) -> list[Finished]:
        """Return the finished points without waiting, except those whose outcome cannot be read."""
        for ticket in list(self._out.values()):
            with suppress(Exception, KeyboardInterrupt):
                if ticket.job.done():
                    self._take(ticket)
        return self._hand_out()

    def _hand_out(self) -> list[Finished]:
        finished, self._finished = self._finished, []
        return finished

    def take_back(self) -> list[Any]:
        """Cancel all evaluations and return their points."""
        tickets = {id(ticket): ticket for ticket in (*self._out.values(), *self._again)}.values()
        self._out = {}
        self._again.clear()
        for ticket in tickets:
            with suppress(Exception):  # of an executor that is gone, for example
                self.engine.cancel(ticket.job)
        return [ticket.x for ticket in tickets]

    def _begin(self, ticket: _Ticket) -> None:
        ticket.token = uuid.uuid4().hex
        ticket.submitted = time.time()
        ticket.deadline = math.inf if self._timeout is None else time.monotonic() + self._timeout
        token = ticket.token
        try:
            ticket.job = self._submitted(ticket)
        except BrokenExecutor as error:  # an idle worker died
            self.engine.repair(token, error)
            ticket.job = self._submitted(ticket)
        self._out[token] = ticket
        report = getattr(ticket.job, "add_done_callback", None)
        if report is not None:
            report(lambda job: self._inbox.put(token))
        elif ticket.job.done():
            self._inbox.put(token)
        else:
            self._polled = True

    def _submitted(self, ticket: _Ticket) -> Any:
        x = ticket.x
        with suppress(Exception):  # of x that cannot be copied
            x = copy.deepcopy(x)  # the objective may change it, and the value is told by it
        try:
            return self.engine.submit(self._task, x, ticket.token)
        except (BrokenExecutor, WrlsoError):
            raise
        except Exception as error:
            raise ExecutorError(
                f"the executor takes no evaluations: {type(error).__name__}: {error}; give one that runs (it "
                "must not be shut down before the loop ends), or a function that makes one"
            ) from error

    def _tokens(self, seconds: float) -> list[str]:
        """Wait for the first job that ends; return the tokens of all that have ended."""
        poll = _SHORT_POLL if self._polled or self._hanging else _POLL
        if self._timeout is not None and self._out:
            until = min(ticket.deadline for ticket in self._out.values())
            seconds = min(seconds, until - time.monotonic())
        tokens: list[str | None] = []
        try:
            tokens.append(self._inbox.get(timeout=max(0.0, min(seconds, poll))))
            while True:
                tokens.append(self._inbox.get_nowait())
        except queue.Empty:
            pass
        known = [token for token in tokens if token is not None]
        return known or [token for token, ticket in self._out.items() if ticket.job.done()]

    def _take(self, ticket: _Ticket) -> None:
        try:
            outcome = Outcome(*ticket.job.result())
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # raised by the engine: the objective's own are in the outcome
            self._lost(ticket, error)
            return
        if outcome.reason is not None and outcome.error is None:
            self._lost(ticket, ExecutorError(outcome.reason))
            return
        self._losses = 0
        raised = outcome.exception()
        value: Value = None
        reason, wrong_type = outcome.reason, False
        if raised is None:
            try:
                value = read_returned(outcome.value, self._aims)
                reason = None if value is not None else f"the objective returned {outcome.value}"
            except Exception as wrong:  # a number of the user's own class may raise anything
                raised, reason = wrong, str(wrong) if isinstance(wrong, DataError) else error_text(wrong)
                wrong_type = isinstance(wrong, DataTypeError) or not isinstance(wrong, DataError)
        attempt = Attempt(outcome.worker, ticket.submitted, outcome.started, outcome.ended, reason)
        # an objective that returns no number does so every time, and the budget would be spent on nothing
        if raised is None or (self._catches(raised) and not wrong_type):
            if outcome.details:
                _logger.debug("evaluation of %.80r failed:\n%s", ticket.x, outcome.details)
            self._conclude(ticket, value, attempt)
        else:
            self._finish(ticket, None, attempt, raised)

    def _lost(self, ticket: _Ticket, error: BaseException) -> None:
        """Handle a call that did not come back."""
        if self._task.error is not None:
            raise self._task.error
        self._losses += 1
        what = error_text(error).splitlines()[0]
        if self._losses > 3 * self.size + 10:
            raise ExecutorError(
                f"{self._losses} evaluations in a row were lost, the last with {what}: check that workers "
                "start and can import what the objective needs"
            ) from error
        self.engine.repair(ticket.token, error)
        reason = f"{'the worker died' if _is_death(error) else 'the evaluation was lost'} ({what})"
        attempt = Attempt("", ticket.submitted, ticket.submitted, time.time(), reason, lost=True)
        self._conclude(ticket, None, attempt)

    def _time_out(self, ticket: _Ticket) -> None:
        freed = self.engine.give_up(ticket.token, ticket.job)
        if not freed():
            self._hanging.append(freed)
        reason = f"no result within {self._timeout:g} s"
        attempt = Attempt("", ticket.submitted, ticket.submitted, time.time(), reason, lost=True)
        self._conclude(ticket, None, attempt)

    def _conclude(self, ticket: _Ticket, value: Value, attempt: Attempt) -> None:
        """Finish the point, or try it again if it has failed and attempts are left."""
        if value is None and len(ticket.attempts) < self._retries:
            _logger.warning("trying again, as an evaluation failed: %s", attempt.reason)
            del self._out[ticket.token]
            ticket.attempts.append(attempt)
            self._again.append(ticket)
            self.wake()
        else:
            self._finish(ticket, value, attempt, None)

    def _finish(self, ticket: _Ticket, value: Value, attempt: Attempt, error: BaseException | None) -> None:
        del self._out[ticket.token]
        attempts = (*ticket.attempts, attempt)
        reason = attempt.reason
        if reason is not None and len(attempts) > 1:
            reason += f" ({len(attempts)} attempts)"
        if reason is not None and error is None:
            _logger.warning("an evaluation failed: %s", reason)
        self._finished.append(Finished(ticket.number, Evaluation(ticket.x, value, reason, attempts), error))

    def _catches(self, error: BaseException) -> bool:
        # sys.exit in an objective on a worker ends the call, not the search
        exits = isinstance(error, SystemExit) and not self.engine.immediate
        return isinstance(error, self._catch) or (exits and Exception in self._catch)

    def _renew(self) -> None:
        if not self.engine.renew():
            raise ExecutorError(
                f"all {self.size} workers hang in evaluations that exceeded the timeout of "
                f"{self._timeout:g} s: pass n_jobs, or a function that makes an executor"
            )


def _is_death(error: BaseException) -> bool:
    return isinstance(error, BrokenExecutor | ExecutorError) or type(error).__name__ == "KilledWorker"
